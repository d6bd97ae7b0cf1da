"""Scratch files and folders: what is written before it is renamed into place.

One lies in the folder of its target and is called ``.unetv2-<kernel>-<random>``. Its writer holds
it locked, a folder by the file ``lock`` in it. The operating system releases the lock when the
process ends, however it ends. So what can be locked was left by a kill, and the next process that
writes in that folder removes it. Some network file systems keep locks within one machine: what
comes from another kernel must also be unchanged for an hour. Where there are no locks, as on
Windows, everything must.

What takes several renames to be put into place, a set of files, begins with one that moves ``new``
to ``commit`` in its scratch folder. One with ``commit`` is not removed but finished by whoever
comes next. One process at a time does so in a folder, so that sets do not mix.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Iterator
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


# Flags of Linux's renameat2 and macOS's renamex_np; paths are relative to the present folder.
_EXCHANGE, _AT_FDCWD = 2, -100
# What renaming over something else fails with, the last one on Windows.
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES)


def replaced(source: Path, target: Path) -> bool:
    """Renames a file or folder into its place in one step, where the system can.

    Args:
        source: What is renamed. If a folder, or a file for a folder, was there, that has its name
            afterwards.
        target: Where to.

    Returns:
        bool. Whether it could; nothing has changed otherwise.

    Raises:
        OSError: If renaming fails for another reason.
    """
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        return _exchanged(source, target)
    return True


def _exchanged(one: Path, other: Path) -> bool:
    if os.name == "nt":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if hasattr(library, "renameat2"):
        arguments = (_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
        return bool(library.renameat2(*arguments) == 0)
    if hasattr(library, "renamex_np"):
        return bool(library.renamex_np(*names, _EXCHANGE) == 0)
    return False


_NAME = re.compile(r"\.unetv2-[0-9a-f]{8}-[0-9a-f]{16}(\..*)?", re.DOTALL)
_LONGEST_SUFFIX = 16
_LOCK, _TURN = "lock", ".unetv2-turn"
_NEW, _COMMIT, _OLD = "new", "commit", "old"
_QUIET_SECONDS = 3600.0
_ATTEMPTS = 1000
# A reader waits so often, and so long, for what another process is just renaming into place.
_WAITS, _WAIT_SECONDS = 50, 0.02

# Folders that this process has looked through: they may be large.
_swept: set[str] = set()


@contextlib.contextmanager
def scratch_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Gives the path of a file to write, which is removed afterwards if it is still there.

    Args:
        folder: Where; it must exist.
        suffix: str. What the name ends with, if that is short.

    Raises:
        OSError: If nothing can be written there.
    """
    _sweep_once(folder)
    for path in _names(folder, suffix):
        # Others may take it for a leftover as long as it is not locked.
        with contextlib.suppress(BlockingIOError):
            held = hold(path)
            break
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            let_go(path, held)


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Gives a folder to write into, which is removed afterwards.

    Args:
        folder: Where; it must exist.

    Raises:
        OSError: If nothing can be written there.
    """
    _sweep_once(folder)
    for path in _names(folder):
        path.mkdir()
        try:
            held = hold(path / _LOCK)
            break
        except (BlockingIOError, FileNotFoundError):
            if not folder.is_dir():
                raise
    try:
        yield path
    finally:
        _end(path, held)


def put(source: Path, target: Path) -> None:
    """Renames a file or folder into place, whatever is there.

    Args:
        source: What lies in a scratch folder beside ``target``.
        target: Where to.

    Raises:
        OSError: If that cannot be done; what was there stays.
    """
    with _turn(target.parent):
        if not replaced(source, target):
            new = source.parent / _NEW
            new.mkdir()
            source.rename(new / target.name)
            _commit(new)


def put_all(new: Path, folder: Path) -> None:
    """Renames all that a folder holds into place, as one.

    Args:
        new: A folder in a scratch folder that is in ``folder``.
        folder: Where to; what has the same names there is replaced.

    Raises:
        OSError: If that cannot be done; what was there stays.
    """
    with _turn(folder):
        _commit(new)


def sweep(folder: Path, *, in_turn: bool = False) -> list[Path]:
    """Removes or finishes what killed processes left in a folder, as far as it can be written.

    Args:
        folder: Where they wrote; nothing happens where it does not exist.
        in_turn: bool. Whether it is this process's turn already.

    Returns:
        list of Path. What is left, as its writers may be alive.
    """
    left: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            # A sticky folder is one whose users need not trust each other.
            owner = os.geteuid() if os.name != "nt" and _is_sticky(folder) else None
            found = [entry for entry in entries if entry.name.startswith(".unetv2-")]
    except OSError:
        return left
    for entry in found:
        with contextlib.suppress(OSError):
            if owner is not None and entry.stat(follow_symlinks=False).st_uid != owner:
                continue
            path = folder / entry.name
            if _NAME.fullmatch(entry.name):
                held = _adopted(path)
                if held is None:
                    left.append(path)
                elif path.is_dir():
                    _end(path, held, in_turn=in_turn)
                else:
                    let_go(path, held)
            elif entry.name == _TURN and not in_turn:
                let_go(path, hold(path, create=False))
    return left


def recover(path: Path) -> None:
    """Finishes what a killed process began to put into place, before something is looked for.

    Args:
        path: What is looked for. Where another process is just replacing it, it is waited for.
    """
    for _ in range(_WAITS):
        if path.exists():
            return
        others = sweep(path.parent)
        if not any((other / _OLD / path.name).exists() for other in others):
            return
        time.sleep(_WAIT_SECONDS)


def _sweep_once(folder: Path) -> None:
    name = os.path.realpath(folder)
    if name not in _swept:
        sweep(folder)
        _swept.add(name)


def _is_sticky(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_ISVTX)


def _names(folder: Path, suffix: str = "") -> Iterator[Path]:
    if len(os.fsencode(suffix)) > _LONGEST_SUFFIX:
        suffix = ""
    for _ in range(_ATTEMPTS):
        yield folder / f".unetv2-{_kernel()}-{secrets.token_hex(8)}{suffix}"
    raise BlockingIOError(errno.EAGAIN, "other processes remove what is written")


def _end(work: Path, held: Held, *, in_turn: bool = False) -> None:
    """Finishes a scratch folder if it is committed, and removes it; its lock goes last."""
    with contextlib.suppress(OSError):
        try:
            if (work / _COMMIT).exists():
                with contextlib.nullcontext() if in_turn else _turn(work.parent):
                    _finish(work, late=True)
            for path in work.iterdir():
                if path.name != _LOCK:
                    _remove(path)
        except OSError:
            # Whoever comes next tries again.
            held.release()
            raise
        let_go(work / _LOCK, held)
        work.rmdir()


def _adopted(path: Path) -> Held | None:
    """Holds what a process that has ended left; returns None where it may be alive."""
    folder = path.is_dir()
    try:
        held = hold(path / _LOCK) if folder else hold(path, create=False)
    except BlockingIOError:
        return None
    if held.locked and path.name.startswith(f".unetv2-{_kernel()}-"):
        return held
    changed = max(one.lstat().st_mtime for one in (path, *path.rglob("*")))
    if time.time() - changed > _QUIET_SECONDS:
        return held
    held.release()
    return None


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Lets one process at a time put several things into place in a folder."""
    held = hold(folder / _TURN, wait=True)
    try:
        yield
    finally:
        let_go(folder / _TURN, held)


