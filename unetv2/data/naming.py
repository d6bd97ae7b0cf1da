"""Suggestions for pairing images and masks whose names differ."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from unetv2.text import counted

# Fraction of the images or masks, whichever are fewer, that a suggestion must pair.
_MIN_PAIRED = 0.9
# Numbers of images that candidates are derived from, of masks close to each in sorted order, of
# endings of each two names, and of most frequent candidates that are tried.
_N_IMAGES, _N_MASKS, _N_ENDINGS, _N_CANDIDATES = 8, 6, 3, 16
_WORDS = re.compile(r"[^\W\d_]+|\d+|[\W_]")
_LETTER = re.compile(r"[^\W\d_]")

_Names = Collection[str]
# Index of a word, the word in images, and the word in masks.
_Replacements = tuple[tuple[int, str, str], ...]


@dataclass(frozen=True)
class Proposal:
    """A difference between the names of images and of their masks.

    Attributes:
        kind: str. ``"suffix"``, ``"prefix"``, ``"words"`` within the names, or ``"case"``.
        image: str. Suffix or prefix of the images; for words and case, an example of a name.
        masks: tuple of str. The same for the masks; several if they pair equally many.
        pairs: int. Number of images that would be paired.
        one_folder: bool. Whether images and masks are in one folder and cannot be distinguished.
    """

    kind: str
    image: str
    masks: tuple[str, ...]
    pairs: int
    one_folder: bool = False

    def advice(self, image_suffix: str = "", mask_suffix: str = "") -> str:
        """Returns a sentence for an error message.

        Args:
            image_suffix: str. Suffix that was already removed from the images' names.
            mask_suffix: str. Suffix that was already removed from the masks' names.
        """
        effect = f"which pairs {counted(self.pairs, 'image')}"
        if self.one_folder:
            endings = sorted({self.image, *self.masks})
            if endings[0]:
                listed = ", ".join(map(repr, endings))
                return (
                    f"Pass two of {listed}, that of the images as `image_suffix` and that of the "
                    f"masks as `mask_suffix`, {effect}."
                )
            return (
                f"Pass mask_suffix={endings[1]!r} if that marks the masks, or "
                f"image_suffix={endings[1]!r} if it marks the images, {effect}."
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
        difference = "in upper and lower case only" if self.kind == "case" else "within"
        return (
            f"Names differ {difference}, as {self.image!r} and {self.masks[0]!r}: "
            f"give image and mask one name, {effect}."
        )


def propose(images: Collection[str], masks: Collection[str]) -> Proposal | None:
    """Returns a difference of names that would pair nearly all images and masks.

    Args:
        images: Names of the images, with subfolders and without extension.
        masks: Names of the masks; the same if both are in one folder.

    Returns:
        Proposal, or None if no difference pairs 90 % and more than are already paired.
    """
    if not images or not masks:
        return None
    one_folder = images == masks
    min_pairs = _MIN_PAIRED * (len(images) / 2 if one_folder else min(len(images), len(masks)))
    if not one_folder:
        min_pairs = max(min_pairs, len(set(images) & set(masks)) + 1)
    suffix = _by_suffix(images, masks, min_pairs)
    if one_folder:
        return suffix and replace(suffix, one_folder=True)
    return (
        suffix
        or _by_case(images, masks, min_pairs)
        or _by_prefix(images, masks, min_pairs)
        or _by_words(images, masks, min_pairs)
    )


def _by_suffix(images: _Names, masks: _Names, min_pairs: float) -> Proposal | None:
    counts: Counter[tuple[str, str]] = Counter()
    sorted_images, sorted_masks = sorted(images), sorted(masks)
    for image in _sample(sorted_images):
        position = bisect_left(sorted_masks, image)
        for mask in sorted_masks[max(0, position - _N_MASKS) : position + _N_MASKS]:
            counts.update(set(_endings(image, mask)))
    n_pairs = {}
    for endings, _ in counts.most_common(_N_CANDIDATES):
        pairs = len(_remove_suffix(images, endings[0]) & _remove_suffix(masks, endings[1]))
        if pairs >= min_pairs:
            n_pairs[endings] = pairs
    if not n_pairs:
        return None
    image, mask = best = max(
        n_pairs,
        key=lambda endings: (n_pairs[endings], *map(_is_separated, endings), -len(endings[0])),
    )
    equivalent = sorted(
        other_mask
        for other_image, other_mask in n_pairs
        if other_image == image and _is_separated(other_mask) == _is_separated(mask)
    )
    return Proposal("suffix", image, tuple(equivalent), n_pairs[best])


def _sample(names: Sequence[str]) -> Sequence[str]:
    return names[:: max(1, len(names) // _N_IMAGES)][:_N_IMAGES]


def _by_prefix(images: _Names, masks: _Names, min_pairs: float) -> Proposal | None:
    suffix = _by_suffix(_reverse(images), _reverse(masks), min_pairs)
    if suffix is None:
        return None
    prefixes = tuple(text[::-1] for text in suffix.masks)
    return Proposal("prefix", suffix.image[::-1], prefixes, suffix.pairs)


def _endings(image: str, mask: str) -> Iterator[tuple[str, str]]:
    """Yields endings by which two names differ."""
    equal = takewhile(lambda pair: pair[0] == pair[1], zip(image, mask, strict=False))
    shared = len(list(equal))
    left = _N_ENDINGS
    for length in range(shared, 0, -1):
        endings = image[length:], mask[length:]
        if endings == ("", "") or "/" in endings[0] + endings[1] or not left:
            return
        if length == shared or _is_boundary(image, length):
            left -= 1
            if all(_is_affix(end, image[length - 1]) for end in endings):
                yield endings


def _is_affix(end: str, before: str) -> bool:
    """Returns whether an ending can be a suffix, not a number of a frame."""
    if end and end[0].isdigit() and before.isdigit():
        return False
    return not any(map(str.isdigit, end)) or bool(_LETTER.search(end))


def _is_boundary(name: str, length: int) -> bool:
    around = name[length - 1 : length + 1]
    return len({(character.isdigit(), character.isalpha()) for character in around}) > 1


def _is_separated(end: str) -> bool:
    return not end[:1].isalnum()


def _remove_suffix(names: Collection[str], end: str) -> set[str]:
    return {name[: len(name) - len(end)] for name in names if name.endswith(end)}


def _reverse(names: _Names) -> list[str]:
    """Reverses the characters of each name, but not of its folders."""
    parts = (name.rpartition("/") for name in names)
    return [folder + slash + stem[::-1] for folder, slash, stem in parts]


def _by_words(images: _Names, masks: _Names, min_pairs: float) -> Proposal | None:
    """Finds words that differ at the same position of the names."""
    by_numbers: dict[tuple[str, ...], list[str]] = {}
    for mask in masks:
        by_numbers.setdefault(_numbers(mask), []).append(mask)
    counts: Counter[_Replacements] = Counter()
    examples: dict[_Replacements, tuple[str, str]] = {}
    for image in _sample(sorted(images)):
        for mask in by_numbers.get(_numbers(image), [])[:_N_MASKS]:
            image_words, mask_words = _WORDS.findall(image), _WORDS.findall(mask)
            if len(image_words) != len(mask_words) or image_words == mask_words:
                continue
            words = enumerate(zip(image_words, mask_words, strict=True))
            replacements = tuple((at, old, new) for at, (old, new) in words if old != new)
            counts[replacements] += 1
            examples.setdefault(replacements, (image, mask))
    for replacements, _ in counts.most_common(_N_CANDIDATES):
        pairs = len({_replace_words(image, replacements) for image in images} & set(masks))
        if pairs >= min_pairs:
            image, mask = examples[replacements]
            return Proposal("words", image, (mask,), pairs)
    return None


def _numbers(name: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\d+", name))


def _replace_words(name: str, replacements: _Replacements) -> str | None:
    words = _WORDS.findall(name)
    for position, old, new in replacements:
        if position >= len(words) or words[position] != old:
            return None
        words[position] = new
    return "".join(words)


def _by_case(images: _Names, masks: _Names, min_pairs: float) -> Proposal | None:
    folded = {mask.casefold(): mask for mask in masks}
    pairs = [(image, folded[image.casefold()]) for image in images if image.casefold() in folded]
    different = [(image, mask) for image, mask in pairs if image != mask]
    if len(pairs) < min_pairs or not different:
        return None
    image, mask = min(different)
    return Proposal("case", image, (mask,), len(pairs))
