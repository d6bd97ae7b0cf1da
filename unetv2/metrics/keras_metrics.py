"""Keras metrics for ``compile(metrics=[...])``, computed from a streamed confusion matrix."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from unetv2.arguments import MAX_COUNTED_CLASSES, require_ignore_class, require_n_classes
from unetv2.metrics.scores import (
    ClassCounts,
    Scores,
    dice,
    frequency_weighted_iou,
    iou,
    nan_mean,
    pixel_accuracy,
)

# Larger than any id of a mask.
NO_CLASS = 2**31 - 1


def most_probable(scores: Any) -> Any:
    """Returns the int32 ids of the largest scores, ``NO_CLASS`` where all scores are NaN.

    ``keras.ops.argmax`` takes twice as long, distinguishes 0.0 from -0.0, and returns a class for
    NaN. Equal scores give the first class, as there.
    """
    scores = ops.convert_to_tensor(scores)
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(scores.dtype)):
        scores = ops.cast(scores, "float32")
    n_classes = ops.shape(scores)[-1]
    # `initial` allows batches without a pixel.
    largest = ops.max(scores, axis=-1, keepdims=True, initial=float("-inf"))
    # The first of equal scores is the farthest from the end.
    from_the_end = ops.arange(n_classes, 0, -1, dtype="int32")
    none = n_classes - NO_CLASS
    return n_classes - ops.max(
        ops.where(scores >= largest, from_the_end, none), axis=-1, initial=none
    )


# Invalid pixels are counted by kind, because a distribution strategy only reduces sums: NaN
# predictions, ids that are not whole numbers, ids below 0, and each id from `n_classes` up (the
# last cell counts all larger ones).
_NAN, _FRACTION, _NEGATIVE, _ABOVE = range(4)
_N_ABOVE = 256
_N_INVALID = _ABOVE + _N_ABOVE
# Kinds of invalid ids in an error message.
_LISTED = 8
# The largest int32 that float32 represents exactly.
_LARGEST_ID = 2**31 - 128
_WIDE_INTEGERS = ("uint32", "int64", "uint64")


@keras.saving.register_keras_serializable(package="unetv2")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts pixels by ground-truth class and predicted class.

    The counts are exact. ``ignore_class`` may be one of the classes: its pixels are excluded, and
    predicting it for a pixel of another class is an error like any other.

    An id that is neither a class nor ``ignore_class`` raises an error in :meth:`result`. A compiled
    function cannot raise and returns NaN instead, so ``fit`` shows NaN during the epoch and raises
    at its end. Pixels whose scores are all NaN also make the result NaN.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that are excluded.
        name: str or None. Name in logs; ``"confusion_matrix"`` by default.
        dtype: Dtype of the results of the subclasses.

    Raises:
        ValueError: If ``n_classes`` is out of range.
        TypeError: If ``n_classes`` or ``ignore_class`` is not an integer.

    Example:
        >>> confusion = unetv2.metrics.ConfusionMatrix(2, ignore_class=255)
        >>> scores = np.array([[2., 1.], [0., 1.], [3., 1.], [0., 1.]])
        >>> confusion.update_state([0, 1, 1, 255], scores)
        >>> np.asarray(confusion.result()).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
        >>> confusion.scores().iou_per_class.tolist()
        [0.5, 0.5]
    """

    _default_name = "confusion_matrix"

    def __init__(
        self,
        n_classes: int,
        ignore_class: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name or self._default_name, dtype=dtype)
        self.n_classes = require_n_classes(n_classes, MAX_COUNTED_CLASSES)
        require_ignore_class(ignore_class)
        self.ignore_class = None if ignore_class is None else int(ignore_class)
        # Floats lose counts: 2**24 + 1 is 2**24 in float32. JAX enables 64 bits only on request.
        bits = 32 if keras.config.backend() == "jax" else 64
        self._float = f"float{bits}"
        self.counts = self.add_variable(
            (self.n_classes, self.n_classes), "zeros", dtype=f"int{bits}", name="counts"
        )
        self.invalid = self.add_variable((_N_INVALID,), "zeros", dtype=f"int{bits}", name="invalid")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Mask ids in ``[0, n_classes)`` or ``ignore_class``, ``(batch, ..., 1)``
                or ``(batch, ...)``; integers, or floats that are whole numbers.
            y_pred: Logits or probabilities, ``(batch, ..., n_classes)``.
            sample_weight: Must be None: counts have no weights.

        Raises:
            ValueError: If ``sample_weight`` is given or a shape is wrong.
        """
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` must be None for a confusion matrix. "
                "Mark excluded pixels with `ignore_class`."
            )
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        self._require_shapes(tuple(y_true.shape), tuple(y_pred.shape))
        predicted = ops.reshape(most_probable(y_pred), (-1,))
        ids, is_whole = _whole_ids(ops.reshape(y_true, (-1,)))

        # One cell per pixel: of the matrix, of the invalid counts, or the last one for ignored.
        n_counts = self.n_classes**2
        cell = ops.where(
            predicted < self.n_classes, ids * self.n_classes + predicted, n_counts + _NAN
        )
        above = ops.clip(ids - self.n_classes, 0, _N_ABOVE - 1)
        cell = ops.where(ids < self.n_classes, cell, n_counts + _ABOVE + above)
        cell = ops.where(ids >= 0, cell, n_counts + _NEGATIVE)
        cell = ops.where(is_whole, cell, n_counts + _FRACTION)
        n_cells = n_counts + _N_INVALID
        if self.ignore_class is not None:
            is_ignored = ops.logical_and(ids == self.ignore_class, is_whole)
            cell = ops.where(is_ignored, n_cells, cell)
        # The fastest operation on a CPU that XLA compiles; it does not compile `bincount`.
        sums = ops.segment_sum(ops.ones_like(cell), cell, num_segments=n_cells + 1)
        sums = ops.cast(sums, self.counts.dtype)
        self.counts.assign_add(ops.reshape(sums[:n_counts], self.counts.shape))
        self.invalid.assign_add(sums[n_counts:n_cells])

    def result(self) -> Any:
        """Returns the counts so far.

        Returns:
            ``(n_classes, n_classes)``, float64, exact up to 2**53. Rows are ground-truth classes,
            columns predicted classes. All NaN if a prediction was NaN or, in a compiled function,
            if an id was invalid.

        Raises:
            ValueError: If an id was invalid, outside of compiled functions.
        """
        self._require_known_ids()
        # Floats, because integers have no NaN.
        return self._or_nan(ops.cast(self.counts, self._float))

    def scores(self) -> Scores:
        """Returns the scores of the counts so far.

        Returns:
            Scores.

        Raises:
            ValueError: If an id was invalid, a prediction was NaN, or in a compiled function.
        """
        invalid = self._require_known_ids()
        if invalid is None:
            raise ValueError(
                "`scores()` must be called outside of compiled functions. Use `result()` there."
            )
        if invalid[_NAN]:
            raise ValueError(
                "`y_pred` must hold numbers. "
                f"Received: NaN for {invalid[_NAN]} pixels. The training diverged, or the "
                "images hold NaN: lower the learning rate, or fix the images."
            )
        return Scores(ops.convert_to_numpy(self.counts))

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "n_classes": self.n_classes,
            "ignore_class": self.ignore_class,
        }

    def _class_counts(self) -> ClassCounts:
        # Summed as integers, so that only the sums are rounded; half precision is too coarse.
        dtype = keras.backend.result_type(self.dtype, "float32")
        parts = (
            ops.diagonal(self.counts),
            ops.sum(self.counts, axis=1),
            ops.sum(self.counts, axis=0),
        )
        return ClassCounts(*(ops.cast(part, dtype) for part in parts))

    def _or_nan(self, score: Any) -> Any:
        return ops.where(ops.any(self.invalid > 0), float("nan"), score)

    def _require_shapes(
        self, y_true: tuple[int | None, ...], y_pred: tuple[int | None, ...]
    ) -> None:
        if not y_pred or y_pred[-1] != self.n_classes:
            raise ValueError(
                "`y_pred` must hold a score for each class, (batch, ..., n_classes). "
                f"Received: shape {y_pred}, n_classes={self.n_classes}."
            )
        expected = y_pred[:-1] if len(y_true) < len(y_pred) else (*y_pred[:-1], 1)
        sizes = zip(y_true, expected, strict=False)
        if len(y_true) != len(expected) or any(a != b for a, b in sizes if None not in (a, b)):
            raise ValueError(
                "`y_true` must hold an id for each pixel of `y_pred`, (batch, ..., 1) or "
                f"(batch, ...). Received: shapes {y_true} and {y_pred}."
            )

    def _require_known_ids(self) -> Any:
        """Returns the invalid counts as a NumPy array, or None in a compiled function."""
        try:
            invalid = ops.convert_to_numpy(ops.convert_to_tensor(self.invalid))
        # Raised by the backends for a symbolic tensor.
        except (NotImplementedError, TypeError):
            return None
        ids = invalid[_FRACTION:]
        if not ids.any():
            return invalid
        ignored = "" if self.ignore_class is None else f" or {self.ignore_class}, which is ignored"
        raise ValueError(
            f"`y_true` must hold ids in [0, {self.n_classes}){ignored}. "
            f"Received: {ids.sum()} other pixels: {_listed(invalid, self.n_classes)}. "
            "Pass `ignore_class` if they have no label, a higher `n_classes` if they are a class; "
            "`label_map` of `make_dataset` changes ids."
        )


def _whole_ids(ids: Any) -> tuple[Any, Any]:
    """Returns the ids as int32, and a mask of whole numbers; interpolated masks have fractions."""
    kind = keras.backend.standardize_dtype(ids.dtype)
    is_whole = ops.ones((), dtype="bool")
    if keras.backend.is_float_dtype(kind):
        is_whole = ids == ops.floor(ids)
        ids = ops.clip(ops.cast(ids, "float32"), -_LARGEST_ID, _LARGEST_ID)
    elif kind in _WIDE_INTEGERS:
        # A cast alone turns 2**32 + 1 into 1.
        ids = ops.clip(ops.cast(ids, "int64"), -_LARGEST_ID, _LARGEST_ID)
    return ops.cast(ids, "int32"), is_whole


def _listed(invalid: np.ndarray, n_classes: int) -> str:
    ids = {_FRACTION: "fractions", _NEGATIVE: "negative ids"}
    ids |= {_ABOVE + number: f"id {n_classes + number}" for number in range(_N_ABOVE - 1)}
    ids[_N_INVALID - 1] = f"ids from {n_classes + _N_ABOVE - 1} up"
    seen = [number for number in ids if invalid[number]]
    words = [f"{ids[number]} ({invalid[number]})" for number in seen[:_LISTED]]
    if len(seen) > _LISTED:
        words.append(f"{len(seen) - _LISTED} more")
    return ", ".join(words)


class _Score(ConfusionMatrix):
    """Base class of metrics with a score in [0, 1]."""

    # Keras's callbacks with `mode="auto"` read this.
    _direction = "up"

    def result(self) -> Any:
        """Returns the score of the pixels so far.

        Returns:
            Scalar in [0, 1]; 0 before the first pixel, as in Keras. NaN if a prediction was NaN
            or, in a compiled function, if an id was invalid.

        Raises:
            ValueError: If an id was invalid, outside of compiled functions.
        """
        self._require_known_ids()
        return self._finalize(self._score(self._class_counts()))

    def _score(self, counts: ClassCounts) -> Any:
        raise NotImplementedError

    def _finalize(self, score: Any) -> Any:
        score = ops.where(ops.any(self.counts > 0), score, 0.0)
        return ops.cast(self._or_nan(score), self.dtype)


@keras.saving.register_keras_serializable(package="unetv2")
class MeanIoU(_Score):
    r"""Mean intersection over union of the classes in the ground truth or the prediction.

    :math:`\mathrm{IoU}_c = h_c / (t_c + p_c - h_c)`, with the numbers of correct, ground-truth and
    predicted pixels of a class. Absent classes are excluded from the mean. Equal to
    ``keras.metrics.MeanIoU(sparse_y_pred=False)``, which however drops invalid ids silently; here
    they are an error, see :class:`unetv2.metrics.ConfusionMatrix`.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that are excluded.
        name: str or None. Name in logs; ``"mean_iou"`` by default.
        dtype: Dtype of the result.

    Raises:
        ValueError: If ``n_classes`` is out of range.
        TypeError: If ``n_classes`` or ``ignore_class`` is not an integer.

    Example:
        >>> metric = unetv2.metrics.MeanIoU(3)
        >>> metric.update_state([0, 0, 1, 1], np.eye(3)[[0, 1, 1, 1]])
        >>> round(float(metric.result()), 4)  # of 1/2 and 2/3; the third class is absent
        0.5833
    """

    _default_name = "mean_iou"

    def _score(self, counts: ClassCounts) -> Any:
        return nan_mean(ops, iou(ops, counts))


@keras.saving.register_keras_serializable(package="unetv2")
class MeanDice(_Score):
    r"""Mean Dice coefficient (F1 score) of the classes in the ground truth or the prediction.

    :math:`\mathrm{Dice}_c = 2 h_c / (t_c + p_c)`, with the numbers of correct, ground-truth and
    predicted pixels of a class in the whole data set, not averaged over images. Absent classes are
    excluded from the mean.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that are excluded.
        name: str or None. Name in logs; ``"mean_dice"`` by default.
        dtype: Dtype of the result.

    Raises:
        ValueError: If ``n_classes`` is out of range.
        TypeError: If ``n_classes`` or ``ignore_class`` is not an integer.

    Example:
        >>> metric = unetv2.metrics.MeanDice(3)
        >>> metric.update_state([0, 0, 1, 1], np.eye(3)[[0, 1, 1, 1]])
        >>> round(float(metric.result()), 4)  # of 2/3 and 4/5; the third class is absent
        0.7333
    """

    _default_name = "mean_dice"

    def _score(self, counts: ClassCounts) -> Any:
        return nan_mean(ops, dice(ops, counts))


@keras.saving.register_keras_serializable(package="unetv2")
class FrequencyWeightedIoU(_Score):
    r"""Mean IoU, weighted by the ground-truth pixels of each class.

    :math:`\sum_c t_c \mathrm{IoU}_c / \sum_c t_c`, with the ground-truth pixels :math:`t_c`.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that are excluded.
        name: str or None. Name in logs; ``"frequency_weighted_iou"`` by default.
        dtype: Dtype of the result.

    Raises:
        ValueError: If ``n_classes`` is out of range.
        TypeError: If ``n_classes`` or ``ignore_class`` is not an integer.

    Example:
        >>> metric = unetv2.metrics.FrequencyWeightedIoU(3)
        >>> metric.update_state([0, 1, 1, 1], np.eye(3)[[0, 0, 1, 1]])
        >>> round(float(metric.result()), 4)  # 1/4 of 1/2 and 3/4 of 2/3
        0.625

    References:
        - `Long et al., 2015 <https://arxiv.org/abs/1411.4038>`_
    """

    _default_name = "frequency_weighted_iou"

    def _score(self, counts: ClassCounts) -> Any:
        return frequency_weighted_iou(ops, counts)


@keras.saving.register_keras_serializable(package="unetv2")
class SegmentationMetrics(_Score):
    """Several scores of one confusion matrix, at the cost of one metric.

    With ``compile(metrics=[SegmentationMetrics(n_classes)])`` of a model with one output, the logs
    contain ``accuracy``, ``mean_iou``, ``mean_dice`` and ``frequency_weighted_iou``, in validation
    with the prefix ``val_``. Use one per model: a second one logs under the same names. Callbacks
    that monitor one of these names need ``mode="max"``.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that are excluded.
        per_class: bool. Adds the IoU of every class as ``iou_0``, ``iou_1`` and so on; NaN for an
            absent class.
        name: str or None. Name of the metric, not shown in logs; ``"segmentation_metrics"`` by
            default.
        dtype: Dtype of the results.

    Raises:
        ValueError: If ``n_classes`` is out of range.
        TypeError: If ``n_classes`` or ``ignore_class`` is not an integer.

    Example:
        >>> model = unetv2.build_unetv2((8, 8, 3), 3, filters=2)
        >>> model.compile("sgd", model.loss, metrics=[unetv2.metrics.SegmentationMetrics(3)])
        >>> images, masks = np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8, 1), "int32")
        >>> sorted(model.evaluate(images, masks, return_dict=True, verbose=0))
        ['accuracy', 'frequency_weighted_iou', 'loss', 'mean_dice', 'mean_iou']
    """

    _default_name = "segmentation_metrics"

    def __init__(
        self,
        n_classes: int,
        ignore_class: int | None = None,
        *,
        per_class: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(n_classes, ignore_class, name=name, dtype=dtype)
        self.per_class = per_class

    def result(self) -> dict[str, Any]:
        """Returns the scores of the pixels so far.

        Returns:
            dict of scalars in [0, 1]; 0 before the first pixel, as in Keras. NaN if a prediction
            was NaN or, in a compiled function, if an id was invalid.

        Raises:
            ValueError: If an id was invalid, outside of compiled functions.
        """
        self._require_known_ids()
        counts = self._class_counts()
        iou_per_class = iou(ops, counts)
        scores = {
            "accuracy": pixel_accuracy(ops, counts),
            "mean_iou": nan_mean(ops, iou_per_class),
            "mean_dice": nan_mean(ops, dice(ops, counts)),
            "frequency_weighted_iou": frequency_weighted_iou(ops, counts),
        }
        results = {name: self._finalize(score) for name, score in scores.items()}
        if self.per_class:
            iou_per_class = ops.cast(self._or_nan(iou_per_class), self.dtype)
            results |= {f"iou_{number}": iou_per_class[number] for number in range(self.n_classes)}
        return results

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "per_class": self.per_class}


@keras.saving.register_keras_serializable(package="unetv2")
class PixelAccuracy(keras.metrics.Metric):
    """Share of correct pixels.

    ``keras.metrics.SparseCategoricalAccuracy`` with an ``ignore_class``.

    Args:
        ignore_class: int or None. Mask id of pixels that are excluded.
        name: str. Name in logs.
        dtype: Dtype of the result.

    Example:
        >>> metric = unetv2.metrics.PixelAccuracy(ignore_class=255)
        >>> metric.update_state([[[1], [0], [255]]], [[[0., 1.], [0., 1.], [0., 1.]]])
        >>> float(metric.result())
        0.5
    """

    # Keras's callbacks with `mode="auto"` read this.
    _direction = "up"

    def __init__(
        self, ignore_class: int | None = None, name: str = "pixel_accuracy", dtype: Any = None
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.ignore_class = ignore_class
        self.correct = self.add_variable((), initializer="zeros", name="correct")
        self.total = self.add_variable((), initializer="zeros", name="total")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Mask ids, ``(batch, ..., 1)`` or ``(batch, ...)``.
            y_pred: Logits or probabilities, ``(batch, ..., n_classes)``.
            sample_weight: Weights that broadcast to ``(batch, ...)``, or None.
        """
        predicted = most_probable(y_pred)
        ids = ops.reshape(ops.cast(y_true, predicted.dtype), ops.shape(predicted))
        weights = ops.ones_like(ids, dtype=self.dtype)
        if self.ignore_class is not None:
            weights = ops.cast(ids != self.ignore_class, self.dtype)
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, self.dtype)
            missing = len(weights.shape) - len(sample_weight.shape)
            sample_weight = ops.reshape(
                sample_weight, (*ops.shape(sample_weight), *[1] * max(missing, 0))
            )
            weights = weights * sample_weight
        correct = ops.cast(ids == predicted, self.dtype)
        self.correct.assign_add(ops.sum(weights * correct))
        self.total.assign_add(ops.sum(weights))

    def result(self) -> Any:
        """Returns the accuracy so far, a scalar in [0, 1]; 0 before the first pixel."""
        return ops.divide_no_nan(self.correct, self.total)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "ignore_class": self.ignore_class}
