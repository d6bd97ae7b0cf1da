"""
What the doctor finds
=====================

:func:`unetv2.check_dataset`, on the command line ``unetv2 check``, goes through all pairs and
reports what is wrong. Here some of 24 scenes are spoilt first, as happens to real ones.
:doc:`/checking` lists all that it looks for.
"""

import shutil
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

import unetv2

scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
images, masks = unetv2.data.write_driving_scenes(folder / "scenes", 24, image_size=(96, 128))

# A mask is lost, and a file was not copied to its end.
(masks / "000002.png").unlink()
(images / "000005.png").write_bytes((images / "000005.png").read_bytes()[:2000])

# Ids of another class table.
ids = np.array(Image.open(masks / "000008.png"))[..., 0]
Image.fromarray(np.where(ids == 7, 40, ids)).save(masks / "000008.png")

# A mask that was resized with interpolation: ids in between appear at every edge.
ids = Image.fromarray(np.array(Image.open(masks / "000011.png"))[..., 0])
ids.resize((64, 48), Image.Resampling.NEAREST).resize((128, 96)).save(masks / "000011.png")

# The same picture twice, with two masks.
shutil.copy(images / "000014.png", images / "000017.png")

# %%
# The report
# ----------
#
# It is text to read, ``report.to_json()`` for other programs, and has every problem as a value.

report = unetv2.check_dataset(images, masks, classes=unetv2.CARLA, progress=False)
print(str(report).replace(f"{folder}/", ""))

# %%
# Pictures of the problems
# ------------------------
#
# ``report.save`` writes, beside the report, the pairs with problems: the image, and the image
# under its mask.

report.save(folder / "report")
worst = sorted((folder / "report" / "worst").iterdir())
figure, panels = plt.subplots(len(worst), 1, figsize=(7, 2.9 * len(worst)), layout="constrained")
for panel, path in zip(panels, worst, strict=True):
    panel.imshow(Image.open(path))
    panel.set_title(path.stem)
    panel.set_axis_off()
