"""The ceiling of a working size: the IoU of masks that are shrunk to it and enlarged again.

A model that works at a smaller size and predicts it perfectly cannot be better than that.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence

import numpy as np

from unetv2.classes import ClassTable
from unetv2.data.regions import EDGES_PER_LENGTH

# Larger masks are represented by windows, to limit memory and time.
_WINDOW = 640
_WINDOWS_PER_MASK = 2
_PIXELS_AT_ONCE = 2**18
_BLOCK = 2**18
# The check before training, which takes 1 to 2 ms for each mask: the number of masks, the side of
# their windows, the step between the pixels that are searched for rare classes, the pixels of a
# class below which its ceiling is not known well enough, and the smallest side of a mask, as tiny
# ones are all edges.
_CHECKED_MASKS = 8
_CHECKED_WINDOW = 128
_COARSE = 4
_MIN_PIXELS = 64
_MIN_SIDE = 100
_LOW_CEILING = 0.7
# Regions of at least this thickness at the smaller size have a ceiling above 0.85: in CamVid,
# DRIVE and others it is 0.7 at a thickness of about 1.1.
_THIN = 2.0
_CLASSES_IN_MESSAGE = 4

_log = logging.getLogger("unetv2")


def class_name(number: int, classes: ClassTable | None) -> str:
    """Returns the name of a class, or an empty text."""
    known = classes is not None and 0 <= number < len(classes)
    return classes.names[number] if classes is not None and known else ""


def ids_and_counts(mask: np.ndarray, ignored: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ids of a mask without the ignored one, and their numbers of pixels."""
    if mask.dtype == np.uint8:
        # Faster than sorting; in blocks, as each value is converted to eight bytes.
        flat, counts = mask.ravel(), np.zeros(256, np.int64)
        for start in range(0, flat.size, _BLOCK):
            counts += np.bincount(flat[start : start + _BLOCK], minlength=256)
        ids = np.flatnonzero(counts)
        counts = counts[ids]
    else:
        ids, counts = np.unique(mask, return_counts=True)
    is_class = ids != ignored if ignored is not None else np.ones(len(ids), bool)
    return ids[is_class].astype(np.int64), counts[is_class]


def windows(
    mask: np.ndarray,
    ids: np.ndarray,
    counts: np.ndarray,
    rng: np.random.Generator,
    *,
    side: int = _WINDOW,
    n_windows: int = _WINDOWS_PER_MASK,
) -> Iterator[np.ndarray]:
    """Yields windows of a mask, or all of it if it is small.

    Each window is around a random pixel of one of the rarest classes, so that these are seen too.

    Args:
        mask: ids ``(height, width)``.
        ids: Its class ids.
        counts: The number of pixels of each.
        rng: Draws the pixels.
        side: int. Height and width of a window; the mask's if these are smaller.
        n_windows: int. The maximum number of windows.
    """
    if max(mask.shape) <= side:
        yield mask
        return
    for number in ids[np.argsort(counts, kind="stable")][:n_windows]:
        is_class = mask == number
        # The positions of all pixels would need eight times the memory of a large mask.
        row = int(rng.choice(np.flatnonzero(is_class.any(axis=1))))
        yield _window(mask, (row, int(rng.choice(np.flatnonzero(is_class[row])))), side)


