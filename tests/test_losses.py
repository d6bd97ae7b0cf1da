from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from unetv2.losses import (
    Boundary,
    CrossEntropy,
    CrossEntropyDice,
    Dice,
    FocalCrossEntropy,
    LovaszSoftmax,
    Sum,
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
    "lovasz": (LovaszSoftmax, {}),
    "lovasz by image": (LovaszSoftmax, {"average": "image"}),
    "boundary": (Boundary, {"distance": 1}),
    "boundary by image": (Boundary, {"average": "image"}),
    "cross-entropy and dice": (CrossEntropyDice, {"dice_weight": 0.7, "class_weights": WEIGHTS}),
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


# The formulas in float64, as their papers have them, on the pixels that count.


def probabilities(logits):
    exponentials = np.exp(logits.astype("float64") - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def expected_mean(truth, logits, gamma=0.0, class_weights=None, label_smoothing=0.0):
    counted = truth != VOID
    p, y = probabilities(logits)[counted], truth[counted]
    weights = np.ones(N_CLASSES) if class_weights is None else np.array(class_weights)
    true = p[np.arange(len(y)), y]
    costs = (1 - true) ** gamma * -np.log(true)
    costs = (1 - label_smoothing) * costs + label_smoothing * -np.log(p).mean(-1)
    return (weights[y] * costs).sum() / weights[y].sum()


def expected_average(cost, truth, logits, average="batch", class_weights=None):
    """Averages what classes cost, over classes and groups; NaN is left out."""
    weights = np.ones(N_CLASSES) if class_weights is None else np.array(class_weights)
    p = probabilities(logits)
    groups = [slice(None)]
    if average == "image":
        groups = [slice(number, number + 1) for number in range(len(truth))]
    means = []
    for group in groups:
        costs = np.array([cost(truth[group], p[group], c) for c in range(N_CLASSES)])
        there = ~np.isnan(costs) & (weights > 0)
        if there.any():
            means.append((weights * costs)[there].sum() / weights[there].sum())
    return np.mean(means)


def tversky_cost(alpha, beta):
    def cost(truth, p, c):
        if not (truth == c).any():
            return np.nan
        inside = p[truth == c][:, c]
        outside = p[(truth != c) & (truth != VOID)][:, c]
        hits = inside.sum()
        return 1 - hits / (hits + alpha * outside.sum() + beta * (1 - inside).sum())

    return cost


def lovasz_cost(truth, p, c):
    counted = truth != VOID
    true, score = truth[counted] == c, p[counted][:, c]
    if not true.any():
        return np.nan
    errors = np.abs(true - score)
    wrong = np.zeros(len(true), bool)
    cost, before = 0.0, 0.0
    for pixel in np.argsort(-errors):
        wrong[pixel] = True
        jaccard = 1 - (true & ~wrong).sum() / (true | wrong).sum()
        cost += errors[pixel] * (jaccard - before)
        before = jaccard
    return cost


def boundary_cost(distance):
    def window(values, image, row, column, reach):
        rows = slice(max(row - reach, 0), row + reach + 1)
        return values[image, rows, max(column - reach, 0) : column + reach + 1]

    def boundary(area, counted):
        result = np.zeros(area.shape)
        for pixel in zip(*np.nonzero(counted), strict=True):
            around = window(area, *pixel, 1)[window(counted, *pixel, 1)]
            result[pixel] = area[pixel] - around.min()
        return result

    def share(part, whole):
        """The share of ``part`` that is near ``whole``."""
        near = np.zeros(whole.shape)
        for pixel in np.ndindex(whole.shape):
            near[pixel] = window(whole, *pixel, distance).max()
        return (part * near).sum() / part.sum()

    def cost(truth, p, c):
        counted = truth != VOID
        true = boundary((truth == c).astype("float64"), counted)
        predicted = boundary(p[..., c], counted)
        if not true.any():
            return np.nan
        precision, recall = share(predicted, true), share(true, predicted)
        return 1 - 2 * precision * recall / (precision + recall)

    return cost


def expected(name, truth, logits):
    kind, arguments = LOSSES[name]
    arguments = dict(arguments)
    if kind is CrossEntropy:
        return expected_mean(truth, logits, **arguments)
    if kind is FocalCrossEntropy:
        return expected_mean(truth, logits, **{"gamma": 2.0, **arguments})
    if kind is CrossEntropyDice:
        entropy = expected_mean(truth, logits, class_weights=arguments["class_weights"])
        return entropy + arguments["dice_weight"] * expected("dice", truth, logits)
    if kind is LovaszSoftmax:
        cost = lovasz_cost
    elif kind is Boundary:
        cost = boundary_cost(arguments.pop("distance", 2))
    else:
        cost = tversky_cost(arguments.pop("alpha", 0.5), arguments.pop("beta", 0.5))
    return expected_average(cost, truth, logits, **arguments)


@every_loss
@settings(max_examples=8)
@given(seed=st.integers(0, 99), ignored=st.sampled_from([0.0, 0.2, 0.7]))
def test_it_is_the_formula_on_the_pixels_that_count(name, seed, ignored):
    truth, logits = batch(seed, ignored)
    loss = make(name)
    value = float(loss(truth, logits))
    assert value == pytest.approx(expected(name, truth, logits), rel=2e-6, abs=1e-6)
    assert value >= 0
    assert float(loss(truth[..., None], logits)) == value


@every_loss
def test_the_gradient_is_the_slope(name):
    truth, logits = batch(3)
    logits = logits.astype("float64")
    loss = make(name, dtype="float64")
    value, gradient = value_and_gradient(loss, truth, logits)
    assert value.dtype == "float64"
    rng = np.random.default_rng(0)
    for _ in range(4):
        step = 1e-6 * rng.normal(size=logits.shape)
        slope = float(loss(truth, logits + step) - loss(truth, logits - step)) / 2
        assert slope == pytest.approx((gradient * step).sum(), rel=1e-4)


@every_loss
def test_ignored_pixels_change_nothing(name):
    truth, logits = batch(1, ignored=0.3)
    loss, ignored = make(name), truth == VOID
    value, gradient = value_and_gradient(loss, truth, logits)
    assert not gradient[ignored].any()
    assert gradient[~ignored].any()
    for other in (-1e4, 1e4, 7.0, np.nan):
        changed = logits.copy()
        changed[ignored, 1] = other
        again = value_and_gradient(loss, truth, changed)
        assert again[0] == value
        np.testing.assert_array_equal(again[1], gradient)


@every_loss
def test_an_ignored_class_may_be_one_of_the_classes(name):
    truth, logits = batch(2, ignored=0.0)
    as_void = np.where(truth == 1, VOID, truth)
    ours = value_and_gradient(make(name, ignore_class=1), truth, logits)
    theirs = value_and_gradient(make(name), as_void, logits)
    assert ours[0] == theirs[0]
    np.testing.assert_array_equal(ours[1], theirs[1])


@every_loss
def test_images_that_are_wholly_ignored_change_nothing(name):
    truth, logits = batch(4)
    value = float(make(name)(truth, logits))
    truth = np.concatenate([truth, np.full_like(truth[:1], VOID)])
    logits = np.concatenate([logits, logits[:1]])
    assert float(make(name)(truth, logits)) == pytest.approx(value, rel=1e-6)


@every_loss
def test_a_batch_that_is_wholly_ignored_costs_nothing(name):
    truth, logits = batch(0, ignored=1.0)
    value, gradient = value_and_gradient(make(name), truth, logits)
    assert value == 0
    assert not gradient.any()


@every_loss
def test_a_perfect_prediction_costs_nothing(name):
    kind, arguments = LOSSES[name]
    arguments = {key: value for key, value in arguments.items() if key != "label_smoothing"}
    truth, _ = batch(0, ignored=0.0)
    logits = np.where(np.eye(N_CLASSES)[truth] > 0, 30.0, -30.0)
    assert 0 <= float(kind(**arguments)(truth, logits)) < 1e-6


@every_loss
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_extreme_logits_give_finite_figures(name, precision):
    truth, logits = batch(5)
    right = np.where(truth == VOID, 0, truth)
    for scores in (
        1e4 * np.sign(logits),
        2e4 * np.eye(N_CLASSES)[right] - 1e4,
        1e4 - 2e4 * np.eye(N_CLASSES)[right],
        np.zeros_like(logits),
        np.full_like(logits, -1e4),
    ):
        narrow = tf.cast(scores, precision)
        value, gradient = value_and_gradient(make(name), truth, narrow)
        assert value.dtype == "float32"
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        wide = make(name)(truth, tf.cast(narrow, "float32"))
        assert value == wide


@every_loss
def test_the_global_precision_changes_nothing(name):
    truth, logits = batch(6)
    value = float(make(name)(truth, logits))
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        keras.config.set_floatx("float16")
        assert float(make(name)(truth, logits)) == value
    finally:
        keras.config.set_dtype_policy(policy)
        keras.config.set_floatx(floatx)


@every_loss
def test_copies_of_a_batch_cost_as_much_as_one(name):
    truth, logits = batch(7)
    value = float(make(name)(truth, logits))
    copies = make(name)(np.tile(truth, (3, 1, 1)), np.tile(logits, (3, 1, 1, 1)))
    assert float(copies) == pytest.approx(value, rel=1e-5)


@every_loss
def test_xla_and_unknown_sizes_give_the_same(name):
    truth, logits = batch(8)
    loss = make(name)
    value, gradient = value_and_gradient(loss, truth, logits)
    compiled = value_and_gradient(loss, truth, logits, jit_compile=True)
    assert compiled[0] == pytest.approx(value, rel=1e-5)
    np.testing.assert_allclose(compiled[1], gradient, rtol=1e-4, atol=1e-7)
    free = tf.function(
        loss,
        input_signature=[
            tf.TensorSpec((None, None, None, 1), tf.int32),
            tf.TensorSpec((None, None, None, N_CLASSES)),
        ],
    )
    for number in (1, 2):
        part = truth[:number, :, number:], logits[:number, :, number:]
        assert float(free(part[0][..., None], part[1])) == pytest.approx(
            float(loss(*part)), rel=1e-5
        )


@every_loss
@pytest.mark.parametrize("foreign", [-1, N_CLASSES, 200, 1.5, np.nan])
def test_an_id_out_of_range_makes_the_loss_nan_instead_of_vanishing(name, foreign):
    truth, logits = batch(9)
    truth = truth.astype(np.asarray(foreign).dtype)
    truth[0, 0, 0] = foreign
    loss = make(name, reduction=None)
    np.testing.assert_equal(np.isnan(loss(truth, logits)), [True, False])
    assert np.isnan(make(name)(truth, logits))
    assert np.isnan(make(name, ignore_class=None)(truth, logits))


@every_loss
def test_nan_logits_do_not_vanish(name):
    truth, logits = batch(9)
    logits[0, 0, 0] = np.nan
    truth[0, 0, 0] = 1
    assert np.isnan(make(name)(truth, logits))


def test_an_id_out_of_range_makes_the_loss_nan_under_xla():
    truth, logits = batch(9)
    truth[1, 2, 3] = N_CLASSES
    assert np.isnan(value_and_gradient(CrossEntropyDice(ignore_class=VOID), truth, logits, True)[0])


@every_loss
def test_weights_of_images_scale_their_cost(name):
    truth, logits = batch(10, ignored=0.0, shape=(2, 6, 7))
    loss = make(name)
    value = float(loss(truth, logits))
    for weights in (np.array([3.0, 3.0]), np.array([[3], [3]])):
        assert float(loss(truth, logits, weights)) == pytest.approx(3 * value, rel=1e-6)
    none = value_and_gradient(loss, truth, logits, sample_weight=[0.0, 0.0])
    assert none[0] == 0
    assert not none[1].any()
    one, gradient = value_and_gradient(loss, truth, logits, sample_weight=[1.0, 0.0])
    assert not gradient[1].any()
    alone, alone_gradient = value_and_gradient(loss, truth[:1], logits[:1])
    if isinstance(loss, CrossEntropyDice):
        return  # Each part has a share of its own.
    # The share of the pixels' weights, or of the images, that the first one has.
    share = one / alone
    assert 0 < share < 1
    np.testing.assert_allclose(gradient[0], share * alone_gradient[0], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["tversky", "dice", "lovasz", "boundary"])
def test_an_image_of_weight_two_counts_as_two_of_it(name):
    truth, logits = batch(11)
    twice = make(name)(truth[[0, 0, 1]], logits[[0, 0, 1]])
    weighted = make(name)(truth, logits, sample_weight=[2.0, 1.0])
    # Keras's reduction multiplies by the mean weight.
    assert float(weighted) == pytest.approx(1.5 * float(twice), rel=1e-5)


@every_loss
def test_without_reduction_the_mean_of_the_images_is_the_batch(name):
    truth, logits = batch(12)
    images = make(name, reduction=None)(truth, logits)
    assert images.shape == (2,)
    value = float(make(name)(truth, logits))
    assert np.mean(images) == pytest.approx(value, rel=1e-6)
    assert float(make(name, reduction="sum")(truth, logits)) == pytest.approx(2 * value, rel=1e-6)


@every_loss
def test_it_survives_its_config(name):
    truth, logits = batch(13)
    loss = make(name, dtype="float64", name="other")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(copy) is type(loss)
    assert copy.name == "other"
    assert copy.get_config() == loss.get_config()
    assert set(copy.get_config()) > {*LOSSES[name][1], "ignore_class", "reduction", "dtype"}
    assert copy(truth, logits) == loss(truth, logits)


def test_a_compiled_model_keeps_them(tmp_path):
    truth, _ = batch(14)
    images = np.random.default_rng(0).random((*truth.shape, 3), "float32")
    model = keras.Sequential(
        [keras.Input((None, None, 3)), keras.layers.Conv2D(N_CLASSES, 3, padding="same")]
    )
    losses = Sum([make(name) for name in LOSSES], list(range(len(LOSSES))))
    model.compile("adam", Sum([losses, CrossEntropy(ignore_class=VOID)]))
    model.fit(images, truth[..., None], sample_weight=np.array([1.0, 2.0]), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.loss.get_config() == model.loss.get_config()
    assert loaded.evaluate(images, truth, verbose=0) == model.evaluate(images, truth, verbose=0)


@every_loss
def test_a_few_steps_down_its_gradient_reduce_it(name):
    truth, logits = batch(15, scale=1.0)
    values = []
    for _ in range(10):
        value, gradient = value_and_gradient(make(name), truth, logits)
        values.append(value)
        logits = logits - (3 * gradient / np.linalg.norm(gradient)).astype("float32")
    assert values[-1] < 0.9 * values[0]


@given(seed=st.integers(0, 99), ignored=st.sampled_from([0.0, 0.3, 0.9]))
def test_unweighted_cross_entropy_is_kerass(seed, ignored):
    truth, logits = batch(seed, ignored)
    ours = CrossEntropy(ignore_class=VOID)
    theirs = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID)
    assert float(ours(truth, logits)) == pytest.approx(float(theirs(truth, logits)), rel=1e-5)
    weights = np.array([0.3, 2.0])
    by_pixel = np.broadcast_to(weights[:, None, None], truth.shape)
    assert float(ours(truth, logits, weights)) == pytest.approx(
        float(theirs(truth, logits, by_pixel)), rel=1e-5
    )


@given(seed=st.integers(0, 99))
def test_smoothed_cross_entropy_is_kerass(seed):
    truth, logits = batch(seed, ignored=0.0)
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    one_hot = np.eye(N_CLASSES, dtype="float32")[truth]
    ours = CrossEntropy(label_smoothing=0.2)(truth, logits)
    assert float(ours) == pytest.approx(float(theirs(one_hot, logits)), rel=1e-5)


@pytest.mark.parametrize("gamma", [0, 0.1, 0.5, 1, 2])
def test_focal_cross_entropy_has_a_gradient_where_nothing_is_in_doubt(gamma):
    truth, logits = batch(0, ignored=0.0)
    certain = 100 * np.eye(N_CLASSES, dtype="float32")[truth]
    value, gradient = value_and_gradient(FocalCrossEntropy(gamma), truth, certain)
    assert value == 0
    assert not gradient.any()
    plain, focal = CrossEntropy(), FocalCrossEntropy(0)
    np.testing.assert_allclose(
        value_and_gradient(focal, truth, logits)[1], value_and_gradient(plain, truth, logits)[1]
    )


def test_a_common_scale_of_the_class_weights_cancels_out():
    truth, logits = batch(0)
    for kind in (CrossEntropy, FocalCrossEntropy, Tversky, Dice):
        one, other = (
            kind(class_weights=weights, ignore_class=VOID)
            for weights in (WEIGHTS, 10 * np.array(WEIGHTS))
        )
        assert float(one(truth, logits)) == pytest.approx(float(other(truth, logits)), rel=1e-6)


def test_golden_overlap():
    # Truth 0 0 1, probabilities of class 0: 0.8 0.4 0.3. Class 0: TP 1.2, FP 0.3, FN 0.8,
    # Dice 2.4 / 3.5; class 1: TP 0.7, FP 0.8, FN 0.3, Dice 1.4 / 2.5. Class 2 is nowhere.
    first = np.array([0.8, 0.4, 0.3])
    logits = np.log(np.stack([first, 1 - first, np.full(3, 1e-30)], -1))[None, None]
    loss = 1 - (2.4 / 3.5 + 1.4 / 2.5) / 2
    assert float(Dice()(np.array([[[0, 0, 1]]]), logits)) == pytest.approx(loss)
    # False positives only: 1.2 / 1.5 and 0.7 / 1.5, with a beta that is next to nothing.
    loss = 1 - (1.2 / 1.5 + 0.7 / 1.5) / 2
    tversky = Tversky(alpha=1, beta=1e-9)
    assert float(tversky(np.array([[[0, 0, 1]]]), logits)) == pytest.approx(loss)


@pytest.mark.parametrize("average", ["batch", "image"])
def test_false_pixels_of_an_absent_class_cost_the_class_that_is_there(average):
    truth = np.array([[[0, 0, 0, 1, 1, 1]]])
    wrong = np.array([[[0, 2, 0, 1, 1, 1]]])
    for kind in (Tversky, Dice, LovaszSoftmax, Boundary):
        loss = kind(average=average, **({"distance": 0} if kind is Boundary else {}))
        assert float(loss(truth, 50 * np.eye(3)[wrong])) > 0.1


def test_lovasz_is_one_minus_the_mean_iou_of_certain_predictions():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, N_CLASSES, (2, 3, 9, 11))
    metric = keras.metrics.MeanIoU(N_CLASSES)
    metric.update_state(truth, predicted)
    loss = LovaszSoftmax()(truth, 1e3 * np.eye(N_CLASSES)[predicted])
    assert float(loss) == pytest.approx(1 - float(metric.result()), rel=1e-5)


def test_lovasz_keeps_its_digits_among_many_pixels():
    truth, logits = batch(0, shape=(1, 256, 256))
    gradients = [
        value_and_gradient(LovaszSoftmax(ignore_class=VOID, dtype=dtype), truth, logits)[1]
        for dtype in ("float32", "float64")
    ]
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-9)


