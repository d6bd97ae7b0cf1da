"""Settings and fixtures of all tests: determinism, and small images on disk."""

from __future__ import annotations

import os
import signal
import struct
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

# TensorFlow sets it to 1 when it is loaded. A command that a test starts would inherit that as the
# choice of its user.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Fingerprints of test data do not belong into the user's cache.
_cache = tempfile.TemporaryDirectory(prefix="unetv2-tests-")
os.environ["XDG_CACHE_HOME"] = _cache.name

settings.register_profile(
    "unetv2",
    # The same examples in every run, without time limits.
    derandomize=True,
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("unetv2")

# A shell starts background processes with Ctrl-C ignored, which their children inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

WritePairs = Callable[..., tuple[Path, Path]]


def save(array: np.ndarray, path: Path, **options: object) -> Path:
    """Writes an array as an image in the format of the path's extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


# Start (row, column) and step (rows, columns) of each pass of an interlaced PNG.
ADAM7 = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
    (1, 0, 2, 1),
)  # fmt: skip


def png(pixels: np.ndarray, bits: int, *, interlaced: bool = False) -> bytes:
    """Returns a PNG of a kind that Pillow can read, but not write.

    Gray ``(height, width)`` of 1, 2, 4, 8 or 16 bits, or RGB ``(height, width, 3)`` of 8 or 16.
    """

    def rows(part: np.ndarray) -> bytes:
        lines = part.reshape(len(part), -1)
        if bits >= 8:
            packed = lines.astype(">u2" if bits == 16 else np.uint8)
        else:
            places = 8 // bits
            lines = np.pad(lines, ((0, 0), (0, -lines.shape[1] % places)))
            weights = 1 << np.arange(8 - bits, -1, -bits)
            packed = (lines.reshape(len(part), -1, places) @ weights).astype(np.uint8)
        return b"".join(b"\0" + line.tobytes() for line in packed)

    height, width = pixels.shape[:2]
    parts = [pixels]
    if interlaced:
        parts = [pixels[y::dy, x::dx] for y, x, dy, dx in ADAM7]
    color_type = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, bits, color_type, 0, 0, int(interlaced))
    chunks = (
        (b"IHDR", header),
        (b"IDAT", zlib.compress(b"".join(rows(part) for part in parts if part.size))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.fixture
def write_pairs(tmp_path: Path) -> WritePairs:
    """Writes n random images with masks of ids in [0, n_classes) to two folders."""

    def write(
        n: int = 4,
        size: tuple[int, int] = (12, 16),
        n_classes: int = 3,
        seed: int = 0,
        directory: Path = tmp_path,
    ) -> tuple[Path, Path]:
        rng = np.random.default_rng(seed)
        for number in range(n):
            name = f"{number:04d}.png"
            image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            mask = rng.integers(0, n_classes, size, dtype=np.uint8)
            save(image, directory / "images" / name)
            save(mask, directory / "masks" / name)
        return directory / "images", directory / "masks"

    return write


@pytest.fixture
def write(tmp_path: Path) -> WritePairs:
    """Writes masks of 24x32 and an image for each, and returns the two folders."""

    def write(
        *masks: Any, images: list[np.ndarray] | None = None, names: Sequence[str] | None = None
    ) -> tuple[Path, Path]:
        for number, mask in enumerate(masks):
            name = f"{names[number] if names else number}.png"
            noise = np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)
            save(images[number] if images else noise, tmp_path / "images" / name)
            save(np.asarray(mask), tmp_path / "masks" / name)
        return tmp_path / "images", tmp_path / "masks"

    return write
