"""
Made-up driving scenes
======================

:func:`unetv2.data.driving_scene` draws a scene and its mask, with CARLA's 23 classes: streets,
weather, time of day and traffic follow from the number. It needs no file and no network, so that
everything here can be tried at once.
"""

import matplotlib.pyplot as plt
import numpy as np

import unetv2

figure, panels = plt.subplots(4, 4, figsize=(10, 7.6), layout="constrained")
for number in range(8):
    image, mask = unetv2.data.driving_scene(number, image_size=(144, 192))
    row, column = divmod(number, 4)
    panels[2 * row, column].imshow(image)
    panels[2 * row + 1, column].imshow(unetv2.visualization.colorize(mask, unetv2.CARLA))
for panel in panels.flat:
    panel.set_axis_off()

# %%
# What the colours mean
# ---------------------
#
# A :class:`~unetv2.ClassTable` has the names and colours of ids; :data:`unetv2.CARLA` is that of
# the scenes.

figure = unetv2.visualization.legend(unetv2.CARLA)

# %%
# How many pixels a class has
# ---------------------------
#
# Sky and road are most of a picture. A network that knows nothing else gets most pixels right,
# which is why the mean IoU over the classes says more than the pixel accuracy.

counts = np.zeros(len(unetv2.CARLA))
for number in range(40):
    _, mask = unetv2.data.driving_scene(number, image_size=(96, 128))
    counts += np.bincount(mask.ravel(), minlength=len(unetv2.CARLA))
figure = unetv2.visualization.class_bars(
    counts / counts.sum(), unetv2.CARLA, label="share of all pixels"
)
