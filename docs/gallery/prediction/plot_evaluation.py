"""
Confusion matrix and scores per class
=====================================

:func:`unetv2.evaluate` evaluates a model. :func:`unetv2.visualization.class_bars` and
:func:`unetv2.visualization.confusion` plot the results, for example for a paper. The argument
``report`` writes an HTML report with these plots and more.
"""

# sphinx_gallery_thumbnail_number = 2
import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt

import unetv2

keras.utils.set_random_seed(0)
scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
folders = unetv2.synthetic.write_driving_scenes(folder / "scenes", 120, image_size=(96, 128))
options = {"classes": unetv2.CARLA, "image_size": (48, 64)}
train = unetv2.make_dataset(*folders, subset="train", **options)

# A short training needs neither progressive resizing nor augmentation.
recipe = unetv2.recipes.get(
    "fast", progressive_resizing=((1, 1),), augmentation=None, learning_rate=4e-3
)
model = recipe.build((48, 64, 3), 23, filters=12, depth=2, seed=0, dtype="float32")
unetv2.train(
    model, train, None, recipe=recipe, epochs=20, output_dir=folder / "run", progress=False
)

# Evaluates the test images at the original size of the masks.
evaluation = unetv2.evaluate(model, folders, subset="test", progress=False)
print(f"{evaluation.n_images} images")

# %%
# IoU per class
# -------------
#
# The lines are 95 % confidence intervals over the images.

figure = unetv2.visualization.class_bars(
    evaluation.iou_per_class, unetv2.CARLA, intervals=evaluation.intervals["iou_per_class"]
)

# %%
# Confusion matrix
# ----------------
#
# Values are percentages of the true class, so each row sums to 100. The diagonal is correct.

figure = unetv2.visualization.confusion(evaluation.confusion, unetv2.CARLA)

# %%
# Reliability diagram
# -------------------
#
# ``evaluation.reliability`` groups pixels into bins of confidence. On the diagonal, the accuracy
# equals the confidence; above it, the network is underconfident.

curve = evaluation.reliability
figure, panel = plt.subplots(figsize=(4.4, 4.2), layout="constrained")
panel.plot([0, 1], [0, 1], color="tab:gray", linestyle="--")
panel.plot(curve["confidence"], curve["accuracy"], marker="o")
panel.set_xlabel("confidence")
panel.set_ylabel("accuracy")
panel.set_xlim(0, 1)
panel.set_ylim(0, 1)
panel.set_aspect("equal")
panel.grid(alpha=0.3)
