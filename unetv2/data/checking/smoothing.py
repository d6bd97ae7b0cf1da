"""Whether a mask was smoothed or resized with interpolation, after which ids mean nothing."""

from __future__ import annotations

import numpy as np

# Over CamVid and driving scenes, as ids and as colours, whole and resized to 96x128 or by 1.5:
# clean masks have at most 0.15 of the first, smoothed ones at least 0.18 and 0.52 of the two.
_SHARE_OF_EDGES = 0.17
_SHARE_IN_BETWEEN = 0.5
_FEWEST = 8


def looks_smoothed(mask: np.ndarray, values: np.ndarray) -> bool:
    """Tells whether a mask's edges hold mixtures of the values on their two sides.

    Three pixels in a row or column, all different, are a thin object or a smoothed edge. In a
    smoothed edge the one in the middle lies between its neighbours, colours along the line from
    one neighbour to the other; in a thin object only by chance. A mask is suspected where at
    least half of such triples are so, and these are at least 8 and 17 % of all triples with
    different ends.

    Args:
        mask: A place in ``values`` for each pixel, ``(height, width)``.
        values: The ids or colours, ``(n, 1)`` or ``(n, 3)``.
    """
    # Differences of unsigned integers wrap around.
    values = values.astype(float)
    edges = different = between = 0
    for axis in (0, 1):
        first, middle, last = _triples(mask, axis)
        ends = first != last
        all_differ = ends & (first != middle) & (middle != last)
        # np.nonzero of two axes takes twenty times as long.
        places = np.unravel_index(np.flatnonzero(all_differ), all_differ.shape)
        one, two, three = (values[part[places]] for part in (first, middle, last))
        across = ((three - one) ** 2).sum(axis=1)
        along = ((two - one) * (three - one)).sum(axis=1)
        edges += int(np.count_nonzero(ends))
        different += len(across)
        between += int(np.count_nonzero((along > 0) & (along < across)))
    return (
        between >= _FEWEST
        and between >= _SHARE_OF_EDGES * edges
        and between >= _SHARE_IN_BETWEEN * different
    )


def _triples(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns every pixel's predecessor, itself and its successor in a row or column."""
    if axis == 0:
        return array[:-2], array[1:-1], array[2:]
    return array[:, :-2], array[:, 1:-1], array[:, 2:]
