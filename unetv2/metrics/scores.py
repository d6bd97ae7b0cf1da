"""Scores of a confusion matrix.

The formulas are written once for NumPy and Keras tensors: ``xp`` is ``numpy`` or ``keras.ops``.
Classes are the last axis of their arguments. A score with a zero denominator is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from unetv2.text import printable

Floats = npt.NDArray[np.float64]


class ClassCounts(NamedTuple):
    """Numbers of pixels per class, each of shape ``(..., n_classes)`` and a float dtype."""

    correct: Any
    support: Any
    predicted: Any


def ratio(xp: Any, numerator: Any, denominator: Any) -> Any:
    """Returns the quotient, NaN where the denominator is 0."""
    positive = denominator > 0
    # The inner `where` avoids NumPy's warning for a quotient that is not used.
    return xp.where(positive, numerator / xp.where(positive, denominator, 1.0), float("nan"))


def nan_mean(xp: Any, values: Any) -> Any:
    """Returns the mean over the last axis without NaNs; NaN if all values are NaN."""
    valid = xp.logical_not(xp.isnan(values))
    total = xp.sum(xp.where(valid, values, 0.0), axis=-1)
    return ratio(xp, total, xp.sum(xp.where(valid, xp.ones_like(values), 0.0), axis=-1))


def iou(xp: Any, counts: ClassCounts) -> Any:
    """Returns the intersection over union of each class."""
    return ratio(xp, counts.correct, counts.support + counts.predicted - counts.correct)


def dice(xp: Any, counts: ClassCounts) -> Any:
    """Returns the Dice coefficient of each class, which is the F1 score."""
    return ratio(xp, 2 * counts.correct, counts.support + counts.predicted)


def precision(xp: Any, counts: ClassCounts) -> Any:
    """Returns the precision of each class."""
    return ratio(xp, counts.correct, counts.predicted)


def recall(xp: Any, counts: ClassCounts) -> Any:
    """Returns the recall of each class."""
    return ratio(xp, counts.correct, counts.support)


def pixel_accuracy(xp: Any, counts: ClassCounts) -> Any:
    """Returns the share of correct pixels."""
    return ratio(xp, xp.sum(counts.correct, axis=-1), xp.sum(counts.support, axis=-1))


def frequency_weighted_iou(xp: Any, counts: ClassCounts) -> Any:
    """Returns the mean IoU, weighted by the ground-truth pixels of each class."""
    iou_per_class = iou(xp, counts)
    # A class without an IoU has no pixels, so its weight is 0.
    weighted = counts.support * xp.where(xp.isnan(iou_per_class), 0.0, iou_per_class)
    return ratio(xp, xp.sum(weighted, axis=-1), xp.sum(counts.support, axis=-1))


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a confusion matrix.

    :math:`h_c` is the number of correct pixels of class :math:`c`, :math:`t_c` the number of its
    ground-truth pixels and :math:`p_c` the number of its predicted pixels. Scores per class are
    float64 ``(n_classes,)`` in [0, 1], NaN where the denominator is 0. Means exclude NaN.
    ``print(scores)`` shows a table.

    Args:
        counts: ``(n_classes, n_classes)``, whole numbers. Pixels by ground-truth class (rows) and
            predicted class (columns).

    Raises:
        ValueError: If ``counts`` has another shape or holds other numbers.

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
        Excluded from the means (absent from ground truth and prediction): 2 sky.
    """

    counts: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        """Checks the counts and keeps a read-only copy."""
        given = np.asarray(self.counts)
        if given.ndim != 2 or given.shape[0] != given.shape[1] or len(given) < 2:
            raise ValueError(
                "`counts` must be (n_classes, n_classes), 2 classes or more. "
                f"Received: shape {given.shape}."
            )
        valid = np.zeros(given.shape, bool)
        if given.dtype.kind in "iuf":
            # Below 2**63, so that infinity is rejected before a cast turns it into a number.
            valid = (given >= 0) & (given < 2.0**63) & (given == np.floor(given))
        if not valid.all():
            raise ValueError(
                "`counts` must be whole numbers from 0 up. "
                f"Received: {given[~valid][0]} among {given.dtype}."
            )
        counts = given.astype(np.int64)
        counts.flags.writeable = False
        object.__setattr__(self, "counts", counts)

    @property
    def support(self) -> npt.NDArray[np.int64]:
        """Ground-truth pixels of each class, :math:`t_c`."""
        return self.counts.sum(axis=1)

    @property
    def absent(self) -> tuple[int, ...]:
        """Ids of the classes that occur neither in the ground truth nor in the prediction."""
        present = (self.counts.sum(axis=0) + self.counts.sum(axis=1)) > 0
        return tuple(np.flatnonzero(~present).tolist())

    @property
    def iou_per_class(self) -> Floats:
        r"""Intersection over union, :math:`h_c / (t_c + p_c - h_c)`."""
        return iou(np, self._class_counts)

    @property
    def dice_per_class(self) -> Floats:
        r"""Dice coefficient or F1 score, :math:`2 h_c / (t_c + p_c)`."""
        return dice(np, self._class_counts)

    @property
    def precision_per_class(self) -> Floats:
        """Share of the predicted pixels that is correct, :math:`h_c / p_c`."""
        return precision(np, self._class_counts)

    @property
    def recall_per_class(self) -> Floats:
        """Share of the ground-truth pixels that is predicted correctly, :math:`h_c / t_c`."""
        return recall(np, self._class_counts)

    @property
    def pixel_accuracy(self) -> float:
        r"""Share of correct pixels, :math:`\sum h_c / \sum t_c`."""
        return float(pixel_accuracy(np, self._class_counts))

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes in the ground truth or the prediction."""
        return float(nan_mean(np, self.iou_per_class))

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient over the classes in the ground truth or the prediction."""
        return float(nan_mean(np, self.dice_per_class))

    @property
    def mean_accuracy(self) -> float:
        """Mean recall over the classes in the ground truth, also called balanced accuracy."""
        return float(nan_mean(np, self.recall_per_class))

    @property
    def frequency_weighted_iou(self) -> float:
        r"""IoU weighted by ground-truth pixels, :math:`\sum t_c \mathrm{IoU}_c / \sum t_c`."""
        return float(frequency_weighted_iou(np, self._class_counts))

    def table(self, names: Sequence[str] | None = None) -> str:
        """Returns the scores as a text table.

        Args:
            names: Class names, one for each id; None shows the ids only.

        Returns:
            str. One line per class, the means, and the classes that are excluded from the means.

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
        columns = {
            "class": [*labels, "mean"],
            "pixels": [*map(str, self.support), str(self.support.sum())],
            "IoU": [*map(score_text, self.iou_per_class), score_text(self.mean_iou)],
            "Dice": [*map(score_text, self.dice_per_class), score_text(self.mean_dice)],
            "precision": [*map(score_text, self.precision_per_class), ""],
            "recall": [*map(score_text, self.recall_per_class), score_text(self.mean_accuracy)],
        }
        lines = [
            text_table(columns),
            f"Pixel accuracy {score_text(self.pixel_accuracy)}, "
            f"frequency-weighted IoU {score_text(self.frequency_weighted_iou)}.",
            *absent_note(self, labels),
        ]
        return "\n".join(lines)

    def __str__(self) -> str:
        """Returns the table."""
        return self.table()

    @property
    def _class_counts(self) -> ClassCounts:
        # Summed as integers: only the sums are rounded, and not below 2**53.
        parts = (self.counts.diagonal(), self.support, self.counts.sum(axis=0))
        return ClassCounts(*(part.astype(np.float64) for part in parts))


def score_text(score: float | np.floating | np.ndarray) -> str:
    """Returns a score with three decimals, ``-`` for NaN."""
    return "-" if np.isnan(score) else f"{score:.3f}"


def text_table(columns: dict[str, list[str]]) -> str:
    """Returns columns by title as aligned text, the first one to the left."""
    rows = list(zip(*([title, *cells] for title, cells in columns.items()), strict=True))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    )


def absent_note(scores: Scores, labels: Sequence[str]) -> list[str]:
    """Returns a line on the absent classes, or none."""
    absent = ", ".join(labels[number] for number in scores.absent)
    if not absent:
        return []
    return [f"Excluded from the means (absent from ground truth and prediction): {absent}."]
