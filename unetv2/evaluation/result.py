"""An evaluation: what was measured, as text, as values and as files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unetv2.evaluation import saving
from unetv2.evaluation.description import describe
from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.merging import merged
from unetv2.evaluation.table import table


@dataclass(frozen=True, eq=False)
class Evaluation(Measurement):
    """What :func:`unetv2.evaluate` found. ``print`` shows it as a table.

    Figures are shares in [0, 1]; where there is nothing to stand on, as for a class that is
    nowhere, they are NaN, and means leave them out. All follow from sums over the pictures, except
    boundary F1, which is a mean over them.

    Args:
        classes: :class:`unetv2.ClassTable`. With the ``ignore_class`` that did not count.
        confusion: int64 ``(n_classes, n_classes)``. Pixels by true (rows) and predicted class.
        rows: What was counted of each picture, sorted by name.
        examples: The worst and best pictures, scaled down, the worst first.
        settings: How it was measured, of types that JSON knows.

    Example:
        >>> images, masks = unetv2.data.write_driving_scenes(
        ...     tmp / "measured", 4, image_size=(48, 64))
        >>> data = unetv2.make_dataset(images, masks, n_classes=23, shuffle=False)
        >>> model = unetv2.build_unetv2((96, 128, 3), 23, filters=2, depth=2)
        >>> evaluation = unetv2.evaluate(model, data, classes=unetv2.CARLA, progress=False)
        >>> 0 <= evaluation.mean_iou <= 1 and 0 <= evaluation.pixel_accuracy <= 1
        True
        >>> evaluation.intervals["mean_iou"].shape, evaluation.iou_per_class.shape
        ((2,), (23,))
        >>> evaluation.save(tmp / "evaluation")
        >>> unetv2.Evaluation.load(tmp / "evaluation").mean_iou == evaluation.mean_iou
        True
    """

    def __str__(self) -> str:
        """Returns the figures as a table, with their intervals."""
        return table(self)

    def as_dict(self) -> dict[str, Any]:
        """Returns all figures, of types that JSON knows; what is NaN is None."""
        return describe(self)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``evaluation.json``, for others, and ``evaluation.npz``, for :meth:`load`.

        Both appear as one, and the first names the SHA-256 of the second.

        Args:
            folder: Where; made if it does not exist.

        Raises:
            OSError: If it cannot be written.
        """
        saving.save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Evaluation:
        """Reads what :meth:`save` wrote.

        Args:
            folder: Where.

        Returns:
            Evaluation.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If a file is damaged, or the two are of different evaluations.
        """
        return cls(**saving.load(Path(folder)))

    @classmethod
    def merge(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Joins evaluations of the same model on different pictures, exactly.

        Args:
            parts: One or more, as of ``evaluate(..., shard=(index, count))``.

        Returns:
            Evaluation. Of all their pictures; what was counted adds up.

        Raises:
            ValueError: If there is none, they were measured differently, or share a picture.
        """
        return cls(**merged(parts))
