"""Leftovers of killed processes."""

from __future__ import annotations

from unetv2.files import temporary_file


def left_behind(folder):
    """Returns an unfinished file without a lock."""
    with temporary_file(folder, ".png") as path:
        pass
    path.write_bytes(b"half")
    return path
