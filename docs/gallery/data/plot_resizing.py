"""
Stretch, pad or crop
====================

There are three ways to fit an image to another aspect ratio. ``"stretch"`` keeps the whole image
and changes its aspect ratio. ``"pad"`` keeps both, but a part of the input is padding, whose mask
is ``ignore_class``. ``"crop"`` keeps the aspect ratio and removes the borders. Image and mask are
transformed alike, and :func:`unetv2.predict` applies the same transformation.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import unetv2

scratch = tempfile.TemporaryDirectory()
folders = unetv2.synthetic.write_driving_scenes(
    Path(scratch.name) / "wide", 1, image_size=(120, 240)
)


def first(**options):
    """Returns the first image of a data set and the colors of its mask."""
    dataset = unetv2.make_dataset(*folders, n_classes=23, ignore_class=255, **options)
    image, mask = next(iter(dataset.unbatch()))
    return image.numpy(), unetv2.visualization.colorize(mask.numpy(), unetv2.CARLA)


figure, panels = plt.subplots(2, 4, figsize=(10, 4.2), layout="constrained")
for column, options in enumerate(
    [
        {"image_size": None},
        {"image_size": (96, 96), "resize": "stretch"},
        {"image_size": (96, 96), "resize": "pad"},
        {"image_size": (96, 96), "resize": "crop"},
    ]
):
    for panel, result in zip(panels[:, column], first(**options), strict=True):
        panel.imshow(result)
        panel.set_axis_off()
    panels[0, column].set_title(options.get("resize", "original"))

# %%
# Area and nearest-neighbor interpolation
# ---------------------------------------
#
# When an image is downscaled, ``interpolation="area"``, the default, averages the pixels that each
# new pixel covers. ``"nearest"`` selects one of them: thin objects break up, and noise remains.
# Masks are always resized with nearest-neighbor interpolation.

figure, panels = plt.subplots(1, 2, figsize=(10, 2.9), layout="constrained")
for panel, interpolation in zip(panels, ("area", "nearest"), strict=True):
    image, _ = first(image_size=(40, 80), interpolation=interpolation)
    panel.imshow(image)
    panel.set_title(interpolation)
    panel.set_axis_off()
