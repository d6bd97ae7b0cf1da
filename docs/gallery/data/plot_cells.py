"""
Separate and count touching cells
=================================

In microscope images, cells often touch. With the two classes background and cell, touching cells
form a single region. Here the boundary between two cells is a third class, so that cells can be
counted in the prediction. The images are synthetic: this example draws them with NumPy.
"""

import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw

import unetv2

SIZE = 96
CELLS = unetv2.ClassTable(
    names=("background", "cell", "boundary"),
    colors=((30, 30, 50), (90, 180, 120), (250, 200, 60)),
)


def draw_cells(seed, n_cells=14):
    """Returns an image, its mask and the number of cells in it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    # The closest cell of each pixel, and the distance to its center in units of its radius.
    nearest = np.full((SIZE, SIZE), np.inf, np.float32)
    cell = np.zeros((SIZE, SIZE), int)
    for number in range(1, n_cells + 1):
        row, column = rng.uniform(8, SIZE - 8, 2)
        height, width = rng.uniform(7, 13, 2)
        distance = np.hypot((rows - row) / height, (columns - column) / width)
        cell = np.where(distance < np.minimum(nearest, 1), number, cell)
        nearest = np.minimum(nearest, distance)
    # A boundary pixel has another cell among its neighbors.
    padded = np.pad(cell, 1, mode="edge")
    neighbors = [
        padded[1 + down : 1 + down + SIZE, 1 + right : 1 + right + SIZE]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
    ]
    boundary = (cell > 0) & np.any([(one > 0) & (one != cell) for one in neighbors], axis=0)
    brightness = 0.25 + 0.45 * (cell > 0) * np.sqrt(np.clip(1 - nearest**2, 0, 1))
    brightness -= 0.15 * boundary
    noisy = brightness + rng.normal(0, 0.05, brightness.shape)
    image = np.rint(255 * noisy.clip(0, 1)).astype(np.uint8)
    return image, np.where(boundary, 2, cell > 0).astype(np.uint8), len(np.unique(cell)) - 1


def count_cells(mask, least_pixels=12):
    """Returns the number of connected regions of class 1, without very small ones."""
    # `floodfill` needs a copy that it can write to.
    left = Image.fromarray((mask == 1).astype(np.uint8)).copy()
    count, n_pixels = 0, int((mask == 1).sum())
    while n_pixels:
        row, column = np.argwhere(np.asarray(left))[0]
        ImageDraw.floodfill(left, (int(column), int(row)), 0)
        remaining = int(np.asarray(left).sum())
        count += n_pixels - remaining >= least_pixels
        n_pixels = remaining
    return count


scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
for name in ("images", "masks"):
    (folder / name).mkdir()
for seed in range(80):
    image, mask, _ = draw_cells(seed)
    Image.fromarray(image).save(folder / "images" / f"{seed:03}.png")
    Image.fromarray(mask).save(folder / "masks" / f"{seed:03}.png")

# %%
# Train on gray images
# --------------------
#
# ``channels=1`` reads the images as gray. Boundaries cover few pixels, so the recipe ``"fast"``
# weights the classes.

keras.utils.set_random_seed(0)
train = unetv2.make_dataset(
    folder / "images", folder / "masks", classes=CELLS, channels=1, image_size=None
)
recipe = unetv2.recipes.get(
    "fast", progressive_resizing=((1, 1),), augmentation=None, learning_rate=4e-3
)
model = recipe.build((SIZE, SIZE, 1), 3, filters=8, depth=2, seed=0, dtype="float32")
unetv2.train(
    model, train, None, recipe=recipe, epochs=20, output_dir=folder / "run", progress=False
)

# %%
# Predict and count
# -----------------
#
# The images of the first row were not used in training. Two cells count as one if the network
# misses a part of the boundary between them.

figure, panels = plt.subplots(3, 4, figsize=(9, 7), layout="constrained")
for (above, middle, below), seed in zip(panels.T, range(1000, 1004), strict=True):
    image, mask, n_cells = draw_cells(seed)
    prediction = unetv2.predict(model, image)
    above.imshow(image, cmap="gray", vmin=0, vmax=255)
    above.set_title(f"image: {n_cells} cells")
    middle.imshow(unetv2.visualization.colorize(mask, CELLS))
    middle.set_title("ground truth")
    below.imshow(unetv2.visualization.colorize(prediction.mask, CELLS))
    below.set_title(f"prediction: {count_cells(prediction.mask)} cells")
for panel in panels.flat:
    panel.set_axis_off()
