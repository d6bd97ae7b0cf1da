"""Prepared pictures kept in a folder, for the next run and for others.

One file a pair, named by a hash of everything that decides its content: the two files with their
sizes and times of change, and how they are prepared. So what has changed is simply not found, and
nothing can be stale. Files are written beside and renamed into place, so that a kill at any moment
leaves whole files only.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np

from unetv2.data.pairs import Pair

# Raised when prepared pictures change with the library.
_VERSION = 1

Pictures = tuple[np.ndarray, np.ndarray]


class CacheError(OSError):
    """The cache's folder cannot be written: no fault of the pair that was to be kept."""


class FolderCache:
    """Keeps prepared pictures in a folder.

    Args:
        folder: Where; created if need be. Any number of data sets and processes share it.
        preparation: str. How pictures are prepared, everything that changes the result.

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
        self._preparation = f"{_VERSION}\n{preparation}"

    def entry(self, pair: Pair) -> Path:
        """Returns where a pair is kept, as its files are now.

        Raises:
            FileNotFoundError: If one of them is gone.
        """
        digest = hashlib.blake2b(self._preparation.encode(), digest_size=16)
        for path in (pair.image, pair.mask):
            status = os.stat(path)
            identity = (os.path.abspath(path), status.st_size, status.st_mtime_ns)
            digest.update(repr(identity).encode("utf-8", "surrogateescape"))
        name = digest.hexdigest()
        # No extension of a picture: the folder may lie among the images.
        # 256 folders: some file systems are slow with a million files in one.
        return self._folder / name[:2] / f"{name[2:]}.pair"

    def load(self, entry: Path) -> Pictures | None:
        """Returns image and mask, or None if they are not there."""
        try:
            with entry.open("rb") as file:
                return np.load(file, allow_pickle=False), np.load(file, allow_pickle=False)
        # A file damaged from outside is as good as none: it is written again.
        except (OSError, ValueError, EOFError):
            return None

    def store(self, entry: Path, pictures: Pictures) -> None:
        """Keeps image and mask.

        Raises:
            CacheError: If the folder cannot be written; what was there stays.
        """
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            descriptor, scratch = tempfile.mkstemp(dir=entry.parent, prefix=".", suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    for picture in pictures:
                        np.save(file, picture, allow_pickle=False)
                os.replace(scratch, entry)
            except BaseException:
                os.unlink(scratch)
                raise
        except OSError as error:
            raise CacheError(
                f"The folder of `cache` must be writable. Received: '{self._folder}' ({error}). "
                "Make room, or pass another folder."
            ) from error
