"""Draws docs/_static/start/: held-out driving scenes on the start page.

$ python docs/plot_start.py

First trains a network on other scenes in runs/start, or resumes the training there.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image

import unetv2

IMAGES = Path(__file__).parent / "_static" / "start"
RUN = Path(__file__).parents[1] / "runs" / "start"
N_SCENES = 500
EPOCHS = 60
IMAGE_SIZE = (144, 192)
# Training uses scenes of seed 0; these are scenes of seed 1.
SHOWN = (5, 22)
SHOWN_SIZE = (288, 384)


def trained() -> Path:
    """Trains or resumes, and returns the file of the model."""
    scenes = RUN / "scenes"
    if not scenes.exists():
        unetv2.synthetic.write_driving_scenes(scenes, N_SCENES, image_size=(240, 320), seed=0)
    train, validation = (
        unetv2.make_dataset(
            scenes / "CameraRGB",
            scenes / "CameraMask",
            classes=unetv2.CARLA,
            image_size=IMAGE_SIZE,
            subset=subset,
        )
        for subset in ("train", "validation")
    )
    recipe = unetv2.recipes.get("fast")
    model = recipe.build((*IMAGE_SIZE, 3), len(unetv2.CARLA), filters=16, seed=0)
    output = RUN / "carseg"
    unetv2.train(
        model,
        train,
        validation,
        recipe=recipe,
        epochs=EPOCHS,
        output_dir=output,
        resume=True,
        progress="epoch",
    )
    return output / "model.keras"


def views(model: Path, number: int) -> dict[str, np.ndarray]:
    """Returns the images of a scene: uint8 ``(height, width, 3)`` by name."""
    scene, _ = unetv2.synthetic.driving_scene(number, image_size=SHOWN_SIZE, seed=1)
    prediction = unetv2.predict(model, scene, tta=True, mc_samples=8)
    assert isinstance(prediction, unetv2.Prediction)
    unsure = prediction.uncertainty / prediction.uncertainty.max()
    return {
        "image": scene,
        "mask": unetv2.visualization.colorize(prediction.mask, unetv2.CARLA),
        "overlay": prediction.overlay(),
        "uncertainty": np.rint(255 * colormaps["magma"](unsure)[..., :3]).astype(np.uint8),
    }


def main() -> None:
    """Writes the images."""
    model = trained()
    IMAGES.mkdir(exist_ok=True)
    for row, number in enumerate(SHOWN, start=1):
        for name, pixels in views(model, number).items():
            Image.fromarray(pixels).save(IMAGES / f"{name}_{row}.png", optimize=True)


if __name__ == "__main__":
    main()
