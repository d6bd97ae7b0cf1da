"""Class weights."""

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
    r"""Computes class weights from the pixel counts of a data set.

    - ``"median_frequency"`` (Eigen and Fergus): :math:`\mathrm{median}(f) / f_c`, with
      :math:`f_c` the fraction of a class in the pixels of the images that contain it.
    - ``"sqrt_median_frequency"``: its square root, which emphasizes rare classes without
      causing many false positives.
    - ``"effective_number"`` (Cui et al.): :math:`(1 - \beta) / (1 - \beta^{n_c})`, with
      :math:`n_c` the pixels of a class and :math:`\beta = (N - 1) / N` for :math:`N` pixels in
      total; scaled to the mean 1 over the classes with pixels.

    Args:
        dataset: Batches of ``(image, mask)``, iterated over once.
        n_classes: int, 2 to 65,536, or None. None uses that of ``make_dataset``.
        ignore_class: int or None. Id of unlabeled pixels. None uses that of ``make_dataset``.
        method: str. One of the above.

    Returns:
        list of floats, one for each class; 0 for a class without a pixel.

    Raises:
        ValueError: If an argument is unknown or missing, the data set is infinite or has no labeled
            pixel, or masks contain other ids.
        TypeError: If ``n_classes`` is not an integer.

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
    info = info_of(dataset)
    if info is not None:
        labels = info.labels
        n_classes = labels.n_classes if n_classes is None else n_classes
        ignore_class = labels.ignore_class if ignore_class is None else ignore_class
        if info.repeat:
            raise ValueError(
                "`dataset` must end, to be counted. Received: a data set with repeat=True. "
                "Pass one with repeat=False."
            )
    if n_classes is None:
        raise ValueError(
            "`n_classes` must be an integer for this data set. Received: n_classes=None. Pass it "
            "here, or to `make_dataset`."
        )
    n_classes = require_n_classes(n_classes)
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise ValueError("`dataset` must end, to be counted. Received: an endless data set.")
    masks = (mask for _, masks in dataset for mask in np.asarray(masks))
    return weights_of(count_pixels(masks, n_classes, ignore_class), method)


def count_pixels(
    masks: Iterable[np.ndarray], n_classes: int, ignore_class: int | None
) -> np.ndarray:
    """Counts the pixels of each class, and all labeled pixels of the masks that contain it.

    Args:
        masks: Ids, ``(height, width, 1)`` each.
        n_classes: int. Number of classes.
        ignore_class: int or None. Id of unlabeled pixels.

    Returns:
        int64 ``(2, n_classes)``. The counts of several workers can be added.

    Raises:
        ValueError: If a mask contains another id.
    """
    pixels = np.zeros((2, n_classes), np.int64)
    for mask in masks:
        counts = _count(mask, n_classes, ignore_class)
        pixels += counts, np.where(counts > 0, counts.sum(), 0)
    return pixels


def _count(mask: np.ndarray, n_classes: int, ignore_class: int | None) -> np.ndarray:
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
    return np.bincount(ids, minlength=n_classes)


def weights_of(pixels: np.ndarray, method: str) -> list[float]:
    """Returns class weights for the result of :func:`count_pixels`."""
    counts, counts_around = pixels.astype(np.float64)
    present = counts > 0
    if not present.any():
        raise ValueError(
            "`dataset` must contain a labeled pixel. Received: none. Check `ignore_class`."
        )
    weights = np.zeros(len(counts))
    if method == "effective_number":
        beta = 1 - 1 / counts.sum()
        weights[present] = (1 - beta) / (1 - beta ** counts[present])
        weights /= weights[present].mean()
    else:
        frequency = counts[present] / counts_around[present]
        weights[present] = np.median(frequency) / frequency
        if method == "sqrt_median_frequency":
            weights = np.sqrt(weights)
    return weights.tolist()
