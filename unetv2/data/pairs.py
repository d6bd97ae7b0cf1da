"""Pairs of an image and its mask, their subsets, and the interface of label sources."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from unetv2.arguments import require_choice, require_integer
from unetv2.classes import FrozenMapping
from unetv2.data.io.open import Header
from unetv2.data.labels import Labels
from unetv2.text import counted

SUBSETS = ("train", "validation", "test")
SPLIT = (0.8, 0.1, 0.1)

GroupBy = str | Callable[[str], str]


class Pair(NamedTuple):
    """An image file and its mask.

    Attributes:
        key: str. Unique name of the pair, which determines its subset. In folders it is the common
            part of both paths: relative to the folders, with ``/``, without suffix and extension.
        image: str. Path of the image.
        mask: str. Path of the file that holds the labels.
    """

    key: str
    image: str
    mask: str


class LabelSource(ABC):
    """Provides the pairs of a data set and the class ids of each.

    A subclass lists pairs and reads class ids; reading images and creating batches do not depend
    on it. ``unetv2/data/sources/folders.py`` is an example.

    An attribute ``labels``, a ``unetv2.data.labels.Labels``, describes the classes.
    """

    labels: Labels

    @property
    @abstractmethod
    def description(self) -> str:
        """All options that determine the class ids, such as ``repr(labels)``."""

    @property
    @abstractmethod
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs in the order of their keys, each a named tuple ``(key, image, mask)``."""

    @abstractmethod
    def mask_header(self, pair: Pair) -> Header:
        """Returns size and format of a mask without reading all of it.

        Args:
            pair: One of :attr:`pairs`.

        Raises:
            ValueError: If the header is not valid.
        """

    @abstractmethod
    def read_mask(self, pair: Pair) -> np.ndarray:
        """Returns the class ids of a pair.

        Args:
            pair: One of :attr:`pairs`.

        Returns:
            np.ndarray. ``(height, width)`` of the image, uint8, uint16 or int32.

        Raises:
            ValueError: If the labels are not valid.
        """

    @abstractmethod
    def files(self, pair: Pair) -> tuple[str, ...]:
        """Returns the paths of all files that a pair is read from.

        Args:
            pair: One of :attr:`pairs`.
        """


def split_pairs(
    pairs: Iterable[Pair],
    subset: str | None,
    *,
    split: Sequence[float] = SPLIT,
    seed: int = 0,
    group_by: GroupBy | None = None,
    subset_keys: Mapping[str, Sequence[str]] | None = None,
) -> list[Pair]:
    """Returns the pairs of a subset.

    The subset of a pair depends on a hash of its key and the seed, not on other files, so adding
    files does not change it. Fractions therefore hold on average, not exactly.

    Args:
        pairs: All pairs of the data set.
        subset: ``"train"``, ``"validation"``, ``"test"``, or None for all pairs.
        split: Fractions of train, validation and test, with the sum 1.
        seed: int. Seed of the hash.
        group_by: Keeps a group, such as the frames of a video, in one subset: a regular expression
            that is searched in the key and whose first group (or whole match) is the group's name,
            or a function from key to name.
        subset_keys: Keys of the subsets instead of ``split``, or None.

    Returns:
        list of Pair, in the order of ``pairs``.

    Raises:
        ValueError: If ``subset``, ``split``, ``group_by`` or ``subset_keys`` is not valid, or the
            subset is empty.
    """
    require_choice("subset", subset, (*SUBSETS, None))
    pairs = list(pairs)
    subsets = subset_of_keys(
        pairs, split=split, seed=seed, group_by=None if subset is None else group_by,
        subset_keys=subset_keys,
    )  # fmt: skip
    if subset is None:
        return pairs
    chosen = [pair for pair in pairs if subsets[pair.key] == subset]
    if not chosen and subset_keys is not None:
        given = {name: len(keys) for name, keys in subset_keys.items()}
        raise ValueError(
            f"`subset` must hold at least one pair. Received: subset={subset!r}, and "
            f"`subset_keys` with {given} keys. Add keys, or choose another subset."
        )
    if not chosen:
        raise ValueError(
            f"`subset` must hold at least one pair. Received: subset={subset!r}, empty with "
            f"{counted(len(pairs), 'pair')}, split={tuple(split)} and seed={seed}. "
            "Add pairs, enlarge its fraction in `split`, or choose another `seed`."
        )
    return chosen


def subset_of_keys(
    pairs: Sequence[Pair],
    *,
    split: Sequence[float],
    seed: int,
    group_by: GroupBy | None,
    subset_keys: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Returns the subset of each pair's key, see :func:`split_pairs`; empty for no subset."""
    seed = require_integer("seed", seed, 0, "It decides the subset of each pair.")
    fractions = tuple(split)
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            "`split` must be three fractions of 0 or more, train, validation and test, with the "
            f"sum 1. Received: split={fractions}. The default is {SPLIT}."
        )
    if subset_keys is not None:
        given = {key: name for name, keys in subset_keys.items() for key in keys}
        known = {pair.key for pair in pairs}
        if unknown := [key for key in given if key not in known]:
            raise ValueError(
                "`subset_keys` must hold keys of pairs. "
                f"Received: {counted(len(unknown), 'key')} of no pair, such as {unknown[0]!r} in "
                f"{given[unknown[0]]!r}. A key is the path in the folder without suffix and "
                "extension, as in `pairs`."
            )
        return {pair.key: given.get(pair.key, "") for pair in pairs}
    train, validation, _ = fractions
    group = group_function(group_by)
    subsets = {}
    for pair in pairs:
        position = hash_position(group(pair.key), seed)
        subsets[pair.key] = SUBSETS[(position >= train) + (position >= train + validation)]
    return subsets


def require_subset_keys(subset_keys: object) -> Mapping[str, tuple[str, ...]]:
    """Returns an immutable copy of the keys of each subset, or raises an error."""
    advice = f"Pass lists of keys by {', '.join(map(repr, SUBSETS))}."
    if not isinstance(subset_keys, Mapping):
        raise TypeError(
            f"`subset_keys` must be a mapping. Received: subset_keys={subset_keys!r}. {advice}"
        )
    for name, keys in subset_keys.items():
        require_choice("subset_keys", name, SUBSETS)
        is_list = isinstance(keys, Iterable) and not isinstance(keys, str)
        if not is_list or not all(isinstance(key, str) for key in keys):
            raise TypeError(
                f"`subset_keys` must hold lists of str. Received: {keys!r} in {name!r}. {advice}"
            )
    counts = Counter(key for keys in subset_keys.values() for key in keys)
    if counts and max(counts.values()) > 1:
        repeated = max(counts, key=counts.__getitem__)
        raise ValueError(
            "`subset_keys` must hold a key once. "
            f"Received: {repeated!r} {counts[repeated]} times. Remove it from the others."
        )
    return FrozenMapping({name: tuple(keys) for name, keys in subset_keys.items()})


def group_function(group_by: GroupBy | None) -> Callable[[str], str]:
    """Returns the function from a key to the name of its group.

    Raises:
        ValueError: If ``group_by`` is not valid; when called, if it does not match the key.
    """
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


def hash_position(key: str, seed: int) -> float:
    """Maps key and seed to a number in [0, 1), the same on every machine."""
    salt = seed.to_bytes(blake2b.SALT_SIZE, "little")
    digest = blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8, salt=salt).digest()
    return int.from_bytes(digest, "little") / 2**64
