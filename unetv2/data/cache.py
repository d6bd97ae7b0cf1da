"""Prepared images in a folder, for later runs and other processes.

Each pair has one file, named by a hash of its preparation and of the path, size, inode and
modification times of its files; a changed file therefore has no entry. An entry contains a digest,
by which damaged entries are ignored, and is written atomically.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unetv2.files import clean_up, temporary_file

Images = tuple[np.ndarray, np.ndarray]

# Increment when prepared images or the format of an entry change.
_VERSION = 3
_DIGEST_BYTES = 32
# Two changes of a file within one clock tick have the same modification time: nanoseconds of a
# tick of the kernel, and of file systems that store whole seconds.
_TICK, _COARSE_TICK, _SECOND = 20_000_000, 2_000_000_000, 1_000_000_000


class CacheError(OSError):
    """The cache folder is not writable; the pair itself is valid."""


class Entry(NamedTuple):
    """Location of a cached pair.

    Attributes:
        path: pathlib.Path. The file.
        changed: int. The latest time of change of the pair's files, in nanoseconds.
    """

    path: Path
    changed: int

    def wait(self) -> None:
        """Waits until a further change of the files has a different modification time."""
        tick = _TICK if self.changed % _SECOND else _COARSE_TICK
        left = self.changed + tick - time.time_ns()
        # Modification times in the future are those of another clock.
        if 0 < left < 2 * tick:
            time.sleep(left / _SECOND)


class FolderCache:
    """Stores prepared images in a folder.

    Args:
        folder: The folder, created if it does not exist. Any number of processes may share it.
        preparation: str. Description of all options that determine the content.

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

    def entry(self, files: Iterable[str], key: str = "") -> Entry:
        """Returns the entry of a pair for the current state of its files.

        Args:
            files: Paths of the files that the pair is read from.
            key: str. The pair's key.

        Raises:
            FileNotFoundError: If a file does not exist.
        """
        digest = hashlib.blake2b(f"{self._preparation}\n".encode(), digest_size=16)
        digest.update(key.encode("utf-8", "surrogateescape"))
        changed = 0
        for path in files:
            status = os.stat(path)
            identity = (
                os.path.abspath(path), status.st_size, status.st_ino, status.st_mtime_ns,
                status.st_ctime_ns,
            )  # fmt: skip
            digest.update(repr(identity).encode("utf-8", "surrogateescape"))
            changed = max(changed, status.st_ctime_ns)
        name = digest.hexdigest()
        # Not an image extension, as the folder may be among the images; and 256 subfolders, as
        # some file systems are slow with a million files in one.
        return Entry(self._folder / name[:2] / f"{name[2:]}.pair", changed)

    def load(self, entry: Entry) -> Images | None:
        """Returns image and mask, or None if there is no valid entry.

        In that case the files are safe to read: see :meth:`Entry.wait`.
        """
        images = None
        with contextlib.suppress(OSError, ValueError, TypeError), entry.path.open("rb") as file:
            # A bytearray makes the arrays writable.
            images = _unpack(bytearray(file.read()))
        if images is None:
            entry.wait()
        return images

    def store(self, entry: Entry, images: Images) -> None:
        """Writes image and mask.

        Raises:
            CacheError: If the folder cannot be written; an existing entry is not changed.
        """
        try:
            entry.path.parent.mkdir(parents=True, exist_ok=True)
            # Not flushed: an entry damaged by a power failure is ignored by its digest.
            with temporary_file(self._folder) as scratch:
                scratch.write_bytes(_pack(images))
                scratch.replace(entry.path)
        except OSError as error:
            raise CacheError(
                f"The folder of `cache` must be writable. Received: '{self._folder}' ({error}). "
                "Free space, or pass another folder."
            ) from error


def _pack(images: Images) -> bytes:
    """Returns a digest, a JSON line with dtypes and shapes, and the values."""
    described = [[image.dtype.str, image.shape] for image in images]
    line = json.dumps(described).encode() + b"\n"
    content = line + b"".join(image.tobytes() for image in images)
    return _digest(content) + content


def _unpack(content: bytearray) -> Images | None:
    values = memoryview(content)[_DIGEST_BYTES:]
    if _digest(values) != content[:_DIGEST_BYTES]:
        return None
    start = content.index(b"\n", _DIGEST_BYTES) + 1
    arrays = []
    for dtype, shape in json.loads(content[_DIGEST_BYTES:start]):
        count = math.prod(shape)
        arrays.append(np.frombuffer(content, np.dtype(dtype), count, start).reshape(shape))
        start += arrays[-1].nbytes
    image, mask = arrays
    return (image, mask) if image.shape[:2] == mask.shape[:2] and start == len(content) else None


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
