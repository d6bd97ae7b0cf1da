"""Counts of images, from which all metrics of an evaluation are computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unetv2.arguments import require_integer, require_number
from unetv2.classes import require_class_ids
from unetv2.metrics import scores as formulas

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Csurka et al. use 0.75 % of the diagonal, as in contour detection benchmarks.
DEFAULT_TOLERANCE = 0.0075
# Number of confidence bins, as in Guo et al.
BINS = 15
# Confidences are summed as integers, so that the order of the pixels does not matter. The unit is
# the last bit of a float32 in [0.5, 1); int64 holds the sum of 5e11 pixels.
CONFIDENCE_UNIT = 2.0**-24
# Tolerance at the edge of a bin.
_EDGE = 1e-5
_TOLERANCE_ADVICE = (
    "Pass pixels as an integer, such as 2, or a share of the diagonal below 1, such as 0.0075."
)


@dataclass(frozen=True, eq=False)
class ImageCounts:
    """Counts of ``n`` images, ``8 * (7 * n_classes + 45)`` bytes each.

    Args:
        names: Names of the images.
        pixels: int64 ``(n, 3, n_classes)``. Correct, ground-truth and predicted pixels.
        boundaries: int64 ``(n, 4, n_classes)``, see :func:`boundary_counts`.
        calibration: int64 ``(n, 3, BINS)``. Pixels by confidence, the correct ones among them, and
            the sum of their confidences in units of ``CONFIDENCE_UNIT``.
    """

    names: tuple[str, ...]
    pixels: Counts
    boundaries: Counts
    calibration: Counts

    @classmethod
    def concatenate(cls, parts: Sequence[ImageCounts]) -> ImageCounts:
        """Returns the counts of all images, sorted by name."""
        names = [name for part in parts for name in part.names]
        arrays = zip(*((p.pixels, p.boundaries, p.calibration) for p in parts), strict=True)
        counts = cls(tuple(names), *(np.concatenate(array) for array in arrays))
        return counts.take(sorted(range(len(names)), key=names.__getitem__))

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.names)

    @property
    def mean_iou(self) -> Floats:
        """Mean IoU of each image over its classes, ``(n,)``; NaN if all pixels are ignored."""
        counts = formulas.ClassCounts(*np.moveaxis(self.pixels.astype(np.float64), 1, 0))
        return formulas.nan_mean(np, formulas.iou(np, counts))

    @property
    def boundary_f1(self) -> Floats:
        """Boundary F1, ``(n, n_classes)``; NaN where a class has no boundary in either mask."""
        matched, predicted, recalled, actual = np.moveaxis(self.boundaries.astype(np.float64), 1, 0)
        # 0 where only one of the masks has a boundary.
        precision = np.nan_to_num(formulas.ratio(np, matched, predicted))
        recall = np.nan_to_num(formulas.ratio(np, recalled, actual))
        f1 = np.nan_to_num(formulas.ratio(np, 2 * precision * recall, precision + recall))
        return np.where(predicted + actual > 0, f1, np.nan)

    def canonical_order(self) -> list[int]:
        """Returns an order of the images that depends only on their counts."""
        parts = (self.pixels, self.boundaries, self.calibration)
        return sorted(range(len(self)), key=lambda n: b"".join(part[n].tobytes() for part in parts))

    def take(self, indices: Sequence[int]) -> ImageCounts:
        """Returns the counts of some images."""
        return ImageCounts(
            tuple(self.names[index] for index in indices),
            self.pixels[indices],
            self.boundaries[indices],
            self.calibration[indices],
        )


def count_image(
    name: str,
    mask: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    *,
    n_classes: int,
    ignore_class: int | None,
    tolerance: int | float,
) -> tuple[Counts, ImageCounts]:
    """Counts one image.

    Args:
        name: str. Name of the image.
        mask: Ground-truth ids, ``(height, width)``, in ``[0, n_classes)`` or ``ignore_class``.
        predicted: Ids in ``[0, n_classes)``, ``(height, width)``.
        confidence: Probability of the predicted class, ``(height, width)``.
        n_classes: int. Number of classes.
        ignore_class: int or None. Id of excluded pixels.
        tolerance: Tolerance of boundaries, see :func:`boundary_counts`.

    Returns:
        The confusion matrix, int64 ``(n_classes, n_classes)``, and the counts.

    Raises:
        ValueError: If the mask holds another id or a confidence is not finite.
    """
    mask = mask.astype(np.int64)
    valid = np.ones(mask.shape, bool) if ignore_class is None else mask != ignore_class
    actual_ids, predicted_ids = mask[valid], predicted[valid].astype(np.int64)
    require_class_ids(
        actual_ids,
        n_classes,
        ignore_class,
        source="the mask",
        advice="Pass a class table with `ignore_class` if they are unlabeled, or a model with more "
        "classes if they are a class.",
    )
    confidences = confidence[valid].astype(np.float64)
    if not np.isfinite(confidences).all():
        raise ValueError(
            "The outputs of a model must be finite. "
            f"Received: NaN or infinity for {int((~np.isfinite(confidences)).sum())} pixels. The "
            "training diverged, or the image contains NaN: lower the learning rate, or fix it."
        )
    cells = np.bincount(actual_ids * n_classes + predicted_ids, minlength=n_classes**2)
    confusion = cells.reshape(n_classes, n_classes)
    pixels = np.stack([confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)])
    boundaries = boundary_counts(mask, predicted, valid, n_classes, tolerance)
    calibration = _calibration_counts(confidences, actual_ids == predicted_ids)
    return confusion, ImageCounts((name,), pixels[None], boundaries[None], calibration[None])


def _calibration_counts(confidence: np.ndarray, correct: np.ndarray) -> Counts:
    # Bins are open below and closed above, as in the paper: 1 is in the last bin. The tolerance
    # makes the last bit of a value at an edge irrelevant, such as 1/3 for three equal classes.
    bins = np.clip(np.ceil(confidence * BINS - _EDGE).astype(np.int64) - 1, 0, BINS - 1)
    units = np.rint(confidence / CONFIDENCE_UNIT)
    # Floats count whole numbers below 2**53 exactly.
    rows = [np.bincount(bins, weights, BINS) for weights in (None, correct, units)]
    return np.stack(rows).astype(np.int64)


def require_tolerance(tolerance: object) -> int | float:
    """Checks a boundary tolerance: an integer for pixels, or a share of the diagonal.

    Raises:
        TypeError: If it is not a number.
        ValueError: If it is negative, or a float of 1 or more.
    """
    if isinstance(tolerance, float):
        share = require_number("boundary_tolerance", tolerance, _TOLERANCE_ADVICE)
        if share >= 1:
            raise ValueError(
                "`boundary_tolerance` must be a share below 1, or an integer for pixels. "
                f"Received: boundary_tolerance={tolerance!r}. {_TOLERANCE_ADVICE}"
            )
        return share
    return require_integer("boundary_tolerance", tolerance, 0, _TOLERANCE_ADVICE)


def boundary(ids: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Returns a mask of the pixels with a pixel of another class among their 8 neighbors.

    Pixels that are not valid, and the border of the image, do not create boundaries.
    """
    result = np.zeros(ids.shape, bool)
    height, width = ids.shape
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        first = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        second = slice(down, height), slice(max(0, right), width - max(0, -right))
        differs = (ids[first] != ids[second]) & valid[first] & valid[second]
        result[first] |= differs
        result[second] |= differs
    return result


