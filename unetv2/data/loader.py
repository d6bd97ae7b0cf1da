"""Prepared images by number: read, remembered, and skipped if they must be."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unetv2.arguments import require_choice, require_fraction
from unetv2.data.io.header import is_turn_ambiguous
from unetv2.data.pairs import Pair
from unetv2.data.preprocess import Preparation, check_headers, read_pair, warn_of_turns
from unetv2.files import clean_up, temporary_file
from unetv2.text import one_line

# Prepared images kept in a folder, for the next run and for others.
#
# One file a pair, named by a hash of everything that decides its content: how the pair is prepared,
# and the two files with their sizes, inodes and times of change. So what has changed is not found.
# A file that changes twice within a tick of the clock has one time of change, so none is read
# before that tick is over. An entry carries a digest; one that is damaged is not found either.
# Entries are renamed into place when they are whole.

# Raised when prepared images, or their files, change with the library.
_VERSION = 2
_DIGEST_BYTES = 32
# Nanoseconds that two changes of a file may look the same: ticks of the kernel, and times of file
# systems that keep seconds only.
_TICK, _COARSE_TICK, _SECOND = 20_000_000, 2_000_000_000, 1_000_000_000

Images = tuple[np.ndarray, np.ndarray]


class CacheError(OSError):
    """The cache's folder cannot be written: no fault of the pair that was to be kept."""


class Entry(NamedTuple):
    """Where a pair is kept.

    Attributes:
        path: pathlib.Path. The file.
        changed: int. The latest time of change of the pair's files, in nanoseconds.
    """

    path: Path
    changed: int

    def wait(self) -> None:
        """Waits until a further change of the files gives them another time of change."""
        tick = _TICK if self.changed % _SECOND else _COARSE_TICK
        left = self.changed + tick - time.time_ns()
        # A clock that is ahead says nothing.
        if 0 < left < 2 * tick:
            time.sleep(left / _SECOND)


