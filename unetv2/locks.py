"""Locks of the operating system on files, which end with the process that holds them."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NamedTuple

try:
    import fcntl
except ImportError:
    # Windows has no such locks; a module's name is typed as one.
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)


class Held(NamedTuple):
    """A file that is held locked.

    Attributes:
        descriptor: int or None. Closing it releases the lock, as does the end of the process. None
            where the operating system has no locks: Windows renames no open file.
        locked: bool. False where the file system has no locks.
    """

    descriptor: int | None
    locked: bool

    def release(self) -> None:
        """Releases the lock; the file stays."""
        if self.descriptor is not None:
            os.close(self.descriptor)


def hold(path: Path, *, wait: bool = False, create: bool = True) -> Held:
    """Opens a file and locks it until it is closed or the process ends.

    Args:
        path: The file. Its holder may remove it by :func:`let_go`.
        wait: bool. Whether to wait for another holder.
        create: bool. Whether to make it where it does not exist.

    Returns:
        Held.

    Raises:
        BlockingIOError: If another thread or process holds it, of this machine or, on most network
            file systems, of another.
        OSError: If it cannot be opened.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
        if fcntl is None:
            os.close(descriptor)
            return Held(None, locked=False)
        try:
            locked = _locked(descriptor, wait)
            # The holder before may have removed the file between opening and locking.
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return Held(descriptor, locked)
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def let_go(path: Path, held: Held) -> None:
    """Removes a file while it is held, so that no other holder's is removed, and releases it."""
    try:
        path.unlink(missing_ok=True)
    finally:
        held.release()


def _locked(descriptor: int, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True
