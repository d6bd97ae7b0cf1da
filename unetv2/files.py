"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any


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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "Free some space" if full else "Make the folder writable"
        raise OSError(
            error.errno,
            f"'{path}' must be written {purpose}. Received: {error.strerror or error}. "
            f"{remedy}, and {advice}",
        ) from error


@contextlib.contextmanager
def beside(path: Path, advice: str = "try again") -> Iterator[Path]:
    """Gives the path of a file to write, which then takes the place of another.

    Args:
        path: Where it will be.
        advice: str. What to do after an error, once its reason is gone.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    # Libraries look at the extension, so that stays the last.
    other = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with told(path, advice=advice):
            yield other
            other.replace(path)
    finally:
        with contextlib.suppress(OSError):
            other.unlink()


def write_whole(path: Path, write: Callable[[IO[bytes]], Any], advice: str = "try again") -> None:
    """Writes a file beside its place and renames it into it.

    Args:
        path: Where to.
        write: Gets the open file.
        advice: str. What to do after an error, once its reason is gone.

    Raises:
        OSError: If it cannot be written; what was there stays.
    """
    with beside(path, advice) as other, other.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
