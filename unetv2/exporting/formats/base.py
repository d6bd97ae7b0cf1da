"""What all formats' runners have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from unetv2.exporting.artifact import Description


class Outputs(NamedTuple):
    """What an artifact says of frames.

    Attributes:
        mask: Class ids ``(batch, height, width)``, of the frames' size.
        confidence: float32 ``(batch, height, width)``: the class's probability.
        logits: float32 ``(batch, height, width, n_classes)``, of the network's size.
    """

    mask: np.ndarray
    confidence: np.ndarray
    logits: np.ndarray


class Runner(Protocol):
    """An artifact, loaded by its runtime; made of its files, its description and threads.

    It may be called from several threads at once.
    """

    def __init__(
        self, files: Mapping[str, Path], description: Description, threads: int | None
    ) -> None: ...

    def __call__(self, frames: np.ndarray) -> Outputs:
        """Runs it.

        Args:
            frames: uint8 ``(batch, height, width, channels)``.
        """


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """Brings pixels of 16 bits, or floats in [0, 1], to eight bits."""
    if pixels.dtype == np.uint8:
        return pixels
    full = 1.0 if pixels.dtype.kind == "f" else float(np.iinfo(pixels.dtype).max)
    return np.rint(pixels.astype(np.float32) * (255 / full)).clip(0, 255).astype(np.uint8)
