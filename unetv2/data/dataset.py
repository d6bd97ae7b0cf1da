"""Two folders of images to a ``tf.data.Dataset``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_image_size, require_integer
from unetv2.classes import ClassTable
from unetv2.data.augmentation import Augmentation
from unetv2.data.augmentation import get as get_augmentation
from unetv2.data.dataset_info import Origin, digest, remember
from unetv2.data.io.open import MAX_PIXELS
from unetv2.data.labels import resolve_labels
from unetv2.data.loader import Images, Source
from unetv2.data.pairs import SPLIT, GroupBy, find_pairs, split_pairs
from unetv2.data.preprocess import Preparation
from unetv2.data.sampling import EpochCounter, Place, Share, epochs, random_crop, without_waits
from unetv2.data.shutdown import call_python, owned


class Batches:
    """Reads batches on threads of its own, which end with it.

    Args:
        source: Where the images come from.
        preparation: How they are prepared.
        crop_size: ``(height, width)`` of the parts that are cut out of them, or None.
        balanced: bool. See :func:`unetv2.data.sampling.random_crop`.
    """

    def __init__(
        self,
        source: Source,
        preparation: Preparation,
        crop_size: tuple[int, int] | None,
        *,
        balanced: bool,
    ) -> None:
        self._source = source
        self._size = crop_size or preparation.image_size
        self._channels = preparation.channels
        self._crop_size = crop_size
        self._balanced = balanced
        self._ignore_class = preparation.labels.ignore_class
        # More than cores, as some wait for the disk or for Python's lock.
        self.threads = ThreadPoolExecutor(2 * (os.cpu_count() or 1), thread_name_prefix="unetv2")

    def load(self, numbers: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the images and masks of a batch, as tensors that are read when they are needed.

        Args:
            numbers: int64 ``(batch,)``.
            draws: int64 ``(batch,)``. They decide the crops.

        Returns:
            tuple ``(images, masks)``, of fewer rows where pairs were skipped.
        """
        # A batch a call, on threads of our own: TensorFlow's wait for each other in Python.
        images, masks = call_python(
            self._read, [numbers, draws], [self._source.pixel_dtype, tf.int32], stateful=False
        )
        height, width = self._size or (None, None)
        images = tf.ensure_shape(images, (None, height, width, self._channels))
        return images, tf.ensure_shape(masks, (None, height, width, 1))

    def _read(self, numbers: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = list(self.threads.map(self._read_one, numbers.tolist(), draws.tolist()))
        pairs = [pair for pair in found if pair is not None]
        if not pairs:
            empty = np.zeros((0, *(self._size or (1, 1)), 1))
            image = empty.repeat(self._channels, axis=3).astype(self._source.pixel_dtype)
            return image, empty.astype(np.int32)
        images, masks = zip(*pairs, strict=True)
        return np.stack(images), np.stack([mask.astype(np.int32) for mask in masks])

    def _read_one(self, number: int, draw: int) -> Images | None:
        images = self._source.read(number)
        if images is None or self._crop_size is None:
            return images
        image, mask = images
        return random_crop(
            image, mask, self._crop_size,
            draw=draw, balanced=self._balanced, ignore_class=self._ignore_class,
        )  # fmt: skip


# One is being read while the next one starts, so that no thread waits for the last image.
_BATCHES_AT_ONCE = 2


def make_dataset(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    *,
    n_classes: int | None = None,
    ignore_class: int | None = None,
    classes: ClassTable | None = None,
    encoding: str = "ids",
    label_map: Mapping[int, int] | None = None,
    image_size: tuple[int, int] | None = (96, 128),
    resize: str = "stretch",
    interpolation: str = "area",
    channels: int = 3,
    crop_size: tuple[int, int] | None = None,
    balanced: bool = False,
    augmentation: str | Augmentation | None = None,
    batch_size: int = 32,
    subset: str | None = None,
    split: Sequence[float] = SPLIT,
    group_by: GroupBy | None = None,
    shuffle: bool | None = None,
    repeat: bool = False,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = "memory",
    image_suffix: str = "",
    mask_suffix: str = "",
    on_error: str = "raise",
    max_skipped: float = 0.1,
    max_pixels: int = MAX_PIXELS,
) -> tf.data.Dataset:
    """Makes batches of images and masks from two folders.

    Image and mask belong together by path and name without extension. Masks hold class ids: as
    gray values, as indices of a palette of colors, or in red alone, as in CARLA's files, all
    masks of the folder in one of these ways; or, by ``encoding``, colors or black and white.
    Ids are never interpolated.

    The headers of the first 10,000 pairs and all of the first 32 pairs are checked here;
    everything else when it is read, in the first epoch. An error then is a
    ``tf.errors.InvalidArgumentError`` with the same text.

    Args:
        image_dir: Folder of the images: PNG, JPEG, BMP, GIF, TIFF or WebP, or arrays in
            ``.npy`` files, uint8 or uint16 ``(height, width, channels)`` or
            ``(height, width)``.
        mask_dir: Folder of the masks, in a lossless format or as ``.npy``: integers or bool
            ``(height, width)`` or ``(height, width, 1)``, colors uint8 ``(height, width, 3)``.
        n_classes: int, 2 to 65,536, or None. Number of classes; another id in a mask is an error.
            None takes the number of ``classes``, 2 for ``encoding="binary"``, or any id.
        ignore_class: int or None. Id of pixels that have no label, allowed besides. None takes
            that of ``classes``.
        classes: ClassTable or None. Gives what the three arguments around it leave open.
        encoding: ``"ids"``, which refuses colors; ``"colors"`` of ``classes``, exactly;
            ``"binary"``, 0 and 255; ``"max_channel"``, the largest of red, green and blue, so
            that different colors may give one id.
        label_map: Other ids for those in the files, integers to integers; what it does not list
            stays, but must not be one that others are mapped to. None takes that of ``classes``.
        image_size: ``(height, width)`` to which both are resized. None keeps every image's
            own; they must then be of one size, or ``crop_size`` or ``batch_size=1`` be given.
        resize: ``"stretch"``; ``"pad"``, keeping the aspect ratio, padded with black and
            ``ignore_class``; ``"crop"``, keeping it, cropped around the middle.
        interpolation: For images. ``"area"``: along a side that shrinks the mean over an output
            pixel's area, along one that grows bilinear; or ``"nearest"``, ``"bilinear"``,
            ``"bicubic"`` or ``"lanczos3"``. The reference has ``"nearest"``.
        channels: int, at least 1. Channels of the images. Image files are converted: 1 gray, 2
            with alpha, 3 RGB, 4 with alpha. Arrays must have exactly as many, any number.
        crop_size: ``(height, width)`` or None. A random part of that size, another in each
            epoch, after resizing. Images must be as large; it must fit into ``image_size``.
        balanced: bool. Whether that part is drawn to hold a class drawn first, each of the
            image's classes with the same chance.
        augmentation: ``"light"``, ``"driving"``, an
            :class:`~unetv2.augmentation.Augmentation`, or None. A name's saturation is left
            out unless there are 3 channels; an augmentation with one is then an error.
        batch_size: int, at least 1. Pairs in a batch; the last one of an epoch may be smaller.
        subset: ``"train"``, ``"validation"`` or ``"test"``; None takes all pairs.
        split: Shares of the three subsets, the sum 1. A pair's subset follows from its name and
            ``seed`` alone.
        group_by: str, function or None. Keeps what belongs together in one subset: a regular
            expression whose first group names it, or a function from the name to it.
        shuffle: bool or None. Whether every epoch has another order; None shuffles all but
            ``"validation"`` and ``"test"``.
        repeat: bool. Whether one iteration goes on for ever, epoch after epoch.
        seed: int, at least 0. Seed of the split, the order, the crops and the augmentation.
        cache: ``"memory"`` keeps the prepared images, 4 bytes a pixel of RGB; a folder
            keeps them for later runs too; None reads the files again in every epoch.
        image_suffix: str. What images' names end with, such as ``"_leftImg8bit"``.
        mask_suffix: str. What masks' names end with, such as ``"_gtFine_labelIds"``.
        on_error: ``"raise"``, or ``"skip"`` to go on without pairs that cannot be used, each
            logged once by the logger ``unetv2``. Their batches are smaller, and ``len`` of the
            data set is unknown.
        max_skipped: float in [0, 1). Share of pairs that may be skipped.
        max_pixels: int, at least 1. Images of more pixels are refused from their header.

    Returns:
        tf.data.Dataset of ``(image, mask)``: float32 ``(batch, height, width, channels)`` in
        [0, 1] and int32 ``(batch, height, width, 1)``.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If it is a file.
        ValueError: If images have no partner, are none, differ in size from their
            partner, or hold no labels; or an argument is out of its range.
        TypeError: If an argument is of the wrong type.
        OSError: If a folder cannot be read, or ``cache`` cannot be written.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "scenes", 4, image_size=(48, 64))
        >>> train = unetv2.make_dataset(
        ...     images, masks, classes=unetv2.CARLA, batch_size=2, augmentation="driving")
        >>> for image, mask in train.take(1):
        ...     print(image.shape, image.dtype.name, mask.shape, mask.dtype.name)
        (2, 96, 128, 3) float32 (2, 96, 128, 1) int32
    """
    batch_size = require_integer("batch_size", batch_size, 1, "The reference has 32.")
    labels = resolve_labels(n_classes, ignore_class, classes, encoding, label_map)
    preparation = Preparation(image_size, resize, interpolation, channels, max_pixels, labels)
    crop_size = _require_crop_size(crop_size, preparation.image_size)
    if balanced and crop_size is None:
        raise ValueError(
            "`balanced` must come with a `crop_size`: it decides which part is cut out. "
            "Received: balanced=True and crop_size=None. Pass one, or leave it out."
        )
    augment = get_augmentation(augmentation, labels.ignore_class, channels=channels)
    pairs = find_pairs(image_dir, mask_dir, image_suffix=image_suffix, mask_suffix=mask_suffix)
    # Of all pairs, so that all subsets are read alike.
    labels = labels.with_format_of([pair.mask for pair in pairs], preparation.max_pixels)
    preparation = replace(preparation, labels=labels)
    pairs = split_pairs(pairs, subset, split=split, seed=seed, group_by=group_by)
    source = Source(
        pairs,
        preparation,
        cache=cache,
        on_error=on_error,
        max_skipped=max_skipped,
        crop_size=crop_size,
        one_size=image_size is None and crop_size is None and batch_size > 1,
    )
    batches = Batches(source, preparation, crop_size, balanced=balanced)

    def finish(
        image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, first: tf.Tensor | int = 0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.cast(image, tf.float32) / float(np.iinfo(source.pixel_dtype).max)
        return (image, mask) if augment is None else augment(image, mask, seed, first)

    if shuffle is None:
        shuffle = subset not in ("validation", "test")
    counter = EpochCounter()

    # Numbers are shuffled, not images: the order is perfect and costs no buffer.
    def numbered(size: int) -> tf.data.Dataset:
        order = epochs(len(pairs), seed=seed, shuffle=shuffle, repeat=repeat, counter=counter)
        return order.batch(size)

    def share(size: int, own: Share) -> tf.data.Dataset:
        seeded = numbered(size).map(
            lambda numbers, draws: (numbers, draws, tf.ones_like(draws)[:, None] * _seed(draws))
        )

        def read_part(part: tuple[tf.Tensor, ...], place: Place) -> tuple[Any, Place]:
            numbers, draws, seeds = part
            return (*batches.load(numbers, draws), seeds[0]), place

        def finish_part(part: tuple[tf.Tensor, ...], place: Place) -> tuple[Any, Place]:
            images, masks, seeds = part
            return finish(images, masks, seeds, place.first), place

        parts = own.parts(seeded).map(read_part, num_parallel_calls=_BATCHES_AT_ONCE)
        return owned(parts, batches).map(finish_part, num_parallel_calls=os.cpu_count())

    with source.checked(batches.threads):
        dataset = numbered(batch_size).map(
            lambda numbers, draws: (*batches.load(numbers, draws), _seed(draws)),
            num_parallel_calls=_BATCHES_AT_ONCE,
        )
        dataset = owned(dataset, batches)
        if on_error == "skip":
            dataset = dataset.filter(lambda image, *_: tf.shape(image)[0] > 0)
        dataset = without_waits(dataset.map(finish, num_parallel_calls=os.cpu_count()))
    keys = None if shuffle or on_error == "skip" else tuple(pair.key for pair in pairs)
    origin = Origin(
        preparation, crop_size, len(pairs), keys, batch_size, augment, repeat, counter, share,
        image_suffix, mask_suffix,
        {
            "pairs": len(pairs), "names and sizes": digest(pairs), "seed": seed,
            "shuffle": shuffle, "preparation": repr(preparation), "crop_size": crop_size,
            "balanced": balanced, "augmentation": repr(augment),
        },
    )  # fmt: skip
    return remember(dataset, origin)


def _seed(draws: tf.Tensor) -> tf.Tensor:
    """Returns what a batch's images are varied by."""
    return tf.stack([draws[0], draws[-1]])


def _require_crop_size(
    crop_size: tuple[int, int] | None, image_size: tuple[int, int] | None
) -> tuple[int, int] | None:
    if crop_size is None:
        return None
    height, width = require_image_size(crop_size, "crop_size")
    if image_size is not None and (height > image_size[0] or width > image_size[1]):
        raise ValueError(
            "`crop_size` must fit into `image_size`. "
            f"Received: crop_size={(height, width)} and image_size={image_size}. "
            "Pass image_size=None to crop from the files' own size."
        )
    return height, width
