"""The images of an evaluation, with their ground truth and the outputs of a model."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypedDict

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.data.dataset_info import Origin, origin_of
from unetv2.data.io.header import is_turn_ambiguous
from unetv2.data.io.open import MAX_PIXELS
from unetv2.data.labels import Labels, resolve_labels
from unetv2.data.listing import take_shard
from unetv2.data.pairs import SPLIT, GroupBy, Pair, find_pairs, split_pairs
from unetv2.data.preprocess import check_headers, warn_of_turns
from unetv2.evaluation.models import EvaluatedModel, ModelOutput
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
    output: ModelOutput


def resolve_classes(
    classes: ClassTable | None,
    model: EvaluatedModel,
    *,
    labels: Labels | None,
    ignore_class: int | None,
) -> ClassTable:
    """Returns the class table and ``ignore_class`` of an evaluation.

    The first of these that is not None: the arguments of the caller (``classes`` and
    ``ignore_class``), the labels of the data, the preprocessing of the model.

    Raises:
        ValueError: If ``classes`` has another length than the classes of the model.
    """
    n_classes = model.n_classes
    if classes is not None and len(classes) != n_classes:
        raise ValueError(
            "`classes` must have a name for each class of the model. "
            f"Received: {len(classes)} names for {n_classes} classes. Pass the table of the "
            "training, or None."
        )
    sources = [source for source in (labels, model.preprocessing) if source is not None]
    tables = (classes, *(source.classes for source in sources))
    fitting = (table for table in tables if table is not None and len(table) == n_classes)
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
    # The table's `ignore_color` belongs to its own `ignore_class`.
    return dataclasses.replace(table, ignore_class=chosen, ignore_color=None)


class FolderOptions(TypedDict, total=False):
    """Options of :func:`unetv2.make_dataset` for two folders; None takes the model's."""

    encoding: str | None
    label_map: Mapping[int, int] | None
    ignore_class: int | None
    image_suffix: str | None
    mask_suffix: str | None
    split: Sequence[float] | None
    group_by: GroupBy | None
    max_pixels: int | None


_DEFAULTS: dict[str, Any] = {
    "encoding": "ids",
    "label_map": None,
    "ignore_class": None,
    "image_suffix": "",
    "mask_suffix": "",
    "subset": None,
    "split": SPLIT,
    "group_by": None,
    "seed": 0,
    "max_pixels": MAX_PIXELS,
}
_PAIRING = ("image_suffix", "mask_suffix")
_LABELS = ("encoding", "label_map")
# Options that are stored with the model, because other data of the same kind has the same.
_STORED = ("encoding", *_PAIRING)
# As `make_dataset`: enough to find an error of a whole folder at once.
_HEADERS_CHECKED = 10_000


