"""
Data set validation
===================

:func:`unetv2.check_dataset`, on the command line ``unetv2 check``, reads all pairs and reports
problems. This example first introduces errors that are common in real data into some of 24 scenes.
:doc:`/checking` lists all checks.
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
images, masks = unetv2.synthetic.write_driving_scenes(folder / "scenes", 24, image_size=(96, 128))

# A missing mask and a truncated file.
(masks / "000002.png").unlink()
(images / "000005.png").write_bytes((images / "000005.png").read_bytes()[:2000])

# An id that is not in the class table.
ids = np.array(Image.open(masks / "000008.png"))[..., 0]
Image.fromarray(np.where(ids == 7, 40, ids)).save(masks / "000008.png")

# A mask that was resized with interpolation, which creates wrong ids at edges.
ids = Image.fromarray(np.array(Image.open(masks / "000011.png"))[..., 0])
ids.resize((64, 48), Image.Resampling.NEAREST).resize((128, 96)).save(masks / "000011.png")

# The same image twice, with different masks.
shutil.copy(images / "000014.png", images / "000017.png")

# %%
# The report
# ----------
#
# The report can be printed and converted to JSON with ``report.to_json()``.

report = unetv2.check_dataset(images, masks, classes=unetv2.CARLA, progress=False)
print(str(report).replace(f"{folder}/", ""))

# %%
# Images of the problems
# ----------------------
#
# ``report.save`` saves the report and images of the pairs with problems, with and without their
# masks.

report.save(folder / "report")
worst = sorted((folder / "report" / "worst").iterdir())
figure, panels = plt.subplots(len(worst), 1, figsize=(7, 2.9 * len(worst)), layout="constrained")
for panel, path in zip(panels, worst, strict=True):
    panel.imshow(Image.open(path))
    panel.set_title(path.stem)
    panel.set_axis_off()