def test_the_picture_border_is_no_boundary():
    truth = np.zeros((1, 5, 5), int)
    truth[:, :, 3:] = 1
    certain = 50 * np.eye(2)[truth]
    # All of one class: no boundary in the truth, none in the prediction, none in both.
    assert float(Boundary(0)(np.zeros((1, 5, 5), int), certain)) == 0
    assert float(Boundary(0)(truth, 50 * np.eye(2)[np.zeros((1, 5, 5), int)])) == 1
    assert float(Boundary(0)(truth, certain)) < 1e-6


def test_an_ignored_strip_is_no_boundary():
    truth = np.array([[[0, 0, VOID, 1, 1]]])
    logits = np.random.default_rng(0).normal(size=(1, 1, 5, 2))
    assert float(Boundary(0, ignore_class=VOID)(truth, logits)) == 0


@pytest.mark.parametrize("distance", [0, 1, 2, 3])
def test_a_boundary_may_be_off_by_its_distance(distance):
    truth, predicted = np.zeros((2, 1, 9, 20), int)
    truth[:, :, 8:] = predicted[:, :, 10:] = 1
    loss = float(Boundary(distance)(truth, 50 * np.eye(2)[predicted]))
    # Off by two columns. Were the rows at the border part of the boundary, they would match.
    assert loss == pytest.approx({0: 1.0, 1: 1.0}.get(distance, 0.0), abs=1e-6)