def boundary_counts(
    mask: np.ndarray,
    predicted: np.ndarray,
    valid: np.ndarray,
    n_classes: int,
    tolerance: int | float,
) -> Counts:
    """Counts the boundary pixels of each class, and those near a boundary of the other mask.

    Args:
        mask: Ground-truth ids, ``(height, width)``, in ``[0, n_classes)`` where ``valid``.
        predicted: Predicted ids, as ``mask``.
        valid: bool, ``(height, width)``. Pixels that are not ignored.
        n_classes: int. Number of classes.
        tolerance: Largest Euclidean distance between pixel centers: an int in pixels, or a float,
            the share of the diagonal.

    Returns:
        int64 ``(4, n_classes)``: predicted boundary pixels near the ground-truth boundary, all
        predicted boundary pixels, and the same two numbers with both masks exchanged.

    References:
        - Csurka, Larlus & Perronnin, "What is a good evaluation measure for semantic
          segmentation?", BMVC 2013.
    """
    mask_edge, predicted_edge = boundary(mask, valid), boundary(predicted, valid)
    # Squared distances are whole numbers.
    height, width = mask.shape
    is_pixels = isinstance(tolerance, int)
    squared = tolerance**2 if is_pixels else math.floor(tolerance**2 * (height**2 + width**2))
    counts = np.zeros((4, n_classes), np.int64)
    # One bit per class: all classes are dilated at once.
    bits = 32 if n_classes <= 32 else 64
    for start in range(0, n_classes, bits):
        actual_bits = _class_bits(mask, mask_edge, start, bits)
        predicted_bits = _class_bits(predicted, predicted_edge, start, bits)
        if not (actual_bits.any() or predicted_bits.any()):
            continue
        near_actual, near_predicted = (
            _dilate(marked, int(squared)) for marked in (actual_bits, predicted_bits)
        )
        for row, ids, marked in (
            (0, predicted, predicted_bits & near_actual),
            (1, predicted, predicted_bits),
            (2, mask, actual_bits & near_predicted),
            (3, mask, actual_bits),
        ):
            counts[row] += np.bincount(ids[marked != 0], minlength=n_classes)
    return counts


def _class_bits(ids: np.ndarray, edge: np.ndarray, start: int, bits: int) -> np.ndarray:
    """Returns ``1 << (id - start)`` at edge pixels of classes in ``[start, start + bits)``."""
    dtype = np.uint32 if bits == 32 else np.uint64
    masks = np.left_shift(dtype(1), np.arange(bits, dtype=dtype))
    chosen = edge & (ids >= start) & (ids < start + bits)
    result = np.zeros(ids.shape, dtype)
    result[chosen] = masks[ids[chosen] - start]
    return result


def _dilate(marked: np.ndarray, squared_radius: int) -> np.ndarray:
    """Returns the bitwise OR of the pixels in a disc around each pixel."""
    height, width = marked.shape
    reach = min(math.isqrt(squared_radius), max(height, width) - 1)
    result = np.zeros_like(marked)
    row = marked.copy()
    half = 0
    # From the top of the disc, where its rows are short, to its center: each row widens the last.
    for down in range(reach, -1, -1):
        while half < min(math.isqrt(squared_radius - down**2), width - 1):
            half += 1
            row[:, half:] |= marked[:, :-half]
            row[:, :-half] |= marked[:, half:]
        if down < height:
            result[: height - down] |= row[down:]
            result[down:] |= row[: height - down]
    return result
