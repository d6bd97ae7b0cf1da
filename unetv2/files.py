"""Atomic writes: a file or folder appears complete or not at all, even if the process is killed.

Everything is written under a temporary name in the folder of its target, flushed to the disk, and
renamed into place. After a kill at any moment the target is the old one or the new one; the next
process that writes into the folder removes temporary files. Any number of threads, processes and
machines may write the same target; the last one wins.

A temporary name is ``.unetv2-<kernel>-<random>``, with the target's extension, as libraries choose
the format by it. The writer locks the temporary file, or the file ``lock`` in a temporary folder.
The operating system releases a lock when the process ends, so a temporary file that can be locked
was left by a kill. Some network file systems keep locks within one machine: a file of another
kernel must also be unchanged for an hour before it is removed. Where there are no locks, as on
Windows, this applies to all files.

Several files that must appear together are collected in the folder ``new`` of a temporary folder.
Renaming ``new`` to ``commit`` is the commit: a temporary folder with ``commit`` is not removed but
finished by the next process. A lock on the target's folder keeps two such commits apart.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:
    # Windows has no such locks.
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
# Errors of renaming to an existing path, the last one on Windows.
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.EACCES)
# Flags of Linux's renameat2 and macOS's renamex_np; paths are relative to the present folder.
_EXCHANGE, _AT_FDCWD = 2, -100

_NAME = re.compile(r"\.unetv2-[0-9a-f]{8}-[0-9a-f]{16}(\..*)?", re.DOTALL)
_MAX_SUFFIX_BYTES = 16
_LOCK, _FOLDER_LOCK = "lock", ".unetv2-lock"
_NEW, _COMMIT, _OLD = "new", "commit", "old"
_QUIET_SECONDS = 3600.0
_ATTEMPTS = 1000
# Number and duration of a reader's waits for a process that replaces the file.
_WAITS, _WAIT_SECONDS = 50, 0.02

# Folders that this process has cleaned up: they may be large.
_cleaned: set[str] = set()


@contextlib.contextmanager
def explain_write_errors(
    path: Path, purpose: str = "to continue", advice: str = "try again"
) -> Iterator[None]:
    """Raises an ``OSError`` of the block again, with the path and a remedy.

    Args:
        path: The file or folder that is written.
        purpose: str. The purpose, beginning with "to".
        advice: str. The next step once the cause is removed.

    Raises:
        OSError: If the block raises one.
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
        # Some libraries raise errors without a number.
        code = () if error.errno is None else (error.errno,)
        raise OSError(*code, message) from error


@contextlib.contextmanager
def atomic_path(
    path: Path, advice: str = "try again", *, within: Path | None = None, durable: bool = True
) -> Iterator[Path]:
    """Yields a temporary path to write; at the end of the block it is renamed to ``path``.

    Args:
        path: The target. The temporary path has the same extension.
        advice: str. The next step after an error, once its cause is removed.
        within: The folder for the temporary file, on the same file system; None for that of
            ``path``.
        durable: bool. Whether the file is flushed to the disk before it is renamed.

    Raises:
        OSError: If the file cannot be written; the old one stays.
    """
    folder = path.parent if within is None else within
    with explain_write_errors(path, advice=advice), temporary_file(folder, path.suffix) as other:
        yield other
        if durable:
            _flush_all(other)
        other.replace(path)
        if durable:
            _flush(path.parent)


def write_atomically(
    path: Path,
    write: Callable[[IO[bytes]], Any],
    advice: str = "try again",
    *,
    within: Path | None = None,
    durable: bool = True,
) -> None:
    """Writes a file by a function that gets the open file; otherwise as :func:`atomic_path`."""
    with (
        atomic_path(path, advice, within=within, durable=durable) as other,
        other.open("wb") as file,
    ):
        write(file)


@contextlib.contextmanager
def atomic_folder(
    folder: Path, purpose: str = "to continue", advice: str = "try again"
) -> Iterator[Path]:
    """Yields a temporary folder; at the end of the block its files appear together in ``folder``.

    Args:
        folder: The target; created if need be. Files of the same names are replaced, others stay.
        purpose: str. The purpose, beginning with "to".
        advice: str. The next step after an error, once its cause is removed.

    Raises:
        OSError: If it cannot be written; the old files stay.
    """
    with explain_write_errors(folder, purpose, advice):
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as work:
            new = work / _NEW
            new.mkdir()
            yield new
            _flush_all(new)
            with _locked_folder(folder):
                _commit(new)
            _flush(folder)


