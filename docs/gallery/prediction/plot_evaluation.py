"""
Confusion matrix and class bars
===============================

:func:`unetv2.evaluate` holds a model against masks. :func:`unetv2.visualization.class_bars` and
:func:`unetv2.visualization.confusion` draw what it found, for a paper or a page of your own; its
``report=`` writes a page that has both and more.
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
folders = unetv2.data.write_driving_scenes(folder / "scenes", 120, image_size=(96, 128))
options = {"classes": unetv2.CARLA, "image_size": (48, 64)}
train = unetv2.make_dataset(*folders, subset="train", **options)

# No small pictures first and no augmentation: so short a training needs neither.
recipe = unetv2.recipes.get("fast", stages=((1, 1),), augmentation=None, learning_rate=4e-3)
model = recipe.build((48, 64, 3), 23, filters=12, depth=2, seed=0, dtype="float32")
unetv2.train(model, train, None, recipe=recipe, epochs=20, output_dir=folder / "run", verbose=0)

# Of the held-out pictures, at the masks' own size.
evaluation = unetv2.evaluate(model, folders, reading={"subset": "test"}, progress=False)
print(f"{evaluation.n_pictures} pictures")

# %%
# By class
# --------
#
# The IoU of each class, and its 95 % interval over the pictures as a line.

figure = unetv2.visualization.class_bars(
    evaluation.iou_per_class, unetv2.CARLA, intervals=evaluation.intervals["iou_per_class"]
)

# %%
# Which class is taken for which
# ------------------------------
#
# In per cent of the true class, so every row has 100; what is on the diagonal is right.

figure = unetv2.visualization.confusion(evaluation.confusion, unetv2.CARLA)

# %%
# Where it is sure, is it right?
# ------------------------------
#
# ``evaluation.reliability`` sorts pixels into bins by their confidence. On the diagonal a network
# is right as often as it believes to be, above it more often.

curve = evaluation.reliability
figure, panel = plt.subplots(figsize=(4.4, 4.2), layout="constrained")
panel.plot([0, 1], [0, 1], color="tab:gray", linestyle="--")
panel.plot(curve["confidence"], curve["accuracy"], marker="o")
panel.set_xlabel("confidence")
panel.set_ylabel("share that is right")
panel.set_xlim(0, 1)
panel.set_ylim(0, 1)
panel.set_aspect("equal")
panel.grid(alpha=0.3)
