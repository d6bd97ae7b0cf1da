"""From pictures and what a model says of them to an evaluation's counts, one by one."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from unetv2.evaluation.counting import count_picture
from unetv2.evaluation.examples import Gallery, make_example
from unetv2.evaluation.rows import Rows
from unetv2.progress import Progress


class Picture(NamedTuple):
    """A picture with its mask and what a model says of it.

    Attributes:
        name: str. No other picture's.
        place: str. Where it is, for messages.
        image: As :func:`unetv2.evaluation.examples.make_example` takes it.
        truth: Mask ids, ``(height, width)``.
        predicted: Ids, ``(height, width)``.
        confidence: Probability of the predicted class, ``(height, width)``.
    """

    name: str
    place: str
    image: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray


def measure(
    pictures: Iterable[Picture],
    *,
    n_classes: int,
    ignore_class: int | None,
    tolerance: int | float,
    progress: Progress,
) -> dict[str, Any]:
    """Counts pictures in one pass; of each, its row and at most a small copy are kept.

    Args:
        pictures: One after the other.
        n_classes: int.
        ignore_class: int or None. Id of pixels that do not count.
        tolerance: By how much a boundary may be off.
        progress: Told after each picture.

    Returns:
        dict of ``confusion``, ``rows`` and ``examples`` of an ``Evaluation``.

    Raises:
        ValueError: If there is no picture, or something is wrong with one, with its place.
    """
    confusion = np.zeros((n_classes, n_classes), np.int64)
    rows: list[Rows] = []
    gallery = Gallery()
    for picture in pictures:
        try:
            counted = count_picture(
                picture.truth,
                picture.predicted,
                picture.confidence,
                n_classes=n_classes,
                ignore_class=ignore_class,
                tolerance=tolerance,
            )
        except ValueError as error:
            raise ValueError(f"In {picture.place}: {error}") from error
        confusion += counted.confusion
        rows.append(Rows.of(picture.name, counted))
        mean_iou = float(rows[-1].mean_iou[0])
        shown = picture.image, picture.truth, picture.predicted
        make = partial(make_example, picture.name, mean_iou, *shown)
        gallery.offer(picture.name, mean_iou, make)
        progress.update(len(rows))
    if not rows:
        raise ValueError("`dataset` must hold a picture. Received: an empty data set.")
    return {
        "confusion": confusion,
        "rows": Rows.joined(rows),
        "examples": gallery.examples,
    }
