"""Which image belongs to which mask, and to which subset the two belong."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from unetv2.arguments import require_choice, require_integer
from unetv2.data.listing import Listing, list_both, require_folder, require_images, warn_of_unread
from unetv2.data.naming import advise, advise_suffixes
from unetv2.text import counted

SUBSETS = ("train", "validation", "test")
SPLIT = (0.8, 0.1, 0.1)

GroupBy = str | Callable[[str], str]

_NAMES_IN_MESSAGES = 5
_HASH_BYTES = 8


class Pair(NamedTuple):
    """An image file and its mask.

    Attributes:
        key: str. What the two paths have in common: relative to their folders, with ``/``,
            without suffix and extension. It decides the subset.
        image: str. Path of the image.
        mask: str. Path of the mask.
    """

    key: str
    image: str
    mask: str


class Matching(NamedTuple):
    """What two folders hold.

    Attributes:
        pairs: list of Pair, sorted by key.
        images_alone: list of str. Paths of the images without a mask, sorted.
        masks_alone: list of str. Paths of the masks without an image, sorted.
        unread_partners: dict. By such a path, that of its partner in a format that is not read.
        images_unread: dict. Files of formats that are not read, among the images, by key.
        masks_unread: dict. The same among the masks.
        advice: str. What would pair nearly all, or nothing.
    """

    pairs: list[Pair]
    images_alone: list[str]
    masks_alone: list[str]
    unread_partners: dict[str, str]
    images_unread: dict[str, str]
    masks_unread: dict[str, str]
    advice: str


def match_images(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    *,
    image_suffix: str = "",
    mask_suffix: str = "",
) -> Matching:
    """Matches the images of two folders, and of the folders in them, by path and name.

    Hidden files and folders are left aside, and so are files that are no images by their
    extension or whose name lacks the suffix.

    Args:
        image_dir: Folder of the images.
        mask_dir: Folder of the masks.
        image_suffix: str. What the images' names end with, before the extension, such as
            ``"_leftImg8bit"``.
        mask_suffix: str. What the masks' names end with, such as ``"_gtFine_labelIds"``.

    Returns:
        Matching.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If it is a file.
        ValueError: If a folder holds no image, two images have the same name but for
            the extension, or images and masks cannot be told apart.
    """
    image_dir, mask_dir = Path(image_dir), Path(mask_dir)
    for argument, directory in (("image_dir", image_dir), ("mask_dir", mask_dir)):
        require_folder(argument, directory)
    if os.path.samefile(image_dir, mask_dir) and image_suffix == mask_suffix:
        advice = advise(image_dir, mask_dir) or "Keep both in a folder each, or pass a suffix."
        raise ValueError(
            "`mask_dir` must be another folder than `image_dir`, or the names must differ by "
            f"`image_suffix` or `mask_suffix`. Received: '{image_dir}' for both. {advice}"
        )
    images, masks = list_both(image_dir, mask_dir, image_suffix, mask_suffix)
    for argument, directory, found, suffix in (
        ("image_dir", image_dir, images, image_suffix),
        ("mask_dir", mask_dir, masks, mask_suffix),
    ):
        advice = ""
        if suffix and not found.images:
            advice = advise_suffixes(image_dir, mask_dir, image_suffix, mask_suffix)
        require_images(argument, directory, found, suffix=suffix, advice=advice)
    pairs = [
        Pair(key, images.images[key], masks.images[key])
        for key in sorted(images.images.keys() & masks.images.keys())
    ]
    unread_partners = {
        path: other.unread[key]
        for one, other in ((images, masks), (masks, images))
        for key in other.unread
        if key not in other.images and (path := one.images.get(key))
    }
    images_alone, masks_alone = _alone(images, masks), _alone(masks, images)
    advice = ""
    # Where most have a partner, the names are not to blame.
    if min(len(images_alone), len(masks_alone)) > len(pairs):
        advice = advise(image_dir, mask_dir, image_suffix, mask_suffix)
    return Matching(
        pairs, images_alone, masks_alone, unread_partners, images.unread, masks.unread, advice
    )


def _alone(found: Listing, others: Listing) -> list[str]:
    return sorted(path for key, path in found.images.items() if key not in others.images)


def find_pairs(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    *,
    image_suffix: str = "",
    mask_suffix: str = "",
) -> list[Pair]:
    """Pairs the images of two folders, or says which have no partner.

    Args:
        image_dir: Folder of the images.
        mask_dir: Folder of the masks.
        image_suffix: str. See :func:`match_images`.
        mask_suffix: str. See :func:`match_images`.

    Returns:
        list of Pair, sorted by key.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If it is a file.
        ValueError: As :func:`match_images`, and if an image has no partner.
    """
    found = match_images(image_dir, mask_dir, image_suffix=image_suffix, mask_suffix=mask_suffix)
    alone = {
        f"image without a mask in '{mask_dir}'": found.images_alone,
        f"mask without an image in '{image_dir}'": found.masks_alone,
    }
    if any(alone.values()):
        received = ", ".join(
            f"{counted(len(paths), what)} ({_some(paths)})"
            for what, paths in alone.items()
            if paths
        )
        advice = found.advice or (
            "Add what is missing, move the others away, or pass `image_suffix` or `mask_suffix` "
            "where names carry one."
        )
        raise ValueError(
            "Every image needs a mask with the same file name, extensions and suffixes aside. "
            f"Received: {received}.{_unread(found.unread_partners)} {advice}"
        )
    warn_of_unread(image_dir, found.images_unread)
    warn_of_unread(mask_dir, found.masks_unread)
    return found.pairs


def split_pairs(
    pairs: Iterable[Pair],
    subset: str | None,
    *,
    split: Sequence[float] = SPLIT,
    seed: int = 0,
    group_by: GroupBy | None = None,
) -> list[Pair]:
    """Returns the pairs of a subset.

    A pair's subset follows from its key and the seed alone, by a hash: it does not depend
    on the order of the files nor on what else lies beside them, and adding files moves none.
    Shares are therefore met on average, not to the file.

    Args:
        pairs: What :func:`find_pairs` found.
        subset: ``"train"``, ``"validation"``, ``"test"``, or None for all pairs.
        split: Shares of train, validation and test; their sum is 1.
        seed: int. Another seed, another split.
        group_by: Keeps what belongs together, as the frames of a sequence, in one subset: a
            regular expression searched in the key, whose first group (or whole match) names
            the group; or a function from the key to the group's name.

    Returns:
        list of Pair, in the order of ``pairs``.

    Raises:
        ValueError: If ``subset``, ``split`` or ``group_by`` is wrong, or the subset is empty.
    """
    require_choice("subset", subset, (*SUBSETS, None))
    seed = require_integer("seed", seed, 0, "It decides which pair is in which subset.")
    bounds = _bounds(split)
    pairs = list(pairs)
    if subset is None:
        return pairs
    low, high = bounds[SUBSETS.index(subset)]
    group = _grouping(group_by)
    chosen = [pair for pair in pairs if low <= _position(group(pair.key), seed) < high]
    if not chosen:
        raise ValueError(
            f"`subset` must hold at least one pair. Received: subset={subset!r}, empty with "
            f"{counted(len(pairs), 'pair')}, split={tuple(split)} and seed={seed}. "
            "Add pairs, enlarge its share in `split`, or take another `seed`."
        )
    return chosen


def _unread(partners: Mapping[str, str]) -> str:
    if not partners:
        return ""
    return (
        f" The partners of {len(partners)} are there in formats that are not read "
        f"({_some(sorted(partners.values()))}): convert them, as to PNG."
    )


def _some(paths: Sequence[str]) -> str:
    shown = ", ".join(f"'{os.path.basename(path)}'" for path in paths[:_NAMES_IN_MESSAGES])
    return shown + (", ..." if len(paths) > _NAMES_IN_MESSAGES else "")


def _grouping(group_by: GroupBy | None) -> Callable[[str], str]:
    if group_by is None:
        return lambda key: key
    if callable(group_by):
        return lambda key: str(group_by(key))
    try:
        pattern = re.compile(group_by)
    except (re.error, TypeError) as error:
        raise ValueError(
            "`group_by` must be a regular expression or a function. "
            f"Received: group_by={group_by!r} ({error})."
        ) from error

    def group(key: str) -> str:
        match = pattern.search(key)
        name = None if match is None else match[1 if pattern.groups else 0]
        if name is None:
            raise ValueError(
                "`group_by` must match the key of every pair. "
                f"Received: group_by={group_by!r}, which does not match '{key}'."
            )
        return name

    return group


def _bounds(split: Sequence[float]) -> list[tuple[float, float]]:
    shares = tuple(split)
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            "`split` must be three shares of 0 or more, train, validation and test, with the "
            f"sum 1. Received: split={shares}. The default is {SPLIT}."
        )
    train, validation, _ = shares
    # The last bound is above 1, so that rounding in the sum leaves nobody out.
    return [(0.0, train), (train, train + validation), (train + validation, 2.0)]


def _position(key: str, seed: int) -> float:
    """Returns where a key stands in [0, 1), the same on every machine."""
    salt = seed.to_bytes(blake2b.SALT_SIZE, "little")
    digest = blake2b(
        key.encode("utf-8", "surrogateescape"), digest_size=_HASH_BYTES, salt=salt
    ).digest()
    return int.from_bytes(digest, "little") / 2 ** (8 * _HASH_BYTES)
