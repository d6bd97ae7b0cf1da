"""
Tiling with overlapping windows
===============================

Images much larger than those used in training are predicted in windows. :func:`unetv2.predict` uses
overlapping windows and averages their probabilities. The weights decrease towards the border of a
window, where the network lacks context. :doc:`/prediction` has the formula.
"""

# sphinx_gallery_thumbnail_number = 2
import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

import unetv2

keras.utils.set_random_seed(0)
scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
folders = unetv2.synthetic.write_driving_scenes(folder / "scenes", 90, image_size=(144, 192))
train = unetv2.make_dataset(*folders, classes=unetv2.CARLA, image_size=None, crop_size=(64, 64))

# A short training needs neither progressive resizing nor augmentation.
recipe = unetv2.recipes.get(
    "fast", progressive_resizing=((1, 1),), augmentation=None, learning_rate=4e-3
)
model = recipe.build((None, None, 3), 23, filters=12, depth=2, seed=0, dtype="float32")
unetv2.train(
    model, train, None, recipe=recipe, epochs=20, output_dir=folder / "run", progress=False
)

scene, _ = unetv2.synthetic.driving_scene(5, image_size=(144, 384), seed=1)
predictions = {
    overlap: unetv2.predict(model, scene, window=(64, 64), overlap=overlap)
    for overlap in (0.0, 0.25, 0.5)
}
figure, panels = plt.subplots(4, 1, figsize=(7, 11.5), layout="constrained")
panels[0].imshow(scene)
panels[0].set_title("scene")
for panel, (overlap, prediction) in zip(panels[1:], predictions.items(), strict=True):
    panel.imshow(unetv2.visualization.colorize(prediction.mask, unetv2.CARLA))
    panel.set_title(f"overlap={overlap}")
for panel in panels:
    panel.set_axis_off()

# %%
# Seams
# -----
#
# Without overlap, the uncertainty jumps at window borders. With overlap, transitions are smooth.

figure, panels = plt.subplots(2, 1, figsize=(7, 5.8), layout="constrained")
highest = max(float(prediction.uncertainty.max()) for prediction in predictions.values())
for panel, overlap in zip(panels, (0.0, 0.5), strict=True):
    panel.imshow(predictions[overlap].uncertainty, cmap="magma", vmin=0, vmax=highest)
    panel.set_title(f"uncertainty, overlap={overlap}")
    panel.set_axis_off()

# %%
# Weights
# -------
#
# The weights of five windows of 64 pixels along a side of 192 pixels, with an overlap of a half.
# Each is a squared sine, divided by the sum of all weights at the pixel.

places = np.arange(192)
starts = np.linspace(0, 192 - 64, 5)
bumps = np.array(
    [
        np.where(
            (places >= start) & (places < start + 64),
            np.sin(np.pi * (places - start + 0.5) / 64) ** 2,
            0,
        )
        for start in starts
    ]
)
figure, panel = plt.subplots(figsize=(8, 2.4), layout="constrained")
for weights in bumps / bumps.sum(axis=0):
    panel.fill_between(places, weights, alpha=0.4)
panel.set_xlabel("pixel")
panel.set_ylabel("weight")
panel.set_xlim(0, 191)
panel.set_ylim(0, 1.05)