class FolderCache:
    """Keeps prepared images in a folder.

    Args:
        folder: Where; created if need be. Any number of data sets and processes share it.
        preparation: str. How images are prepared, everything that changes the result.

    Raises:
        NotADirectoryError: If ``folder`` is a file.
    """

    def __init__(self, folder: str | os.PathLike[str], preparation: str) -> None:
        self._folder = Path(folder)
        if self._folder.exists() and not self._folder.is_dir():
            raise NotADirectoryError(
                "`cache` must be 'memory', None or a folder. "
                f"Received: '{self._folder}', which is a file. Pass another path."
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        clean_up(self._folder)
        self._preparation = f"{_VERSION}\n{preparation}"

    def entry(self, pair: Pair) -> Entry:
        """Returns where a pair is kept, as its files are now.

        Raises:
            FileNotFoundError: If one of them is gone.
        """
        digest = hashlib.blake2b(self._preparation.encode(), digest_size=16)
        changed = 0
        for path in (pair.image, pair.mask):
            status = os.stat(path)
            identity = (
                os.path.abspath(path), status.st_size, status.st_ino, status.st_mtime_ns,
                status.st_ctime_ns,
            )  # fmt: skip
            digest.update(repr(identity).encode("utf-8", "surrogateescape"))
            changed = max(changed, status.st_ctime_ns)
        name = digest.hexdigest()
        # No extension of an image: the folder may lie among the images.
        # 256 folders: some file systems are slow with a million files in one.
        return Entry(self._folder / name[:2] / f"{name[2:]}.pair", changed)

    def load(self, entry: Entry) -> Images | None:
        """Returns image and mask, or None if they are not there as they were written.

        Then their files may be read.
        """
        images = None
        with contextlib.suppress(OSError, ValueError, TypeError), entry.path.open("rb") as file:
            # Of a bytearray, so that the arrays can be written as others can.
            images = _unpacked(bytearray(file.read()))
        if images is None:
            entry.wait()
        return images

    def store(self, entry: Entry, images: Images) -> None:
        """Keeps image and mask.

        Raises:
            CacheError: If the folder cannot be written; what was there stays.
        """
        try:
            entry.path.parent.mkdir(parents=True, exist_ok=True)
            # Not flushed to the disk: what a power failure damages is not found.
            with temporary_file(self._folder) as other:
                other.write_bytes(_packed(images))
                other.replace(entry.path)
        except OSError as error:
            raise CacheError(
                f"The folder of `cache` must be writable. Received: '{self._folder}' ({error}). "
                "Make room, or pass another folder."
            ) from error


def _packed(images: Images) -> bytes:
    """Returns a digest, a line that describes the arrays, and their values."""
    described = [[image.dtype.str, image.shape] for image in images]
    line = json.dumps(described).encode() + b"\n"
    content = line + b"".join(image.tobytes() for image in images)
    return _digest(content) + content


def _unpacked(content: bytearray) -> Images | None:
    """Returns what was packed, or None if that is damaged."""
    values = memoryview(content)[_DIGEST_BYTES:]
    if _digest(values) != content[:_DIGEST_BYTES]:
        return None
    start = content.index(b"\n", _DIGEST_BYTES) + 1
    image, mask = (
        (np.dtype(dtype), tuple(shape)) for dtype, shape in json.loads(content[_DIGEST_BYTES:start])
    )
    arrays = []
    for dtype, shape in (image, mask):
        count = math.prod(shape)
        arrays.append(np.frombuffer(content, dtype, count, start).reshape(shape))
        start += count * dtype.itemsize
    if start != len(content) or arrays[0].shape[:2] != arrays[1].shape[:2]:
        return None
    return arrays[0], arrays[1]


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


# What is checked before the first batch is asked for: enough to find what is wrong with a
# whole folder at once, without reading a large one twice.
_HEADERS_CHECKED = 10_000
_PAIRS_READ = 32

_log = logging.getLogger("unetv2")


class Source:
    """Prepared images by number.

    Args:
        pairs: The files.
        preparation: How they are prepared.
        cache: ``"memory"``, None, or a folder.
        on_error: ``"raise"`` or ``"skip"``.
        max_skipped: float in [0, 1). Share of pairs that may be skipped.
        crop_size: ``(height, width)`` or None. What every image must hold.
        one_size: bool. Whether all must be as large as the first, to go into one batch.
    """

    def __init__(
        self,
        pairs: list[Pair],
        preparation: Preparation,
        *,
        cache: str | os.PathLike[str] | None,
        on_error: str,
        max_skipped: float,
        crop_size: tuple[int, int] | None = None,
        one_size: bool = False,
    ) -> None:
        require_choice("on_error", on_error, ("raise", "skip"))
        self._allowed = require_fraction(
            "max_skipped", max_skipped, "It is the share of pairs that may be skipped."
        )
        self._pairs = pairs
        self._preparation = preparation
        self._skips = on_error == "skip"
        self._crop_size = crop_size
        self._one_size = one_size
        self._first_size: tuple[int, ...] | None = None
        self._skipped: set[int] = set()
        self._lock = threading.Lock()
        self._remembered: dict[int, Images] | None = {} if cache == "memory" else None
        self._folder: FolderCache | None = None
        if cache is not None and cache != "memory":
            self._folder = FolderCache(cache, repr(preparation))
        self.pixel_dtype: np.dtype[np.unsignedinteger] = np.dtype(np.uint8)

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self._pairs)

    @contextmanager
    def checked(self, threads: Executor) -> Iterator[None]:
        """Raises, or skips, what is wrong with the first pairs; finds the bit depth.

        Headers are checked before the block runs, and pairs are read while it does.

        Args:
            threads: Read them.
        """
        reads: list[Future[Images | None]] = []
        try:
            if not self._one_size:
                reads = self._reads(threads)
            self._check_headers()
            if self._one_size:
                self.read(0)  # Its size is what the others are held against.
                reads = self._reads(threads)
            yield
            for read in reads:
                read.result()
        finally:
            for read in reads:
                read.cancel()
            wait(reads)

    def _reads(self, threads: Executor) -> list[Future[Images | None]]:
        return [threads.submit(self.read, number) for number in range(len(self))[:_PAIRS_READ]]

    def _check_headers(self) -> None:
        limit, channels = self._preparation.max_pixels, self._preparation.channels
        checked, turned = self._pairs[:_HEADERS_CHECKED], []
        for number, pair in enumerate(checked):
            try:
                image, mask = check_headers(
                    pair, limit, channels=channels, labels=self._preparation.labels
                )
            except (ValueError, OSError) as error:
                self._skip(number, error)
                continue
            if image.bits == 16:
                self.pixel_dtype = np.dtype(np.uint16)
            if is_turn_ambiguous(image, mask):
                turned.append(pair)
        warn_of_turns(turned, len(checked))

    def read(self, number: int) -> Images | None:
        """Returns image and mask of a pair, or None if it is skipped.

        Raises:
            ValueError: If something is wrong with it, or with too many.
            CacheError: If the cache's folder cannot be written.
        """
        images = None if self._remembered is None else self._remembered.get(number)
        if images is None:
            if number in self._skipped:
                return None
            try:
                images = self._load(self._pairs[number])
                self._require_size(self._pairs[number], images[1].shape[:2])
            except CacheError:
                raise
            except (ValueError, OSError) as error:
                self._skip(number, error)
                return None
            if self._remembered is not None:
                self._remembered[number] = images
        image, mask = images
        # Not before: a depth may be found when the first pairs are read already.
        return self._same_depth(image), mask

    def _load(self, pair: Pair) -> Images:
        if self._folder is None:
            return read_pair(pair, self._preparation)
        # Before reading: a file that changes meanwhile must not pass for its new self.
        entry = self._folder.entry(pair)
        images = self._folder.load(entry)
        if images is None:
            images = read_pair(pair, self._preparation)
            self._folder.store(entry, images)
        return images

    def _require_size(self, pair: Pair, size: tuple[int, ...]) -> None:
        crop_size = self._crop_size
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

    def _same_depth(self, image: np.ndarray) -> np.ndarray:
        if image.dtype == self.pixel_dtype:
            return image
        if self.pixel_dtype == np.uint16:
            return image.astype(np.uint16) * np.uint16(257)
        return np.rint(image / 257).astype(np.uint8)

    def _skip(self, number: int, error: Exception) -> None:
        """Notes a pair that cannot be used, or raises if none or no more may be skipped."""
        if not self._skips:
            raise error
        with self._lock:
            if number in self._skipped:
                return
            self._skipped.add(number)
            count = len(self._skipped)
        _log.warning("Skipped %d of %d pairs: %s", count, len(self), one_line(error))
        if count > self._allowed * len(self):
            raise ValueError(
                f"At most `max_skipped`={self._allowed} of the pairs may be skipped. Received: "
                f"{count} of {len(self)}, the last one since {error} "
                "Fix the files or raise `max_skipped`."
            ) from error
