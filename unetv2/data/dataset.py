"""Two folders of pictures to a ``tf.data.Dataset``."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_choice, require_image_size, require_integer
from unetv2.data.pairs import SPLIT, Pair, find_pairs, split_pairs
from unetv2.data.reading import check_headers, read_pair

# What is checked before the first batch is asked for: enough to find what is wrong with a
# whole folder at once, without reading a large one twice.
_HEADERS_CHECKED = 10_000
_PAIRS_READ = 32


def make_dataset(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    *,
    n_classes: int | None = None,
    ignore_class: int | None = None,
    image_size: tuple[int, int] = (96, 128),
    batch_size: int = 32,
    subset: str | None = None,
    split: Sequence[float] = SPLIT,
    shuffle: bool | None = None,
    seed: int = 0,
    cache: str | None = "memory",
) -> tf.data.Dataset:
    """Makes batches of images and masks from two folders.

    Image and mask belong together by file name without extension. Masks hold class ids: in
    their only channel, as palette indices, or as the maximum over red, green and blue, as
    in CARLA's files. Ids are never interpolated.

    The headers of the first 10,000 pairs and all of the first 32 pairs are checked here;
    everything else when it is read, in the first epoch. An error then is a
    ``tf.errors.InvalidArgumentError`` with the same text.

    Args:
        image_dir: Folder of the images: PNG or JPEG, grey or RGB, alpha is dropped.
        mask_dir: Folder of the masks: PNG.
        n_classes: int or None. Number of classes; another id in a mask is an error. None
            takes any id, and refuses masks that hold colours.
        ignore_class: int or None. Id of pixels that have no label, allowed besides.
        image_size: ``(height, width)`` to which both are resized.
        batch_size: int. Pairs in a batch; the last one of an epoch may be smaller.
        subset: ``"train"``, ``"validation"`` or ``"test"``; None takes all pairs.
        split: Shares of the three subsets. A pair's subset follows from its name and
            ``seed`` alone.
        shuffle: bool or None. Whether every epoch has another order; None shuffles all but
            ``"validation"`` and ``"test"``.
        seed: int. Seed of the split and of the order.
        cache: ``"memory"`` keeps the resized pictures, 4 bytes a pixel; None reads the
            files again in every epoch.

    Returns:
        tf.data.Dataset of ``(image, mask)``: float32 ``(batch, height, width, 3)`` in [0, 1]
        and int32 ``(batch, height, width, 1)``.

    Raises:
        FileNotFoundError: If a folder does not exist.
        ValueError: If pictures have no partner, are none, differ in size from their
            partner, or hold ids out of range; or an argument is out of its range.

    Example:
        >>> images, masks = unetv2.data.write_driving_scenes(
        ...     tmp / "scenes", 4, image_size=(48, 64))
        >>> train = unetv2.make_dataset(images, masks, n_classes=23, batch_size=2)
        >>> for image, mask in train.take(1):
        ...     print(image.shape, image.dtype.name, mask.shape, mask.dtype.name)
        (2, 96, 128, 3) float32 (2, 96, 128, 1) int32
    """
    image_size = require_image_size(image_size)
    batch_size = require_integer("batch_size", batch_size, 1, "The reference has 32.")
    if n_classes is not None:
        n_classes = require_integer(
            "n_classes", n_classes, 2, "The background counts: a binary mask has 2 classes."
        )
    require_choice("cache", cache, ("memory", None))
    pairs = split_pairs(find_pairs(image_dir, mask_dir), subset, split=split, seed=seed)

    reader = _Reader(pairs, image_size, n_classes, ignore_class, remember=cache == "memory")
    reader.check()
    if shuffle is None:
        shuffle = subset not in ("validation", "test")

    height, width = image_size

    def read(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, mask = tf.numpy_function(reader, [number], [tf.uint8, tf.int32], stateful=False)
        return tf.ensure_shape(image, (height, width, 3)), tf.ensure_shape(mask, (height, width, 1))

    def to_float(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(image, tf.float32) / 255.0, mask

    # Numbers are shuffled, not pictures: the order is perfect and costs no buffer.
    return (
        _numbers(len(pairs), seed if shuffle else None)
        .map(read, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size)
        .map(to_float, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


class _Reader:
    """Reads pairs by number and remembers them if told to."""

    def __init__(
        self,
        pairs: list[Pair],
        image_size: tuple[int, int],
        n_classes: int | None,
        ignore_class: int | None,
        *,
        remember: bool,
    ) -> None:
        self._pairs = pairs
        self._image_size = image_size
        self._n_classes = n_classes
        self._ignore_class = ignore_class
        self._remembered: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if remember else None

    def check(self) -> None:
        """Raises what is wrong with the first pairs."""
        for pair in self._pairs[:_HEADERS_CHECKED]:
            check_headers(pair)
        for number in range(min(len(self._pairs), _PAIRS_READ)):
            self(number)

    def __call__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns image and mask, uint8 and int32."""
        pictures = None if self._remembered is None else self._remembered.get(int(number))
        if pictures is None:
            pictures = read_pair(
                self._pairs[number],
                self._image_size,
                n_classes=self._n_classes,
                ignore_class=self._ignore_class,
            )
            if self._remembered is not None:
                self._remembered[int(number)] = pictures
        image, mask = pictures
        return image, mask.astype(np.int32)


def _numbers(n: int, seed: int | None) -> tf.data.Dataset:
    """Yields 0 .. n - 1; with a seed in an order of its own in each epoch."""
    if seed is None:
        return tf.data.Dataset.range(n)
    epochs = itertools.count()

    def orders() -> Iterator[np.ndarray]:
        # From seed and epoch alone: TensorFlow's own shuffle depends on its global seed too.
        yield np.random.default_rng([seed, next(epochs)]).permutation(n)

    order = tf.data.Dataset.from_generator(orders, output_signature=tf.TensorSpec((n,), tf.int64))
    numbers = order.flat_map(tf.data.Dataset.from_tensor_slices)
    return numbers.apply(tf.data.experimental.assert_cardinality(n))