def move_into_place(source: Path, target: Path) -> None:
    """Flushes a file or folder to the disk and renames it to ``target``, which may exist.

    Args:
        source: In a temporary folder beside ``target``.
        target: The new path.

    Raises:
        OSError: If it cannot be renamed; the old target stays.
    """
    _flush_all(source)
    with _locked_folder(target.parent):
        if not _renamed(source, target):
            new = source.parent / _NEW
            new.mkdir()
            source.rename(new / target.name)
            _commit(new)
    _flush(target.parent)


@contextlib.contextmanager
def temporary_file(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Yields the path of an empty file, which is removed at the end if it is still there.

    Args:
        folder: An existing folder.
        suffix: str. The name's extension; left out if it is long.

    Raises:
        OSError: If nothing can be written there.
    """
    _clean_up_once(folder)
    for path in _temporary_paths(folder, suffix):
        # Until it is locked, another process may remove it as a leftover.
        with contextlib.suppress(BlockingIOError):
            lock = Lock(path)
            break
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            lock.remove()


@contextlib.contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yields a new folder, which is removed at the end.

    Args:
        folder: An existing folder, in which it is created.

    Raises:
        OSError: If nothing can be written there.
    """
    _clean_up_once(folder)
    for path in _temporary_paths(folder):
        path.mkdir()
        try:
            lock = Lock(path / _LOCK)
            break
        except (BlockingIOError, FileNotFoundError):
            if not folder.is_dir():
                raise
    try:
        yield path
    finally:
        _close(path, lock)


def clean_up(folder: Path, *, is_locked: bool = False) -> list[Path]:
    """Removes or finishes the leftovers of killed processes in a folder, if permissions allow.

    Args:
        folder: May be missing.
        is_locked: bool. Whether the caller has locked the folder.

    Returns:
        list of Path. Temporary files and folders whose writers may be alive.
    """
    in_use: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            # Users of a folder with the sticky bit need not trust each other.
            owner = os.geteuid() if os.name != "nt" and _is_sticky(folder) else None
            leftovers = [entry for entry in entries if entry.name.startswith(".unetv2-")]
    except OSError:
        return in_use
    for entry in leftovers:
        with contextlib.suppress(OSError):
            if owner is not None and entry.stat(follow_symlinks=False).st_uid != owner:
                continue
            path = folder / entry.name
            if _NAME.fullmatch(entry.name):
                lock = _lock_leftover(path)
                if lock is None:
                    in_use.append(path)
                elif path.is_dir():
                    _close(path, lock, is_locked=is_locked)
                else:
                    lock.remove()
            elif entry.name == _FOLDER_LOCK and not is_locked:
                Lock(path, create=False).remove()
    return in_use


def recover(path: Path) -> None:
    """Finishes the commit of a killed process to ``path``, before it is read.

    Args:
        path: The file or folder to read. If another process is just replacing it, this waits.
    """
    for _ in range(_WAITS):
        if path.exists():
            return
        others = clean_up(path.parent)
        if not any((other / _OLD / path.name).exists() for other in others):
            return
        time.sleep(_WAIT_SECONDS)


class Lock:
    """Locks a file until it is released or the process ends.

    ``filelock`` is no replacement: its files must not be renamed, removed by others, or be the
    files that are written, and it cannot report that a file system has no locks.

    Args:
        path: The file.
        wait: bool. Whether to wait for another holder.
        create: bool. Whether to create a missing file.

    Attributes:
        path: The file.
        is_supported: bool. False where the operating system or the file system has no locks.

    Raises:
        BlockingIOError: If another thread or process has locked it, on this machine or, on most
            network file systems, on another.
        OSError: If it cannot be opened.
    """

    def __init__(self, path: Path, *, wait: bool = False, create: bool = True) -> None:
        self.path = path
        self.is_supported = fcntl is not None
        # Stays None where there are no locks: Windows cannot rename an open file.
        self._descriptor: int | None = None
        while self._descriptor is None:
            descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
            try:
                if fcntl is None:
                    os.close(descriptor)
                    return
                self._lock(descriptor, wait)
                # The previous holder may have removed the file between opening and locking.
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    self._descriptor = descriptor
                    return
            except FileNotFoundError:
                pass
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _lock(self, descriptor: int, wait: bool) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self.is_supported = False

    def release(self) -> None:
        """Releases the lock; the file stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Removes the file and releases the lock, in this order, so that no other's is removed."""
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self.release()


def _renamed(source: Path, target: Path) -> bool:
    """Renames ``source`` to ``target`` in one step; returns False where the system cannot.

    If a folder was there, or a file for a folder, it has the name of ``source`` afterwards.
    """
    try:
        source.replace(target)
    except OSError as error:
        if error.errno not in _OCCUPIED:
            raise
        return _exchanged(source, target)
    return True


def _exchanged(first: Path, second: Path) -> bool:
    if os.name == "nt":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(first), os.fsencode(second)
    if hasattr(library, "renameat2"):
        arguments = (_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
        return bool(library.renameat2(*arguments) == 0)
    if hasattr(library, "renamex_np"):
        return bool(library.renamex_np(*names, _EXCHANGE) == 0)
    return False


def _clean_up_once(folder: Path) -> None:
    name = os.path.realpath(folder)
    if name not in _cleaned:
        clean_up(folder)
        _cleaned.add(name)


def _is_sticky(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_ISVTX)


def _temporary_paths(folder: Path, suffix: str = "") -> Iterator[Path]:
    if len(os.fsencode(suffix)) > _MAX_SUFFIX_BYTES:
        suffix = ""
    for _ in range(_ATTEMPTS):
        yield folder / f".unetv2-{_kernel()}-{secrets.token_hex(8)}{suffix}"
    raise BlockingIOError(errno.EAGAIN, "other processes remove the temporary files")


def _close(work: Path, lock: Lock, *, is_locked: bool = False) -> None:
    """Finishes a temporary folder if it is committed, and removes it; its lock goes last."""
    with contextlib.suppress(OSError):
        try:
            if (work / _COMMIT).exists():
                with contextlib.nullcontext() if is_locked else _locked_folder(work.parent):
                    _finish(work, late=True)
            for path in work.iterdir():
                if path.name != _LOCK:
                    _remove(path)
        except OSError:
            # The next process tries again.
            lock.release()
            raise
        lock.remove()
        work.rmdir()


def _lock_leftover(path: Path) -> Lock | None:
    """Locks a leftover; returns None if its writer may be alive."""
    try:
        lock = Lock(path / _LOCK) if path.is_dir() else Lock(path, create=False)
    except BlockingIOError:
        return None
    if lock.is_supported and path.name.startswith(f".unetv2-{_kernel()}-"):
        return lock
    changed = max(entry.lstat().st_mtime for entry in (path, *path.rglob("*")))
    if time.time() - changed > _QUIET_SECONDS:
        return lock
    lock.release()
    return None


@contextlib.contextmanager
def _locked_folder(folder: Path) -> Iterator[None]:
    """Lets one process at a time rename several files into a folder."""
    lock = Lock(folder / _FOLDER_LOCK, wait=True)
    try:
        yield
    finally:
        lock.remove()


def _commit(new: Path) -> None:
    """Renames the content of ``new``, in a temporary folder, into a folder that is locked."""
    # A commit that a kill interrupted comes first.
    clean_up(new.parent.parent, is_locked=True)
    new.rename(new.parent / _COMMIT)
    _finish(new.parent)


def _finish(work: Path, *, late: bool = False) -> None:
    """Moves the committed files of a temporary folder into place.

    ``late`` is for another process's commit: then files that were written since stay.
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


def _flush_all(path: Path) -> None:
    """Flushes a file, or a folder and all in it, to the disk."""
    for entry in (*path.rglob("*"), path):
        _flush(entry)


def _flush(path: Path) -> None:
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return
    # Windows flushes only files that are open for writing.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems cannot flush folders.
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@functools.cache
def _kernel() -> str:
    """Identifies the running kernel, which containers on one machine share, as they do locks."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        name = socket.gethostname()
    return hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=4).hexdigest()
