"""The input pipeline of a data set: order, reading on threads, crops, sharding.

TensorFlow shuffles and batches the indices of pairs; Python reads the files. Shuffling indices
instead of images is uniform and needs no buffer, and a worker reads only the files of its shard.
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from unetv2.data.cache import CacheError, FolderCache, Images
from unetv2.data.ceiling import CeilingCheck
from unetv2.data.io.base import is_orientation_ambiguous
from unetv2.data.pairs import LabelSource, Pair
from unetv2.data.preprocess import check_headers, read_pair, warn_of_orientations
from unetv2.preprocessing import Preprocessing
from unetv2.text import one_line

# Limits of the checks before the first batch: enough to find errors of a whole folder without
# reading a large folder twice.
_HEADERS_CHECKED = 10_000
_PAIRS_READ = 32
BATCHES_AHEAD = 2

_log = logging.getLogger("unetv2")


class ShutdownGuard:
    """Counts the Python calls of TensorFlow's threads, and refuses new ones at exit.

    An interrupted iterator continues to prefetch. A thread that waits for the GIL while the
    interpreter shuts down never acquires it, and TensorFlow waits for that thread: the process
    would hang. Therefore new calls are refused at exit, and running calls are awaited.
    """

    _QUIET_SECONDS = 0.05
    _TIMEOUT_SECONDS = 10.0

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._last_call = 0.0
        self._closed = False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Counts a call.

        Raises:
            ValueError: If the interpreter is shutting down.
        """
        with self._lock:
            self._running += 1
        try:
            if self._closed:
                raise ValueError("The interpreter is ending.")
            yield
        finally:
            with self._lock:
                self._running -= 1
                self._last_call = time.monotonic()

    def close(self) -> None:
        """Refuses new calls, and waits until the running ones have returned."""
        self._closed = True
        deadline = time.monotonic() + self._TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            quiet = time.monotonic() - self._last_call > self._QUIET_SECONDS
            if quiet and not self._running:
                return
            time.sleep(self._QUIET_SECONDS)


@functools.cache
def _shutdown_guard() -> ShutdownGuard:
    guard = ShutdownGuard()
    atexit.register(guard.close)
    return guard


def call_python(
    method: Callable[..., Any],
    inputs: Sequence[tf.Tensor],
    dtypes: Sequence[Any],
    *,
    stateful: bool = True,
) -> Any:
    """Calls a method with NumPy arrays in a ``tf.data`` pipeline.

    TensorFlow keeps Python functions, and all objects that they reference, until the process ends.
    Therefore the function has a weak reference to the method's object; :func:`keep_alive` ties the
    object's lifetime to the data set.

    Args:
        method: A bound method.
        inputs: Tensors.
        dtypes: Types of the results.
        stateful: bool. Whether equal inputs may give different results.
    """
    reference = weakref.WeakMethod(method)
    guard = _shutdown_guard()

    def call(*arrays: np.ndarray) -> Any:
        method = reference()
        if method is None:
            raise ValueError(
                "A data set must be kept while it is iterated over. Received: one that is deleted. "
                "Make it outside of TensorFlow's functions, and keep it in a variable."
            )
        try:
            with guard.call():
                return method(*arrays)
        except OSError as error:
            # TensorFlow keeps the message of a ValueError.
            raise ValueError(str(error)) from error

    return tf.numpy_function(call, inputs, dtypes, stateful=stateful)


_kept_alive: weakref.WeakKeyDictionary[tf.data.Dataset, object] = weakref.WeakKeyDictionary()


def keep_alive(dataset: tf.data.Dataset, value: object) -> tf.data.Dataset:
    """Keeps an object alive as long as a data set or one derived from it, and returns the data set.

    Args:
        dataset: Calls a method of the object by :func:`call_python`.
        value: The object. It must not reference the data set.
    """
    _kept_alive[dataset] = value
    return dataset


class EpochCounter:
    """Numbers the iterations over a data set.

    Attributes:
        next: int. Number of the next iteration; set it to resume.
    """

    def __init__(self) -> None:
        self.next = 0

    def take(self) -> int:
        """Returns the number of a new iteration, and increments it."""
        number = self.next
        self.next += 1
        return number


