"""The doctor's report as files, which appear together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from unetv2.classes import ClassTable
from unetv2.data.arrays import array_image, is_array
from unetv2.data.checking.findings import Finding
from unetv2.data.decoding import MAX_PIXELS, decode_image, open_file
from unetv2.data.labels import Labels
from unetv2.data.refusal import MaskError
from unetv2.data.stored import Stored
from unetv2.files import together
from unetv2.visualization.masks import colorize

_PICTURES = 8
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
    with together(folder, "to keep the report") as beside:
        (beside / "report.txt").write_text(text + "\n", encoding="utf-8")
        (beside / "report.json").write_text(content + "\n", encoding="utf-8")
        (beside / "worst").mkdir()
        for number, (problem, picture) in enumerate(_worst(problems, labels), start=1):
            # File systems take names of 255 bytes; a letter may have four.
            name = re.sub(r"[^\w.-]", "_", Path(problem.path or "").stem)[:_NAME_LENGTH]
            picture.save(beside / "worst" / f"{number}_{problem.kind}_{name}.png")


def _worst(problems: Sequence[Finding], labels: Labels) -> Iterator[tuple[Finding, Image.Image]]:
    """Yields pictures of the pairs with problems that can be decoded."""
    drawn: set[str] = set()
    for problem in _every_kind_first(problems):
        if problem.image is None or problem.mask is None or problem.image in drawn:
            continue
        try:
            picture = _picture(problem.image, problem.mask, labels)
        # What decoders raise on broken files has no end; those are in the report by name.
        except Exception:
            continue
        drawn.add(problem.image)
        yield problem, picture
        if len(drawn) == _PICTURES:
            return


def _every_kind_first(problems: Sequence[Finding]) -> list[Finding]:
    seen: dict[str, int] = {}
    ranked = []
    for problem in problems:
        ranked.append((seen.get(problem.kind, 0), problem))
        seen[problem.kind] = seen.get(problem.kind, 0) + 1
    return [problem for _, problem in sorted(ranked, key=lambda entry: entry[0])]


def _picture(image_path: str, mask_path: str, labels: Labels) -> Image.Image:
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
    """Returns an image's colours; of an array its first three channels, or the first as grey."""
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
