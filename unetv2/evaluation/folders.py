"""Two folders, measured at the masks' own resolution."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.data.decoding import MAX_PIXELS
from unetv2.data.header import is_turn_ambiguous
from unetv2.data.labels import resolve_labels
from unetv2.data.listing import take_shard
from unetv2.data.pairs import SPLIT, Pair, find_pairs, split_pairs
from unetv2.data.reading import check_headers, warn_of_turns
from unetv2.evaluation.labelling import resolve_classes
from unetv2.evaluation.measuring import Case
from unetv2.evaluation.models import Answers
from unetv2.inference.pictures import Picture
from unetv2.plurals import counted
from unetv2.preprocessing import Preprocessing

# As `make_dataset`: enough to find what is wrong with a whole folder at once.
_HEADERS_CHECKED = 10_000

_FINDING = {"image_suffix": "", "mask_suffix": ""}
_SPLITTING = {"subset": None, "split": SPLIT, "group_by": None, "seed": 0}
_LABELLING = {"encoding": "ids", "label_map": None, "ignore_class": None}
# What the model's record tells of the data that it was trained on, and so of more of its kind.
_RECORDED = ("encoding", "image_suffix", "mask_suffix")
_OPTIONS: dict[str, Any] = {
    **_FINDING,
    **_SPLITTING,
    **_LABELLING,
    "max_pixels": MAX_PIXELS,
}


class FolderPictures:
    """The pictures of two folders with what a model says of them, at the masks' size.

    Args:
        answers: The model.
        folders: ``(image_dir, mask_dir)``.
        classes: ClassTable or None. See :func:`unetv2.evaluate`.
        reading: Options of ``make_dataset`` by name. Others are as in the model's training.
        shard: ``(index, count)`` or None.

    Attributes:
        classes: The table of the ids.
        total: int. How many pictures there are.
        settings: How they are measured.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If the folders hold no pairs, or something else is wrong with them or with an
            argument.
        TypeError: If an argument is of the wrong type.
    """

    def __init__(
        self,
        answers: Answers,
        folders: Sequence[Any],
        classes: ClassTable | None,
        reading: Mapping[str, Any],
        shard: Sequence[int] | None,
    ) -> None:
        given = _require_known(reading)
        self.classes = resolve_classes(
            classes, answers, labels=None, ignore_class=given.get("ignore_class")
        )
        recorded = _recorded(answers.record, given, classes)
        if recorded.get("label_map") == dict(self.classes.label_map):
            del recorded["label_map"]
        options = {**_OPTIONS, **recorded, **given}
        self._labels = resolve_labels(
            None, None, self.classes, options["encoding"], options["label_map"]
        )
        self._answers = answers
        self._recorded = recorded
        self._max_pixels = require_integer(
            "max_pixels", options["max_pixels"], 1, "It guards against broken headers."
        )
        image_dir, mask_dir = folders
        try:
            pairs = find_pairs(image_dir, mask_dir, **{name: options[name] for name in _FINDING})
        except ValueError as error:
            raise ValueError(f"{error}{_told_of(recorded, _FINDING)}") from error
        self._labels = self._labels.settled([pair.mask for pair in pairs], self._max_pixels)
        pairs = split_pairs(pairs, **{name: options[name] for name in _SPLITTING})
        self._pairs = pairs if shard is None else _sharded(pairs, shard)
        checked = self._pairs[:_HEADERS_CHECKED]
        warn_of_turns([pair for pair in checked if self._is_turn_ambiguous(pair)], len(checked))
        self.total = len(self._pairs)
        self.settings: dict[str, Any] = {
            "images": str(image_dir),
            "masks": str(mask_dir),
            "resolution": "measured at the masks' own size",
        }
        told = {name: _plain(options[name]) for name in _OPTIONS if options[name] != _OPTIONS[name]}
        if told:
            self.settings["reading"] = told
        if recorded:
            self.settings["as_in_training"] = sorted(recorded)
        if shard is not None:
            self.settings["shards"] = [list(map(int, shard))]

    def __iter__(self) -> Iterator[Case]:
        """Yields the pictures."""
        pictures, named = itertools.tee(self._pictures())
        asked = (picture for _, picture in pictures)
        for (pair, picture), answer in zip(named, self._answers.to_pictures(asked), strict=True):
            yield Case(
                pair.key,
                f"'{pair.mask}'",
                partial(_pixels, picture),
                partial(self._truth, pair, picture.size),
                answer,
            )

    def _is_turn_ambiguous(self, pair: Pair) -> bool:
        """Checks the headers of a pair."""
        headers = check_headers(
            pair, self._max_pixels, channels=self._answers.channels, labels=self._labels
        )
        return is_turn_ambiguous(*headers)

    def _pictures(self) -> Iterator[tuple[Pair, Picture]]:
        for pair in self._pairs:
            options = {"channels": self._answers.channels, "max_pixels": self._max_pixels}
            yield pair, Picture(pair.image, **options)

    def _truth(self, pair: Pair, size: tuple[int, int]) -> np.ndarray:
        try:
            truth = self._labels.read(pair.mask, self._max_pixels)
        except ValueError as error:
            raise ValueError(f"{error}{_told_of(self._recorded, _LABELLING)}") from error
        if truth.shape != size:
            raise ValueError(
                f"A mask must have its image's size. Received: {truth.shape[0]}x{truth.shape[1]} "
                f"and {size[0]}x{size[1]} in '{pair.image}'."
            )
        return truth


def _require_known(reading: Mapping[str, Any]) -> dict[str, Any]:
    unknown = set(reading) - set(_OPTIONS)
    if unknown:
        raise ValueError(
            f"`reading` must hold options of `make_dataset` among {', '.join(_OPTIONS)}. "
            f"Received: {', '.join(map(repr, sorted(unknown)))}. The model tells the others."
        )
    # None is what is not given, as an option of the command that is left out.
    return {name: value for name, value in reading.items() if value is not None}


def _recorded(
    record: Preprocessing | None, given: Mapping[str, Any], classes: ClassTable | None
) -> dict[str, Any]:
    """Returns what the model's record tells of masks, where it differs from the defaults.

    Args:
        record: The model's, or None.
        given: What the caller says of it.
        classes: The caller's table, or None.
    """
    if record is None:
        return {}
    found = {name: getattr(record, name) for name in _RECORDED if name not in given}
    # It maps ids in files, so it goes with the encoding; and a table's own map is its masks'.
    same = given.get("encoding", record.encoding) == record.encoding
    if record.label_map is not None and same and not (classes is not None and classes.label_map):
        found["label_map"] = dict(record.label_map)
    return {
        name: value
        for name, value in found.items()
        if name not in given and value != _OPTIONS[name]
    }


def _told_of(recorded: Mapping[str, Any], names: Iterable[str]) -> str:
    """Returns what an error ends with where the model's record decided how files are read."""
    told = ", ".join(f"{name}={recorded[name]!r}" for name in names if name in recorded)
    if not told:
        return ""
    return (
        f" They are read as in the model's training, {told}: pass other values if these are named "
        "or labelled otherwise."
    )


def _sharded(pairs: list[Pair], shard: Sequence[int]) -> list[Pair]:
    chosen = take_shard(pairs, shard, "pictures")
    if not chosen:
        raise ValueError(
            f"`shard` must hold a picture. Received: shard={tuple(shard)} of "
            f"{counted(len(pairs), 'pair')}. Divide them into fewer."
        )
    return list(chosen)


def _pixels(picture: Picture) -> np.ndarray:
    return np.asarray(picture.pixels()[:])


def _plain(value: Any) -> Any:
    """Returns an option as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(key): entry for key, entry in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, str | int | float | None) else str(value)
