"""Draws docs/_static/augmentation.png: a driving scene and five variants of it.

$ python docs/plot_augmentation.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import unetv2

IMAGE = Path(__file__).parent / "_static" / "augmentation.png"
VARIANTS = 5
IGNORED = 255


def main() -> None:
    """Writes the image."""
    image, mask = unetv2.synthetic.driving_scene(7, image_size=(192, 256))
    image = image.astype(np.float32) / 255
    mask = mask.astype(np.int32)[..., np.newaxis]
    # Each image of a batch is transformed differently.
    images, masks = unetv2.augmentation.driving(ignore_class=IGNORED)(
        np.stack([image] * VARIANTS), np.stack([mask] * VARIANTS), seed=6
    )

    figure = Figure(figsize=(12, 3.5), layout="constrained")
    panels = figure.subplots(2, 1 + VARIANTS)
    for column, (variant, ids) in enumerate(
        zip([image, *images.numpy()], [mask, *masks.numpy()], strict=True)
    ):
        panels[0, column].imshow(variant)
        panels[1, column].imshow(
            unetv2.visualization.colorize(ids, unetv2.CARLA), interpolation="nearest"
        )
        panels[0, column].set_title(f"variant {column}" if column else "scene")
    for panel in panels.flat:
        panel.set_xticks([])
        panel.set_yticks([])
    figure.savefig(IMAGE, dpi=100)


if __name__ == "__main__":
    main()
