"""
Confidence, entropy and mutual information
==========================================

:func:`unetv2.predict` estimates the uncertainty of each pixel. ``confidence`` is the highest class
probability, and ``uncertainty`` is the entropy of all class probabilities. ``mc_samples`` averages
several predictions with dropout enabled. ``mutual_information`` is the part of the entropy that is
due to differences between these predictions. It is high if training data was lacking, and low if
the image itself is ambiguous.
"""

import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt

import unetv2

keras.utils.set_random_seed(0)
scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
folders = unetv2.synthetic.write_driving_scenes(folder / "scenes", 120, image_size=(96, 128))
train = unetv2.make_dataset(*folders, classes=unetv2.CARLA, image_size=(48, 64))

# A short training needs neither progressive resizing nor augmentation.
recipe = unetv2.recipes.get(
    "fast", progressive_resizing=((1, 1),), augmentation=None, learning_rate=4e-3
)
model = recipe.build((48, 64, 3), 23, filters=12, depth=2, seed=0, dtype="float32")
unetv2.train(
    model, train, None, recipe=recipe, epochs=20, output_dir=folder / "run", progress=False
)

# A scene that was not used in training.
image, _ = unetv2.synthetic.driving_scene(5, image_size=(192, 256), seed=1)
prediction = unetv2.predict(model, image, mc_samples=8)

figure, panels = plt.subplots(2, 3, figsize=(10, 5.4), layout="constrained")
panels[0, 0].imshow(image)
panels[0, 0].set_title("image")
panels[0, 1].imshow(prediction.overlay())
panels[0, 1].set_title("prediction.overlay()")
panels[0, 2].hist(prediction.confidence.ravel(), bins=40, color="tab:gray")
panels[0, 2].set_title("histogram of confidence")
panels[0, 2].set_yticks([])
maps = {
    "confidence": prediction.confidence,
    "uncertainty, nats": prediction.uncertainty,
    "mutual_information, nats": prediction.mutual_information,
}
for panel, (title, values) in zip(panels[1], maps.items(), strict=True):
    shown = panel.imshow(values, cmap="viridis" if title == "confidence" else "magma", vmin=0)
    figure.colorbar(shown, ax=panel, location="bottom", shrink=0.8)
    panel.set_title(title)
for panel in (panels[0, 0], panels[0, 1], *panels[1]):
    panel.set_axis_off()

# %%
# Reject uncertain pixels
# -----------------------
#
# If an application may reject pixels, use only those above a confidence threshold. Here the other
# pixels get an id that is not a class, drawn in white.

figure, panels = plt.subplots(1, 3, figsize=(10, 2.8), layout="constrained")
for panel, least in zip(panels, (0.0, 0.5, 0.8), strict=True):
    mask = prediction.mask.copy()
    mask[prediction.confidence < least] = 255
    panel.imshow(unetv2.visualization.colorize(mask, unetv2.CARLA))
    panel.set_title(f"confidence of at least {least}")
    panel.set_axis_off()