class FolderCases:
    """The images of two folders with the outputs of a model, at the size of the masks.

    Args:
        model: The model.
        folders: ``(image_dir, mask_dir)``.
        classes: ClassTable or None, see :func:`unetv2.evaluate`.
        options: Options of :func:`unetv2.make_dataset`. Options that are None or left out are
            those of the training.
        shard: ``(index, count)`` or None.

    Attributes:
        classes: Class table.
        total: int. Number of images.
        settings: Settings of the evaluation.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If the folders contain no pairs, or an argument or a file is invalid.
        TypeError: If an argument has the wrong type.
    """

    def __init__(
        self,
        model: EvaluatedModel,
        folders: Sequence[Any],
        classes: ClassTable | None,
        options: Mapping[str, Any],
        shard: Sequence[int] | None,
    ) -> None:
        given = {name: value for name, value in options.items() if value is not None}
        self.classes = resolve_classes(
            classes, model, labels=None, ignore_class=given.get("ignore_class")
        )
        stored = _stored_options(model.preprocessing, given, classes)
        if stored.get("label_map") == dict(self.classes.label_map):
            del stored["label_map"]
        merged = {**_DEFAULTS, **stored, **given}
        self._model = model
        self._stored = stored
        self._max_pixels = require_integer(
            "max_pixels", merged["max_pixels"], 1, "It is a guard against damaged headers."
        )
        labels = resolve_labels(None, None, self.classes, merged["encoding"], merged["label_map"])
        try:
            pairs = find_pairs(*folders, **{name: merged[name] for name in _PAIRING})
        except ValueError as error:
            raise ValueError(f"{error}{self._note(_PAIRING)}") from error
        self._labels = labels.settled([pair.mask for pair in pairs], self._max_pixels)
        splitting = ("subset", "split", "group_by", "seed")
        pairs = split_pairs(pairs, **{name: merged[name] for name in splitting})
        self._pairs = pairs if shard is None else _take_shard(pairs, shard)
        self.total = len(self._pairs)
        self._check_headers()
        self.settings: dict[str, Any] = {
            "images": str(folders[0]),
            "masks": str(folders[1]),
            "resolution": "evaluated at the masks' own size",
        }
        # The seed is a setting of the evaluation.
        changed = {name: merged[name] for name in _DEFAULTS if merged[name] != _DEFAULTS[name]}
        changed.pop("seed", None)
        if changed:
            self.settings["data_options"] = {name: _plain(changed[name]) for name in changed}
        if stored:
            self.settings["as_in_training"] = sorted(stored)
        if shard is not None:
            self.settings["shards"] = [list(map(int, shard))]

    def __iter__(self) -> Iterator[Case]:
        """Yields the images."""
        images, inputs = itertools.tee(
            InputImage(pair.image, channels=self._model.channels, max_pixels=self._max_pixels)
            for pair in self._pairs
        )
        outputs = self._model.predict_images(inputs)
        for pair, image, output in zip(self._pairs, images, outputs, strict=True):
            read_mask = partial(self._read_mask, pair, image.size)
            yield Case(pair.key, f"'{pair.mask}'", partial(_read_image, image), read_mask, output)

    def _check_headers(self) -> None:
        checked = self._pairs[:_HEADERS_CHECKED]
        channels, labels = self._model.channels, self._labels
        ambiguous = [
            pair
            for pair in checked
            if is_turn_ambiguous(
                *check_headers(pair, self._max_pixels, channels=channels, labels=labels)
            )
        ]
        warn_of_turns(ambiguous, len(checked))

    def _read_mask(self, pair: Pair, size: tuple[int, int]) -> np.ndarray:
        try:
            mask = self._labels.read(pair.mask, self._max_pixels)
        except ValueError as error:
            raise ValueError(f"{error}{self._note(_LABELS)}") from error
        if mask.shape != size:
            raise ValueError(
                f"A mask must have its image's size. Received: {mask.shape[0]}x{mask.shape[1]} "
                f"and {size[0]}x{size[1]} in '{pair.image}'."
            )
        return mask

    def _note(self, names: Iterable[str]) -> str:
        """Returns the end of an error message on options that are stored with the model."""
        options = [f"{name}={self._stored[name]!r}" for name in names if name in self._stored]
        if not options:
            return ""
        return (
            f" They are read as in the model's training, {', '.join(options)}: pass other values "
            "if these files have other names or labels."
        )


def _stored_options(
    preprocessing: Preprocessing | None, given: Mapping[str, Any], classes: ClassTable | None
) -> dict[str, Any]:
    """Returns the options of the training that are not given and not the default."""
    if preprocessing is None:
        return {}
    stored = {name: getattr(preprocessing, name) for name in _STORED}
    # The label map replaces ids in files, so it belongs to the encoding. The map of a table that
    # is passed belongs to its masks.
    same_encoding = given.get("encoding", preprocessing.encoding) == preprocessing.encoding
    has_map = classes is not None and classes.label_map
    if preprocessing.label_map is not None and same_encoding and not has_map:
        stored["label_map"] = dict(preprocessing.label_map)
    return {
        name: value
        for name, value in stored.items()
        if name not in given and value != _DEFAULTS[name]
    }


def _take_shard(pairs: list[Pair], shard: Sequence[int]) -> list[Pair]:
    chosen = take_shard(pairs, shard, "images")
    if not chosen:
        raise ValueError(
            f"`shard` must hold an image. Received: shard={tuple(shard)} of "
            f"{counted(len(pairs), 'pair')}. Divide them into fewer."
        )
    return list(chosen)


def _read_image(image: InputImage) -> np.ndarray:
    return np.asarray(image.pixels()[:])


def _plain(value: Any) -> Any:
    """Returns an option as a JSON type."""
    if isinstance(value, Mapping):
        return {str(key): entry for key, entry in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, str | int | float | None) else str(value)


_BATCHES = "batches of (image, mask), as `make_dataset` makes them"


