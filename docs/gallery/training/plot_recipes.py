"""
The recipes' learning rates
===========================

A :class:`~unetv2.recipes.Recipe` says how :func:`unetv2.train` trains. ``"reference"`` starts at
its full rate and falls along a cosine; ``"fast"`` rises to a higher one first. :doc:`/training`
says what else they differ in.
"""

import matplotlib.pyplot as plt

import unetv2

EPOCHS, STEPS_AN_EPOCH = 40, 20
model = unetv2.build_unetv2((None, None, 3), 23, filters=2, depth=2)

figure, panel = plt.subplots(figsize=(8, 3.4), layout="constrained")
for name in unetv2.recipes.NAMES:
    optimizer = unetv2.recipes.get(name).optimizer(model, EPOCHS * STEPS_AN_EPOCH)
    rates = []
    for epoch in range(EPOCHS + 1):
        optimizer.iterations.assign(epoch * STEPS_AN_EPOCH)
        rates.append(float(optimizer.learning_rate))
    panel.plot(rates, label=name)
panel.set_xlabel("epoch")
panel.set_ylabel("learning rate")
panel.set_xlim(0, EPOCHS)
panel.set_ylim(bottom=0)
panel.grid(alpha=0.3)
panel.legend()

# %%
# Small pictures first
# --------------------
#
# ``"fast"`` trains most of its epochs at half the height and width: from which epoch to which,
# and at which scale.

for start, end, scale in unetv2.recipes.get("fast").spans(EPOCHS):
    print(f"epochs {start + 1} to {end}: pictures at {scale:g} times their size")

# %%
# One value changed
# -----------------
#
# A recipe is a value: ``get`` with other words returns another one, and it is printed whole.

print(unetv2.recipes.get("fast", learning_rate=1e-3, batch_size=16))