def test_a_sum_is_the_weighted_sum():
    truth, logits = batch(0)
    parts = [
        CrossEntropy(ignore_class=VOID),
        Dice(ignore_class=VOID),
        LovaszSoftmax(ignore_class=VOID),
    ]
    values = [float(part(truth, logits, np.array([1.0, 2.0]))) for part in parts]
    total = Sum(parts, (1, 0.5, 2))(truth, logits, np.array([1.0, 2.0]))
    assert float(total) == pytest.approx(values[0] + 0.5 * values[1] + 2 * values[2])
    assert float(Sum(parts)(truth, logits)) == pytest.approx(
        sum(float(part(truth, logits)) for part in parts)
    )


def test_arguments_of_the_caller_stay_as_they_are():
    weights, parts = np.array([1, 2]), [CrossEntropy()]
    loss, total = CrossEntropy(class_weights=weights), Sum(parts)
    loss.class_weights.append(3.0)
    total.losses.append(Dice())
    assert len(weights) == 2
    assert len(parts) == 1


WEIGHTS_RULE = (
    "`class_weights` must be non-negative finite numbers, at least one of them positive. "
)
LOSSES_RULE = "`losses` must be a sequence of one or more keras.losses.Loss. Received: losses="
NUMBER = "must be a non-negative finite number. Received: "


