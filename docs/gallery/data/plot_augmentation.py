"""
Augmentation options
====================

Each option of an :class:`~unetv2.augmentation.Augmentation`, applied separately to an image and its
mask. Geometric transformations are the same for both. Pixels from outside the image become
``ignore_class``, drawn in white. :doc:`/augmentation` describes all options.
"""

import matplotlib.pyplot as plt
import numpy as np

import unetv2

IGNORED = 255
image, mask = unetv2.synthetic.driving_scene(13, image_size=(96, 128))
images = image[np.newaxis].astype(np.float32) / 255
masks = mask[np.newaxis, ..., np.newaxis].astype(np.int32)


def vary(augmentation, seed):
    """Returns an augmented image and the colors of its mask."""
    varied, ids = augmentation(images, masks, seed)
    return varied[0].numpy(), unetv2.visualization.colorize(ids[0].numpy(), unetv2.CARLA)


strengths = {
    "horizontal_flip": 1.0,
    "scale": (1.5, 2.0),
    "rotation": 20,
    "translation": 0.3,
    "brightness": 0.6,
    "contrast": 0.8,
    "saturation": 1.0,
    "blur": 3.0,
    "noise": 0.2,
    "cutout": 0.4,
}
figure, panels = plt.subplots(4, 5, figsize=(10, 6.8), layout="constrained")
for number, (name, strength) in enumerate(strengths.items()):
    augmentation = unetv2.augmentation.Augmentation(**{name: strength}, ignore_class=IGNORED)
    row, column = divmod(number, 5)
    above, below = panels[2 * row, column], panels[2 * row + 1, column]
    varied, colors = vary(augmentation, seed=2)
    above.imshow(varied)
    below.imshow(colors)
    above.set_title(f"{name}={strength}", fontsize="small")
for panel in panels.flat:
    panel.set_axis_off()

# %%
# A preset
# --------
#
# The preset ``"driving"`` combines several options with moderate strengths. Each seed gives another
# result, and the same seed always gives the same result.

driving = unetv2.augmentation.driving(ignore_class=IGNORED)
figure, panels = plt.subplots(2, 5, figsize=(10, 3.3), layout="constrained")
for seed, (above, below) in enumerate(panels.T):
    varied, colors = vary(driving, seed)
    above.imshow(varied)
    below.imshow(colors)
    above.set_title(f"seed={seed}", fontsize="small")
for panel in panels.flat:
    panel.set_axis_off()
