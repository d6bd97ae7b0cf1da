"""One streamed confusion matrix, from which every other figure follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from unetv2.arguments import MAX_COUNTED_CLASSES, require_ignore_class, require_n_classes
from unetv2.text import printable

# What follows from a confusion matrix, written once for NumPy and for tensors.
#
# ``xp`` is ``numpy`` or ``keras.ops``. Classes are the last axis; there may be others before it, of
# several matrices. A figure without pixels to stand on is NaN.


class Tally(NamedTuple):
    """Pixels by class, each ``(..., n_classes)`` floats."""

    hits: Any
    """Of the class and predicted so."""
    truth: Any
    """Of the class."""
    predicted: Any
    """Predicted to be of the class."""


def ratio(xp: Any, numerator: Any, denominator: Any) -> Any:
    """Returns the quotient, NaN where the denominator is 0."""
    known = denominator > 0
    # The inner `where` keeps NumPy from warning of a division whose result is not used.
    return xp.where(known, numerator / xp.where(known, denominator, 1.0), float("nan"))


def mean(xp: Any, values: Any) -> Any:
    """Returns the mean of the values that are not NaN; NaN without any."""
    known = xp.logical_not(xp.isnan(values))
    total = xp.sum(xp.where(known, values, 0.0), axis=-1)
    return ratio(xp, total, xp.sum(xp.where(known, xp.ones_like(values), 0.0), axis=-1))


def iou(xp: Any, tally: Tally) -> Any:
    """Returns intersection over union by class."""
    return ratio(xp, tally.hits, tally.truth + tally.predicted - tally.hits)


def dice(xp: Any, tally: Tally) -> Any:
    """Returns the Dice coefficient by class, which is the F1 score."""
    return ratio(xp, 2 * tally.hits, tally.truth + tally.predicted)


def precision(xp: Any, tally: Tally) -> Any:
    """Returns by class the share of the predicted pixels that are right."""
    return ratio(xp, tally.hits, tally.predicted)


def recall(xp: Any, tally: Tally) -> Any:
    """Returns by class the share of the true pixels that are found."""
    return ratio(xp, tally.hits, tally.truth)


def pixel_accuracy(xp: Any, tally: Tally) -> Any:
    """Returns the share of pixels that are right."""
    return ratio(xp, xp.sum(tally.hits, axis=-1), xp.sum(tally.truth, axis=-1))


def frequency_weighted_iou(xp: Any, tally: Tally) -> Any:
    """Returns the mean IoU, each class weighted by its true pixels."""
    by_class = iou(xp, tally)
    # A class without an IoU has no pixels, so no weight.
    weighted = tally.truth * xp.where(xp.isnan(by_class), 0.0, by_class)
    return ratio(xp, xp.sum(weighted, axis=-1), xp.sum(tally.truth, axis=-1))


# No id of any mask equals it.
NO_CLASS = 2**31 - 1


def most_probable(scores: Any) -> Any:
    """Returns the class of the greatest score, the first one among equals.

    ``keras.ops.argmax`` takes twice as long, as it tells 0.0 from -0.0, and calls NaN a class.

    Args:
        scores: Logits or probabilities, ``(..., n_classes)``.

    Returns:
        Ids ``(...)``, int32; ``NO_CLASS`` where all scores are NaN.
    """
    scores = ops.convert_to_tensor(scores)
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(scores.dtype)):
        scores = ops.cast(scores, "float32")
    n_classes = ops.shape(scores)[-1]
    # `initial` lets batches without a pixel pass.
    greatest = ops.max(scores, axis=-1, keepdims=True, initial=float("-inf"))
    # The first of the greatest is the one furthest from the end.
    from_the_end = ops.arange(n_classes, 0, -1, dtype="int32")
    none = n_classes - NO_CLASS
    return n_classes - ops.max(
        ops.where(scores >= greatest, from_the_end, none), axis=-1, initial=none
    )


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """The figures of a confusion matrix.

    With the hits :math:`h_c` of a class, its true pixels :math:`t_c` and its predicted pixels
    :math:`p_c`. Figures by class are ``(n_classes,)`` in [0, 1], NaN where there is no pixel to
    stand on; means leave such classes out, and are NaN without any. ``print(scores)`` shows a
    table and says which classes were left out.

    Args:
        counts: ``(n_classes, n_classes)``, whole numbers. Pixels by true class (rows) and
            predicted class (columns).

    Raises:
        ValueError: If ``counts`` is something else.

    Example:
        >>> scores = unetv2.metrics.Scores([[1, 1, 0], [0, 2, 0], [0, 0, 0]])
        >>> scores.iou_per_class.round(3).tolist()
        [0.5, 0.667, nan]
        >>> round(scores.mean_iou, 3), scores.pixel_accuracy, scores.absent
        (0.583, 0.75, (2,))
        >>> print(scores.table(("road", "car", "sky")))
        class   pixels    IoU   Dice  precision  recall
        0 road       2  0.500  0.667      1.000   0.500
        1 car        2  0.667  0.800      0.667   1.000
        2 sky        0      -      -          -       -
        mean         4  0.583  0.733              0.750
        Pixel accuracy 0.750, frequency-weighted IoU 0.583.
        Left out of the means, as neither in the truth nor predicted: 2 sky.
    """

    counts: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Checks the counts and keeps a copy that nobody can change."""
        given = np.asarray(self.counts)
        if given.ndim != 2 or given.shape[0] != given.shape[1] or len(given) < 2:
            raise ValueError(
                "`counts` must be (n_classes, n_classes), 2 classes or more. "
                f"Received: shape {given.shape}."
            )
        is_count = np.zeros(given.shape, bool)
        if given.dtype.kind in "iuf":
            # Below 2**63, so that infinity is refused before a cast makes it a number.
            is_count = (given >= 0) & (given < 2.0**63) & (given == np.floor(given))
        if not is_count.all():
            raise ValueError(
                "`counts` must be whole numbers from 0 up. "
                f"Received: {given[~is_count][0]} among {given.dtype}."
            )
        counts = given.astype(np.int64)
        counts.flags.writeable = False
        object.__setattr__(self, "counts", counts)

    @property
    def support(self) -> npt.NDArray[np.int64]:
        """True pixels by class, :math:`t_c`."""
        return self.counts.sum(axis=1)

    @property
    def absent(self) -> tuple[int, ...]:
        """Ids of the classes that are neither in the truth nor predicted."""
        present = (self.counts.sum(axis=0) + self.counts.sum(axis=1)) > 0
        return tuple(np.flatnonzero(~present).tolist())

    @property
    def iou_per_class(self) -> Floats:
        r"""Intersection over union, :math:`h_c / (t_c + p_c - h_c)`."""
        return iou(np, self._tally)

    @property
    def dice_per_class(self) -> Floats:
        r"""Dice coefficient, :math:`2 h_c / (t_c + p_c)`; also called F1."""
        return dice(np, self._tally)

    @property
    def precision_per_class(self) -> Floats:
        """Share of a class's predicted pixels that are right, :math:`h_c / p_c`."""
        return precision(np, self._tally)

    @property
    def recall_per_class(self) -> Floats:
        """Share of a class's true pixels that are found, :math:`h_c / t_c`."""
        return recall(np, self._tally)

    @property
    def pixel_accuracy(self) -> float:
        r"""Share of pixels that are right, :math:`\sum h_c / \sum t_c`."""
        return float(pixel_accuracy(np, self._tally))

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes in the truth or predicted."""
        return float(mean(np, self.iou_per_class))

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient over the classes in the truth or predicted."""
        return float(mean(np, self.dice_per_class))

    @property
    def mean_accuracy(self) -> float:
        """Mean recall over the classes in the truth; also called balanced accuracy."""
        return float(mean(np, self.recall_per_class))

    @property
    def frequency_weighted_iou(self) -> float:
        r"""IoU weighted by true pixels, :math:`\sum t_c \mathrm{IoU}_c / \sum t_c`."""
        return float(frequency_weighted_iou(np, self._tally))

    def table(self, names: Sequence[str] | None = None) -> str:
        """Returns the figures as a table of text.

        Args:
            names: The classes' names, one for each id. Without them, the ids alone.

        Returns:
            str. A line for each class, the means, and which classes these leave out.

        Raises:
            ValueError: If there is not one name for each class.
        """
        n_classes = len(self.counts)
        if names is not None and len(names) != n_classes:
            raise ValueError(
                "`names` must hold one name for each class. "
                f"Received: {len(names)} names for {n_classes} classes."
            )
        labels = [str(number) for number in range(n_classes)]
        if names is not None:
            labels = [f"{number} {printable(name)}" for number, name in enumerate(names)]
        by_class = (
            self.iou_per_class,
            self.dice_per_class,
            self.precision_per_class,
            self.recall_per_class,
        )
        rows = [["class", "pixels", "IoU", "Dice", "precision", "recall"]]
        for number, pixels in enumerate(self.support.tolist()):
            figures = [_text(values[number]) for values in by_class]
            rows.append([labels[number], str(pixels), *figures])
        means = [_text(self.mean_iou), _text(self.mean_dice), "", _text(self.mean_accuracy)]
        rows.append(["mean", str(self.support.sum()), *means])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        lines.append(
            f"Pixel accuracy {_text(self.pixel_accuracy)}, "
            f"frequency-weighted IoU {_text(self.frequency_weighted_iou)}."
        )
        if self.absent:
            left_out = ", ".join(labels[number] for number in self.absent)
            lines.append(
                f"Left out of the means, as neither in the truth nor predicted: {left_out}."
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        """Returns the table."""
        return self.table()

    @property
    def _tally(self) -> Tally:
        # Summed as integers: only the sums are rounded, and not below 2**53.
        parts = (self.counts.diagonal(), self.support, self.counts.sum(axis=0))
        return Tally(*(part.astype(np.float64) for part in parts))


def _text(figure: float) -> str:
    return "-" if np.isnan(figure) else f"{figure:.3f}"


# What is refused is counted too, by what is wrong with it, as sums are all that a distribution
# strategy brings together: pixels whose prediction is NaN, ids that are no whole number, ids
# below 0, and the ids from `n_classes` up, one by one, the last cell for all above.
_NAN, _BROKEN, _NEGATIVE, _ABOVE = range(4)
_N_ABOVE = 256
_N_REFUSED = _ABOVE + _N_ABOVE
# More than these are not listed in a message.
_LISTED = 8
# The greatest integer of int32 that float32 holds.
_GREATEST_ID = 2**31 - 128
_WIDE_INTEGERS = ("uint32", "int64", "uint64")


@keras.saving.register_keras_serializable(package="unetv2")
class ConfusionMatrix(keras.metrics.Metric):
    """Counts pixels by true and by predicted class; every other figure follows from it.

    The counts are exact. Where ``ignore_class`` is one of the classes, its pixels do not count,
    but predicting it for another class's pixel is an error as any other.

    A mask that is wrong shall not pass for one that is right: an id that is neither a class nor
    ``ignore_class`` raises as soon as a result is asked for, and in a compiled function, where
    nothing can be raised, turns the result into NaN. So ``fit`` shows NaN during the epoch and
    raises at its end. Pixels whose scores are all NaN, of a model whose training diverged, make
    the result NaN as well.

    Args:
        n_classes: int, 2 to 16,384. Number of classes.
        ignore_class: int or None. Mask id of pixels that do not count.
        name: str or None. Name in logs; ``"confusion_matrix"`` by default.
        dtype: Precision of figures that are shares, such as those of the subclasses.

    Raises:
        ValueError: If ``n_classes`` is out of its range.
        TypeError: If ``n_classes`` or ``ignore_class`` is no integer.

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
        # Floats lose count: 2**24 + 1 is 2**24 in float32. JAX has 64 bits only if told so.
        bits = 32 if keras.config.backend() == "jax" else 64
        self._float = f"float{bits}"
        self.counts = self.add_variable(
            (self.n_classes, self.n_classes), "zeros", dtype=f"int{bits}", name="counts"
        )
        self.refused = self.add_variable((_N_REFUSED,), "zeros", dtype=f"int{bits}", name="refused")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch.

        Args:
            y_true: Mask ids in ``[0, n_classes)`` or ``ignore_class``, ``(batch, ..., 1)``
                or ``(batch, ...)``; integers, or floats that are whole numbers.
            y_pred: Logits or probabilities, ``(batch, ..., n_classes)``.
            sample_weight: Refused: a weighted count is no count.

        Raises:
            ValueError: If ``sample_weight`` is given, or a shape does not fit.
        """
        if sample_weight is not None:
            raise ValueError(
                "`sample_weight` must be None for a confusion matrix. "
                "Mark pixels that do not count with `ignore_class`."
            )
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        self._require_shapes(tuple(y_true.shape), tuple(y_pred.shape))
        predicted = ops.reshape(most_probable(y_pred), (-1,))
        truth, is_whole = _whole_ids(ops.reshape(y_true, (-1,)))

        # Every pixel goes to one cell: of the matrix, of what is refused, or the one for ignored.
        n_counts = self.n_classes**2
        cell = ops.where(
            predicted < self.n_classes, truth * self.n_classes + predicted, n_counts + _NAN
        )
        above = ops.clip(truth - self.n_classes, 0, _N_ABOVE - 1)
        cell = ops.where(truth < self.n_classes, cell, n_counts + _ABOVE + above)
        cell = ops.where(truth >= 0, cell, n_counts + _NEGATIVE)
        cell = ops.where(is_whole, cell, n_counts + _BROKEN)
        n_cells = n_counts + _N_REFUSED
        if self.ignore_class is not None:
            is_ignored = ops.logical_and(truth == self.ignore_class, is_whole)
            cell = ops.where(is_ignored, n_cells, cell)
        # The fastest on a CPU of what XLA compiles; it does not compile `bincount`.
        sums = ops.segment_sum(ops.ones_like(cell), cell, num_segments=n_cells + 1)
        sums = ops.cast(sums, self.counts.dtype)
        self.counts.assign_add(ops.reshape(sums[:n_counts], self.counts.shape))
        self.refused.assign_add(sums[n_counts:n_cells])

    def result(self) -> Any:
        """Returns the counts so far.

        Returns:
            ``(n_classes, n_classes)``, float64, exact up to 2**53: rows truth, columns
            prediction. All NaN if a prediction was, or, in a compiled function, on ids that are
            neither a class nor ``ignore_class``.

        Raises:
            ValueError: On such ids, outside of compiled functions.
        """
        self._require_known_ids()
        # In floats, as integers have no NaN.
        return self._or_nan(ops.cast(self.counts, self._float))

    def scores(self) -> Scores:
        """Returns every figure of the pixels so far.

        Returns:
            Scores.

        Raises:
            ValueError: If masks held other ids than classes and ``ignore_class``, if predictions
                were NaN, or if called in a compiled function.
        """
        refused = self._require_known_ids()
        if refused is None:
            raise ValueError(
                "`scores()` must be called outside of compiled functions. Use `result()` there."
            )
        if refused[_NAN]:
            raise ValueError(
                "`y_pred` must hold numbers. "
                f"Received: NaN for {refused[_NAN]} pixels. The training diverged, or the "
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

    def _tally(self) -> Tally:
        # Summed as integers, so that only the sums are rounded; half precision holds none.
        dtype = keras.backend.result_type(self.dtype, "float32")
        parts = (
            ops.diagonal(self.counts),
            ops.sum(self.counts, axis=1),
            ops.sum(self.counts, axis=0),
        )
        return Tally(*(ops.cast(part, dtype) for part in parts))

    def _or_nan(self, figure: Any) -> Any:
        return ops.where(ops.any(self.refused > 0), float("nan"), figure)

    def _require_shapes(
        self, truth: tuple[int | None, ...], scores: tuple[int | None, ...]
    ) -> None:
        if not scores or scores[-1] != self.n_classes:
            raise ValueError(
                "`y_pred` must hold a score for each class, (batch, ..., n_classes). "
                f"Received: shape {scores}, n_classes={self.n_classes}."
            )
        wanted = scores[:-1] if len(truth) < len(scores) else (*scores[:-1], 1)
        sizes = zip(truth, wanted, strict=False)
        if len(truth) != len(wanted) or any(a != b for a, b in sizes if None not in (a, b)):
            raise ValueError(
                "`y_true` must hold an id for each pixel of `y_pred`, (batch, ..., 1) or "
                f"(batch, ...). Received: shapes {truth} and {scores}."
            )

    def _require_known_ids(self) -> Any:
        """Returns the refused counts as a NumPy array, or None in a compiled function."""
        try:
            refused = ops.convert_to_numpy(ops.convert_to_tensor(self.refused))
        # How the backends say that a tensor has no value yet.
        except (NotImplementedError, TypeError):
            return None
        foreign = refused[_BROKEN:]
        if not foreign.any():
            return refused
        ignored = "" if self.ignore_class is None else f" or {self.ignore_class}, which is ignored"
        raise ValueError(
            f"`y_true` must hold ids in [0, {self.n_classes}){ignored}. "
            f"Received: {foreign.sum()} other pixels: {_listed(refused, self.n_classes)}. "
            "Pass `ignore_class` if they have no label, a higher `n_classes` if they are a class; "
            "`label_map` of `make_dataset` changes ids."
        )


def _whole_ids(truth: Any) -> tuple[Any, Any]:
    """Returns the ids as int32, and which are whole numbers; interpolated masks are not."""
    kind = keras.backend.standardize_dtype(truth.dtype)
    is_whole = ops.ones((), dtype="bool")
    if keras.backend.is_float_dtype(kind):
        is_whole = truth == ops.floor(truth)
        truth = ops.clip(ops.cast(truth, "float32"), -_GREATEST_ID, _GREATEST_ID)
    elif kind in _WIDE_INTEGERS:
        # Cast alone, 2**32 + 1 would become 1.
        truth = ops.clip(ops.cast(truth, "int64"), -_GREATEST_ID, _GREATEST_ID)
    return ops.cast(truth, "int32"), is_whole


def _listed(refused: np.ndarray, n_classes: int) -> str:
    ids = {_BROKEN: "fractions", _NEGATIVE: "negative ids"}
    ids |= {_ABOVE + number: f"id {n_classes + number}" for number in range(_N_ABOVE - 1)}
    ids[_N_REFUSED - 1] = f"ids from {n_classes + _N_ABOVE - 1} up"
    seen = [number for number in ids if refused[number]]
    words = [f"{ids[number]} ({refused[number]})" for number in seen[:_LISTED]]
    if len(seen) > _LISTED:
        words.append(f"{len(seen) - _LISTED} more")
    return ", ".join(words)
