"""Every figure of a confusion matrix, exact, without a backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unetv2.escaping import printable
from unetv2.metrics import formulas

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
        return formulas.iou(np, self._tally)

    @property
    def dice_per_class(self) -> Floats:
        r"""Dice coefficient, :math:`2 h_c / (t_c + p_c)`; also called F1."""
        return formulas.dice(np, self._tally)

    @property
    def precision_per_class(self) -> Floats:
        """Share of a class's predicted pixels that are right, :math:`h_c / p_c`."""
        return formulas.precision(np, self._tally)

    @property
    def recall_per_class(self) -> Floats:
        """Share of a class's true pixels that are found, :math:`h_c / t_c`."""
        return formulas.recall(np, self._tally)

    @property
    def pixel_accuracy(self) -> float:
        r"""Share of pixels that are right, :math:`\sum h_c / \sum t_c`."""
        return float(formulas.pixel_accuracy(np, self._tally))

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes in the truth or predicted."""
        return float(formulas.mean(np, self.iou_per_class))

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient over the classes in the truth or predicted."""
        return float(formulas.mean(np, self.dice_per_class))

    @property
    def mean_accuracy(self) -> float:
        """Mean recall over the classes in the truth; also called balanced accuracy."""
        return float(formulas.mean(np, self.recall_per_class))

    @property
    def frequency_weighted_iou(self) -> float:
        r"""IoU weighted by true pixels, :math:`\sum t_c \mathrm{IoU}_c / \sum t_c`."""
        return float(formulas.frequency_weighted_iou(np, self._tally))

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
    def _tally(self) -> formulas.Tally:
        # Summed as integers: only the sums are rounded, and not below 2**53.
        parts = (self.counts.diagonal(), self.support, self.counts.sum(axis=0))
        return formulas.Tally(*(part.astype(np.float64) for part in parts))


def _text(figure: float) -> str:
    return "-" if np.isnan(figure) else f"{figure:.3f}"
