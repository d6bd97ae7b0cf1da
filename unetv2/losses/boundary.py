"""Boundary F1 score from max pooling."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from unetv2.arguments import require_integer
from unetv2.losses.class_average import ClassAverage

# Against numbers of pixels it is nothing; without any boundary it decides 0 / 0.
_NOTHING = 1e-7


@keras.saving.register_keras_serializable(package="unetv2")
class Boundary(ClassAverage):
    r"""One minus the F1 score of true and predicted boundaries, averaged over classes.

    A class's boundary is what a 3x3 erosion takes from it, :math:`b = p - \min_{3 \times 3} p`:
    its pixels next to another class. Precision is the share of the predicted boundary within
    ``distance`` pixels of the true one, recall the share of the true one within ``distance``
    pixels of the predicted one,

    .. math::

        P_c = \frac{\sum b_c \max_{d} b^*_c}{\sum b_c}, \quad
        R_c = \frac{\sum b^*_c \max_{d} b_c}{\sum b^*_c}, \quad
        L_c = 1 - \frac{2 P_c R_c}{P_c + R_c}

    with the truth's boundary :math:`b^*` and the maximum over a square window of
    ``2 * distance + 1`` pixels. It is a term to add to another loss, see :class:`Sum`: it says
    nothing about what lies between boundaries, and where no class is preferred yet it has no
    gradient.

    Neither the picture's border nor a pixel that does not count makes a boundary. Masks
    that mark all boundaries with ``ignore_class``, as PASCAL VOC's do, thus have none, and
    cost 0. A class without a true boundary, which is absent or fills the picture, is left out
    of the average; where it is predicted inside another class, it costs that class precision.

    A batch of which nothing counts costs 0. An id that is neither a class nor ``ignore_class``
    makes the loss NaN.

    Args:
        distance: int, at least 0. By how many pixels a boundary may be off, in rows and columns:
            the paper's :math:`\theta` is ``2 * distance + 1``, its :math:`\theta_0` is 3.
        ignore_class: int or None. Mask id of pixels that do not count.
        average: ``"batch"`` takes the sums over the whole batch, ``"image"`` over each image
            and averages these, as the paper does.
        name: str. Name in logs.
        reduction: str or None. Keras's reduction of the images' values, whose mean is the
            batch's figure.
        dtype: ``"float32"``, also for None, or ``"float64"``. Precision of the computation and
            of the result, whatever the precision of the logits.

    Call arguments:
        y_true: Mask ids, ``(batch, height, width, 1)`` or ``(batch, height, width)``.
        y_pred: Logits, ``(batch, height, width, n_classes)``, any floating-point type.
        sample_weight: Weights of images, ``(batch,)``, or None. With ``average="batch"`` they
            weigh the images' pixels, and their mean multiplies the result.

    Returns:
        Scalar in [0, 1]; ``(batch,)`` with ``reduction=None``.

    Raises:
        ValueError: If an argument is out of its range, or shapes do not fit.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> truth = np.array([[[0, 0, 0, 1, 1, 1, 1]]])
        >>> shifted = np.array([[[0, 0, 0, 0, 1, 1, 1]]])
        >>> logits = 99 * np.eye(2)[shifted]
        >>> float(unetv2.losses.Boundary(distance=0)(truth, logits))
        1.0
        >>> float(unetv2.losses.Boundary(distance=1)(truth, logits)) < 1e-6
        True

    References:
        - `Bokhovkin and Burnaev, 2019 <https://arxiv.org/abs/1905.07852>`_
    """

    def __init__(
        self,
        distance: int = 2,
        *,
        ignore_class: int | None = None,
        average: str = "batch",
        name: str = "boundary",
        reduction: str | None = "sum_over_batch_size",
        dtype: Any = None,
    ) -> None:
        super().__init__(
            average=average,
            name=name,
            reduction=reduction,
            dtype=dtype,
            ignore_class=ignore_class,
        )
        self.distance = require_integer(
            "distance", distance, 0, "It is by how many pixels a boundary may be off."
        )

    def class_losses(self, probabilities: Any, truth: Any, weights: Any) -> tuple[Any, Any]:
        """Returns what each class costs in each group, and its number of boundary pixels."""
        counted = ops.expand_dims(truth >= 0, -1)
        is_true = ops.one_hot(truth, probabilities.shape[-1], dtype=probabilities.dtype)
        true, predicted = _boundary(is_true, counted), _boundary(probabilities, counted)
        near_true, near_predicted = (
            _maximum(boundary, self.distance) for boundary in (true, predicted)
        )
        right = self.sum_groups(predicted * near_true, weights)
        wrong = self.sum_groups(predicted * (1 - near_true), weights)
        found = self.sum_groups(true * near_predicted, weights)
        missed = self.sum_groups(true * (1 - near_predicted), weights)
        precision = right / (right + wrong + _NOTHING)
        recall = ops.divide_no_nan(found, found + missed)
        return 1 - 2 * precision * recall / (precision + recall + _NOTHING), found + missed

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "distance": self.distance}


def _boundary(areas: Any, counted: Any) -> Any:
    """Returns what an erosion by one pixel takes from areas in [0, 1]."""
    # What does not count is no neighbour: 1 never is the minimum.
    eroded = -_maximum(-ops.where(counted, areas, 1.0), 1)
    return ops.where(counted, areas - eroded, 0.0)


def _maximum(values: Any, distance: int) -> Any:
    """Returns the maximum over the square window of ``distance`` around each pixel."""
    # First columns, then rows: the time grows with the distance instead of its square. Outside
    # of the picture there is nothing to be a maximum.
    window = 2 * distance + 1
    for pool in ((window, 1), (1, window)):
        values = ops.max_pool(values, pool, 1, padding="same", data_format="channels_last")
    return values
