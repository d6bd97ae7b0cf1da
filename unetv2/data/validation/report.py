"""The validation report."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from unetv2.classes import ClassTable, Color
from unetv2.data.fingerprint import Fingerprint
from unetv2.data.io.base import MaskError
from unetv2.data.io.open import decode_image, open_file
from unetv2.data.labels import Labels
from unetv2.data.mask_format import StoredMask
from unetv2.files import atomic_folder
from unetv2.text import aligned, counted, printable
from unetv2.visualization.masks import colorize

_FILES_LISTED = 3
_COUNTS_LISTED = 8
# Number and size of the examples that are saved as images.
_MAX_EXAMPLES = 8
_LONGEST_SIDE = 640
# The largest id of 16-bit masks.
_MAX_ID = 65535
_NAME_LENGTH = 40

ADVICE = {
    "no_pairs": "Pass `image_suffix` or `mask_suffix` where names carry one.",
    "missing_mask": "Add the mask or remove the image; names must match, extensions aside.",
    "missing_image": "Add the image or remove the mask; names must match, extensions aside.",
    "unreadable_image": "Replace the file, or remove it together with its mask.",
    "unreadable_mask": "Replace the file, or remove it together with its image.",
    "lossy_mask": "Create it again from its source, as PNG.",
    "size_mismatch": "Resize the mask by nearest neighbor, or find the one that belongs to it.",
    "orientation_mismatch": "Their EXIF orientations differ. Save the image upright if its mask "
    "is upright; if the mask fits the stored pixels, remove the orientation tag.",
    "alpha_mask": "Save the alpha channel as the mask.",
    "mixed_masks": "Save all masks in one format, or pass encoding='colors' with `classes`.",
    "label_map_collision": "Add that id to `label_map`: to itself, or to another one.",
    "out_of_range": "Raise `n_classes`, or pass `ignore_class`, `label_map` or `encoding`.",
    "colors_for_ids": "Pass encoding='colors' with `classes`, or encoding='max_channel' if the "
    "largest channel is the id.",
    "unknown_colors": "Add them to the table, or create the mask again if edges are smoothed.",
    "not_binary": "Create the mask again without smoothing, or pass encoding='ids' or "
    "encoding='colors'.",
    "instance_ids": "Use the masks of class ids, such as Cityscapes' _labelIds.",
    "binary_masks": "Pass encoding='binary'.",
    "unsupported_files": "Convert them to a supported format, such as PNG, or move them away.",
    "leakage": "Remove one of the two, or keep them together with `group_by`.",
    "contradiction": "Keep the pair whose mask is right.",
    "duplicate": "Remove one of the two.",
    "antialiased": "Create the mask again without smoothing; resize by nearest neighbor only.",
    "empty_mask": "Check that it is meant to be empty.",
    "single_class": "Check that it is meant to hold one class.",
    "blank_image": "Check the recording.",
    "absent_class": "Add images with it, or exclude it from the scores.",
}
"""All kinds of findings, the most severe first, with advice."""


@dataclass(frozen=True)
class Finding:
    """One problem of a data set.

    Attributes:
        severity: str. ``"error"`` if training fails or its scores are wrong, else ``"warning"``.
        kind: str. A key of the table in the documentation, such as ``"out_of_range"``.
        path: str or None. The file; None for the whole data set.
        message: str. A description.
        image: str or None. Path of the pair's image.
        mask: str or None. Path of the pair's mask.

    Example:
        >>> from unetv2.data.validation import Finding
        >>> Finding("warning", "blank_image", "a.png", "all pixels are equal").severity
        'warning'
    """

    severity: str
    kind: str
    path: str | None
    message: str
    image: str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class ClassStatistics:
    """Frequency of one class id.

    Attributes:
        id: int. The class id, after ``label_map``.
        name: str. Its name in the table, ``"ignored"``, ``"ignored?"`` for a guess, or empty.
        pixels: int. Number of pixels with that id.
        share: float in [0, 1]. Fraction of all pixels.
        images: int. Number of images with that id.
        weight: float or None. Median-frequency weight; None for ids that are not classes.
        root_weight: float or None. Its square root, for moderate weights of rare classes.

    Example:
        >>> from unetv2.data.validation import ClassStatistics
        >>> ClassStatistics(1, "road", 30, 0.3, 2, 4.0, 2.0).root_weight
        2.0
    """

    id: int
    name: str
    pixels: int
    share: float
    images: int
    weight: float | None
    root_weight: float | None


@dataclass(frozen=True)
class DatasetReport:
    """Result of :func:`unetv2.check_dataset`; ``print`` shows it as text.

    Args:
        image_dir: str. Folder of the images.
        mask_dir: str. Folder of the masks.
        n_pairs: int. Number of pairs.
        subsets: Number of pairs in ``"train"``, ``"validation"`` and ``"test"``.
        image_formats: Number of images by format and mode, such as ``"PNG RGB"``.
        mask_formats: Number of masks by format and mode.
        image_sizes: Number of images by ``"<height>x<width>"``.
        value_range: Smallest and largest value of all images in [0, 1]; None without images.
        mean: Mean of each channel in [0, 1]; None without images.
        std: Standard deviation of each over all pixels; None without images.
        classes: A :class:`~unetv2.data.validation.ClassStatistics` for each id found.
        colors: Tuples ``(color, pixels)``, the most frequent first, if masks hold colors that are
            not ids; the 64 most frequent colors of each mask are counted.
        suggested_n_classes: int or None. The number of classes for the ids found.
        suggested_ignore_class: int or None. An id that probably marks unlabeled pixels.
        suggested_label_map: Maps the ids that probably mark unlabeled pixels to one of them, if
            there are several.
        suggested_encoding: str or None. ``"binary"`` for black and white masks read as ids.
        problems: A :class:`~unetv2.data.validation.Finding` for each problem, the most severe
            first.
        labels: Labels that the masks were read with.
        fingerprint: Fingerprint of the pairs without errors, see
            :meth:`unetv2.SegmentationDataset.fingerprint`; None if there are none.

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
    fingerprint: Fingerprint | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        """Whether there are no errors; there may be warnings."""
        return not any(problem.severity == "error" for problem in self.problems)

    @property
    def suggested(self) -> dict[str, Any]:
        """All suggestions, as arguments of :func:`unetv2.make_dataset`."""
        values = {
            "n_classes": self.suggested_n_classes,
            "ignore_class": self.suggested_ignore_class,
            "label_map": dict(self.suggested_label_map) or None,
            "encoding": self.suggested_encoding,
        }
        return {name: value for name, value in values.items() if value is not None}

    @property
    def class_weights(self) -> dict[int, float]:
        """Median-frequency weights of the classes that occur."""
        return {row.id: row.weight for row in self.classes if row.weight is not None}

    def __str__(self) -> str:
        """Returns the report as text."""
        parts = [self._images(), self._classes(), self._colors(), self._fingerprint()]
        parts.append(self._suggestions())
        return "\n\n".join(part for part in [*parts, self._problems()] if part)

    def to_json(self) -> str:
        """Returns the report as JSON, with all problems."""
        content = {
            entry.name: getattr(self, entry.name)
            for entry in dataclasses.fields(self)
            if entry.name not in ("labels", "classes", "problems", "fingerprint")
        }
        content["fingerprint"] = self.fingerprint and self.fingerprint.as_dict()
        content["ok"] = self.ok
        content["classes"] = [dataclasses.asdict(row) for row in self.classes]
        content["problems"] = [dataclasses.asdict(problem) for problem in self.problems]
        return json.dumps(content, indent=2)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``report.txt``, ``report.json`` and ``worst/``, and replaces older ones.

        ``worst/`` contains up to 8 decodable pairs with problems, beginning with one of each kind:
        the image, and the image with its mask as an overlay. Arrays are drawn by their first three
        channels, or by the first. Files are complete even if the process is killed.

        Args:
            folder: The folder, created if it does not exist.

        Raises:
            OSError: If it cannot be written.
        """
        with atomic_folder(Path(folder), "to keep the report") as temporary:
            (temporary / "report.txt").write_text(f"{self}\n", encoding="utf-8")
            (temporary / "report.json").write_text(self.to_json() + "\n", encoding="utf-8")
            (temporary / "worst").mkdir()
            examples = _examples(self.problems, self.labels)
            for number, (problem, image) in enumerate(examples, start=1):
                # File systems limit names to 255 bytes; a letter may have four.
                name = re.sub(r"[^\w.-]", "_", Path(problem.path or "").stem)[:_NAME_LENGTH]
                image.save(temporary / "worst" / f"{number}_{problem.kind}_{name}.png")

    def _images(self) -> str:
        rows = [
            ("images", self.image_dir),
            ("", _list_counts(self.image_formats)),
            ("", _list_counts(self.image_sizes)),
        ]
        if self.value_range and self.mean and self.std:
            rows.append(("values", f"{self.value_range[0]:.3f} to {self.value_range[1]:.3f}"))
            rows.append(("mean", ", ".join(f"{value:.3f}" for value in self.mean)))
            rows.append(("deviation", ", ".join(f"{value:.3f}" for value in self.std)))
        rows += [("masks", self.mask_dir), ("", _list_counts(self.mask_formats))]
        rows.append(("pairs", f"{self.n_pairs}: {_list_counts(self.subsets)}"))
        return aligned(rows)

    def _classes(self) -> str:
        if not self.classes:
            return ""
        rows: list[tuple[str, ...]] = [("class", "", "pixels", "share", "images", "weight", "root")]
        for row in self.classes:
            weights = [f"{x:.3g}" if x is not None else "-" for x in (row.weight, row.root_weight)]
            counts = str(row.pixels), f"{row.share:.2%}", str(row.images)
            rows.append((str(row.id), printable(row.name), *counts, *weights))
        return aligned(rows, right=(0, 2, 3, 4, 5, 6))

    def _colors(self) -> str:
        if not self.colors:
            return ""
        shown = [(str(color), str(pixels)) for color, pixels in self.colors[:_COUNTS_LISTED]]
        more = [("...", "")] if len(self.colors) > _COUNTS_LISTED else []
        return aligned([("color", "pixels"), *shown, *more], right=(1,))

    def _fingerprint(self) -> str:
        return "" if self.fingerprint is None else f"fingerprint\n\n{self.fingerprint}"

    def _suggestions(self) -> str:
        # Without commas: `unetv2 check` prints them as options to be copied.
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
            for problem in group[:_FILES_LISTED]:
                where = f"{problem.path}: " if problem.path else ""
                lines.append(f"  {printable(where + problem.message)}")
            if len(group) > _FILES_LISTED:
                lines.append(f"  ... and {len(group) - _FILES_LISTED} more")
        return "\n".join(lines)


def _list_counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda entry: -entry[1])
    shown = ", ".join(f"{count} {name}" for name, count in ordered[:_COUNTS_LISTED])
    return shown + (", ..." if len(ordered) > _COUNTS_LISTED else "")


def _examples(problems: Sequence[Finding], labels: Labels) -> Iterator[tuple[Finding, Image.Image]]:
    """Yields drawings of pairs with problems, beginning with one of each kind."""
    number_of_kind: dict[str, int] = {}
    ranks = []
    for problem in problems:
        ranks.append(number_of_kind.get(problem.kind, 0))
        number_of_kind[problem.kind] = ranks[-1] + 1
    drawn: set[str] = set()
    for index in sorted(range(len(problems)), key=ranks.__getitem__):
        problem = problems[index]
        if problem.image is None or problem.mask is None or problem.image in drawn:
            continue
        try:
            image = _draw_pair(problem.image, problem.mask, labels)
        # Damaged files raise any exception in decoders.
        except Exception:
            continue
        drawn.add(problem.image)
        yield problem, image
        if len(drawn) == _MAX_EXAMPLES:
            return


def _draw_pair(image_path: str, mask_path: str, labels: Labels) -> Image.Image:
    """Draws an image next to the image with its mask as an overlay."""
    image = Image.fromarray(_rgb(image_path))
    image.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    with open_file(mask_path) as file:
        mask = Image.fromarray(_mask_colors(labels.decode(file), labels))
    mask = mask.resize(image.size, Image.Resampling.NEAREST)
    both = Image.new("RGB", (2 * image.width, image.height))
    both.paste(image, (0, 0))
    both.paste(Image.blend(image, mask, 0.6), (image.width, 0))
    return both


def _rgb(path: str) -> np.ndarray:
    """Reads an image as RGB; of an array, the first three channels or the first as gray."""
    pixels = decode_image(path, channels=None)
    pixels = pixels[..., :3] if pixels.shape[2] >= 3 else pixels[..., :1].repeat(3, axis=2)
    return np.ascontiguousarray(pixels if pixels.dtype == np.uint8 else pixels >> 8, np.uint8)


def _mask_colors(stored: StoredMask, labels: Labels) -> np.ndarray:
    """Returns the colors of a mask's ids, or the stored colors if these are not ids."""
    try:
        if labels.encoding != "colors":
            ids = labels.to_ids("", stored)
            # Larger ids are drawn white.
            n_classes = int(np.clip(ids, 0, _MAX_ID).max(initial=1)) + 1
            table = labels.classes or ClassTable.numbered(n_classes, labels.ignore_class)
            return colorize(ids, table)
    except MaskError:
        pass
    values, palette, _ = stored
    if len(palette):
        values = palette[np.minimum(values, len(palette) - 1)]
    if values.ndim == 2:
        values = values[..., np.newaxis].repeat(3, axis=2)
    return values[..., :3].astype(np.uint8)
