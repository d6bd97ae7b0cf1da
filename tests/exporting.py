"""Networks and images for the tests of exports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

import unetv2
from unetv2.exporting.formats.base import get_format

N_CLASSES = 5
EXAMPLES = Path(__file__).parents[1] / "examples" / "deployed"
# Runs a script by its path, as `python SCRIPT ...` would, and sees what it has imported.
_ALONE = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print(sorted({"unetv2", "keras"} & set(sys.modules)))
"""


def lively(shape: tuple[int | None, ...] = (24, 32, 3), **options: Any) -> keras.Model:
    """Returns a small U-Net with certain predictions that depend on all weights."""
    model = unetv2.build_unetv2(
        shape, N_CLASSES, **{"filters": 4, "depth": 2, "seed": 0, **options}
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("gamma", "moving_variance")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith(("bias", "beta", "moving_mean")):
            weight.assign(rng.uniform(-0.2, 0.2, weight.shape))
    head = model.layers[-1].kernel
    head.assign(rng.normal(0, 1, head.shape))
    return model


def whole(size: tuple[int, int] = (24, 32), **record: Any) -> unetv2.Preprocessing:
    """Returns the preprocessing of images that are resized as a whole."""
    return unetv2.Preprocessing(image_size=size, **record)


def recorded(**options: Any) -> keras.Model:
    """Returns such a network with a preprocessing."""
    model = lively(**options)
    model.preprocessing = whole()
    return model


def scenes(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Returns synthetic scenes."""
    return [unetv2.synthetic.driving_scene(index, image_size=size)[0] for index in range(count)]


def run_alone(kind: str, artifact: str, frame: np.ndarray, folder: Path) -> np.ndarray:
    """Returns the mask that the example of a format predicts, without this library."""
    image, mask = folder / "frame.png", folder / "mask.png"
    Image.fromarray(frame).save(image)
    script = EXAMPLES / f"run_{kind}.py"
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(script), artifact, str(image), str(mask)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # TensorFlow imports Keras by itself, but nothing imports this library.
    imported = ["keras"] if get_format(kind).runtime == "tensorflow" else []
    assert done.stdout.splitlines()[-1] in (str(imported), "[]")
    return np.asarray(Image.open(mask))