def _window(mask: np.ndarray, center: tuple[int, int], side: int) -> np.ndarray:
    """Returns a window around a pixel, moved into the mask."""
    rows, columns = (
        slice(start, start + side)
        for start in (
            min(max(0, at - side // 2), max(0, length - side))
            for at, length in zip(center, mask.shape, strict=True)
        )
    )
    return np.ascontiguousarray(mask[rows, columns])


def overlaps(mask: np.ndarray, sizes: Sequence[tuple[int, int]], ids: np.ndarray) -> np.ndarray:
    """Shrinks a mask to several sizes, enlarges it again, and compares both.

    The plane of each class is averaged over the areas of the smaller size's pixels and enlarged
    bilinearly; each pixel then has the class of the largest value.

    Args:
        mask: ids ``(height, width)``.
        sizes: The smaller sizes, ``(height, width)``.
        ids: Class ids, sorted, at least one. Pixels of other ids are not counted.

    Returns:
        np.ndarray. int64 ``(len(sizes), len(ids), 2)``: pixels of the intersection and the union.
    """
    dtype = np.min_scalar_type(len(ids))
    truth = np.searchsorted(ids, mask)
    truth[ids[np.minimum(truth, len(ids) - 1)] != mask] = len(ids)
    truth = truth.astype(dtype)
    best = [np.zeros(mask.shape, np.float32) for _ in sizes]
    found = [np.zeros(mask.shape, dtype) for _ in sizes]
    # The fewer pixels, the more planes are computed at once.
    step = max(1, _PIXELS_AT_ONCE // mask.size)
    for first in range(0, len(ids), step):
        indices = np.arange(first, min(len(ids), first + step), dtype=dtype)
        planes = truth == indices[:, np.newaxis, np.newaxis]
        # Only the part of the image in which they are not 0.
        part = _bounds(planes.any(axis=(0, 2))), _bounds(planes.any(axis=(0, 1)))
        integral = np.pad(planes[:, *part].cumsum(axis=1, dtype=np.int32), ((0, 0), (1, 0), (1, 0)))
        np.cumsum(integral, axis=2, out=integral)
        for size, best_of_size, found_of_size in zip(sizes, best, found, strict=True):
            rows, columns = map(_Resizing, mask.shape, size, part)
            small = columns.shrink(rows.shrink(integral).swapaxes(1, 2))
            large = rows.enlarge(columns.enlarge(small).swapaxes(1, 2))
            target = rows.target, columns.target
            for index, values in zip(indices, large, strict=True):
                is_better = values > best_of_size[target]
                np.copyto(best_of_size[target], values, where=is_better)
                np.copyto(found_of_size[target], index, where=is_better)
    counts = np.bincount(truth.ravel(), minlength=len(ids) + 1)[:-1]
    is_counted = truth < len(ids)
    results = np.empty((len(sizes), len(ids), 2), np.int64)
    for result, found_of_size in zip(results, found, strict=True):
        is_right = found_of_size == truth
        result[:, 0] = np.bincount(truth[is_right], minlength=len(ids))[: len(ids)]
        n_found = np.bincount(found_of_size[is_counted], minlength=len(ids))
        result[:, 1] = counts + n_found - result[:, 0]
    return results


def _bounds(occurs: np.ndarray) -> slice:
    """Returns the range from the first to the last true value."""
    return slice(int(occurs.argmax()), len(occurs) - int(occurs[::-1].argmax()))


class _Resizing:
    """Shrinks and enlarges one side of an image.

    Args:
        length: int. Pixels of the side.
        size: int. Its pixels when it is shrunk.
        part: The pixels that are not 0.

    Attributes:
        target: slice. The pixels that are not 0 afterwards.
    """

    def __init__(self, length: int, size: int, part: slice) -> None:
        start = part.start * size // length
        stop = -(-part.stop * size // length)
        first = 0 if start == 0 else (2 * start - 1) * length // (2 * size)
        last = length if stop == size else min(length, -(-(2 * stop + 1) * length // (2 * size)))
        self.target = slice(first, last)
        self._scale = size / length
        edges = np.arange(start, stop + 1) * (length / size) - part.start
        self._edges = np.clip(edges, 0, part.stop - part.start)
        # The border's value continues outside of the image; that of the part ends.
        self._padding = int(start > 0), int(stop < size)
        centers = (np.arange(first, last) + 0.5) * (size / length) - 0.5
        centers = np.clip(centers, 0, size - 1) - start + self._padding[0]
        self._centers = np.clip(centers, 0, stop - start - 1 + sum(self._padding))

    def shrink(self, integral: np.ndarray) -> np.ndarray:
        """Returns the mean over areas of rows, given their cumulative sum from 0 on."""
        # A sum over a part of a pixel is proportional to it.
        sums = _between(integral, self._edges, np.float64)
        return np.diff(sums, axis=1) * self._scale

    def enlarge(self, image: np.ndarray) -> np.ndarray:
        """Returns rows that are interpolated between the centers of pixels."""
        padded = np.pad(image.astype(np.float32), ((0, 0), self._padding, (0, 0)))
        return _between(padded, self._centers, np.float32)


def _between(planes: np.ndarray, positions: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    """Returns rows of ``(planes, rows, columns)`` at positions that need not be integers."""
    last = planes.shape[1] - 1
    lower = np.minimum(positions.astype(np.intp), max(0, last - 1))
    weights = (positions - lower)[:, np.newaxis].astype(dtype)
    first = planes[:, lower].astype(dtype, copy=False)
    difference = planes[:, np.minimum(lower + 1, last)] - first
    difference *= weights
    difference += first
    return difference


class CeilingCheck:
    """Warns of an ``image_size`` at which classes nearly disappear, from the first masks read.

    Args:
        ignored: int or None. Id of unlabeled pixels.
        classes: ClassTable or None. Names of the classes.
    """

    def __init__(self, ignored: int | None, classes: ClassTable | None) -> None:
        self._ignored = ignored
        self._classes = classes
        self._lock = threading.Lock()
        self._left = _CHECKED_MASKS
        self._size = (0, 0)
        # By id: pixels of the intersection and of the union.
        self._counts: dict[int, np.ndarray] = {}

    def add(self, mask: np.ndarray, resized: tuple[int, int]) -> None:
        """Adds a mask, one of the first ones.

        Args:
            mask: ids ``(height, width)``.
            resized: ``(height, width)`` to which it is resized.
        """
        height, width = mask.shape
        if not self._left or (resized[0] >= height and resized[1] >= width):
            return
        if min(mask.shape) < _MIN_SIDE:
            return
        with self._lock:
            if not self._left:
                return
            self._left -= 1
            rng = np.random.default_rng(self._left)
            self._size = mask.shape
        # A part of the pixels is enough to find rare classes.
        coarse = np.ascontiguousarray(mask[::_COARSE, ::_COARSE])
        ids, counts = ids_and_counts(coarse, self._ignored)
        if not len(ids):
            return
        center = rng.choice(np.flatnonzero(coarse == ids[counts.argmin()]))
        row, column = divmod(int(center), coarse.shape[1])
        window = _window(mask, (row * _COARSE, column * _COARSE), _CHECKED_WINDOW)
        scales = [small / large for small, large in zip(resized, mask.shape, strict=True)]
        size = [
            max(1, min(side, round(side * scale)))
            for side, scale in zip(window.shape, scales, strict=True)
        ]
        ids, counts = ids_and_counts(window, self._ignored)
        is_thin = _thickness(window, ids, counts) * min(scales) < _THIN
        # The ceiling of the others is high.
        pixels = dict(zip(ids.tolist(), np.stack([counts, counts], axis=1), strict=True))
        thin, others = ids[is_thin], ids[~is_thin]
        if len(thin):
            # One plane for all others, for speed.
            merged = window.copy()
            merged[np.isin(window, others)] = others[0] if len(others) else 0
            shown = np.sort(np.append(thin, others[:1]))
            (shared,) = overlaps(merged, [(size[0], size[1])], shown)
            measured = dict(zip(shown.tolist(), shared, strict=True))
            pixels.update({number: measured[number] for number in thin.tolist()})
        with self._lock:
            for number, added in pixels.items():
                self._counts[number] = self._counts.get(number, 0) + added

    def warn(self, image_size: tuple[int, int]) -> None:
        """Logs the classes with a low ceiling, if any."""
        with self._lock:
            ceilings = {
                number: intersection / union
                for number, (intersection, union) in self._counts.items()
                if union >= _MIN_PIXELS
            }
        low = sorted((value, number) for number, value in ceilings.items() if value < _LOW_CEILING)
        if not low:
            return
        names = (_described(number, self._classes) for _, number in low)
        listed = [f"{name} {value:.2f}" for name, (value, _) in zip(names, low, strict=True)]
        more = ", ..." if len(listed) > _CLASSES_IN_MESSAGE else ""
        _log.warning(
            "`image_size` must be large enough for every class. Received: image_size=%s for images "
            "such as %dx%d. Masks that are resized to it and back have an IoU of only: %s; no "
            "model of that size can be better. Pass a larger `image_size`, or image_size=None with "
            "a `crop_size`, which trains on crops of the original size.",
            image_size, *self._size, ", ".join(listed[:_CLASSES_IN_MESSAGE]) + more,
        )  # fmt: skip


def _thickness(mask: np.ndarray, ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns the mean thickness of each id; see :mod:`unetv2.data.regions`."""
    edges = np.zeros(len(ids))
    for first, second in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
        differ = first != second
        for side in (first[differ], second[differ]):
            found, n_edges = ids_and_counts(side, None)
            places = np.searchsorted(ids, found).clip(0, len(ids) - 1)
            is_known = ids[places] == found
            np.add.at(edges, places[is_known], n_edges[is_known])
    return 2 * counts * EDGES_PER_LENGTH / np.maximum(edges, 1)


def _described(number: int, classes: ClassTable | None) -> str:
    name = class_name(number, classes)
    return f"class {number} ('{name}')" if name else f"class {number}"


def interpolated(scale: float, scales: Sequence[float], ceilings: Sequence[float]) -> float:
    """Returns the ceiling at a scale, from those at other scales.

    Below the smallest scale, the lost fraction grows in proportion to the size of a pixel.

    Args:
        scale: float, above 0.
        scales: Scales, in descending order.
        ceilings: The ceiling at each.
    """
    if scale >= scales[-1]:
        return float(np.interp(scale, scales[::-1], ceilings[::-1]))
    return max(0.0, 1 - (1 - ceilings[-1]) * scales[-1] / scale)
