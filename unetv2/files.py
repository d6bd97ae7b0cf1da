"""Writes files and folders whole or not at all: the only writer of the library.

Everything is written to a scratch file or folder beside its target (:mod:`unetv2.scratch`), flushed
to the disk and renamed into place. After a kill at any moment the target is the old one or the new
one, and what else is left is removed by the next one to write there. Any number of threads,
processes and machines may write one target; the last one wins. Scratch names are short and keep
the extension, which libraries look at.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from unetv2.scratch import put, put_all, scratch_file, scratch_folder


@contextlib.contextmanager
def told(path: Path, purpose: str = "to go on", advice: str = "try again") -> Iterator[None]:
    """Turns an error of writing into one that says what to do.

    Args:
        path: What is written.
        purpose: str. What for.
        advice: str. What to do after an error, once its reason is gone.

    Raises:
        OSError: If there is one within.
    """
    try:
        yield
    except OSError as error:
        remedy = "Make the folder writable"
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            remedy = "Free some space"
        elif error.errno == errno.ENOENT:
            remedy = "Make its folder"
        message = (
            f"'{path}' must be written {purpose}. Received: {error.strerror or error}. "
            f"{remedy}, and {advice}"
        )
        # Not every error of a library has a number.
        known = () if error.errno is None else (error.errno,)
        raise OSError(*known, message) from error


@contextlib.contextmanager
def beside(
    path: Path, advice: str = "try again", *, within: Path | None = None, durable: bool = True
) -> Iterator[Path]:
    """Gives the path of a file to write, which then takes the place of another.

    Args:
        path: Where it will be. The path to write has the same extension.
        advice: str. What to do after an error, once its reason is gone.
        within: The folder to write in, of the same file system; None for that of ``path``.
        durable: bool. Whether it must be on the disk, not in its cache only, before it appears.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    folder = path.parent if within is None else within
    with told(path, advice=advice), scratch_file(folder, path.suffix) as other:
        yield other
        if durable:
            _flush(other)
        other.replace(path)
        if durable:
            _flush_one(path.parent)


def write_whole(
    path: Path,
    write: Callable[[IO[bytes]], Any],
    advice: str = "try again",
    *,
    within: Path | None = None,
    durable: bool = True,
) -> None:
    """Writes a file beside its place and renames it into it.

    Args:
        path: Where to.
        write: Gets the open file.
        advice: str. What to do after an error, once its reason is gone.
        within: As of :func:`beside`.
        durable: bool. As of :func:`beside`.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    with (
        beside(path, advice, within=within, durable=durable) as other,
        other.open("wb") as file,
    ):
        write(file)


@contextlib.contextmanager
def together(folder: Path, purpose: str = "to go on", advice: str = "try again") -> Iterator[Path]:
    """Gives a folder to write into; all that is in it then appears in another, as one.

    After a kill meanwhile the next one to write there brings the rest.

    Args:
        folder: Where it appears; made if need be. What has the same names there is replaced.
        purpose: str. What for.
        advice: str. What to do after an error, once its reason is gone.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    with told(folder, purpose, advice):
        folder.mkdir(parents=True, exist_ok=True)
        with scratch_folder(folder) as work:
            new = work / "new"
            new.mkdir()
            yield new
            _flush(new)
            put_all(new, folder)
            _flush_one(folder)


def publish(source: Path, target: Path) -> None:
    """Flushes a file or folder to the disk and renames it into place, whatever is there.

    Args:
        source: What lies in a scratch folder beside ``target``.
        target: Where to.

    Raises:
        OSError: If that cannot be done; what was there stays.
    """
    _flush(source)
    put(source, target)
    _flush_one(target.parent)


def _flush(path: Path) -> None:
    """Has a file, or a folder with all in it, on the disk and not in its cache only."""
    for one in (*path.rglob("*"), path):
        _flush_one(one)


def _flush_one(path: Path) -> None:
    folder = path.is_dir()
    if folder and os.name == "nt":
        return
    # Windows flushes only what is open for writing.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Not every file system flushes folders.
        if not folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
