"""What is written of a prediction: its mask, and pictures to look at."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from unetv2.files import beside
from unetv2.inference.notes import with_note
from unetv2.inference.prediction import Prediction
from unetv2.inference.writing import encode
from unetv2.visualization import colorize

MASKS, COLORS, OVERLAYS, UNCERTAINTY = "output_dir", "colors_dir", "overlays_dir", "uncertainty_dir"


def _uncertainty(prediction: Prediction) -> np.ndarray:
    """Returns the entropy as a share of the highest possible one, of 16 bits."""
    assert prediction.uncertainty is not None
    share = prediction.uncertainty / math.log(len(prediction.classes))
    return np.rint(np.clip(share, 0, 1) * 65535).astype(np.uint16)


_PICTURES: Mapping[str, Callable[[Prediction], np.ndarray]] = {
    COLORS: lambda prediction: colorize(prediction.mask, prediction.classes),
    OVERLAYS: lambda prediction: prediction.overlay(),
    UNCERTAINTY: _uncertainty,
}


def write_products(
    prediction: Prediction, outputs: Mapping[str, Path], note: str | None = None
) -> None:
    """Writes what is asked for, each file whole or not at all.

    Args:
        prediction: The prediction; its mask is not written if it is in a file already.
        outputs: Where to, by kind.
        note: str or None. What made it, kept in each file.

    Raises:
        OSError: If a file cannot be written.
    """
    advice = "run it again: what is whole is kept"
    # What is opened first appears last.
    with contextlib.ExitStack() as files:
        if prediction.path is None:
            encode(prediction.mask, files.enter_context(beside(outputs[MASKS], advice)), note)
        for kind, path in outputs.items():
            if kind in _PICTURES:
                other = files.enter_context(beside(path, advice))
                # More compression takes longer than the prediction, for files an eighth smaller.
                image = Image.fromarray(_PICTURES[kind](prediction))
                image.save(other, compress_level=1, pnginfo=with_note(note))
