"""
Predictions side by side
========================

:func:`unetv2.visualization.side_by_side` plots images, ground truth and predictions, with a legend
of the classes. The network was not trained on these scenes.
"""

import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np

import unetv2

keras.utils.set_random_seed(0)
scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
folders = unetv2.synthetic.write_driving_scenes(folder / "scenes", 120, image_size=(96, 128))
options = {"classes": unetv2.CARLA, "image_size": (48, 64)}
train = unetv2.make_dataset(*folders, subset="train", **options)
test = unetv2.make_dataset(*folders, subset="test", **options)

# A short training needs neither progressive resizing nor augmentation.
recipe = unetv2.recipes.get(
    "fast", progressive_resizing=((1, 1),), augmentation=None, learning_rate=4e-3
)
model = recipe.build((48, 64, 3), 23, filters=12, depth=2, seed=0, dtype="float32")
unetv2.train(
    model, train, None, recipe=recipe, epochs=20, output_dir=folder / "run", progress=False
)

images, masks = (np.asarray(part) for part in next(iter(test.unbatch().batch(4))))
predicted = model.predict(images, verbose=0).argmax(axis=-1)
figure = unetv2.visualization.side_by_side(images, masks, predicted, unetv2.CARLA)

# %%
# Errors
# ------
#
# Wrong pixels are red, and correct ones are dimmed. Most errors are at boundaries and in thin or
# distant objects.

figure, panels = plt.subplots(1, 4, figsize=(10, 2.1), layout="constrained")
for panel, image, mask, ids in zip(panels, images, masks[..., 0], predicted, strict=True):
    wrong = (mask != ids)[..., np.newaxis]
    panel.imshow(np.where(wrong, (1.0, 0.2, 0.2), 0.4 * image))
    panel.set_title(f"{wrong.mean():.0%} wrong pixels")
    panel.set_axis_off()
