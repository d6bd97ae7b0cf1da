"""Connected regions of a mask: their number, area and thickness."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# A boundary of random direction crosses this many more edges of pixels than its length.
EDGES_PER_LENGTH = 4 / np.pi


class Regions(NamedTuple):
    """Connected regions of equal ids, in no order; pixels that touch at a corner are connected.

    Attributes:
        ids: The id of each region.
        areas: int64. Its area in pixels.
        thickness: float64. Twice its area divided by the length of its boundary, in pixels: the
            width of a long object, and half the diameter of a round one. The border of the image
            does not belong to the boundary.
    """

    ids: np.ndarray
    areas: np.ndarray
    thickness: np.ndarray


def find_regions(mask: np.ndarray) -> Regions:
    """Returns the regions of a mask, ids ``(height, width)``."""
    height, width = mask.shape
    flat = np.ascontiguousarray(mask).ravel()
    # Runs of equal ids within rows.
    is_start = np.ones(flat.size, bool)
    np.not_equal(flat[1:], flat[:-1], out=is_start[1:])
    is_start[::width] = True
    starts = np.flatnonzero(is_start)
    ends = np.append(starts[1:], flat.size)
    ids = flat[starts]
    columns = starts % width
    # Runs in the next row that touch each run, at a corner at least; they are consecutive.
    upper = np.arange(np.searchsorted(starts, flat.size - width))
    left = starts[upper] + width - (columns[upper] > 0)
    right = ends[upper] + width - (ends[upper] % width == 0)
    first = np.searchsorted(starts, left, side="right") - 1
    n_touched = np.searchsorted(starts, right, side="right") - first
    upper = np.repeat(upper, n_touched)
    offsets = np.arange(len(upper)) - np.repeat(np.cumsum(n_touched) - n_touched, n_touched)
    lower = np.repeat(first, n_touched) + offsets
    shared = np.minimum(ends[upper] + width, ends[lower]) - np.maximum(
        starts[upper] + width, starts[lower]
    )
    edges = (columns > 0).astype(np.int64) + (ends % width != 0)
    differ = ids[upper] != ids[lower]
    horizontal = np.where(differ, np.maximum(shared, 0), 0)
    for runs in (upper, lower):
        edges += np.bincount(runs, weights=horizontal, minlength=len(starts)).astype(np.int64)
    roots = _connect(len(starts), upper[~differ], lower[~differ])
    used, region = np.unique(roots, return_inverse=True)
    areas = np.bincount(region, weights=ends - starts).astype(np.int64)
    length = np.bincount(region, weights=edges) / EDGES_PER_LENGTH
    thickness = np.minimum(2 * areas / np.maximum(length, 1e-9), min(height, width))
    return Regions(ids[used], areas, thickness)


def _connect(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Returns the smallest connected node for each node of a graph, given its edges."""
    roots = np.arange(count)
    while True:
        one, other = roots[first], roots[second]
        is_open = one != other
        if not is_open.any():
            return roots
        first, second = first[is_open], second[is_open]
        low = np.minimum(one[is_open], other[is_open])
        np.minimum.at(roots, np.maximum(one[is_open], other[is_open]), low)
        while True:
            further = roots[roots]
            if np.array_equal(further, roots):
                break
            roots = further
