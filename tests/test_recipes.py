from __future__ import annotations

import dataclasses
import json
import math
import re

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_training import network, unet

import unetv2
from unetv2.training.recipes import FAST, NAMES, REFERENCE, Recipe, get

NAMED = [get(name) for name in NAMES]


def test_names_give_recipes():
    assert [recipe.name for recipe in NAMED] == list(NAMES)
    assert get("reference") == REFERENCE
    assert get("fast") == FAST
    assert get(FAST) == FAST


def test_a_recipe_is_frozen_and_changed_in_a_copy():
    with pytest.raises(dataclasses.FrozenInstanceError):
        REFERENCE.learning_rate = 1.0
    changed = get("reference", learning_rate=0.5, batch_size=4)
    assert (changed.learning_rate, changed.batch_size, changed.name) == (0.5, 4, "reference")
    assert REFERENCE.learning_rate == 1e-3
    assert dataclasses.replace(changed, learning_rate=1e-3, batch_size=None) == REFERENCE


def test_recipes_copy_lists():
    phases, weights, model = [(0.5, 0.5), (0.5, 1)], [1, 2], {"dtype": "float32"}
    recipe = get("reference", progressive_resizing=phases, class_weights=weights, model=model)
    phases.clear()
    weights.clear()
    model.clear()
    assert recipe.progressive_resizing == ((0.5, 0.5), (0.5, 1.0))
    assert recipe.class_weights == (1.0, 2.0)
    assert recipe.model == {"dtype": "float32"}


def test_an_unknown_recipe_lists_the_known():
    listed = ", ".join(map(repr, NAMES))
    message = f"`recipe` must be one of {listed}. Received: recipe='best'."
    with pytest.raises(ValueError, match=re.escape(message)):
        get("best")


def test_an_unknown_option_lists_the_known_ones():
    message = "must be among augmentation, batch_size, .* Received: lerning_rate, step."
    with pytest.raises(TypeError, match=message):
        get("fast", step=2, lerning_rate=1)


PHASES = "`progressive_resizing` must be pairs"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": -1}, "`learning_rate` must be a non-negative finite number. Received"),
        ({"learning_rate": math.inf}, "`learning_rate` must be a non-negative finite number."),
        ({"schedule": "step"}, "`schedule` must be one of 'constant', 'cosine'. Received: sched"),
        ({"warmup": 1.0}, "`warmup` must be a number in [0, 1). Received: warmup=1.0."),
        ({"weight_decay": -0.1}, "`weight_decay` must be a non-negative finite number. Received"),
        ({"clip_norm": math.nan}, "`clip_norm` must be a positive finite number. Received:"),
        ({"clip_norm": 0}, "`clip_norm` must be a positive finite number. Received: clip_norm=0."),
        (
            {"ema_momentum": 1},
            "`ema_momentum` must be a number in [0, 1). Received: ema_momentum=1.",
        ),
        ({"loss": "dice"}, "`loss` must be one of 'cross_entropy', 'cross_entropy_dice'. Receiv"),
        ({"class_weights": "rare"}, "`class_weights` must be one of 'median_frequency', 'sqrt_m"),
        ({"class_weights": [1, -1]}, "`class_weights` must be non-negative finite numbers"),
        ({"label_smoothing": 1}, "`label_smoothing` must be a number in [0, 1). Received: label"),
        ({"augmentation": "heavy"}, "`augmentation` must be one of 'light', 'driving', an `Augm"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer. Received: batch_size=0."),
        ({"progressive_resizing": ()}, PHASES),
        ({"progressive_resizing": ((0.5, 1),)}, PHASES),
        ({"progressive_resizing": ((0.5, 0.5), (0.6, 1))}, PHASES),
        ({"progressive_resizing": ((0.5, 1), (0.5, 0.5))}, PHASES),
        ({"progressive_resizing": ((0.5, 0), (0.5, 1))}, PHASES),
        ({"progressive_resizing": ((0.5, 2), (0.5, 1))}, PHASES),
        ({"progressive_resizing": ((0, 0.5), (1, 1))}, PHASES),
        ({"progressive_resizing": ((math.nan, 0.5), (1, 1))}, PHASES),
        ({"progressive_resizing": (1, 1)}, PHASES),
        ({"progressive_resizing": 1}, PHASES),
    ],
)
def test_every_value_is_checked(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Recipe(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": "1"},
        {"warmup": None},
        {"batch_size": 2.0},
        {"ema_momentum": True},
        {"class_weights": ["a"]},
        {"class_weights": 3},
    ],
)
def test_values_of_a_wrong_type_are_type_errors(values):
    with pytest.raises(TypeError, match=f"`{next(iter(values))}` must be .* Received: "):
        Recipe(**values)


@st.composite
def phases(draw):
    parts = draw(st.lists(st.integers(1, 20), min_size=1, max_size=5))
    scales = [draw(st.sampled_from([0.25, 0.5, 0.75])) for _ in parts[1:]]
    shares = [part / sum(parts) for part in parts]
    return tuple(zip(shares, [*scales, 1.0], strict=True))