@pytest.mark.parametrize(
    ("make_loss", "error", "message"),
    [
        (
            lambda: CrossEntropy(class_weights=[1, -1]),
            ValueError,
            WEIGHTS_RULE + "Received: class_weights=[1, -1]. Pass one number for each class",
        ),
        (lambda: CrossEntropy(class_weights=[0, 0]), ValueError, WEIGHTS_RULE),
        (lambda: Dice(class_weights=[1, np.inf]), ValueError, WEIGHTS_RULE),
        (lambda: Dice(class_weights=[]), ValueError, WEIGHTS_RULE),
        (lambda: CrossEntropy(class_weights={0: 1.0}), TypeError, WEIGHTS_RULE),
        (lambda: CrossEntropy(class_weights=["1", "2"]), TypeError, WEIGHTS_RULE),
        (lambda: CrossEntropy(class_weights=3), TypeError, WEIGHTS_RULE),
        (
            lambda: CrossEntropy(label_smoothing=1.0),
            ValueError,
            "`label_smoothing` must be a number in [0, 1). Received: label_smoothing=1.0.",
        ),
        (lambda: Dice(ignore_class="void"), TypeError, "`ignore_class` must be an integer or None"),
        (
            lambda: CrossEntropy(dtype="float16"),
            ValueError,
            "`dtype` must be 'float32' or 'float64'. Received: dtype='float16'.",
        ),
        (lambda: FocalCrossEntropy(-1), ValueError, f"`gamma` {NUMBER}gamma=-1. "),
        (lambda: FocalCrossEntropy("2"), TypeError, f"`gamma` {NUMBER}gamma='2'. "),
        (lambda: Tversky(alpha=np.nan), ValueError, f"`alpha` {NUMBER}alpha=nan. "),
        (
            lambda: Tversky(beta=0),
            ValueError,
            "`beta` must be a positive finite number. Received: beta=0. It is the weight of false",
        ),
        (lambda: Dice(average="all"), ValueError, "`average` must be one of 'batch', 'image'."),
        (lambda: Boundary(-1), ValueError, "`distance` must be a non-negative integer. Received"),
        (lambda: Boundary(1.5), TypeError, "`distance` must be a non-negative integer. Received"),
        (lambda: Sum([]), ValueError, LOSSES_RULE + "[]. Pass instances"),
        (lambda: Sum(["mse"]), TypeError, LOSSES_RULE + "['mse']. Pass instances"),
        (
            lambda: Sum([Dice()], [1, 2]),
            ValueError,
            "`weights` must be one number for each loss. Received: weights=[1, 2]. Pass 1 of them",
        ),
        (lambda: Sum([Dice()], [-1]), ValueError, f"`weights` {NUMBER}weights=-1. Pass 1 of them"),
        (lambda: CrossEntropyDice(dice_weight=-1), ValueError, f"`dice_weight` {NUMBER}"),
    ],
)
def test_arguments_are_checked(make_loss, error, message):
    with pytest.raises(error) as caught:
        make_loss()
    assert message in str(caught.value)


