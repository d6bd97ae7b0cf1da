"""One training at a time in an output folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unetv2.locks import hold, let_go

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
    if folder.exists() and not folder.is_dir():
        # A file in its place is refused with better words later.
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    try:
        held = hold(path)
    except BlockingIOError as error:
        holder = path.read_text(encoding="utf-8", errors="replace").strip()
        raise ValueError(
            "`output_dir` must not be in use by another training. Received: "
            f"'{folder}', where {holder or 'another process'} is at work. "
            "Wait for it, or pass another folder."
        ) from error
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        let_go(path, held)
