"""Prepared images kept in a folder, for the next run and for others.

One file a pair, named by a hash of everything that decides its content: how the pair is prepared,
and the two files with their sizes, inodes and times of change. So what has changed is not found. A
file that changes twice within a tick of the clock has one time of change, so none is read before
that tick is over. An entry carries a digest; one that is damaged is not found either. Entries are
renamed into place when they are whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unetv2.data.pairs import Pair
from unetv2.scratch import scratch_file, sweep

# Raised when prepared images, or their files, change with the library.
_VERSION = 2
_DIGEST_BYTES = 32
# Nanoseconds that two changes of a file may look the same: ticks of the kernel, and times of file
# systems that keep seconds only.
_TICK, _COARSE_TICK, _SECOND = 20_000_000, 2_000_000_000, 1_000_000_000

Pictures = tuple[np.ndarray, np.ndarray]


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
        sweep(self._folder)
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

    def load(self, entry: Entry) -> Pictures | None:
        """Returns image and mask, or None if they are not there as they were written.

        Then their files may be read.
        """
        pictures = None
        with contextlib.suppress(OSError, ValueError, TypeError), entry.path.open("rb") as file:
            # Of a bytearray, so that the arrays can be written as others can.
            pictures = _unpacked(bytearray(file.read()))
        if pictures is None:
            entry.wait()
        return pictures

    def store(self, entry: Entry, pictures: Pictures) -> None:
        """Keeps image and mask.

        Raises:
            CacheError: If the folder cannot be written; what was there stays.
        """
        try:
            entry.path.parent.mkdir(parents=True, exist_ok=True)
            # Not flushed to the disk: what a power failure damages is not found.
            with scratch_file(self._folder) as other:
                other.write_bytes(_packed(pictures))
                other.replace(entry.path)
        except OSError as error:
            raise CacheError(
                f"The folder of `cache` must be writable. Received: '{self._folder}' ({error}). "
                "Make room, or pass another folder."
            ) from error


def _packed(pictures: Pictures) -> bytes:
    """Returns a digest, a line that describes the arrays, and their values."""
    described = [[picture.dtype.str, picture.shape] for picture in pictures]
    line = json.dumps(described).encode() + b"\n"
    content = line + b"".join(picture.tobytes() for picture in pictures)
    return _digest(content) + content


def _unpacked(content: bytearray) -> Pictures | None:
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
