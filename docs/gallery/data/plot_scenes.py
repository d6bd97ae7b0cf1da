"""
Synthetic driving scenes
========================

:func:`unetv2.synthetic.driving_scene` draws a scene and its mask with the 23 classes of CARLA. The
number of the scene determines street, weather, time of day and traffic. The function needs no files
and no downloads, so all examples can be run immediately.
"""

import matplotlib.pyplot as plt
import numpy as np

import unetv2

figure, panels = plt.subplots(4, 4, figsize=(10, 7.6), layout="constrained")
for number in range(8):
    image, mask = unetv2.synthetic.driving_scene(number, image_size=(144, 192))
    row, column = divmod(number, 4)
    panels[2 * row, column].imshow(image)
    panels[2 * row + 1, column].imshow(unetv2.visualization.colorize(mask, unetv2.CARLA))
for panel in panels.flat:
    panel.set_axis_off()

# %%
# Legend
# ------
#
# A :class:`~unetv2.ClassTable` maps ids to names and colors; the scenes use :data:`unetv2.CARLA`.

figure = unetv2.visualization.legend(unetv2.CARLA)

# %%
# Class frequencies
# -----------------
#
# Sky and road cover most of an image. A network that predicts only these two classes gets most
# pixels right, so the mean IoU over all classes is more informative than the pixel accuracy.

counts = np.zeros(len(unetv2.CARLA))
for number in range(40):
    _, mask = unetv2.synthetic.driving_scene(number, image_size=(96, 128))
    counts += np.bincount(mask.ravel(), minlength=len(unetv2.CARLA))
figure = unetv2.visualization.class_bars(
    counts / counts.sum(), unetv2.CARLA, label="fraction of all pixels"
)