MASKS_RULE = (
    "`y_true` must be masks of the logits' size, (batch, height, width, 1) or "
    "(batch, height, width). Received: y_true of shape "
)
LOGITS_RULE = "`y_pred` must be logits (batch, height, width, n_classes) of at least 2 classes. "


@pytest.mark.parametrize(
    ("mask", "logits", "message"),
    [
        ((2, 5, 6, 3), (2, 5, 6, 3), MASKS_RULE + "(2, 5, 6, 3) for y_pred of shape (2, 5, 6, 3)."),
        ((2, 6, 5, 1), (2, 5, 6, 3), MASKS_RULE + "(2, 6, 5, 1) for y_pred of shape (2, 5, 6, 3)."),
        ((1, 5, 6), (2, 5, 6, 3), MASKS_RULE),
        ((5, 6), (2, 5, 6, 3), MASKS_RULE),
        ((2, 5), (2, 5, 3), LOGITS_RULE + "Received: y_true of shape (2, 5) for y_pred of shape"),
        ((2, 5, 6), (2, 5, 6, 1), LOGITS_RULE),
        (
            (2, 5, 6),
            (2, 5, 6, 4),
            "`class_weights` must be one number for each class. Received: 3 class_weights for "
            "y_pred of shape (2, 5, 6, 4). Pass 4 of them",
        ),
    ],
)
def test_shapes_are_checked(mask, logits, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        CrossEntropy(class_weights=[1, 2, 3])(np.zeros(mask, int), np.zeros(logits))


@pytest.mark.parametrize("shape", [(2, 6, 7), (3,), (2, 2), ()])
def test_weights_of_pixels_are_refused(shape):
    with pytest.raises(
        ValueError, match=r"`sample_weight` must be one weight an image, \(batch,\)"
    ):
        CrossEntropy(ignore_class=VOID)(*batch(0), np.ones(shape))


def test_a_sum_of_different_shapes_is_refused():
    total = Sum([CrossEntropy(ignore_class=VOID), Dice(ignore_class=VOID, reduction=None)])
    with pytest.raises(
        ValueError, match=r"`losses` must return values of one shape. .* \(\), \(2,\)"
    ):
        total(*batch(0))
