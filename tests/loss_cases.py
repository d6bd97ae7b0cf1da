"""Losses with various arguments, and their inputs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from unetv2.losses import (
    Boundary,
    CrossEntropy,
    CrossEntropyDice,
    Dice,
    FocalCrossEntropy,
    LovaszSoftmax,
    Tversky,
)

VOID = 255
N_CLASSES = 4
WEIGHTS = [0.5, 2.0, 0.0, 1.0]


# Each loss with the arguments that make a difference, without those that all have.
LOSSES = {
    "cross-entropy": (CrossEntropy, {}),
    "cross-entropy, weighted": (CrossEntropy, {"class_weights": WEIGHTS, "label_smoothing": 0.1}),
    "focal": (FocalCrossEntropy, {"class_weights": WEIGHTS}),
    "focal, gamma below 1": (FocalCrossEntropy, {"gamma": 0.5}),
    "tversky": (Tversky, {"alpha": 0.3, "beta": 0.9, "class_weights": WEIGHTS}),
    "tversky by image": (Tversky, {"alpha": 0.0, "beta": 0.4, "average": "image"}),
    "dice": (Dice, {}),
    "dice, squared": (Dice, {"squared": True, "class_weights": WEIGHTS}),
    "dice, squared by image": (Dice, {"squared": True, "average": "image"}),
    "lovasz": (LovaszSoftmax, {}),
    "lovasz by image": (LovaszSoftmax, {"average": "image"}),
    "boundary": (Boundary, {"distance": 1}),
    "boundary by image": (Boundary, {"average": "image"}),
    "cross-entropy and dice": (CrossEntropyDice, {"dice_weight": 0.7, "class_weights": WEIGHTS}),
    "cross-entropy and squared dice": (CrossEntropyDice, {"squared": True}),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def make(case, ignore_class=VOID, **options):
    kind, arguments = LOSSES[case]
    return kind(**arguments, ignore_class=ignore_class, **options)


def batch(seed, ignored=0.2, shape=(2, 6, 7), scale=2.0):
    """Returns masks with connected areas, and logits."""
    rng = np.random.default_rng(seed)
    truth = np.sort(rng.integers(0, N_CLASSES, shape), axis=-1)
    truth[rng.random(shape) < ignored] = VOID
    return truth, (scale * rng.normal(size=(*shape, N_CLASSES))).astype("float32")


def value_and_gradient(loss, truth, logits, jit_compile=False, **options):
    @tf.function(jit_compile=jit_compile, autograph=False)
    def run(truth, logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = loss(truth, logits, **options)
        return value, tape.gradient(value, logits)

    function = run if jit_compile else run.python_function
    value, gradient = function(tf.constant(truth), tf.constant(logits))
    return value.numpy(), gradient.numpy().astype("float64")
