"""The doctor's report as files, each written beside and renamed into place."""

from __future__ import annotations

import colorsys
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from unetv2.classes import ClassTable, Color
from unetv2.data.arrays import array_image, is_array
from unetv2.data.checking.findings import Finding
from unetv2.data.decoding import MAX_PIXELS, decode_image, open_file
from unetv2.data.labels import Labels
from unetv2.data.refusal import MaskError
from unetv2.data.stored import Stored
from unetv2.visualization.masks import colorize

_PICTURES = 8
_LONGEST_SIDE = 640


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
    folder.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=".report-", dir=folder))
    try:
        (beside / "report.txt").write_text(text + "\n", encoding="utf-8")
        (beside / "report.json").write_text(content + "\n", encoding="utf-8")
        (beside / "worst").mkdir()
        for number, (problem, picture) in enumerate(_worst(problems, labels), start=1):
            name = re.sub(r"[^\w.-]", "_", Path(problem.path or "").stem)
            picture.save(beside / "worst" / f"{number}_{problem.kind}_{name}.png")
        if (folder / "worst").exists():
            # A folder that holds something is not replaced by renaming another.
            (folder / "worst").rename(beside / "older")
        for name in ("worst", "report.txt", "report.json"):
            os.replace(beside / name, folder / name)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
            return colorize(labels.meaning("", stored), labels.classes or _numbered())
    except MaskError:
        pass
    values, palette, _ = stored
    if len(palette):
        values = palette[np.minimum(values, len(palette) - 1)]
    if values.ndim == 2:
        values = values[..., np.newaxis].repeat(3, axis=2)
    # Alpha is no label.
    return values[..., :3].astype(np.uint8)


def _numbered() -> ClassTable:
    """Returns a table for ids without one, neighbours far apart in hue."""
    colors: list[Color] = [(0, 0, 0)]
    for number in range(1, 256):
        # The golden ratio: no two of any few hues come close.
        red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.8, 0.95)
        colors.append((int(255 * red), int(255 * green), int(255 * blue)))
    return ClassTable(tuple(map(str, range(256))), tuple(colors))
