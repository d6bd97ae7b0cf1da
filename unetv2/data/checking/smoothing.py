"""Whether a mask was smoothed or resized with interpolation, after which ids mean nothing."""

from __future__ import annotations

import numpy as np

from unetv2.data.checking.runs import Runs

# Over CamVid and driving scenes, as ids and as colours, whole and resized to 96x128 or by 1.5:
# clean masks have at most 0.15 of the first, smoothed ones at least 0.18 and 0.52 of the two.
_SHARE_OF_EDGES = 0.17
_SHARE_IN_BETWEEN = 0.5
_FEWEST = 8

# Values of three pixels each, and how many triples have different ends.
_Triples = tuple[tuple[np.ndarray, np.ndarray, np.ndarray], int]


def looks_smoothed(runs: Runs, values: np.ndarray) -> bool:
    """Tells whether a mask's edges hold mixtures of the values on their two sides.

    Three pixels in a row or column, all different, are a thin object or a smoothed edge. In a
    smoothed edge the one in the middle lies between its neighbours, colours along the line from
    one neighbour to the other; in a thin object only by chance. A mask is suspected where at
    least half of such triples are so, and these are at least 8 and 17 % of all triples with
    different ends.

    Args:
        runs: The mask.
        values: The id or colour behind each of ``runs.found``, ``(n, 1)`` or ``(n, 3)``.
    """
    # Differences of unsigned integers wrap around.
    values = values.astype(float)
    across, edges_across = _across(runs)
    down, edges_down = _down(runs)
    first, middle, last = (
        values[np.concatenate(parts)] for parts in zip(across, down, strict=True)
    )
    length = ((last - first) ** 2).sum(axis=1)
    along = ((middle - first) * (last - first)).sum(axis=1)
    between = int(np.count_nonzero((along > 0) & (along < length)))
    return (
        between >= _FEWEST
        and between >= _SHARE_OF_EDGES * (edges_across + edges_down)
        and between >= _SHARE_IN_BETWEEN * len(length)
    )


def _across(runs: Runs) -> _Triples:
    """Returns the triples in rows of which all differ: around the runs of one pixel."""
    width = runs.shape[1]
    columns = runs.starts % width
    inside = (columns > 0) & (columns < width - 1)
    alone = np.flatnonzero(inside & (runs.lengths == 1))
    first, middle, last = (runs.values[alone + step] for step in (-1, 0, 1))
    # A run starts where two pixels differ, the first two or the last two of a triple.
    return _counted(
        (first, middle, last), int(np.count_nonzero(inside)) + int(np.count_nonzero(columns > 1))
    )


def _down(runs: Runs) -> _Triples:
    """Returns the triples in columns of which all differ."""
    mask, width = runs.mask, runs.shape[1]
    changes = mask[1:] != mask[:-1]
    # Flat, as np.nonzero of two axes takes twenty times as long.
    places = np.flatnonzero(changes[:-1] & changes[1:])
    flat = mask.ravel()
    first, middle, last = (
        np.searchsorted(runs.found, flat[places + step * width]) for step in (0, 1, 2)
    )
    # All changes are the first of a triple but for those at the bottom, and the last of one but
    # for those at the top.
    at_border = int(np.count_nonzero(changes[:1])) + int(np.count_nonzero(changes[-1:]))
    return _counted((first, middle, last), 2 * int(np.count_nonzero(changes)) - at_border)


def _counted(triples: tuple[np.ndarray, np.ndarray, np.ndarray], changes: int) -> _Triples:
    """Leaves out triples with equal ends, and counts all that have different ones.

    Args:
        triples: Those with two changes.
        changes: int. Pairs of different neighbours, counted in each triple that they are in.
    """
    first, middle, last = triples
    differ = first != last
    # One change makes the ends differ, two may lead back.
    edges = changes - 2 * len(differ) + int(np.count_nonzero(differ))
    return (first[differ], middle[differ], last[differ]), edges
