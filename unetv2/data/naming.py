"""What images and masks would be paired by, where their names differ."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from unetv2.text import counted

# Of the fewer images or masks, so many must get a partner.
_SHARE = 0.9
# How many images are looked at, with how many masks each, how many ends of theirs, and how many of
# all these ideas are tried.
_IMAGES, _MASKS, _ENDS, _IDEAS = 8, 6, 3, 16
_WORDS = re.compile(r"[^\W\d_]+|\d+|[\W_]")
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Proposal:
    """A difference between the names of images and of their masks.

    Attributes:
        kind: str. ``"suffix"``, ``"prefix"``, ``"words"`` within the names, or ``"case"``.
        image: str. What images' names have; of words and case, an image's name.
        masks: tuple of str. What masks' names have instead: each would pair as many.
        pairs: int. How many would be paired.
        one_folder: bool. Whether one folder holds both, so that names do not tell which are which.
    """

    kind: str
    image: str
    masks: tuple[str, ...]
    pairs: int
    one_folder: bool = False

    def advice(self, image_suffix: str = "", mask_suffix: str = "") -> str:
        """Returns what to do, in a sentence.

        Args:
            image_suffix: str. What is no part of images' names already.
            mask_suffix: str. What is no part of masks' names already.
        """
        effect = f"which pairs {counted(self.pairs, 'image')}"
        if self.one_folder:
            ends = sorted({self.image, *self.masks})
            if ends[0]:
                listed = ", ".join(map(repr, ends))
                return (
                    f"Pass two of {listed}, that of the images as `image_suffix` and that of the "
                    f"masks as `mask_suffix`, {effect}."
                )
            return (
                f"Pass mask_suffix={ends[1]!r} if that marks the masks, or "
                f"image_suffix={ends[1]!r} if it marks the images, {effect}."
            )
        if self.kind == "suffix":
            image = f"image_suffix={self.image + image_suffix!r}"
            masks = [f"mask_suffix={mask + mask_suffix!r}" for mask in self.masks]
            words = [image] if self.image + image_suffix else []
            if masks != ["mask_suffix=''"]:
                words.append(masks[0] if len(masks) == 1 else f"one of {', '.join(masks)}")
            return f"Pass {' and '.join(words)}, {effect}."
        if self.kind == "prefix":
            sides = {"images": self.image, "masks": self.masks[0]}
            words = [f"{text!r} from those of {side}" for side, text in sides.items() if text]
            return f"Remove the beginning of the names, {' and '.join(words)}, {effect}."
        what = "in upper and lower case only" if self.kind == "case" else "within"
        return (
            f"Names differ {what}, as {self.image!r} and {self.masks[0]!r}: "
            f"give image and mask one name, {effect}."
        )


def propose(images: Collection[str], masks: Collection[str]) -> Proposal | None:
    """Finds what nearly all images and masks would be paired by.

    Args:
        images: The images' names, with their folders before a ``/`` and without extension.
        masks: Likewise; the same names, where one folder holds both.

    Returns:
        Proposal, or None where no difference pairs nine of ten, or more than are paired already.
    """
    if not images or not masks:
        return None
    one_folder = images == masks
    least = _SHARE * (len(images) / 2 if one_folder else min(len(images), len(masks)))
    if not one_folder:
        least = max(least, len(set(images) & set(masks)) + 1)
    found = _by_suffix(images, masks, least)
    if one_folder:
        return found and replace(found, one_folder=True)
    return (
        found
        or _by_case(images, masks, least)
        or _by_prefix(images, masks, least)
        or _by_words(images, masks, least)
    )


def _by_suffix(images: Collection[str], masks: Collection[str], least: float) -> Proposal | None:
    ideas: Counter[tuple[str, str]] = Counter()
    ordered, candidates = sorted(images), sorted(masks)
    for image in ordered[:: max(1, len(ordered) // _IMAGES)][:_IMAGES]:
        place = bisect_left(candidates, image)
        for mask in candidates[max(0, place - _MASKS) : place + _MASKS]:
            ideas.update(set(_ends(image, mask)))
    found = {}
    for ends, _ in ideas.most_common(_IDEAS):
        pairs = len(_without(images, ends[0]) & _without(masks, ends[1]))
        if pairs >= least:
            found[ends] = pairs
    if not found:
        return None
    best = max(found, key=lambda ends: (found[ends], *map(_begins_a_word, ends), -len(ends[0])))
    others = tuple(sorted(mask for image, mask in found if image == best[0] and _like(mask, best)))
    return Proposal("suffix", best[0], others, found[best])


def _by_prefix(images: Collection[str], masks: Collection[str], least: float) -> Proposal | None:
    found = _by_suffix(
        [_from_the_end(name) for name in images], [_from_the_end(name) for name in masks], least
    )
    if found is None:
        return None
    beginnings = tuple(text[::-1] for text in found.masks)
    return Proposal("prefix", found.image[::-1], beginnings, found.pairs)


def _like(mask: str, best: tuple[str, str]) -> bool:
    return _begins_a_word(mask) == _begins_a_word(best[1])


def _ends(image: str, mask: str) -> Iterator[tuple[str, str]]:
    """Yields ways to see two names as one with different ends."""
    both = enumerate(zip(image, mask, strict=False))
    shared = next((place for place, pair in both if len(set(pair)) > 1), min(len(image), len(mask)))
    left = _ENDS
    for length in range(shared, 0, -1):
        ends = image[length:], mask[length:]
        if ends == ("", "") or "/" in ends[0] + ends[1] or not left:
            return
        if length == shared or _boundary(image, length):
            left -= 1
            if all(_is_affix(end, image[length - 1]) for end in ends):
                yield ends


def _is_affix(end: str, before: str) -> bool:
    """Returns whether names may end so without being other frames: numbers tell frames apart."""
    if end and end[0].isdigit() and before.isdigit():
        return False
    return not any(map(str.isdigit, end)) or bool(_LETTER.search(end))


def _boundary(name: str, length: int) -> bool:
    both = name[length - 1 : length + 1]
    return len({(character.isdigit(), character.isalpha()) for character in both}) > 1


def _begins_a_word(end: str) -> bool:
    return not end[:1].isalnum()


def _without(names: Collection[str], end: str) -> set[str]:
    return {name[: len(name) - len(end)] for name in names if name.endswith(end)}


def _from_the_end(name: str) -> str:
    folder, slash, stem = name.rpartition("/")
    return folder + slash + stem[::-1]


def _by_words(images: Collection[str], masks: Collection[str], least: float) -> Proposal | None:
    """Finds words that images have and masks have others for."""
    by_numbers: dict[tuple[str, ...], list[str]] = {}
    for mask in masks:
        by_numbers.setdefault(_numbers(mask), []).append(mask)
    ideas: Counter[tuple[tuple[int, str, str], ...]] = Counter()
    examples: dict[tuple[tuple[int, str, str], ...], tuple[str, str]] = {}
    ordered = sorted(images)
    for image in ordered[:: max(1, len(ordered) // _IMAGES)][:_IMAGES]:
        for mask in by_numbers.get(_numbers(image), [])[:_MASKS]:
            both = list(zip(_WORDS.findall(image), _WORDS.findall(mask), strict=False))
            idea = tuple((place, *words) for place, words in enumerate(both) if len(set(words)) > 1)
            if idea and len(_WORDS.findall(image)) == len(_WORDS.findall(mask)):
                ideas[idea] += 1
                examples.setdefault(idea, (image, mask))
    for idea, _ in ideas.most_common(_IDEAS):
        pairs = len({_exchanged(image, idea) for image in images} & set(masks))
        if pairs >= least:
            image, mask = examples[idea]
            return Proposal("words", image, (mask,), pairs)
    return None


def _numbers(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\d+", name))


def _exchanged(name: str, idea: Sequence[tuple[int, str, str]]) -> str | None:
    words = _WORDS.findall(name)
    for place, old, new in idea:
        if place >= len(words) or words[place] != old:
            return None
        words[place] = new
    return "".join(words)


def _by_case(images: Collection[str], masks: Collection[str], least: float) -> Proposal | None:
    folded = {mask.casefold(): mask for mask in masks}
    both = [(image, folded[image.casefold()]) for image in images if image.casefold() in folded]
    other = [(image, mask) for image, mask in both if image != mask]
    if len(both) < least or not other:
        return None
    image, mask = min(other)
    return Proposal("case", image, (mask,), len(both))
