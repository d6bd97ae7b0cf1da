"""
Colored masks and overlays
==========================

A mask contains a class id for each pixel. :func:`unetv2.visualization.colorize` maps ids to the
colors of a class table, and :func:`unetv2.visualization.overlay` blends these with the image.
"""

import matplotlib.pyplot as plt
import numpy as np

import unetv2

image, mask = unetv2.synthetic.driving_scene(3, image_size=(240, 320))

figure, panels = plt.subplots(2, 2, figsize=(8.5, 6.6), layout="constrained")
results = {
    "image": image,
    "colorize": unetv2.visualization.colorize(mask, unetv2.CARLA),
    "overlay, opacity=0.3": unetv2.visualization.overlay(image, mask, unetv2.CARLA, opacity=0.3),
    "overlay, opacity=0.7": unetv2.visualization.overlay(image, mask, unetv2.CARLA, opacity=0.7),
}
for panel, (title, result) in zip(panels.flat, results.items(), strict=True):
    panel.imshow(result)
    panel.set_title(title)
    panel.set_axis_off()

# %%
# A custom class table
# --------------------
#
# Ids that are not in the table, such as ``ignore_class``, are white. The array ``new_ids`` maps the
# 23 classes to three.

drive = unetv2.ClassTable(
    names=("other", "drivable", "moving"),
    colors=((60, 60, 80), (90, 180, 120), (230, 100, 60)),
    ignore_class=255,
)
new_ids = np.zeros(len(unetv2.CARLA), np.uint8)
for name, new_id in {"Road": 1, "RoadLine": 1, "Vehicles": 2, "Pedestrian": 2, "Sky": 255}.items():
    new_ids[unetv2.CARLA.names.index(name)] = new_id
drive_mask = new_ids[mask]

figure, panels = plt.subplots(1, 2, figsize=(8.5, 3.3), layout="constrained")
panels[0].imshow(unetv2.visualization.colorize(drive_mask, drive))
panels[1].imshow(unetv2.visualization.overlay(image, drive_mask, drive))
for panel in panels:
    panel.set_axis_off()

# %%
figure = unetv2.visualization.legend(drive)
