"""Temporary files of killed processes."""

from __future__ import annotations

from unetv2.files import temporary_file


def left_behind(folder):
    """Writes an unlocked temporary file and returns its path."""
    with temporary_file(folder, ".png") as path:
        pass
    path.write_bytes(b"half")
    return path
