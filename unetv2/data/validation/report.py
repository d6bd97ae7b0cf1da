"""The doctor's report: figures, problems, and how they read."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unetv2.classes import ClassTable, Color
from unetv2.data.io.npy import array_image, is_array
from unetv2.data.io.open import MAX_PIXELS, decode_image, open_file
from unetv2.data.io.pixels import MaskError
from unetv2.data.labels import Labels
from unetv2.data.notation import Stored
from unetv2.data.validation.findings import ADVICE, ClassStatistics, Finding
from unetv2.files import atomic_folder
from unetv2.text import counted, printable
from unetv2.visualization.masks import colorize

_IMAGES = 8
_LONGEST_SIDE = 640
# Of 16-bit masks.
_LARGEST_ID = 65535
_NAME_LENGTH = 40


def write_report(
    folder: Path, text: str, content: str, problems: Sequence[Finding], labels: Labels
) -> None:
    """Writes ``report.txt``, ``report.json`` and ``worst/`` to a folder.

    Args:
        folder: Where; made if it does not exist.
        text: str. The report to read.
        content: str. The report as JSON.
        problems: What was found.
        labels: How masks are read.

    Raises:
        OSError: If it cannot be written.
    """
    with atomic_folder(folder, "to keep the report") as beside:
        (beside / "report.txt").write_text(text + "\n", encoding="utf-8")
        (beside / "report.json").write_text(content + "\n", encoding="utf-8")
        (beside / "worst").mkdir()
        for number, (problem, image) in enumerate(_worst(problems, labels), start=1):
            # File systems take names of 255 bytes; a letter may have four.
            name = re.sub(r"[^\w.-]", "_", Path(problem.path or "").stem)[:_NAME_LENGTH]
            image.save(beside / "worst" / f"{number}_{problem.kind}_{name}.png")


def _worst(problems: Sequence[Finding], labels: Labels) -> Iterator[tuple[Finding, Image.Image]]:
    """Yields images of the pairs with problems that can be decoded."""
    drawn: set[str] = set()
    for problem in _every_kind_first(problems):
        if problem.image is None or problem.mask is None or problem.image in drawn:
            continue
        try:
            image = _image(problem.image, problem.mask, labels)
        # What decoders raise on broken files has no end; those are in the report by name.
        except Exception:
            continue
        drawn.add(problem.image)
        yield problem, image
        if len(drawn) == _IMAGES:
            return


def _every_kind_first(problems: Sequence[Finding]) -> list[Finding]:
    seen: dict[str, int] = {}
    ranked = []
    for problem in problems:
        ranked.append((seen.get(problem.kind, 0), problem))
        seen[problem.kind] = seen.get(problem.kind, 0) + 1
    return [problem for _, problem in sorted(ranked, key=lambda entry: entry[0])]


def _image(image_path: str, mask_path: str, labels: Labels) -> Image.Image:
    """Draws an image beside itself under its mask."""
    image = Image.fromarray(_rgb(image_path))
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    with open_file(mask_path) as file:
        mask = Image.fromarray(_painted(labels.stored(file), labels))
    mask = mask.resize(image.size, Image.Resampling.NEAREST)
    both = Image.new("RGB", (2 * image.width, image.height))
    both.paste(image, (0, 0))
    both.paste(Image.blend(image, mask, 0.6), (image.width, 0))
    return both


def _rgb(path: str) -> np.ndarray:
    """Returns an image's colors; of an array its first three channels, or the first as gray."""
    if is_array(path):
        pixels = array_image(path, MAX_PIXELS, None)
        pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2)
    else:
        pixels = decode_image(path)
    eight_bits = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    return np.ascontiguousarray(eight_bits)


def _painted(stored: Stored, labels: Labels) -> np.ndarray:
    """Returns a mask's colors: its own, or those of its ids."""
    try:
        if labels.encoding != "colors":
            ids = labels.meaning("", stored)
            return colorize(ids, labels.classes or _numbered(ids, labels))
    except MaskError:
        pass
    values, palette, _ = stored
    if len(palette):
        values = palette[np.minimum(values, len(palette) - 1)]
    if values.ndim == 2:
        values = values[..., np.newaxis].repeat(3, axis=2)
    # Alpha is no label.
    return values[..., :3].astype(np.uint8)


def _numbered(values: np.ndarray, labels: Labels) -> ClassTable:
    """Returns the table of ids without one, as they are drawn everywhere else."""
    # More ids than that are no classes; they are white.
    largest = int(np.clip(values, 0, _LARGEST_ID).max(initial=1))
    return ClassTable.numbered(largest + 1, labels.ignore_class)


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
        classes: A :class:`~unetv2.data.validation.ClassStatistics` for each id found.
        colors: Tuples ``(color, pixels)``, the most frequent first, where masks hold colors
            that are no ids; of each mask its 64 most frequent count.
        suggested_n_classes: int or None. What the ids need.
        suggested_ignore_class: int or None. An id that seems to mark unlabeled pixels.
        suggested_label_map: The ids that seem to mark such pixels, each mapped to that one, if
            there are several.
        suggested_encoding: str or None. ``"binary"`` for black and white masks read as ids.
        problems: A :class:`~unetv2.data.validation.Finding` for each problem, the gravest first.
        labels: How masks were read.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
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
        parts = [self._images(), self._classes(), self._colors(), self._suggestions()]
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

    def _images(self) -> str:
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
        rows: list[tuple[str, ...]] = [("class", "", "pixels", "share", "images", "weight", "root")]
        for row in self.classes:
            weights = [f"{x:.3g}" if x is not None else "-" for x in (row.weight, row.root_weight)]
            share = f"{row.share:.2%}"
            rows.append(
                (
                    str(row.id),
                    printable(row.name),
                    str(row.pixels),
                    share,
                    str(row.images),
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
