"""Two folders, measured at the masks' own resolution."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.data.dataset_info import Origin, origin_of
from unetv2.data.io.header import is_turn_ambiguous
from unetv2.data.io.open import MAX_PIXELS
from unetv2.data.labels import Labels, resolve_labels
from unetv2.data.listing import take_shard
from unetv2.data.pairs import SPLIT, Pair, find_pairs, split_pairs
from unetv2.data.preprocess import check_headers, warn_of_turns
from unetv2.evaluation.models import Answer, Answers
from unetv2.inference.inputs import InputImage
from unetv2.preprocessing import Preprocessing
from unetv2.text import counted


class Case(NamedTuple):
    """An image with its ground truth and the output of the model.

    Attributes:
        name: str. Unique name of the image.
        location: str. Location of the image for error messages.
        read_image: Returns the image, see :func:`unetv2.evaluation.examples.make_example`.
        read_mask: Returns the ground-truth ids, ``(height, width)``.
        output: Output of the model.
    """

    name: str
    location: str
    read_image: Callable[[], np.ndarray]
    read_mask: Callable[[], np.ndarray]
    output: Answer


def resolve_classes(
    classes: ClassTable | None, answers: Answers, *, labels: Labels | None, ignore_class: int | None
) -> ClassTable:
    """Returns the table of a model's classes, with the id of the pixels that do not count.

    Args:
        classes: What the caller passed; what it leaves open is taken from the data, then from the
            model's record.
        answers: The model.
        labels: What the data says of its masks, or None.
        ignore_class: int or None. What the caller says besides.

    Returns:
        ClassTable.

    Raises:
        ValueError: If ``classes`` is of another length than the model's.
    """
    n_classes = answers.n_classes
    if classes is not None and len(classes) != n_classes:
        raise ValueError(
            "`classes` must have a name for each class of the model. "
            f"Received: {len(classes)} names for {n_classes} classes. Pass the table that it was "
            "trained with, or leave it out."
        )
    sources = [source for source in (labels, answers.record) if source is not None]
    tables = (classes, *(source.classes for source in sources))
    fitting = (known for known in tables if known is not None and len(known) == n_classes)
    table = next(fitting, ClassTable.numbered(n_classes))
    ids = (
        ignore_class,
        None if labels is None else labels.ignore_class,
        table.ignore_class,
        *(source.ignore_class for source in sources),
    )
    chosen = next((number for number in ids if number is not None), None)
    if chosen == table.ignore_class:
        return table
    # A color of another id is not this one's.
    return dataclasses.replace(table, ignore_class=chosen, ignore_color=None)


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


class FolderImages:
    """The images of two folders with what a model says of them, at the masks' size.

    Args:
        answers: The model.
        folders: ``(image_dir, mask_dir)``.
        classes: ClassTable or None. See :func:`unetv2.evaluate`.
        reading: Options of ``make_dataset`` by name. Others are as in the model's training.
        shard: ``(index, count)`` or None.

    Attributes:
        classes: The table of the ids.
        total: int. How many images there are.
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
        """Yields the images."""
        images, named = itertools.tee(self._images())
        asked = (image for _, image in images)
        for (pair, image), answer in zip(named, self._answers.to_images(asked), strict=True):
            yield Case(
                pair.key,
                f"'{pair.mask}'",
                partial(_pixels, image),
                partial(self._truth, pair, image.size),
                answer,
            )

    def _is_turn_ambiguous(self, pair: Pair) -> bool:
        """Checks the headers of a pair."""
        headers = check_headers(
            pair, self._max_pixels, channels=self._answers.channels, labels=self._labels
        )
        return is_turn_ambiguous(*headers)

    def _images(self) -> Iterator[tuple[Pair, InputImage]]:
        for pair in self._pairs:
            options = {"channels": self._answers.channels, "max_pixels": self._max_pixels}
            yield pair, InputImage(pair.image, **options)

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
        "or labeled otherwise."
    )


def _sharded(pairs: list[Pair], shard: Sequence[int]) -> list[Pair]:
    chosen = take_shard(pairs, shard, "images")
    if not chosen:
        raise ValueError(
            f"`shard` must hold an image. Received: shard={tuple(shard)} of "
            f"{counted(len(pairs), 'pair')}. Divide them into fewer."
        )
    return list(chosen)


def _pixels(image: InputImage) -> np.ndarray:
    return np.asarray(image.pixels()[:])


