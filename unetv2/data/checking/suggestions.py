"""What the ids found suggest: the number of classes, the ignored id, weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from statistics import median

from unetv2.data.checking.findings import ClassStatistics
from unetv2.data.checking.tally import Tally
from unetv2.data.labels import Labels

_MARKERS = (255, 65_535)
_FAR = 10


def guess_ignore_class(ids: Collection[int], labels: Labels) -> int | None:
    """Guesses which id marks pixels without a label.

    Where the number of classes is known, that is the first id after the last class, or else 255
    or 65535. Where it is not, one of the two, or an id of ten times all others, provided that
    there are two others and a gap before it.

    Args:
        ids: The ids found.
        labels: What is known.

    Returns:
        int or None. None also where ``ignore_class`` is given.
    """
    if labels.ignore_class is not None or labels.encoding != "ids" or looks_binary(ids, labels):
        return None
    if labels.n_classes is not None:
        marking = (labels.n_classes, *_MARKERS)
        return next((n for n in marking if n in ids and n >= labels.n_classes), None)
    if len(ids) < 3:
        return None
    *_, second, top = sorted(ids)
    marked = top in _MARKERS and second < top - 1
    return top if marked or top >= _FAR * (second + 1) else None


def looks_binary(ids: Collection[int], labels: Labels) -> bool:
    """Tells whether masks taken for ids hold 0 and 255 only."""
    return labels.encoding == "ids" and labels.ignore_class != 255 and {255} <= set(ids) <= {0, 255}


def suggest_n_classes(ids: Collection[int], labels: Labels, ignored: int | None) -> int | None:
    """Returns the number of classes: the table's, or that which the ids need.

    Args:
        ids: The ids found.
        labels: What is known.
        ignored: int or None. The id that is no class.
    """
    if labels.classes is not None:
        return len(labels.classes)
    if labels.encoding == "binary" or looks_binary(ids, labels):
        return 2
    counted = [number for number in ids if number != ignored]
    return max(2, max(counted) + 1) if counted else None


def class_statistics(
    tally: Tally, labels: Labels, n_classes: int | None, ignored: int | None
) -> tuple[ClassStatistics, ...]:
    """Returns a row for each id found, with weights for those that are classes.

    Args:
        tally: Counts by id.
        labels: Names.
        n_classes: int or None. Ids from here on have no weight.
        ignored: int or None. The id that is no class.
    """
    total = sum(tally.pixels.values())
    weights = _median_frequency_weights(
        {
            number: tally.pixels[number] / tally.pixels_around[number]
            for number in tally.pixels
            if n_classes is not None and 0 <= number < n_classes and number != ignored
        }
    )
    return tuple(
        ClassStatistics(
            number,
            _name(number, labels, ignored),
            tally.pixels[number],
            tally.pixels[number] / total,
            tally.pictures[number],
            weights.get(number),
            weights[number] ** 0.5 if number in weights else None,
        )
        for number in sorted(tally.pixels)
    )


def _median_frequency_weights(frequencies: Mapping[int, float]) -> dict[int, float]:
    if not frequencies:
        return {}
    middle = median(frequencies.values())
    return {number: middle / frequency for number, frequency in frequencies.items()}


def _name(number: int, labels: Labels, ignored: int | None) -> str:
    if number == ignored:
        return "ignored" if ignored == labels.ignore_class else "ignored?"
    if labels.classes is not None and 0 <= number < len(labels.classes):
        return labels.classes.names[number]
    return ""
