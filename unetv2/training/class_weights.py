"""How much more a rare class shall count than a frequent one."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_choice, require_n_classes
from unetv2.classes import require_class_ids
from unetv2.data.dataset_info import info_of

METHODS = ("median_frequency", "sqrt_median_frequency", "effective_number")


def class_weights(
    dataset: tf.data.Dataset,
    n_classes: int | None = None,
    *,
    ignore_class: int | None = None,
    method: str = "sqrt_median_frequency",
) -> list[float]:
    r"""Counts the pixels of a data set and weighs its classes by them.

    - ``"median_frequency"`` (Eigen and Fergus): :math:`\mathrm{median}(f) / f_c`, with
      :math:`f_c` the share of a class in the pixels of the images in which it occurs.
    - ``"sqrt_median_frequency"``: the square root of that. It raises rare classes without
      having them called everywhere.
    - ``"effective_number"`` (Cui et al.): :math:`(1 - \beta) / (1 - \beta^{n_c})`, with
      :math:`n_c` the pixels of a class and :math:`\beta = (N - 1) / N` for :math:`N` pixels in
      all; scaled to the mean 1 over the classes that have pixels.

    Args:
        dataset: Batches of ``(image, mask)``, gone through once.
        n_classes: int, 2 to 65,536, or None. None takes that of ``make_dataset``.
        ignore_class: int or None. Id of pixels that have no label. None takes that of
            ``make_dataset``.
        method: str. One of the three above.

    Returns:
        list of floats, one for each class; 0 for a class without a pixel.

    Raises:
        ValueError: If an argument is unknown or missing, the data set does not end or has no
            labeled pixel, or the masks hold another id.
        TypeError: If ``n_classes`` is no integer.

    Example:
        >>> images, masks = np.zeros((1, 2, 4, 3)), np.array([[[0, 0, 0, 0], [0, 0, 1, 1]]])
        >>> dataset = tf.data.Dataset.from_tensors((images, masks[..., np.newaxis]))
        >>> [round(weight, 3) for weight in unetv2.class_weights(dataset, 2)]
        [0.816, 1.414]

    References:
        - `Eigen and Fergus, 2015 <https://arxiv.org/abs/1411.4734>`_
        - `Cui et al., 2019 <https://arxiv.org/abs/1901.05555>`_
    """
    require_choice("method", method, METHODS)
    origin = info_of(dataset)
    if origin is not None:
        labels = origin.labels
        n_classes = labels.n_classes if n_classes is None else n_classes
        ignore_class = labels.ignore_class if ignore_class is None else ignore_class
        if origin.repeat:
            raise ValueError(
                "`dataset` must end, to be counted. Received: a data set with repeat=True. "
                "Make it without."
            )
    if n_classes is None:
        raise ValueError(
            "`n_classes` must be known to weigh classes. Received: n_classes=None and a data "
            "set that does not tell. Pass it here, or to `make_dataset`."
        )
    n_classes = require_n_classes(n_classes)
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`dataset` must end, to be counted. Received: an endless one.")
    masks = (mask for _, masks in dataset for mask in np.asarray(masks))
    return weights_of(count_pixels(masks, n_classes, ignore_class), method)


def count_pixels(
    masks: Iterable[np.ndarray], n_classes: int, ignore_class: int | None
) -> np.ndarray:
    """Counts each class's pixels, and those of the images in which it occurs.

    Args:
        masks: Ids, ``(height, width, 1)`` each.
        n_classes: int.
        ignore_class: int or None. Id of pixels that have no label.

    Returns:
        float64 ``(2, n_classes)``; sums over several parts of the masks are those of the whole.

    Raises:
        ValueError: If a mask holds another id.
    """
    pixels = np.zeros((2, n_classes))
    for mask in masks:
        found = _counted(mask, n_classes, ignore_class)
        pixels += found, np.where(found > 0, found.sum(), 0)
    return pixels


def weights_of(pixels: np.ndarray, method: str) -> list[float]:
    """Returns the weights of classes of which :func:`count_pixels` found so many."""
    return _weights(pixels[0], pixels[1], method).tolist()


def _counted(mask: np.ndarray, n_classes: int, ignore_class: int | None) -> np.ndarray:
    ids = mask.reshape(-1)
    require_class_ids(
        ids,
        n_classes,
        ignore_class,
        source="a mask",
        advice="Raise `n_classes`, or pass the id of unlabeled pixels as `ignore_class`.",
    )
    if ignore_class is not None:
        ids = ids[ids != ignore_class]
    return np.bincount(ids, minlength=n_classes).astype(np.float64)


def _weights(pixels: np.ndarray, pixels_around: np.ndarray, method: str) -> np.ndarray:
    present = pixels > 0
    weights = np.zeros(len(pixels))
    if not present.any():
        raise ValueError(
            "`dataset` must hold a labeled pixel. Received: none. Check `ignore_class`."
        )
    if method == "effective_number":
        beta = 1 - 1 / pixels.sum()
        weights[present] = (1 - beta) / (1 - beta ** pixels[present])
        return weights / weights[present].mean()
    frequency = pixels[present] / pixels_around[present]
    weights[present] = np.median(frequency) / frequency
    return np.sqrt(weights) if method == "sqrt_median_frequency" else weights