def _plain(value: Any) -> Any:
    """Returns an option as JSON knows it."""
    if isinstance(value, Mapping):
        return {str(key): entry for key, entry in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, str | int | float | None) else str(value)


_PLURAL = "batches of (image, mask), as `make_dataset` makes them"


class DatasetImages:
    """The images of a data set with what a model says of them.

    Args:
        answers: The model.
        dataset: Batches of ``(image, mask)`` that end.
        classes: ClassTable or None. See :func:`unetv2.evaluate`.

    Attributes:
        classes: The table of the ids.
        total: int or None. How many images there are, if that is known.
        settings: How they are measured.

    Raises:
        TypeError: If ``dataset`` is something else.
        ValueError: If it does not end, is empty, or does not fit the model or the table.
    """

    def __init__(self, answers: Answers, dataset: Any, classes: ClassTable | None) -> None:
        _require_dataset(dataset)
        origin = origin_of(dataset)
        if origin is not None:
            _require_origin(origin, answers.n_classes)
        _require_shapes(dataset, answers.input_shape)
        if origin is not None:
            answers.require_range(origin.preprocessing.value_range)
        self._answers = answers
        self._dataset = dataset
        self._keys = None if origin is None else origin.keys
        labels = None if origin is None else origin.preparation.labels
        self.classes = resolve_classes(classes, answers, labels=labels, ignore_class=None)
        self.total = None if origin is None else origin.n_pairs
        height, width = dataset.element_spec[0].shape[1:3]
        size = "the network's resolution" if None in (height, width) else f"{height}x{width}"
        self.settings = {"resolution": f"measured at {size}, as the network sees them"}

    def __iter__(self) -> Iterator[Case]:
        """Yields the images."""
        number = 0
        for batch, (images, masks) in enumerate(self._dataset):
            pixels, truths = np.asarray(images), np.asarray(masks)
            _require_masks(truths, pixels, batch)
            ids = truths.reshape(pixels.shape[:3])
            for at, answer in enumerate(self._answers.to_batch(images)):
                place = f"image {at} of batch {batch}, both counted from 0"
                name = f"#{number:07d}"
                if self._keys is not None:
                    name = self._keys[number]
                    place = f"'{name}', {place}"
                # Called by other threads, later.
                image, truth = partial(pixels.__getitem__, at), partial(ids.__getitem__, at)
                yield Case(name, place, image, truth, answer)
                number += 1


def _require_dataset(dataset: Any) -> None:
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"`dataset` must be a tf.data.Dataset of {_PLURAL}, or two folders (image_dir, "
            f"mask_dir). Received: {type(dataset).__name__}."
        )
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`dataset` must end. Received: an endless one. Make it without repeat=True."
        )
    if cardinality == 0:
        raise ValueError("`dataset` must hold an image. Received: an empty data set.")


def _require_origin(origin: Origin, n_classes: int) -> None:
    found = origin.preparation.labels.n_classes
    if found not in (None, n_classes):
        raise ValueError(
            "`model` must have an output for each class of the data. "
            f"Received: {n_classes} outputs, and n_classes={found} in `dataset`. "
            "Pass the model's own data, or make the data set with the other number."
        )
    if origin.augmentation is not None:
        raise ValueError(
            "`dataset` must hold images as they are. Received: one with augmentation. "
            "Make it without."
        )


def _require_shapes(dataset: tf.data.Dataset, wanted: tuple[int | None, ...]) -> None:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        kind = f"{len(spec)} parts" if isinstance(spec, tuple) else type(spec).__name__
        raise ValueError(f"`dataset` must hold {_PLURAL}. Received: {kind}.")
    shape = spec[0].shape
    fits = shape.rank == len(wanted) == 4 and all(
        None in sides or sides[0] == sides[1]
        for sides in zip(wanted[1:], shape.as_list()[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"Images in `dataset` must have the model's shape, {wanted}. Received: {shape}. "
            "Pass that `image_size` to `make_dataset`; two folders in place of the data set are "
            "prepared as the model's record says."
        )


def _require_masks(masks: np.ndarray, images: np.ndarray, batch: int) -> None:
    sizes = images.shape[:3], (*images.shape[:3], 1)
    if masks.shape not in sizes or not np.issubdtype(masks.dtype, np.integer):
        raise ValueError(
            f"Masks in `dataset` must hold an integer id for each pixel, {sizes[1]}. "
            f"Received: {masks.dtype} of shape {masks.shape} in batch {batch}. "
            "No one-hot vectors; nearest neighbor where masks are resized."
        )
