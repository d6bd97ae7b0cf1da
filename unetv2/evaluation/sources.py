"""The images of an evaluation, with their ground truth and the outputs of a model."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypedDict

import numpy as np
import tensorflow as tf

from unetv2.classes import ClassTable
from unetv2.data.dataset import SegmentationDataset
from unetv2.data.dataset_info import DatasetInfo, info_of
from unetv2.data.io.base import is_orientation_ambiguous
from unetv2.data.io.open import MAX_PIXELS
from unetv2.data.labels import Labels
from unetv2.data.pairs import SPLIT, GroupBy, Pair
from unetv2.data.preprocess import check_headers, warn_of_orientations
from unetv2.data.sources.folders import FolderSource, take_shard
from unetv2.evaluation.models import EvaluatedModel, ModelOutput, image_array
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
    """Options of two folders, see :meth:`unetv2.SegmentationDataset.from_folders`."""

    encoding: str | None
    label_map: Mapping[int, int] | None
    ignore_class: int | None
    image_suffix: str | None
    mask_suffix: str | None
    split: Sequence[float] | None
    group_by: GroupBy | None
    max_pixels: int | None


# Defaults of the options that are stored with a model.
_STORED: dict[str, Any] = {
    "encoding": "ids",
    "label_map": None,
    "image_suffix": "",
    "mask_suffix": "",
}
_PAIRING = ("image_suffix", "mask_suffix")
_LABELS = ("encoding", "label_map")
# As in `make_dataset`: enough to detect an error that concerns a whole folder.
_HEADERS_CHECKED = 10_000


def folder_dataset(
    model: EvaluatedModel,
    folders: Sequence[Any],
    classes: ClassTable | None,
    seed: int,
    options: FolderOptions,
) -> tuple[SegmentationDataset, dict[str, Any]]:
    """Returns a data set of two folders, and its options that are those of the model's training.

    Options that are None or left out are those of the training.
    """
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    table = resolve_classes(
        classes, model, labels=None, ignore_class=given.pop("ignore_class", None)
    )
    stored = _stored_options(model.preprocessing, given, classes)
    if stored.get("label_map") == dict(table.label_map):
        del stored["label_map"]
    data = SegmentationDataset.from_folders(
        *folders,
        classes=table,
        image_size=None,
        channels=model.channels,
        seed=seed,
        **{**_STORED, **stored, **given},
    )
    return data, stored


def _stored_options(
    preprocessing: Preprocessing | None, given: Mapping[str, Any], classes: ClassTable | None
) -> dict[str, Any]:
    """Returns the options of the training that are neither given nor the default."""
    if preprocessing is None:
        return {}
    stored = {name: getattr(preprocessing, name) for name in _STORED}
    # The label map replaces ids in files, so it belongs to the encoding. The map of a table that
    # is passed belongs to its masks.
    same_encoding = given.get("encoding", preprocessing.encoding) == preprocessing.encoding
    has_map = classes is not None and classes.label_map
    if preprocessing.label_map is None or not same_encoding or has_map:
        del stored["label_map"]
    return {
        name: value
        for name, value in stored.items()
        if name not in given and value != _STORED[name]
    }


class FileCases:
    """The images of a data set with the outputs of a model, at the size of the masks.

    ``stored`` are the options of the data set that are those of the model's training.

    Attributes:
        classes: Class table of the evaluation.
        total: int. Number of images.
        settings: Settings of the evaluation, of JSON types.
    """

    def __init__(
        self,
        model: EvaluatedModel,
        data: SegmentationDataset,
        classes: ClassTable | None,
        stored: Mapping[str, Any],
        shard: Sequence[int] | None,
    ) -> None:
        _require_n_classes(data.n_classes, model.n_classes)
        self.classes = resolve_classes(classes, model, labels=data.source.labels, ignore_class=None)
        self._model, self._data, self._stored = model, data, stored
        try:
            pairs = data.pairs
        except ValueError as error:
            raise ValueError(f"{error}{self._note(_PAIRING)}") from error
        self._pairs = pairs if shard is None else _take_shard(pairs, shard)
        self.total = len(self._pairs)
        self._check_headers()
        self.settings: dict[str, Any] = {
            **_data_settings(data, self.classes),
            "resolution": "evaluated at the masks' own size",
        }
        if model.prediction_options:
            self.settings["prediction"] = model.prediction_options
        if stored:
            self.settings["as_in_training"] = sorted(stored)
        if shard is not None:
            self.settings["shards"] = [list(map(int, shard))]

    def __iter__(self) -> Iterator[Case]:
        """Yields the images."""
        channels, max_pixels = self._model.channels, self._data.max_pixels
        images, inputs = itertools.tee(
            InputImage(pair.image, channels=channels, max_pixels=max_pixels) for pair in self._pairs
        )
        outputs = self._model.predict_images(inputs)
        for pair, image, output in zip(self._pairs, images, outputs, strict=True):
            read_mask = partial(self._read_mask, pair, image.size)
            yield Case(pair.key, f"'{pair.mask}'", partial(image_array, image), read_mask, output)

    def _check_headers(self) -> None:
        options = {"channels": self._model.channels, "max_pixels": self._data.max_pixels}
        pairs = self._pairs[:_HEADERS_CHECKED]
        headers = [check_headers(self._data.source, pair, **options) for pair in pairs]
        ambiguous = [
            pair
            for pair, both in zip(pairs, headers, strict=True)
            if is_orientation_ambiguous(*both)
        ]
        warn_of_orientations(ambiguous, len(pairs))

    def _read_mask(self, pair: Pair, size: tuple[int, int]) -> np.ndarray:
        try:
            mask = self._data.read_mask(pair)
        except ValueError as error:
            raise ValueError(f"{error}{self._note(_LABELS)}") from error
        if mask.shape != size:
            raise ValueError(
                f"A mask must have its image's size. Received: {mask.shape[0]}x{mask.shape[1]} "
                f"and {size[0]}x{size[1]} in '{pair.image}'."
            )
        return mask

    def _note(self, names: Iterable[str]) -> str:
        """Returns the end of an error message on options that are those of the training."""
        options = [f"{name}={self._stored[name]!r}" for name in names if name in self._stored]
        if not options:
            return ""
        return (
            f" They are read as in the model's training, {', '.join(options)}: pass other values "
            "if these files have other names or labels."
        )


def _data_settings(data: SegmentationDataset, classes: ClassTable) -> dict[str, Any]:
    """Returns the origin of the data and its options that are not the default, as JSON types."""
    source = data.source
    settings: dict[str, Any] = {"data": source.description}
    options: dict[str, tuple[Any, Any]] = {}
    if isinstance(source, FolderSource):
        settings = {"images": source.image_dir, "masks": source.mask_dir}
        options = {
            "encoding": (source.labels.encoding, "ids"),
            "label_map": (dict(source.labels.label_map), dict(classes.label_map)),
            "image_suffix": (source.image_suffix, ""),
            "mask_suffix": (source.mask_suffix, ""),
        }
    options |= {
        "subset": (data.subset_name, None),
        "split": (tuple(data.split), SPLIT),
        "group_by": (data.group_by, None),
        "max_pixels": (data.max_pixels, MAX_PIXELS),
    }
    changed = {
        name: _plain(value) for name, (value, default) in options.items() if value != default
    }
    return {**settings, "data_options": changed} if changed else settings


def _take_shard(pairs: Sequence[Pair], shard: Sequence[int]) -> Sequence[Pair]:
    chosen = take_shard(pairs, shard, "images")
    if not chosen:
        raise ValueError(
            f"`shard` must hold an image. Received: shard={tuple(shard)} of "
            f"{counted(len(pairs), 'pair')}. Use fewer shards."
        )
    return chosen


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

    Attributes:
        classes: Class table of the evaluation.
        total: int or None. Number of images, if known.
        settings: Settings of the evaluation, of JSON types.
    """

    def __init__(
        self, model: EvaluatedModel, dataset: tf.data.Dataset, classes: ClassTable | None
    ) -> None:
        _require_finite(dataset)
        info = info_of(dataset)
        if info is not None:
            _require_info(info, model.n_classes)
        _require_shapes(dataset, model.input_shape)
        if info is not None:
            model.require_range(info.preprocessing.value_range)
        self._model = model
        self._dataset = dataset
        self._keys = None if info is None else info.keys
        labels = None if info is None else info.labels
        self.classes = resolve_classes(classes, model, labels=labels, ignore_class=None)
        self.total = None if info is None else info.n_pairs
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


