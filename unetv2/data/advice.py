"""What to pass for ids that are no classes, as far as the numbers show it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from unetv2.data.notation import DARK

_MARKERS = (255, 65_535)
_INSTANCES = 1_000
_WHITE = ({255}, {65_535})


def marking(ids: Collection[int]) -> tuple[int, ...]:
    """Returns the ids that mark pixels without a label, the usual one first.

    These are 255 or 65535, and the id below beside it, as for boundaries; and negative ids.

    Args:
        ids: All that occur.
    """
    for marker in _MARKERS:
        if marker in ids and max(ids) == marker:
            beside = marker - 1 in ids and marker - 2 not in ids
            below = marker - (2 if beside else 1)
            if below not in ids and any(0 <= number < below for number in ids):
                found = [marker, marker - 1] if beside else [marker]
                return (*found, *_negative(ids))
    return _negative(ids)


def looks_white(ids: Collection[int]) -> bool:
    """Returns whether ids are those of black and white masks."""
    return set(ids) - {0} in _WHITE


def look_colored(ids: Collection[int]) -> bool:
    """Returns whether ids that are stored in one channel are rather bright tones of a color."""
    tones = set(ids) - {0, 255}
    return max(tones) >= DARK if tones else 255 in ids


def number_instances(ids: Collection[int]) -> bool:
    """Returns whether ids number instances: far larger than there are different ones."""
    labels = [number for number in ids if number not in marking(ids)]
    return bool(labels) and max(labels) >= _INSTANCES and max(labels) >= 10 * len(labels)


def ignoring(markers: Sequence[int], ignored: int | None = None) -> tuple[int, dict[int, int]]:
    """Returns the ``ignore_class`` and the ``label_map`` with which all markers are ignored.

    Args:
        markers: Ids of unlabeled pixels, at least one.
        ignored: int or None. The id that is ignored already, which stays.
    """
    first = markers[0] if ignored is None else ignored
    mapped = sorted({*markers, first})
    return first, dict.fromkeys(mapped, first) if len(mapped) > 1 else {}


def advice_for(
    foreign: Collection[int],
    found: Collection[int],
    n_classes: int,
    *,
    gray: bool,
    ignored: int | None = None,
) -> str:
    """Returns what to do about ids out of range, a sentence or two.

    Args:
        foreign: Those out of range.
        found: All ids of the mask.
        n_classes: int. How many there should be.
        gray: bool. Whether the mask shows gray values only.
        ignored: int or None. The id that is ignored already.
    """
    if not gray and look_colored(found):
        return (
            "Raise `n_classes` if these are ids; pass encoding='colors' with `classes` if the "
            "mask holds colors."
        )
    if n_classes == 2 and looks_white(found):
        (white,) = foreign
        return (
            f"Pass encoding='binary' if {white} is the foreground of a black and white mask, or "
            f"ignore_class={white} if it marks unlabeled pixels."
        )
    if number_instances(found):
        return (
            "Ids so far apart number instances: pass the masks of class ids, such as Cityscapes' "
            "_labelIds instead of _instanceIds."
        )
    markers = marking({*found} if ignored is None else {*found, ignored})
    if markers and set(foreign) <= set(markers):
        marker, label_map = ignoring([number for number in markers if number in foreign], ignored)
        passed = [] if marker == ignored else [f"ignore_class={marker}"]
        passed += [f"label_map={label_map}"] if label_map else []
        return f"Pass {' and '.join(passed)} for unlabeled pixels."
    return (
        "Raise `n_classes`, pass the id of unlabeled pixels as `ignore_class`, other ids in "
        "`label_map`, or encoding='colors' with `classes` if the mask holds colors."
    )


def _negative(ids: Collection[int]) -> tuple[int, ...]:
    return tuple(sorted((number for number in ids if number < 0), reverse=True))
