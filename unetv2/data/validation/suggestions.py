"""What the ids found suggest: the number of classes, the ignored id, weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from statistics import median

from unetv2.data.advice import ignoring, look_colored, looks_white, marking, number_instances
from unetv2.data.labels import Labels
from unetv2.data.notation import CHANNELS
from unetv2.data.validation.findings import ClassStatistics
from unetv2.data.validation.tally import Tally

_FAR = 10


@dataclass(frozen=True)
class Suggestion:
    """What to pass for the ids found; None, or nothing, for what they do not show.

    Args:
        n_classes: int or None. The number of classes.
        ignore_class: int or None. An id that seems to mark unlabeled pixels.
        label_map: Ids to be ignored besides, as a map; empty without.
        encoding: str or None. ``"binary"`` for black and white masks read as ids.
    """

    n_classes: int | None = None
    ignore_class: int | None = None
    label_map: Mapping[int, int] = field(default_factory=dict)
    encoding: str | None = None


def suggest(ids: Collection[int], labels: Labels) -> Suggestion:
    """Returns what the ids of a whole set suggest.

    Args:
        ids: The ids found.
        labels: What is known.
    """
    if looks_colored(ids, labels):
        return Suggestion()
    if looks_binary(ids, labels):
        return Suggestion(n_classes=2, encoding="binary")
    markers = _guess_markers(ids, labels)
    known = labels.ignore_class
    ignored, label_map = ignoring(markers, known) if markers else (known, {})
    classes = [number for number in ids if number not in (*markers, ignored)]
    if labels.classes is not None:
        n_classes: int | None = len(labels.classes)
    elif labels.encoding == "binary":
        n_classes = 2
    else:
        n_classes = max(2, max(classes) + 1) if classes and not number_instances(ids) else None
    return Suggestion(n_classes, ignored if markers and known is None else None, label_map)


def looks_binary(ids: Collection[int], labels: Labels) -> bool:
    """Tells whether masks taken for ids are black and white."""
    return (
        labels.encoding == "ids"
        and labels.notation is not None
        and labels.notation.kind == "gray"
        and labels.ignore_class is None
        and labels.n_classes in (None, 2)
        and not labels.label_map
        and looks_white(ids)
    )


def looks_colored(ids: Collection[int], labels: Labels) -> bool:
    """Tells whether masks that store ids in one channel are rather black and tones of one color."""
    if labels.n_classes is not None or labels.notation is None:
        return False
    return labels.notation.kind in CHANNELS and look_colored(ids)


def _guess_markers(ids: Collection[int], labels: Labels) -> tuple[int, ...]:
    """Guesses which ids mark pixels without a label, besides one that is ignored already.

    255 or 65535, and the one below it beside it; negative ones; the first id after the last class,
    where the number of classes is known; or else an id of ten times all others, provided that
    there are two others.
    """
    if labels.encoding not in ("ids", "max_channel"):
        return ()
    if labels.label_map:
        # It would have to be changed as well.
        return ()
    ignored = labels.ignore_class
    found = marking(ids if ignored is None else {*ids, ignored})
    found = tuple(number for number in found if number in ids and number != ignored)
    if labels.n_classes is not None:
        found = tuple(number for number in found if not 0 <= number < labels.n_classes)
    if ignored is not None:
        return found
    if labels.n_classes is not None:
        return (labels.n_classes,) if labels.n_classes in ids else found
    if found or len(ids) < 3:
        return found
    *_, second, top = sorted(ids)
    return (top,) if top >= _FAR * (second + 1) and not number_instances(ids) else ()


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
            tally.images[number],
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
