"""Which image belongs to which mask, and to which subset the two belong."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from unetv2.arguments import require_choice, require_integer

EXTENSIONS = (".png", ".jpg", ".jpeg")
SUBSETS = ("train", "validation", "test")
SPLIT = (0.8, 0.1, 0.1)

_NAMES_IN_MESSAGES = 5
_HASH_BYTES = 8


class Pair(NamedTuple):
    """An image file and its mask.

    Attributes:
        key: str. What the two names have in common; it decides the subset.
        image: str. Path of the image.
        mask: str. Path of the mask.
    """

    key: str
    image: str
    mask: str


def find_pairs(image_dir: str | os.PathLike[str], mask_dir: str | os.PathLike[str]) -> list[Pair]:
    """Pairs the pictures of two folders by file name without extension.

    Hidden files and files that are no pictures by their extension are left aside.

    Args:
        image_dir: Folder of the images.
        mask_dir: Folder of the masks.

    Returns:
        list of Pair, sorted by key.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If it is a file.
        ValueError: If a folder holds no picture, two pictures of one folder have the same
            name but for the extension, a picture has no partner, or both folders are one.
    """
    image_dir, mask_dir = Path(image_dir), Path(mask_dir)
    images = _pictures("image_dir", image_dir)
    masks = _pictures("mask_dir", mask_dir)
    if os.path.samefile(image_dir, mask_dir):
        raise ValueError(
            "`mask_dir` must be another folder than `image_dir`. "
            f"Received: '{image_dir}' for both. Keep images and masks in a folder each."
        )
    alone = {
        f"images without a mask in '{mask_dir}'": sorted(images.keys() - masks.keys()),
        f"masks without an image in '{image_dir}'": sorted(masks.keys() - images.keys()),
    }
    if any(alone.values()):
        received = ", ".join(
            f"{len(keys)} {what} ({_some(keys)})" for what, keys in alone.items() if keys
        )
        raise ValueError(
            "Every image needs a mask with the same file name, extensions aside. "
            f"Received: {received}. Add what is missing or move the others away."
        )
    return [Pair(key, images[key], masks[key]) for key in sorted(images)]


def split_pairs(
    pairs: Iterable[Pair],
    subset: str | None,
    *,
    split: Sequence[float] = SPLIT,
    seed: int = 0,
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

    Returns:
        list of Pair, in the order of ``pairs``.

    Raises:
        ValueError: If ``subset`` or ``split`` is wrong, or the subset is empty.
    """
    require_choice("subset", subset, (*SUBSETS, None))
    seed = require_integer("seed", seed, 0, "It decides which pair is in which subset.")
    bounds = _bounds(split)
    pairs = list(pairs)
    if subset is None:
        return pairs
    low, high = bounds[SUBSETS.index(subset)]
    chosen = [pair for pair in pairs if low <= _position(pair.key, seed) < high]
    if not chosen:
        raise ValueError(
            f"`subset` must hold at least one pair. Received: subset={subset!r}, empty with "
            f"{len(pairs)} pairs, split={tuple(split)} and seed={seed}. "
            "Add pairs, enlarge its share in `split`, or take another `seed`."
        )
    return chosen


def _pictures(argument: str, directory: Path) -> dict[str, str]:
    """Maps the stem of every picture in a folder to its path."""
    if not directory.exists():
        raise FileNotFoundError(
            f"`{argument}` must be an existing folder. Received: '{directory}', "
            "which does not exist. Check the path."
        )
    if not directory.is_dir():
        raise NotADirectoryError(
            f"`{argument}` must be a folder. Received: '{directory}', which is a file. "
            "Pass the folder that holds it."
        )
    found: dict[str, str] = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            stem, extension = os.path.splitext(entry.name)
            if entry.name.startswith(".") or extension.lower() not in EXTENSIONS:
                continue
            if not entry.is_file():
                continue
            if stem in found:
                raise ValueError(
                    f"`{argument}` must hold one picture of each name, extensions aside. "
                    f"Received: '{found[stem]}' and '{entry.path}'. Remove one of the two."
                )
            found[stem] = entry.path
    if not found:
        raise ValueError(
            f"`{argument}` must hold pictures ({', '.join(EXTENSIONS)}). "
            f"Received: '{directory}' without any. Check the path."
        )
    return found


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_NAMES_IN_MESSAGES])
    return shown + (", ..." if len(names) > _NAMES_IN_MESSAGES else "")


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
    digest = hashlib.blake2b(
        key.encode("utf-8", "surrogateescape"),
        digest_size=_HASH_BYTES,
        salt=seed.to_bytes(hashlib.blake2b.SALT_SIZE, "little"),
    ).digest()
    return int.from_bytes(digest, "little") / 2 ** (8 * _HASH_BYTES)
