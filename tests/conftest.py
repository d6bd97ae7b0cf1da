"""What all tests share: no chance, and small pictures on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

settings.register_profile(
    "unetv2",
    # The same examples in every run, and time never decides.
    derandomize=True,
    deadline=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("unetv2")

WritePairs = Callable[..., tuple[Path, Path]]


def save(array: np.ndarray, path: Path, **options: object) -> Path:
    """Writes an array as a picture in the format of the path's extension."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


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
