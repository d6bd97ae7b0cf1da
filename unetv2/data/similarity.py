"""Similarity of the images of a data set: symmetries, sequences and near-duplicates.

All are found from thumbnails, so that their cost does not depend on the size of the images.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

# Sides of a thumbnail and of a coarse map, and of the grid of pixels that they are averaged from.
_THUMBNAIL, _MAP, _GRID = 16, 8, 128

# Flips of coarse maps whose last axes are rows and columns.
_FLIPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "horizontal_flip": lambda maps: maps[..., ::-1],
    "vertical_flip": lambda maps: maps[..., ::-1, :],
    "transpose": lambda maps: maps.swapaxes(-1, -2),
}
SYMMETRIES = tuple(_FLIPS)
_N_PERMUTATIONS = 500
_SIGNIFICANCE = 0.01
# The mean correlation of two images' differences from their flipped selves, from which on the maps
# of classes are not symmetric. Measured for classes: vertical flips of streets 0.6; retinas, cells
# and cracks at most 0.2, of six images 0.32. Drivers keep to one side: a single street has 0.7 for
# horizontal flips, which still help.
_ASYMMETRIC = {"horizontal_flip": 0.75, "vertical_flip": 0.4, "transpose": 0.4}
# Light from above has 0.7 in the colors of streets, but also of retinas: it counts only together
# with the classes.
_ASYMMETRIC_CLASSES, _ASYMMETRIC_COLORS = 0.15, 0.6
# Of fewer images no permutation is significant.
_MIN_IMAGES = 8

# Parts of names that may number a sequence: all before the last number, the folder, all up to the
# first number, and the first word.
_GROUP_PATTERNS = (r"^(.*?)\d+\D*$", r"^(.+)/", r"^(.*?\d+)\D", r"^([^/_. -]+)[/_. -]")
# The fraction of images whose most similar one is in their group, from chance (0) to all (1); and
# distances of neighbors in the order of names, as fractions of those between groups and within a
# group. In CamVid these are 0.96, 0.36 and 0.47. A static camera has groups without order, whose
# distances are a small fraction of those between groups.
_MIN_NEAREST = 0.6
_MAX_NEIGHBOR_DISTANCE, _MAX_NEIGHBOR_FRACTION, _MAX_STATIC_FRACTION = 0.7, 0.8, 0.35
# Near-duplicates differ by at most this root mean square of values in [0, 1], and this fraction of
# the median of all distances.
_DUPLICATE_DISTANCE, _DUPLICATE_FRACTION = 0.02, 0.1
_MAX_DUPLICATES = 1000


def grid(pixels: np.ndarray) -> np.ndarray:
    """Returns 128x128 pixels on a regular grid of an image or a mask."""
    rows, columns = (
        ((2 * np.arange(_GRID) + 1) * length) // (2 * _GRID) for length in pixels.shape[:2]
    )
    return pixels[rows].take(columns, axis=1)


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """Returns a thumbnail.

    Args:
        pixels: uint8 or uint16 ``(height, width, channels)``; at most three channels are used.

    Returns:
        np.ndarray. float32 ``(3, 16, 16)`` in [0, 1].
    """
    chosen = [0, 1, 2] if pixels.shape[2] >= 3 else [0, 0, 0]
    values = grid(pixels)[..., chosen].astype(np.float32) / np.iinfo(pixels.dtype).max
    return _block_means(values.transpose(2, 0, 1), _THUMBNAIL)


def class_maps(mask: np.ndarray) -> dict[int, np.ndarray]:
    """Returns the share of each id of a mask in 8x8 parts of the image, float32 ``(8, 8)``."""
    ids = grid(mask)
    return {
        int(number): _block_means((ids == number).astype(np.float32), _MAP)
        for number in np.unique(ids)
    }


def _block_means(values: np.ndarray, size: int) -> np.ndarray:
    step = values.shape[-1] // size
    blocks = values.reshape(*values.shape[:-2], size, step, size, step)
    return np.asarray(blocks.mean(axis=(-3, -1)), np.float32)


def asymmetries(
    masks: Sequence[Mapping[int, np.ndarray]], thumbnails: Sequence[np.ndarray], ids: Sequence[int]
) -> dict[str, tuple[float, bool]]:
    """Returns for each flip how asymmetric the images are, and whether they are symmetric.

    The asymmetry is the mean correlation, over all pairs of images, of the difference between an
    image's coarse map of classes and its flipped map: 0 where each image has its own asymmetry, 1
    where all have the same. The images are not symmetric if it is noticeable and, in a permutation
    test that flips images at random, significant. Few images are judged by its size alone.

    Args:
        masks: The result of :func:`class_maps` for each image.
        thumbnails: That of :func:`thumbnail`.
        ids: Ids of the classes.
    """
    zero = np.zeros((_MAP, _MAP), np.float32)
    shares = np.array([[maps.get(number, zero) for number in ids] for maps in masks])
    colors = _block_means(np.array(thumbnails), _MAP)
    rng = np.random.default_rng(0)
    results = {}
    for name, flip in _FLIPS.items():
        effect, p = _test_flip(shares, flip, rng)
        effect_on_colors, p_of_colors = _test_flip(colors, flip, rng)
        is_significant = len(masks) < _MIN_IMAGES or p < _SIGNIFICANCE
        has_direction = effect > _ASYMMETRIC[name] or (
            name != "horizontal_flip"
            and effect > _ASYMMETRIC_CLASSES
            and effect_on_colors > _ASYMMETRIC_COLORS
            and (len(masks) < _MIN_IMAGES or p_of_colors < _SIGNIFICANCE)
        )
        results[name] = effect, not (is_significant and has_direction)
    # A transposition would turn one of these flips into the other.
    if results["horizontal_flip"][1] != results["vertical_flip"][1]:
        results["transpose"] = results["transpose"][0], False
    return results


def _test_flip(
    maps: np.ndarray, flip: Callable[[np.ndarray], np.ndarray], rng: np.random.Generator
) -> tuple[float, float]:
    """Returns the mean correlation of the differences, and its p-value."""
    n = len(maps)
    differences = (maps - flip(maps)).reshape(n, -1).astype(np.float64)
    products = differences @ differences.T
    own = float(np.trace(products))
    if n < 2 or own < 1e-9:
        return 0.0, 1.0
    total = float(products.sum())
    signs = rng.choice((-1.0, 1.0), (_N_PERMUTATIONS, n))
    totals = ((signs @ products) * signs).sum(axis=1)
    p = (1 + int(np.count_nonzero(totals >= total - 1e-9))) / (1 + _N_PERMUTATIONS)
    return (total - own) / ((n - 1) * own), p


def distances(thumbnails: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the root mean square difference of each two thumbnails, float32 ``(n, n)``."""
    values = np.array(thumbnails).reshape(len(thumbnails), -1)
    values = values - values.mean(axis=0)
    squares = (values**2).sum(axis=1)
    squared = squares[:, np.newaxis] + squares - 2 * (values @ values.T)
    return np.sqrt(np.maximum(squared, 0) / values.shape[1])


