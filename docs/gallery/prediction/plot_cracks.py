"""
Thin cracks at the original scale
=================================

Cracks, roads in satellite images and retinal vessels are a few pixels wide. If images are
downscaled, they vanish. This example trains on crops at the original scale, with black and white
masks. The images are synthetic: this example draws them with NumPy and Pillow.
"""

import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

import unetv2

SIZE = 192


def draw_crack(seed):
    """Returns an RGB image of a concrete surface and a mask with cracks of value 255."""
    rng = np.random.default_rng(seed)
    mask = Image.new("L", (SIZE, SIZE))
    pen = ImageDraw.Draw(mask)
    for _ in range(rng.integers(1, 4)):
        point, angle = rng.uniform(0, SIZE, 2), rng.uniform(0, 2 * np.pi)
        for _ in range(60):
            angle += rng.normal(0, 0.35)
            after = point + 5 * np.array([np.cos(angle), np.sin(angle)])
            pen.line([*point, *after], fill=255, width=int(rng.integers(2, 4)))
            point = after
    # Coarse stains and fine grains.
    stains = Image.fromarray(rng.integers(110, 190, (12, 12), np.uint8))
    surface = np.asarray(stains.resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float32)
    surface += rng.normal(0, 12, (SIZE, SIZE))
    surface -= 80 * np.asarray(mask.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255
    image = surface[..., np.newaxis] * np.array([1.0, 0.97, 0.92])
    return image.clip(0, 255).astype(np.uint8), np.asarray(mask)


scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
for name in ("images", "masks"):
    (folder / name).mkdir()
for seed in range(120):
    image, mask = draw_crack(seed)
    Image.fromarray(image).save(folder / "images" / f"{seed:03}.png")
    Image.fromarray(mask).save(folder / "masks" / f"{seed:03}.png")

# %%
# Train on crops
# --------------
#
# ``encoding="binary"`` maps 255 to class 1. ``image_size=None`` keeps the original scale, and
# ``balanced=True`` samples crops with cracks as often as others.

keras.utils.set_random_seed(0)
options = {"encoding": "binary", "image_size": None, "crop_size": (64, 64), "balanced": True}
train = unetv2.make_dataset(folder / "images", folder / "masks", subset="train", **options)
recipe = unetv2.recipes.get(
    "fast", progressive_resizing=((1, 1),), augmentation="light", learning_rate=4e-3
)
model = recipe.build((None, None, 3), 2, filters=8, depth=2, seed=0, dtype="float32")
unetv2.train(
    model, train, None, recipe=recipe, epochs=25, output_dir=folder / "run", progress=False
)

# %%
# Evaluate with a boundary tolerance
# ----------------------------------
#
# A shift by one pixel changes most pixels of a thin object, so its IoU can be low even where the
# prediction looks correct. The boundary F1 score accepts boundaries within a tolerance, here two
# pixels.

evaluation = unetv2.evaluate(
    model,
    (folder / "images", folder / "masks"),
    subset="test",
    boundary_tolerance=2,
    progress=False,
)
print(f"IoU of cracks: {evaluation.iou_per_class[1]:.2f}")
print(f"boundary F1 of cracks: {evaluation.boundary_f1_per_class[1]:.2f}")

# %%
# Predict new images
# ------------------
#
# Correct pixels are white, missed ones are blue, and false ones are red.

figure, panels = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained")
for (above, below), seed in zip(panels.T, range(1000, 1004), strict=True):
    image, mask = draw_crack(seed)
    found, crack = unetv2.predict(model, image).mask == 1, mask > 0
    colors = np.zeros((SIZE, SIZE, 3), np.uint8)
    colors[found & crack] = 255
    colors[~found & crack] = (60, 130, 255)
    colors[found & ~crack] = (230, 60, 60)
    above.imshow(image)
    below.imshow(colors)
for panel in panels.flat:
    panel.set_axis_off()
