"""Pairs, label values and scores of `field_test.py`, with NumPy and Pillow only.

Nothing here uses unetv2 or PyTorch, so that the scores are independent of both, and both
environments can import it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

# Values that mark unlabeled pixels in masks of ids.
MARKERS = (254, 255, 65535)


def files(folder: Path) -> list[Path]:
    """Returns the files of a folder, sorted, without hidden ones."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")


def pairs(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Pairs each image with the mask of the same name, but for a suffix."""
    found, by_name = [], {mask.stem: mask for mask in files(masks)}
    for image in files(images):
        near = by_name.get(image.stem)
        if near is None:
            near = max(by_name.values(), key=lambda mask: _common(image.stem, mask.stem))
        found.append((image, near))
    if not found or len({mask for _, mask in found}) < len(found):
        raise ValueError(
            f"Every image must have a mask of its own. Received: '{images}' and '{masks}'. "
            "Give both the same names, but for a suffix."
        )
    return found


def _common(first: str, second: str) -> tuple[int, int]:
    """Returns the length of the common prefix, and the negative length of the second name."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return len(list(same)), -len(second)


def read_values(path: Path) -> np.ndarray:
    """Returns the values of a mask, (height, width); a color is 65536 * R + 256 * G + B."""
    with Image.open(path) as file:
        mask = np.asarray(file)
    if mask.ndim == 2:
        return mask.astype(np.int64)
    red, green, blue = np.moveaxis(mask[..., :3].astype(np.int64), -1, 0)
    return 65536 * red + 256 * green + blue


def read_image(path: Path) -> np.ndarray:
    """Returns an image, (height, width, 1 or 3), 8 or 16 bits."""
    with Image.open(path) as file:
        image = np.asarray(file.convert("RGB") if file.mode in ("P", "CMYK", "1") else file)
    image = image[..., None] if image.ndim == 2 else image
    return image[..., : 1 if image.shape[-1] < 3 else 3]


@dataclass(frozen=True)
class Labels:
    """The values of a data set's masks.

    Args:
        values: Values of the classes, sorted.
        in_color: True if masks have colors.
    """

    values: tuple[int, ...]
    in_color: bool

    @classmethod
    def of(cls, masks: Iterable[Path], ignore: int | None = None) -> Labels:
        """Returns the values of masks, without the ignored one and markers of unlabeled pixels."""
        found: set[int] = set()
        in_color = False
        for path in masks:
            values = read_values(path)
            found |= set(np.unique(values).tolist())
            with Image.open(path) as file:
                in_color |= len(file.getbands()) >= 3
        kept = found - {ignore}
        ids = kept - set(MARKERS)
        # Binary masks of 0 and 255 have no marker.
        if not in_color and len(ids) > 1 and max(ids) < 2 * len(ids):
            kept = ids
        return cls(tuple(sorted(kept)), in_color)

    def indices(self, values: np.ndarray) -> np.ndarray:
        """Returns the index of each value's class, or -1 for other values."""
        order = np.array(self.values)
        at = np.searchsorted(order, values).clip(0, len(order) - 1)
        return np.where(order[at] == values, at, -1)

    def of_ids(self, ids: np.ndarray) -> np.ndarray:
        """Returns the values of class ids.

        Ids are the values themselves, but positions among the values where these have large gaps
        (0 and 255).
        """
        if self.values[-1] + 1 <= 2 * len(self.values):
            return ids
        order = np.array([*self.values, -1])
        return order[np.minimum(ids, len(order) - 1)]

    def name(self, index: int) -> str:
        """Returns the value of a class as text."""
        value = self.values[index]
        return f"#{value:06x}" if self.in_color else str(value)


def confusion(truth: np.ndarray, predicted: np.ndarray, labels: Labels) -> np.ndarray:
    """Counts pixels by true and predicted class; other predicted values are the last column.

    Args:
        truth: Values of the mask, (height, width). Pixels of other values than `labels` are left
            out.
        predicted: Predicted values, of the same shape.
        labels: The classes.
    """
    if truth.shape != predicted.shape:
        raise ValueError(
            "Predictions must have the size of the masks. "
            f"Received: {predicted.shape} for {truth.shape}."
        )
    n = len(labels.values)
    true, found = labels.indices(truth), labels.indices(predicted)
    found = np.where(found < 0, n, found)
    kept = true >= 0
    flat = true[kept] * (n + 1) + found[kept]
    return np.bincount(flat, minlength=n * (n + 1)).reshape(n, n + 1)


def scores(matrix: np.ndarray) -> tuple[list[float | None], list[float | None], float]:
    """Returns IoU and Dice of each class, None where it does not occur, and the mean IoU."""
    hits = np.diagonal(matrix).astype(float)
    total = matrix.sum(1) + matrix[:, :-1].sum(0)
    seen = total > 0
    iou = np.divide(hits, total - hits, out=np.zeros_like(hits), where=seen)
    dice = np.divide(2 * hits, total, out=np.zeros_like(hits), where=seen)
    listed = [
        [float(value) if there else None for value, there in zip(row, seen, strict=True)]
        for row in (iou, dice)
    ]
    return listed[0], listed[1], float(iou[seen].mean())
