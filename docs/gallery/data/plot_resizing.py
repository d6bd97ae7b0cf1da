"""
Stretch, pad or crop
====================

Pictures of another shape than the network's input can be fitted in three ways. ``"stretch"``
keeps all of the picture, not its proportions; ``"pad"`` keeps both, and pixels are lost to the
border, which is ``ignore_class``; ``"crop"`` keeps the proportions and loses what is outside.
Image and mask go through the same geometry, and :func:`unetv2.predict` later does it again.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import unetv2

scratch = tempfile.TemporaryDirectory()
folders = unetv2.data.write_driving_scenes(Path(scratch.name) / "wide", 1, image_size=(120, 240))


def first(**options):
    """Returns the first image, and the colours of its mask, of a data set."""
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
    for panel, picture in zip(panels[:, column], first(**options), strict=True):
        panel.imshow(picture)
        panel.set_axis_off()
    panels[0, column].set_title(options.get("resize", "the files"))

# %%
# Averaged or picked
# ------------------
#
# Where a picture shrinks, ``interpolation="area"``, the default, gives each pixel the mean of
# what it covers. ``"nearest"`` picks one: thin things break up, and noise stays. Masks are picked
# always.

figure, panels = plt.subplots(1, 2, figsize=(10, 2.9), layout="constrained")
for panel, interpolation in zip(panels, ("area", "nearest"), strict=True):
    image, _ = first(image_size=(40, 80), interpolation=interpolation)
    panel.imshow(image)
    panel.set_title(interpolation)
    panel.set_axis_off()