@given(phases=phases(), epochs=st.integers(1, 100))
def test_phases_cover_every_epoch_once_and_in_order(phases, epochs):
    found = get("reference", progressive_resizing=phases).phases(epochs)
    covered = [epoch for start, end, _ in found for epoch in range(start, end)]
    assert covered == list(range(epochs))
    assert all(end > start for start, end, _ in found)
    assert found[-1][2] == 1  # However few epochs, the last is at full size.


@given(phases=phases(), epochs=st.integers(30, 100))
def test_phases_have_their_share_of_the_epochs(phases, epochs):
    done = 0.0
    ends = {end for _, end, _ in get("reference", progressive_resizing=phases).phases(epochs)}
    for share, _ in phases:
        done += share
        assert min(abs(end - done * epochs) for end in ends) <= 0.5 + 1e-6


def rates(recipe, steps, factor=1.0):
    optimizer, found = recipe.optimizer(network(), steps, factor=factor), []
    for step in range(steps + 1):
        optimizer.iterations.assign(step)
        found.append(float(np.asarray(optimizer.learning_rate)))
    return found


def test_the_warm_up_rises_linearly_and_the_cosine_ends_at_zero():
    found = rates(get("reference", learning_rate=1.0, warmup=0.2), 50)
    # Ten steps up; then half a cosine over forty.
    np.testing.assert_allclose(found[:11], np.arange(11) / 10, atol=1e-6)
    expected = [(1 + math.cos(math.pi * step / 40)) / 2 for step in range(41)]
    np.testing.assert_allclose(found[10:], expected, atol=1e-6)


def test_a_constant_rate_is_constant():
    np.testing.assert_allclose(rates(get("reference", schedule="constant"), 9), 1e-3, rtol=1e-6)
    risen = rates(get("reference", schedule="constant", warmup=0.5, learning_rate=2.0), 8)
    np.testing.assert_allclose(risen, [0, 0.5, 1, 1.5, 2, 2, 2, 2, 2], atol=1e-6)


@pytest.mark.parametrize("recipe", NAMED, ids=NAMES)
def test_a_failure_lowers_the_whole_schedule(recipe):
    halves = np.array(rates(recipe, 20)) / 2
    np.testing.assert_allclose(rates(recipe, 20, factor=0.5), halves, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_weight_decay_leaves_out_biases_and_norms(dtype):
    model = unet(normalization="batch", dtype=dtype)
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    recipe = get("reference", weight_decay=0.5, learning_rate=1.0, clip_norm=None)
    optimizer = recipe.optimizer(model, 10)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == (dtype != "float32")
    optimizer.apply([np.zeros(weight.shape, "float32") for weight in model.trainable_variables])
    for weight in model.trainable_variables:
        # One step with a gradient of zero: w - rate * decay * w.
        left = 0.5 if weight.name == "kernel" else 1.0
        np.testing.assert_allclose(weight, left, err_msg=weight.path)
    assert {weight.name for weight in model.trainable_variables} == {
        "kernel", "bias", "gamma", "beta",
    }  # fmt: skip


def test_without_weight_decay_it_is_adam():
    optimizer = REFERENCE.optimizer(network(), 10)
    assert type(optimizer) is keras.optimizers.Adam
    assert optimizer.global_clipnorm == 1.0


def test_the_losses_are_those_of_unetv2():
    loss = FAST.loss_function(255, [1.0, 2.0])
    assert isinstance(loss, unetv2.losses.CrossEntropyDice)
    loss = REFERENCE.loss_function(None, None)
    assert isinstance(loss, unetv2.losses.CrossEntropy)


def test_a_recipe_builds_its_model():
    model = get("fast").build((16, 24, 3), 4, filters=2, depth=1, dtype="float32")
    assert model.output_shape == (None, 16, 24, 4)
    assert any("batch" in weight.path or weight.name == "gamma" for weight in model.weights)
    precision = unetv2.automatic_precision()
    assert get("fast").build((8, 8, 3), 2, filters=2, depth=1).dtype_policy.name == precision


@pytest.mark.parametrize("recipe", NAMED, ids=NAMES)
def test_a_recipe_prints_every_value(recipe):
    lines = str(recipe).splitlines()
    assert lines[0] == f"Recipe '{recipe.name}':"
    names = [field.name for field in dataclasses.fields(Recipe) if field.name != "name"]
    assert [line.split()[0] for line in lines[1:]] == names
    for name, line in zip(names, lines[1:], strict=True):
        assert line.endswith(str(getattr(recipe, name)))


@pytest.mark.parametrize("recipe", NAMED, ids=NAMES)
def test_a_recipe_is_json(recipe):
    values = json.loads(json.dumps(recipe.as_dict()))
    assert values.keys() == {field.name for field in dataclasses.fields(Recipe)}
    if recipe.augmentation is not None:
        values["augmentation"] = unetv2.augmentation.Augmentation(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in values["augmentation"].items()
            }
        )
    assert Recipe(**values) == recipe
