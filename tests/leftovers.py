"""What a process that was killed leaves beside the files that it wrote."""

from __future__ import annotations

from unetv2.scratch import scratch_file


def left_behind(folder):
    """Returns an unfinished file that nobody holds."""
    with scratch_file(folder, ".png") as path:
        pass
    path.write_bytes(b"half")
    return path