def _commit(new: Path) -> None:
    """Renames all of a folder in a scratch folder into place; it is the caller's turn."""
    # A set that a kill left in the middle comes first.
    sweep(new.parent.parent, in_turn=True)
    new.rename(new.parent / _COMMIT)
    _finish(new.parent)


def _finish(work: Path, *, late: bool = False) -> None:
    """Renames what is committed into place.

    Args:
        work: The scratch folder.
        late: bool. Whether others may have written there since; then theirs stays.
    """
    commit, old = work / _COMMIT, work / _OLD
    targets = {path.name: work.parent / path.name for path in sorted(commit.iterdir())}
    if late:
        since = commit.stat().st_ctime_ns
        if any(path.exists() and path.lstat().st_ctime_ns > since for path in targets.values()):
            return
    for name, target in targets.items():
        if target.exists() and (target.is_dir() or (commit / name).is_dir()):
            # A folder that is not empty cannot be renamed over.
            old.mkdir(exist_ok=True)
            _remove(old / name)
            target.rename(old / name)
        try:
            (commit / name).replace(target)
        except OSError:
            if (old / name).exists():
                (old / name).rename(target)
            raise
    commit.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@functools.cache
def _kernel() -> str:
    """Names the running kernel, which containers on one machine share, as they do its locks."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        name = socket.gethostname()
    return hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=4).hexdigest()
