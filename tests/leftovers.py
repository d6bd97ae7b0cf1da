"""What a process that was killed leaves beside the files that it wrote."""

from __future__ import annotations

from unetv2.files import temporary_file


def left_behind(folder):
    """Returns an unfinished file that nobody holds."""
    with temporary_file(folder, ".png") as path:
        pass
    path.write_bytes(b"half")
    return path
