"""A panel of images, ground truth and predictions, drawn without matplotlib."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable, Color
from unetv2.text import printable
from unetv2.visualization.masks import IGNORED_COLOR, colorize, to_rgb

_TITLES = ("image", "ground truth", "prediction")
# Sizes in pixels.
_TEXT, _GAP = 14, 6
_WHITE, _BLACK, _GRAY = (255, 255, 255), (0, 0, 0), (128, 128, 128)


def panel(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    classes: ClassTable,
    *,
    ignore_class: int | None = None,
    width: int = 320,
) -> np.ndarray:
    """Draws image, ground truth and prediction in one row per image, with a legend.

    Unlike :func:`unetv2.visualization.side_by_side`, it needs no matplotlib, and the images may
    differ in size.

    Args:
        images: uint8, uint16 or float in [0, 1], each ``(height, width, channels)``. The first
            three channels are shown; of one or two channels the first one, in gray.
        masks: Integer ids, each of its image's size, ``(height, width)`` or ``(height, width, 1)``.
        predictions: As ``masks``.
        classes: Class table. The legend has the classes that occur in masks or predictions.
        ignore_class: int or None. Id that is white and called "ignored" in the legend; None takes
            the one of the table.
        width: int, at least 16. Width and largest height of each drawn image, in pixels.

    Returns:
        np.ndarray. uint8 ``(height, width, 3)``.

    Raises:
        ValueError: If there is not one mask and one prediction for each image, or ``width`` is
            below 16.
        TypeError: If ``width`` is not an integer.

    Example:
        >>> scenes = [unetv2.synthetic.driving_scene(0, image_size=size)
        ...           for size in ((48, 64), (64, 48))]
        >>> images, masks = zip(*scenes)
        >>> drawn = unetv2.visualization.panel(images, masks, masks, unetv2.CARLA, width=64)
        >>> drawn.shape[1]
        216
    """
    if not len(images) == len(masks) == len(predictions) > 0:
        raise ValueError(
            "`images`, `masks` and `predictions` must have the same length, at least 1. "
            f"Received: {len(images)}, {len(masks)} and {len(predictions)}."
        )
    width = require_integer("width", width, 16, "320 is the default.")
    if ignore_class is not None and ignore_class != classes.ignore_class:
        classes = dataclasses.replace(classes, ignore_class=ignore_class, ignore_color=None)
    font = ImageFont.load_default(_TEXT)
    rows = []
    for image, *labels in zip(images, masks, predictions, strict=True):
        factor = width / max(image.shape[:2])
        size = tuple(max(1, round(side * factor)) for side in image.shape[1::-1])
        resampling = Image.Resampling.BOX if factor < 1 else Image.Resampling.NEAREST
        shown = Image.fromarray(to_rgb(image).round().astype(np.uint8)).resize(size, resampling)
        drawn = [
            Image.fromarray(colorize(mask, classes)).resize(size, Image.Resampling.NEAREST)
            for mask in labels
        ]
        rows.append((shown, *drawn))
    entries = _entries(classes, [*masks, *predictions])
    total = 3 * width + 4 * _GAP
    lines = _lines(entries, font, total - 2 * _GAP)
    line_height = _TEXT + _GAP
    heights = [row[0].height + _GAP for row in rows]
    height = line_height + _GAP + sum(heights) + line_height * len(lines) + _GAP
    canvas = Image.new("RGB", (total, height), _WHITE)
    draw = ImageDraw.Draw(canvas)
    lefts = [_GAP + column * (width + _GAP) for column in range(3)]
    for left, title in zip(lefts, _TITLES, strict=True):
        draw.text((left + width / 2, _GAP / 2), title, _BLACK, font, anchor="ma")
    top = line_height + _GAP
    for row, row_height in zip(rows, heights, strict=True):
        for left, part in zip(lefts, row, strict=True):
            canvas.paste(part, (left + (width - part.width) // 2, top))
        top += row_height
    for line in lines:
        for start, (name, color) in line:
            box = (_GAP + start, top, _GAP + start + _TEXT, top + _TEXT)
            draw.rectangle(box, color, outline=_GRAY)
            draw.text((_GAP + start + _TEXT + _GAP, top + _TEXT / 2), name, _BLACK, font, "lm")
        top += line_height
    return np.asarray(canvas)


def _entries(classes: ClassTable, masks: Sequence[np.ndarray]) -> list[tuple[str, Color]]:
    """Returns the names and colors of the classes that occur; ids outside the table are omitted."""
    present = sorted({int(number) for mask in masks for number in np.unique(mask)})
    entries: list[tuple[str, Color]] = [
        (printable(classes.names[number]), classes.colors[number])
        for number in present
        if 0 <= number < len(classes) and number != classes.ignore_class
    ]
    return entries + ([("ignored", IGNORED_COLOR)] if classes.ignore_class in present else [])


def _lines(
    entries: Sequence[tuple[str, Color]], font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    width: float,
) -> list[list[tuple[float, tuple[str, Color]]]]:  # fmt: skip
    """Returns the lines of the legend: its entries, each with its distance from the left."""
    lines: list[list[tuple[float, tuple[str, Color]]]] = []
    left = width
    for entry in entries:
        length = _TEXT + _GAP + font.getlength(entry[0])
        if not lines or left + length > width:
            lines.append([])
            left = 0.0
        lines[-1].append((left, entry))
        left += length + 3 * _GAP
    return lines
