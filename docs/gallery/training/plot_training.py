"""
Training curves
===============

:func:`unetv2.train` trains with a recipe and saves all results in a folder.
:func:`unetv2.visualization.training_curves` plots the logged metrics, or the history of ``fit``,
with one panel per metric for training and validation.
"""

import tempfile
from pathlib import Path

import keras

import unetv2

keras.utils.set_random_seed(0)
scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
folders = unetv2.synthetic.write_driving_scenes(folder / "scenes", 100, image_size=(48, 64))
options = {"classes": unetv2.CARLA, "image_size": (48, 64)}
train = unetv2.make_dataset(*folders, subset="train", **options)
validation = unetv2.make_dataset(*folders, subset="validation", **options)

recipe = unetv2.recipes.get("fast", progressive_resizing=((1, 1),))
model = recipe.build((48, 64, 3), 23, filters=12, depth=2, seed=0)
training = unetv2.train(
    model, train, validation, recipe=recipe, epochs=16, output_dir=folder / "run", progress=False
)
curves = {name: values for name, values in training.history.items() if name != "learning_rate"}
figure = unetv2.visualization.training_curves(curves)

# %%
# Files of the run
# ----------------
#
# The folder contains the best weights, the logs, and the checkpoint to resume from.

for path in sorted((folder / "run").iterdir()):
    print(path.name)
