"""One training at a time in an output folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:
    # Windows has no such locks; a module's name is typed as one.
    fcntl = None  # type: ignore[assignment]

_LOCK = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other trainings out of a folder, until this one ends or its process does.

    Args:
        folder: Created if need be.

    Raises:
        ValueError: If another training, of this or another process, is at work in it.
        OSError: If it cannot be written.
    """
    if fcntl is None or (folder.exists() and not folder.is_dir()):
        # A file in its place is refused with better words later.
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    descriptor = _take(path)
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        # Removed while it is held, so that nobody's lock is removed but this one.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _take(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip()
            os.close(descriptor)
            raise ValueError(
                "`output_dir` must not be in use by another training. Received: "
                f"'{path.parent}', where {holder or 'another process'} is at work. "
                "Wait for it, or pass another folder."
            ) from error
        except BaseException:
            os.close(descriptor)
            raise
        try:
            # The one before may have removed the file between opening and locking.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