def near_duplicates(keys: Sequence[str], distance: np.ndarray) -> tuple[tuple[str, str], ...]:
    """Returns pairs of keys whose images are nearly the same, the most similar first.

    Args:
        keys: The keys of the images.
        distance: The result of :func:`distances`.
    """
    first, second = np.triu_indices(len(keys), 1)
    values = distance[first, second]
    if not len(values):
        return ()
    limit = min(_DUPLICATE_DISTANCE, _DUPLICATE_FRACTION * float(np.median(values)))
    found = np.flatnonzero(values < limit)
    found = found[np.argsort(values[found], kind="stable")][:_MAX_DUPLICATES]
    return tuple((keys[first[index]], keys[second[index]]) for index in found)


def find_groups(
    all_keys: Sequence[str], keys: Sequence[str], distance: np.ndarray
) -> tuple[str | None, int]:
    """Finds sequences of images, such as the frames of videos, from names and content.

    Args:
        all_keys: All keys of the data set.
        keys: Keys of some images, in the order of names.
        distance: The result of :func:`distances` for these.

    Returns:
        tuple ``(group_by, n_groups)``: the regular expression, or None, and the number of groups.
    """
    best: tuple[str | None, int] = None, len(all_keys)
    for pattern in _GROUP_PATTERNS:
        matches = [re.search(pattern, key) for key in all_keys]
        names = [match[1] for match in matches if match is not None]
        n_groups = len(set(names))
        # The finest groups that the content confirms.
        is_finer = best[0] is None or n_groups > best[1]
        if len(names) < len(all_keys) or not 2 <= n_groups <= len(all_keys) / 3 or not is_finer:
            continue
        group_of = dict(zip(all_keys, names, strict=True))
        if _are_sequences([group_of[key] for key in keys], distance):
            best = pattern, n_groups
    return best


def _are_sequences(groups: Sequence[str], distance: np.ndarray) -> bool:
    names = np.array(groups)
    n = len(names)
    if n < 4:
        return False
    others = distance + np.diag(np.full(n, np.inf, np.float32))
    nearest = float(np.mean(names[others.argmin(axis=1)] == names))
    counts = np.array(list(Counter(groups).values()))
    chance = float((counts * (counts - 1)).sum() / (n * (n - 1)))
    is_same = names[:, np.newaxis] == names
    is_neighbor = names[1:] == names[:-1]
    if is_same.all() or not is_neighbor.any() or (nearest - chance) / (1 - chance) < _MIN_NEAREST:
        return False
    between = float(np.median(distance[~is_same]))
    within = float(np.median(distance[is_same & ~np.eye(n, dtype=bool)]))
    neighbors = float(np.median(np.diagonal(distance, 1)[is_neighbor]))
    # Kinds of images, such as "beach" and "forest", are alike, but not more so in order.
    in_order = (
        neighbors < _MAX_NEIGHBOR_FRACTION * within or within < _MAX_STATIC_FRACTION * between
    )
    return in_order and neighbors < _MAX_NEIGHBOR_DISTANCE * between