class BatchCases:
    """The images of a ``tf.data.Dataset`` with the outputs of a model.

    Args:
        model: The model.
        dataset: Finite batches of ``(image, mask)``.
        classes: ClassTable or None, see :func:`unetv2.evaluate`.

    Attributes:
        classes: Class table.
        total: int or None. Number of images, if known.
        settings: Settings of the evaluation.

    Raises:
        TypeError: If ``dataset`` is not a ``tf.data.Dataset``.
        ValueError: If it is infinite or empty, or does not fit the model or the table.
    """

    def __init__(self, model: EvaluatedModel, dataset: Any, classes: ClassTable | None) -> None:
        _require_dataset(dataset)
        origin = origin_of(dataset)
        if origin is not None:
            _require_origin(origin, model.n_classes)
        _require_shapes(dataset, model.input_shape)
        if origin is not None:
            model.require_range(origin.preprocessing.value_range)
        self._model = model
        self._dataset = dataset
        self._keys = None if origin is None else origin.keys
        labels = None if origin is None else origin.preparation.labels
        self.classes = resolve_classes(classes, model, labels=labels, ignore_class=None)
        self.total = None if origin is None else origin.n_pairs
        height, width = dataset.element_spec[0].shape[1:3]
        size = "the network's resolution" if None in (height, width) else f"{height}x{width}"
        self.settings = {"resolution": f"evaluated at {size}, as the network sees them"}

    def __iter__(self) -> Iterator[Case]:
        """Yields the images."""
        number = 0
        for batch, (images, masks) in enumerate(self._dataset):
            pixels, ids = np.asarray(images), np.asarray(masks)
            _require_masks(ids, pixels, batch)
            ids = ids.reshape(pixels.shape[:3])
            for index, output in enumerate(self._model.predict_batch(images)):
                name = f"#{number:07d}"
                location = f"image {index} of batch {batch}, both counted from 0"
                if self._keys is not None:
                    name = self._keys[number]
                    location = f"'{name}', {location}"
                # `partial`, because they are called later by other threads.
                image, mask = (partial(a.__getitem__, index) for a in (pixels, ids))
                yield Case(name, location, image, mask, output)
                number += 1


def _require_dataset(dataset: Any) -> None:
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(
            f"`dataset` must be a tf.data.Dataset of {_BATCHES}, or two folders (image_dir, "
            f"mask_dir). Received: {type(dataset).__name__}."
        )
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`dataset` must be finite. Received: an infinite one. Make it without repeat=True."
        )
    if cardinality == 0:
        raise ValueError("`dataset` must hold an image. Received: an empty data set.")


def _require_origin(origin: Origin, n_classes: int) -> None:
    data_classes = origin.preparation.labels.n_classes
    if data_classes not in (None, n_classes):
        raise ValueError(
            "`model` must have an output for each class of the data. "
            f"Received: {n_classes} outputs, and n_classes={data_classes} in `dataset`. "
            "Pass the data of the model, or make the data set with the other number."
        )
    if origin.augmentation is not None:
        raise ValueError(
            "`dataset` must not be augmented. Received: one with augmentation. Make it without."
        )


def _require_shapes(dataset: tf.data.Dataset, input_shape: tuple[int | None, ...]) -> None:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        received = f"{len(spec)} parts" if isinstance(spec, tuple) else type(spec).__name__
        raise ValueError(f"`dataset` must hold {_BATCHES}. Received: {received}.")
    shape = spec[0].shape
    fits = shape.rank == len(input_shape) == 4 and all(
        None in sides or sides[0] == sides[1]
        for sides in zip(input_shape[1:], shape.as_list()[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"Images in `dataset` must have the model's shape, {input_shape}. Received: {shape}. "
            "Pass that `image_size` to `make_dataset`; two folders are preprocessed as in training."
        )


def _require_masks(masks: np.ndarray, images: np.ndarray, batch: int) -> None:
    shapes = images.shape[:3], (*images.shape[:3], 1)
    if masks.shape not in shapes or not np.issubdtype(masks.dtype, np.integer):
        raise ValueError(
            f"Masks in `dataset` must hold an integer id for each pixel, {shapes[1]}. "
            f"Received: {masks.dtype} of shape {masks.shape} in batch {batch}. "
            "Pass no one-hot vectors, and resize masks with nearest neighbor."
        )
