"""
Feature maps at odd sizes
=========================

An encoder block halves height and width and rounds up. A decoder block doubles them and crops to
the size of the skip connection. The output therefore has the size of the input for any image
size, which need not be divisible by 16.
"""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

import unetv2

model = unetv2.build_unetv2((75, 101, 3), 23, filters=8)
blocks = [layer for layer in model.layers if layer.name.startswith(("encoder", "decoder"))]
names = [layer.name for layer in blocks]
# An encoder block returns its output and its skip, which has twice the height and width.
shapes = [
    layer.output[1].shape if "encoder" in layer.name else layer.output.shape for layer in blocks
]
for name, (_, height, width, filters) in zip(names, shapes, strict=True):
    print(f"{name}: {height:3} x {width:3}, {filters:3} filters")

# %%
# Feature maps to scale
# ---------------------
#
# The feature maps of all blocks, from the image to the coarsest level and back. Dotted lines are
# skip connections.

figure, panel = plt.subplots(figsize=(10, 4.6), layout="constrained")
place, ends = 0.0, {}
for name, (_, height, width, filters) in zip(names, shapes, strict=True):
    level = int(name.split("_")[1])
    color = "tab:blue" if "encoder" in name else "tab:orange"
    corner = (place, -40 * level - height / 2)
    panel.add_patch(Rectangle(corner, width, height, facecolor=color, alpha=0.45, edgecolor=color))
    panel.annotate(
        f"{height}x{width}\n{filters} filters",
        (place + width / 2, -40 * level - height / 2 - 3),
        ha="center",
        va="top",
        fontsize="small",
    )
    if "encoder" in name:
        ends[level] = place + width
    else:
        panel.plot([ends[level], place], [-40 * level] * 2, color="tab:gray", linestyle=":")
    place += width + 14
panel.set_xlim(-5, place)
panel.set_ylim(-200, 45)
panel.set_aspect("equal")
panel.set_axis_off()

# %%
# Number of weights
# -----------------
#
# The number of weights depends on ``filters`` and ``depth``, not on the image size. The number of
# filters doubles from each level to the next.

figure, panel = plt.subplots(figsize=(7, 3.4), layout="constrained")
for depth in (2, 3, 4):
    widths = (8, 16, 32)
    counts = [
        unetv2.build_unetv2((None, None, 3), 23, filters=filters, depth=depth).count_params()
        for filters in widths
    ]
    panel.plot(widths, counts, marker="o", label=f"depth={depth}")
panel.set_xscale("log", base=2)
panel.set_yscale("log")
panel.set_xticks(widths, widths)
panel.set_xlabel("filters")
panel.set_ylabel("weights")
panel.grid(alpha=0.3)
figure.legend(loc="outside right upper")