def _require_finite(dataset: tf.data.Dataset) -> None:
    cardinality = int(dataset.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "`data` must be finite. Received: an infinite data set. Make it without repeat=True."
        )
    if cardinality == 0:
        raise ValueError("`data` must hold an image. Received: an empty data set.")


def _require_n_classes(of_data: int | None, of_model: int) -> None:
    if of_data not in (None, of_model):
        raise ValueError(
            "`model` must have an output for each class of the data. "
            f"Received: {of_model} outputs, and n_classes={of_data} in `data`. "
            "Pass the data of the model, or make the data set with the other number."
        )


def _require_info(info: DatasetInfo, n_classes: int) -> None:
    _require_n_classes(info.labels.n_classes, n_classes)
    if info.augmentation is not None:
        raise ValueError(
            "`data` must not be augmented. Received: a data set with augmentation. Disable it."
        )


def _require_shapes(dataset: tf.data.Dataset, input_shape: tuple[int | None, ...]) -> None:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2:
        received = f"{len(spec)} parts" if isinstance(spec, tuple) else type(spec).__name__
        raise ValueError(f"`data` must hold {_BATCHES}. Received: {received}.")
    shape = spec[0].shape
    fits = shape.rank == len(input_shape) == 4 and all(
        None in sides or sides[0] == sides[1]
        for sides in zip(input_shape[1:], shape.as_list()[1:], strict=True)
    )
    if not fits:
        raise ValueError(
            f"Images in `data` must have the model's shape, {input_shape}. Received: {shape}. "
            "Pass that `image_size` to `make_dataset`; two folders are preprocessed as in training."
        )


def _require_masks(masks: np.ndarray, images: np.ndarray, batch: int) -> None:
    shapes = images.shape[:3], (*images.shape[:3], 1)
    if masks.shape not in shapes or not np.issubdtype(masks.dtype, np.integer):
        raise ValueError(
            f"Masks in `data` must hold an integer id for each pixel, {shapes[1]}. "
            f"Received: {masks.dtype} of shape {masks.shape} in batch {batch}. "
            "Pass no one-hot vectors, and resize masks with nearest neighbor."
        )