@dataclass(frozen=True)
class _Orders:
    n: int
    seed: int
    shuffle: bool
    counter: EpochCounter
    frequencies: np.ndarray | None

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the order of the next epoch, and a random number for each element."""
        rng = np.random.default_rng([self.seed, self.counter.take()])
        order = np.arange(self.n)
        if self.frequencies is not None:
            # Systematic sampling: an index occurs as often as its frequency, rounded down or up.
            ends = np.cumsum(self.frequencies / self.frequencies.sum()) * self.n
            order = np.searchsorted(ends, order + rng.random()).clip(max=self.n - 1)
        if self.shuffle:
            order = rng.permutation(order)
        return order, rng.integers(0, 2**31, self.n)


def epochs(
    n: int,
    *,
    seed: int,
    shuffle: bool,
    repeat: bool,
    counter: EpochCounter | None = None,
    frequencies: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Yields the indices 0 .. n - 1 in random order, each with a random number.

    Both depend on ``seed`` and the epoch only; TensorFlow's shuffle would also depend on its global
    seed. Each iteration over the data set is an epoch.

    Args:
        n: int. Number of indices.
        seed: int. Seed of orders and random numbers.
        shuffle: bool. Whether each epoch has a different random order.
        repeat: bool. Whether one iteration never ends, epoch after epoch.
        counter: Numbers the epochs; None counts from 0.
        frequencies: float ``(n,)``, above 0. Relative frequency of each index in an epoch, which
            has ``n`` elements also then; None is once each.

    Returns:
        tf.data.Dataset of ``(index, draw)``, int64 scalars; draws are in [0, 2**31).
    """
    counter = EpochCounter() if counter is None else counter
    orders = _Orders(n, seed, shuffle, counter, frequencies)

    def columns(_: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        order, draws = call_python(orders.take, [], [tf.int64, tf.int64])
        return tf.ensure_shape(order, (n,)), tf.ensure_shape(draws, (n,))

    # `from_generator` would slow reading images by a fifth in Python 3.11, where it makes the
    # process return every large block of memory immediately.
    dataset = keep_alive(tf.data.Dataset.range(1).map(columns), orders)
    cardinality = n
    if repeat:
        dataset, cardinality = dataset.repeat(), tf.data.INFINITE_CARDINALITY
    numbers = dataset.flat_map(
        lambda numbers, draws: tf.data.Dataset.from_tensor_slices((numbers, draws))
    )
    return numbers.apply(tf.data.experimental.assert_cardinality(cardinality))


def with_prefetch(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Adds prefetching and disables autotuning.

    At its end, an iterator would wait for the autotuner, up to seconds in each epoch.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(BATCHES_AHEAD).with_options(options)


class Loader:
    """Reads prepared images on threads that live as long as the loader.

    Args:
        source: LabelSource. Provides the masks.
        pairs: The pairs, by index.
        preprocessing: Size and crops of the images.
        balanced: bool. See :func:`random_crop`.
        one_size: bool. Whether all images must have the size of the first, to form a batch.
        cache: ``"memory"``, None, or a folder.
        max_skipped: float in [0, 1) or None. Fraction of pairs that may be skipped because of an
            error. None raises the first error.
        max_pixels: int. Larger images are refused.
        ceiling: CeilingCheck or None. Gets the first masks that are read.

    Attributes:
        pixel_dtype: np.dtype. uint8, or uint16 if an image has 16 bits.
    """

    def __init__(
        self,
        source: LabelSource,
        pairs: Sequence[Pair],
        preprocessing: Preprocessing,
        *,
        balanced: bool,
        one_size: bool,
        cache: str | os.PathLike[str] | None,
        max_skipped: float | None,
        max_pixels: int,
        ceiling: CeilingCheck | None = None,
    ) -> None:
        self._source = source
        self._pairs = pairs
        self._preprocessing = preprocessing
        self._balanced = balanced
        self._one_size = one_size
        self._max_skipped = max_skipped
        self._max_pixels = max_pixels
        self._ceiling = ceiling
        self._first_size: tuple[int, ...] | None = None
        self._skipped: set[int] = set()
        self._lock = threading.Lock()
        self._in_memory: dict[int, Images] | None = {} if cache == "memory" else None
        self._folder: FolderCache | None = None
        if cache is not None and cache != "memory":
            self._folder = FolderCache(cache, describe_preparation(source, preprocessing))
        self.pixel_dtype: np.dtype[np.unsignedinteger] = np.dtype(np.uint8)
        # More threads than cores, as some wait for the disk or for the GIL.
        self._threads = ThreadPoolExecutor(2 * (os.cpu_count() or 1), thread_name_prefix="unetv2")

    @contextmanager
    def check(self) -> Iterator[None]:
        """Checks headers before the ``with`` block, and reads the first pairs during it.

        Raises:
            ValueError: If a pair is not valid, or too many are not.
        """
        reads: list[Future[Images | None]] = []
        try:
            if not self._one_size:
                reads = self._read_first()
            self._check_headers()
            if self._one_size:
                # All other images must have its size.
                self.read(0)
                reads = self._read_first()
            yield
            for read in reads:
                read.result()
        finally:
            for read in reads:
                read.cancel()
            wait(reads)

    def load(self, numbers: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads a batch, as part of a graph.

        Args:
            numbers: int64 ``(batch,)``. Indices of the pairs.
            draws: int64 ``(batch,)``. Random numbers for the crops.

        Returns:
            tuple ``(images, masks)``, with fewer rows if pairs are skipped.
        """
        # One call per batch with its own threads: calls by TensorFlow's threads block each other.
        images, masks = call_python(
            self._read_batch, [numbers, draws], [self.pixel_dtype, tf.int32], stateful=False
        )
        height, width = self._preprocessing.input_size or (None, None)
        images = tf.ensure_shape(images, (None, height, width, self._preprocessing.channels))
        return images, tf.ensure_shape(masks, (None, height, width, 1))

    def read(self, number: int) -> Images | None:
        """Returns image and mask of a pair before cropping, or None if it is skipped.

        Raises:
            ValueError: If it is not valid, or too many are not.
            CacheError: If the cache folder cannot be written.
        """
        images = None if self._in_memory is None else self._in_memory.get(number)
        if images is None:
            if number in self._skipped:
                return None
            try:
                images = self._read_files(self._pairs[number])
                self._require_size(self._pairs[number], images[1].shape[:2])
            except CacheError:
                raise
            except (ValueError, OSError) as error:
                self._skip(number, error)
                return None
            if self._in_memory is not None:
                self._in_memory[number] = images
        image, mask = images
        # Not earlier: the first pairs are read before the bit depth of all headers is known.
        return self._with_dtype(image), mask

    def _read_batch(self, numbers: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        results = self._threads.map(self._read_crop, numbers.tolist(), draws.tolist())
        pairs = [pair for pair in results if pair is not None]
        if not pairs:
            size = self._preprocessing.input_size or (1, 1)
            empty = np.zeros((0, *size, self._preprocessing.channels), self.pixel_dtype)
            return empty, empty[..., :1].astype(np.int32)
        images, masks = zip(*pairs, strict=True)
        return np.stack(images), np.stack([mask.astype(np.int32) for mask in masks])

    def _read_crop(self, number: int, draw: int) -> Images | None:
        images = self.read(number)
        crop_size = self._preprocessing.crop_size
        if images is None or crop_size is None:
            return images
        return random_crop(
            *images,
            crop_size,
            draw=draw,
            balanced=self._balanced,
            ignore_class=self._preprocessing.ignore_class,
        )

    def _read_first(self) -> list[Future[Images | None]]:
        numbers = range(len(self._pairs))[:_PAIRS_READ]
        return [self._threads.submit(self.read, number) for number in numbers]

    def _check_headers(self) -> None:
        checked, ambiguous = self._pairs[:_HEADERS_CHECKED], []
        channels = self._preprocessing.channels
        for number, pair in enumerate(checked):
            try:
                image, mask = check_headers(
                    self._source, pair, channels=channels, max_pixels=self._max_pixels
                )
            except (ValueError, OSError) as error:
                self._skip(number, error)
                continue
            if image.bits == 16:
                self.pixel_dtype = np.dtype(np.uint16)
            if is_orientation_ambiguous(image, mask):
                ambiguous.append(pair)
        warn_of_orientations(ambiguous, len(checked))

    def _read_files(self, pair: Pair) -> Images:
        if self._folder is None:
            return self._prepare(pair)
        # Before reading, so that a file that changes meanwhile gets a different entry.
        entry = self._folder.entry(self._source.files(pair), pair.key)
        images = self._folder.load(entry)
        if images is None:
            images = self._prepare(pair)
            self._folder.store(entry, images)
        return images

    def _prepare(self, pair: Pair) -> Images:
        return read_pair(
            self._source,
            pair,
            self._preprocessing,
            max_pixels=self._max_pixels,
            ceiling=self._ceiling,
        )

    def _require_size(self, pair: Pair, size: tuple[int, ...]) -> None:
        crop_size = self._preprocessing.crop_size
        if crop_size is not None and (size[0] < crop_size[0] or size[1] < crop_size[1]):
            raise ValueError(
                "`crop_size` must fit into every image. "
                f"Received: crop_size={crop_size} and {size[0]}x{size[1]} in '{pair.image}'. "
                "Pass a smaller one, or an `image_size`."
            )
        with self._lock:
            self._first_size = self._first_size or size
        if self._one_size and size != self._first_size:
            raise ValueError(
                "Images in a batch must be of one size. "
                f"Received: {self._first_size[0]}x{self._first_size[1]} and "
                f"{size[0]}x{size[1]} in '{pair.image}'. "
                "Pass an `image_size`, a `crop_size`, or batch_size=1."
            )

    def _with_dtype(self, image: np.ndarray) -> np.ndarray:
        if image.dtype == self.pixel_dtype:
            return image
        if self.pixel_dtype == np.uint16:
            return image.astype(np.uint16) * np.uint16(257)
        return np.rint(image / 257).astype(np.uint8)

    def _skip(self, number: int, error: Exception) -> None:
        """Logs and remembers a pair to skip, or raises if it may not be skipped."""
        if self._max_skipped is None:
            raise error
        with self._lock:
            if number in self._skipped:
                return
            self._skipped.add(number)
            count = len(self._skipped)
        _log.warning("Skipped %d of %d pairs: %s", count, len(self._pairs), one_line(error))
        if count > self._max_skipped * len(self._pairs):
            raise ValueError(
                f"At most `max_skipped`={self._max_skipped} of the pairs may be skipped. Received: "
                f"{count} of {len(self._pairs)}, the last one because of: {error} "
                "Fix the files or raise `max_skipped`."
            ) from error


def describe_preparation(source: LabelSource, preprocessing: Preprocessing) -> str:
    """Returns all options that determine the prepared images."""
    return repr(
        (
            source.description,
            preprocessing.image_size,
            preprocessing.resize,
            preprocessing.interpolation,
            preprocessing.channels,
        )
    )


def random_crop(
    image: np.ndarray,
    mask: np.ndarray,
    size: tuple[int, int],
    *,
    draw: int,
    balanced: bool,
    ignore_class: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Crops an image and its mask at the same random position.

    Args:
        image: ``(height, width, channels)``, at least as large as ``size``.
        mask: ids ``(height, width, 1)``.
        size: ``(height, width)`` of the crop.
        draw: int. Seed of the crop.
        balanced: bool. Whether a class is drawn first, with the same probability for each class of
            the image, and then a crop that contains a pixel of it.
        ignore_class: int or None. An id that is never drawn.

    Returns:
        tuple ``(image, mask)`` of ``size``.
    """
    rng = np.random.default_rng(draw)
    limits = [length - side for length, side in zip(mask.shape[:2], size, strict=True)]
    lowest, highest = [0, 0], limits
    classes = np.unique(mask)
    classes = classes[classes != ignore_class] if ignore_class is not None else classes
    if balanced and len(classes):
        pixels = np.flatnonzero(mask[..., 0] == rng.choice(classes))
        pixel = divmod(int(rng.choice(pixels)), mask.shape[1])
        lowest = [max(0, index - side + 1) for index, side in zip(pixel, size, strict=True)]
        highest = [min(limit, index) for limit, index in zip(limits, pixel, strict=True)]
    row, column = (
        int(rng.integers(low, high + 1)) for low, high in zip(lowest, highest, strict=True)
    )
    window = (slice(row, row + size[0]), slice(column, column + size[1]))
    return image[window], mask[window]


class PartPosition(NamedTuple):
    """Position of a replica's part in its batch.

    Attributes:
        first: int64 scalar. Index of its first image.
        is_real: bool scalar. False for padding: if a batch has fewer images than replicas, the
            others receive a copy of an image, as all replicas must take part in each step.
    """

    first: tf.Tensor
    is_real: tf.Tensor


@dataclass(frozen=True)
class Shard:
    """The replicas of a worker, which decide its part of each batch.

    A batch is divided while it consists of indices, so that a worker reads only its own files. The
    batches are the same for any number of workers.

    Args:
        first: int. Index of the worker's first replica.
        replicas: int. Number of its replicas.
        total: int. Number of replicas of all workers.

    Raises:
        ValueError: If the replicas are not within ``total``.

    Example:
        >>> batches = tf.data.Dataset.range(5).batch(4)
        >>> parts = Shard(first=1, replicas=1, total=2).parts(batches)
        >>> [(part.numpy().tolist(), bool(position.is_real)) for part, position in parts]
        [([2, 3], True), ([4], True)]
    """

    first: int
    replicas: int
    total: int

    def __post_init__(self) -> None:
        """Checks the numbers."""
        if not 0 <= self.first < self.first + self.replicas <= self.total:
            raise ValueError(
                "A worker's replicas must be some of all. Received: "
                f"{self.replicas} from number {self.first} on, of {self.total}."
            )

    def parts(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the parts of the batches for each replica of the worker in turn.

        The sizes of the parts of a batch differ by one image at most.

        Args:
            batches: Batches of tensors whose first axis is the batch.

        Returns:
            tf.data.Dataset of ``(part, position)``, ``replicas`` of them for each batch.
        """

        def cut(*batch: Any) -> tf.data.Dataset:
            own = tf.data.Dataset.range(self.first, self.first + self.replicas)
            return own.map(lambda replica: self._part(batch, replica))

        return batches.flat_map(cut)

    def _part(self, batch: tuple[Any, ...], replica: tf.Tensor) -> tuple[Any, PartPosition]:
        size = tf.shape(batch[0], tf.int64)[0]
        first, end = (size * number // self.total for number in (replica, replica + 1))
        is_real = end > first
        rows = slice(first, tf.maximum(end, first + 1))
        part = tuple(tensor[rows] for tensor in batch)
        return part if len(part) > 1 else part[0], PartPosition(first, is_real)
