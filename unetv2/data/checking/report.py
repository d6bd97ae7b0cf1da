"""The doctor's report: figures, problems, and how they read."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unetv2.classes import Color
from unetv2.data.checking.findings import ADVICE, ClassStatistics, Finding
from unetv2.data.checking.saving import write_report
from unetv2.data.labels import Labels
from unetv2.escaping import printable
from unetv2.plurals import counted

_FILES_SHOWN = 3
_COLORS_SHOWN = 8


@dataclass(frozen=True)
class DatasetReport:
    """What :func:`unetv2.check_dataset` found. ``print`` shows it.

    Args:
        image_dir: str. Folder of the images.
        mask_dir: str. Folder of the masks.
        n_pairs: int. Pairs examined.
        subsets: Number of pairs in ``"train"``, ``"validation"`` and ``"test"``.
        image_formats: Number of images by format and mode, such as ``"PNG RGB"``.
        mask_formats: Number of masks by format and mode.
        image_sizes: Number of images by ``"<height>x<width>"``.
        value_range: Smallest and largest value of all images in [0, 1]; None without images.
        mean: Mean of each channel in [0, 1]; None without images.
        std: Standard deviation of each over all pixels; None without images.
        classes: A :class:`~unetv2.data.checking.ClassStatistics` for each id found.
        colors: Tuples ``(color, pixels)``, the most frequent first, where masks hold colors
            that are no ids; of each mask its 64 most frequent count.
        suggested_n_classes: int or None. What the ids need.
        suggested_ignore_class: int or None. An id that seems to mark unlabeled pixels.
        suggested_label_map: The ids that seem to mark such pixels, each mapped to that one, if
            there are several.
        suggested_encoding: str or None. ``"binary"`` for black and white masks read as ids.
        problems: A :class:`~unetv2.data.checking.Finding` for each problem, the gravest first.
        labels: How masks were read.

    Example:
        >>> images, masks = unetv2.data.write_driving_scenes(
        ...     tmp / "reported", 4, image_size=(48, 64))
        >>> report = unetv2.check_dataset(images, masks, n_classes=23, progress=False)
        >>> report.ok, report.n_pairs, report.suggested_n_classes
        (True, 4, 23)
    """

    image_dir: str
    mask_dir: str
    n_pairs: int
    subsets: Mapping[str, int]
    image_formats: Mapping[str, int]
    mask_formats: Mapping[str, int]
    image_sizes: Mapping[str, int]
    value_range: tuple[float, float] | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    classes: tuple[ClassStatistics, ...]
    colors: tuple[tuple[Color, int], ...]
    suggested_n_classes: int | None
    suggested_ignore_class: int | None
    suggested_label_map: Mapping[int, int]
    suggested_encoding: str | None
    problems: tuple[Finding, ...]
    labels: Labels = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether there is no error; warnings may be."""
        return not any(problem.severity == "error" for problem in self.problems)

    @property
    def suggested(self) -> dict[str, Any]:
        """Everything suggested, as arguments of :func:`unetv2.make_dataset`."""
        values = {
            "n_classes": self.suggested_n_classes,
            "ignore_class": self.suggested_ignore_class,
            "label_map": dict(self.suggested_label_map) or None,
            "encoding": self.suggested_encoding,
        }
        return {name: value for name, value in values.items() if value is not None}

    @property
    def class_weights(self) -> dict[int, float]:
        """Weights by median frequency, of the classes that occur."""
        return {row.id: row.weight for row in self.classes if row.weight is not None}

    def __str__(self) -> str:
        """Returns the report as text."""
        parts = [self._pictures(), self._classes(), self._colors(), self._suggestions()]
        return "\n\n".join(part for part in [*parts, self._problems()] if part)

    def to_json(self) -> str:
        """Returns the report as JSON, with all problems."""
        content = {
            entry.name: getattr(self, entry.name)
            for entry in dataclasses.fields(self)
            if entry.name not in ("labels", "classes", "problems")
        }
        content["ok"] = self.ok
        content["classes"] = [dataclasses.asdict(row) for row in self.classes]
        content["problems"] = [dataclasses.asdict(problem) for problem in self.problems]
        return json.dumps(content, indent=2)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``report.txt``, ``report.json`` and ``worst/``, replacing older ones.

        ``worst/`` holds up to 8 pairs with problems that can be decoded, every kind of problem
        first: the image, and the image under its mask; of an array its first three channels,
        or the first where it has fewer. Each entry appears whole or not at all.

        Args:
            folder: Where; made if it does not exist.

        Raises:
            OSError: If it cannot be written.
        """
        write_report(Path(folder), str(self), self.to_json(), self.problems, self.labels)

    def _pictures(self) -> str:
        rows = [
            ("images", self.image_dir),
            ("", _counted(self.image_formats)),
            ("", _counted(self.image_sizes)),
        ]
        if self.value_range and self.mean and self.std:
            rows.append(("values", f"{self.value_range[0]:.3f} to {self.value_range[1]:.3f}"))
            rows.append(("mean", ", ".join(f"{value:.3f}" for value in self.mean)))
            rows.append(("deviation", ", ".join(f"{value:.3f}" for value in self.std)))
        rows += [("masks", self.mask_dir), ("", _counted(self.mask_formats))]
        rows.append(("pairs", f"{self.n_pairs}: {_counted(self.subsets)}"))
        return _aligned(rows)

    def _classes(self) -> str:
        if not self.classes:
            return ""
        rows: list[tuple[str, ...]] = [
            ("class", "", "pixels", "share", "pictures", "weight", "root")
        ]
        for row in self.classes:
            weights = [f"{x:.3g}" if x is not None else "-" for x in (row.weight, row.root_weight)]
            share = f"{row.share:.2%}"
            rows.append(
                (
                    str(row.id),
                    printable(row.name),
                    str(row.pixels),
                    share,
                    str(row.pictures),
                    *weights,
                )
            )
        return _aligned(rows, right=(0, 2, 3, 4, 5, 6))

    def _colors(self) -> str:
        if not self.colors:
            return ""
        shown = [(str(color), str(pixels)) for color, pixels in self.colors[:_COLORS_SHOWN]]
        more = [("...", "")] if len(self.colors) > _COLORS_SHOWN else []
        return _aligned([("color", "pixels"), *shown, *more], right=(1,))

    def _suggestions(self) -> str:
        # Without commas: the command shows them as options to be copied.
        known = [f"{name}={value!r}" for name, value in self.suggested.items()]
        return f"suggested: {' '.join(known)}" if known else ""

    def _problems(self) -> str:
        errors = sum(problem.severity == "error" for problem in self.problems)
        lines = [f"{counted(errors, 'error')}, {counted(len(self.problems) - errors, 'warning')}"]
        groups: dict[tuple[str, str], list[Finding]] = {}
        for problem in self.problems:
            groups.setdefault((problem.severity, problem.kind), []).append(problem)
        for (severity, kind), group in groups.items():
            lines.append(f"{severity}: {kind} ({len(group)}). {ADVICE[kind]}")
            for problem in group[:_FILES_SHOWN]:
                where = f"{problem.path}: " if problem.path else ""
                lines.append(f"  {printable(where + problem.message)}")
            if len(group) > _FILES_SHOWN:
                lines.append(f"  ... and {len(group) - _FILES_SHOWN} more")
        return "\n".join(lines)


def _counted(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda entry: -entry[1])
    shown = ", ".join(f"{count} {what}" for what, count in ordered[:_COLORS_SHOWN])
    return shown + (", ..." if len(ordered) > _COLORS_SHOWN else "")


def _aligned(rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
