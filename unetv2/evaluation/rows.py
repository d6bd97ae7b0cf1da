"""What was counted of every picture, one row each: figures of any choice of them follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unetv2.evaluation.counting import PictureCounts
from unetv2.metrics import formulas

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Rows:
    """Counts by picture, ``8 * (7 * n_classes + 45)`` bytes each: 33 MB for 20,000 of 23 classes.

    Of a picture's confusion matrix these are the diagonal and both sums, on which all figures
    stand but the matrix itself.

    Args:
        names: A name for each picture.
        tallies: int64 ``(n, 3, n_classes)``: hits, true and predicted pixels.
        boundaries: int64 ``(n, 4, n_classes)``, see ``boundary_counts``.
        calibration: int64 ``(n, 3, BINS)``, see ``PictureCounts``.
    """

    names: tuple[str, ...]
    tallies: Counts
    boundaries: Counts
    calibration: Counts

    @classmethod
    def of(cls, name: str, picture: PictureCounts) -> Rows:
        """Returns the row of one picture."""
        return cls((name,), picture.tally[None], picture.boundary[None], picture.calibration[None])

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Returns the rows of several, sorted by name."""
        names = [name for part in parts for name in part.names]
        columns = zip(*((p.tallies, p.boundaries, p.calibration) for p in parts), strict=True)
        everything = cls(tuple(names), *(np.concatenate(column) for column in columns))
        return everything.taken(sorted(range(len(names)), key=names.__getitem__))

    def __len__(self) -> int:
        """Returns the number of pictures."""
        return len(self.names)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.tallies.shape[2]

    @property
    def mean_iou(self) -> Floats:
        """Mean IoU of each picture, over the classes that are in it or predicted.

        ``(n,)``, NaN where no pixel counts.
        """
        hits, truth, predicted = np.moveaxis(self.tallies.astype(np.float64), 1, 0)
        return formulas.mean(np, formulas.iou(np, formulas.Tally(hits, truth, predicted)))

    @property
    def boundary_f1(self) -> Floats:
        """Boundary F1 of each picture by class.

        ``(n, n_classes)``, NaN where a class has no boundary in either mask.
        """
        right, predicted, found, true = np.moveaxis(self.boundaries.astype(np.float64), 1, 0)
        # Where only one mask has a boundary there is nothing near it: its share is 0, and so is F1.
        precision, recall = (
            np.nan_to_num(formulas.ratio(np, *parts))
            for parts in ((right, predicted), (found, true))
        )
        f1 = np.nan_to_num(formulas.ratio(np, 2 * precision * recall, precision + recall))
        return np.where(predicted + true > 0, f1, np.nan)

    def order(self) -> list[int]:
        """Returns an order that follows from what the rows hold, not from how they came."""
        parts = (self.tallies, self.boundaries, self.calibration)
        return sorted(range(len(self)), key=lambda n: b"".join(part[n].tobytes() for part in parts))

    def taken(self, order: Sequence[int]) -> Rows:
        """Returns some of the rows, in an order."""
        return Rows(
            tuple(self.names[number] for number in order),
            self.tallies[order],
            self.boundaries[order],
            self.calibration[order],
        )
