"""
Learning rate schedules of the recipes
======================================

A :class:`~unetv2.recipes.Recipe` configures :func:`unetv2.train`. ``"reference"`` uses cosine decay
from its initial learning rate, and ``"fast"`` warms up to a higher rate first. :doc:`/training`
describes the other differences.
"""

import matplotlib.pyplot as plt

import unetv2

EPOCHS, STEPS_PER_EPOCH = 40, 20
model = unetv2.build_unetv2((None, None, 3), 23, filters=2, depth=2)

figure, panel = plt.subplots(figsize=(8, 3.4), layout="constrained")
for name in unetv2.recipes.NAMES:
    optimizer = unetv2.recipes.get(name).optimizer(model, EPOCHS * STEPS_PER_EPOCH)
    rates = []
    for epoch in range(EPOCHS + 1):
        optimizer.iterations.assign(epoch * STEPS_PER_EPOCH)
        rates.append(float(optimizer.learning_rate))
    panel.plot(rates, label=name)
panel.set_xlabel("epoch")
panel.set_ylabel("learning rate")
panel.set_xlim(0, EPOCHS)
panel.set_ylim(bottom=0)
panel.grid(alpha=0.3)
panel.legend()

# %%
# Progressive resizing
# --------------------
#
# ``"fast"`` trains most of its epochs at half the height and width. These are the epochs of each
# phase and its scale.

for start, end, scale in unetv2.recipes.get("fast").phases(EPOCHS):
    print(f"epochs {start + 1} to {end}: images at {scale:g} times their size")

# %%
# Change a recipe
# ---------------
#
# Recipes are immutable: ``get`` with other values returns a new recipe. ``print`` shows all values.

print(unetv2.recipes.get("fast", learning_rate=1e-3, batch_size=16))
