"""Renames files and folders over others in one step."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

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
