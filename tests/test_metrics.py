from __future__ import annotations

import itertools
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

import unetv2
from unetv2.metrics import (
    ConfusionMatrix,
    FrequencyWeightedIoU,
    MeanDice,
    MeanIoU,
    PixelAccuracy,
    Scores,
    SegmentationMetrics,
)
from unetv2.metrics.prediction import NO_CLASS, most_probable

SHARES = [MeanIoU, MeanDice, FrequencyWeightedIoU, SegmentationMetrics]
COUNTING = [ConfusionMatrix, *SHARES]
SEEDS = st.integers(0, 99)
COUNTS = st.integers(2, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 9) | st.just(0), min_size=n, max_size=n), min_size=n, max_size=n
    )
)


def batch(seed, n_classes=4, ignored=0.0, ignore_class=255):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, n_classes, (2, 5, 6, 1))
    truth[rng.random(truth.shape) < ignored] = ignore_class
    return truth, rng.random((2, 5, 6, n_classes)).astype("float32")


def counted(truth, scores, n_classes, ignore_class=255):
    """Counts pixel by pixel."""
    counts = np.zeros((n_classes, n_classes))
    for true, predicted in zip(truth.ravel(), scores.argmax(-1).ravel(), strict=True):
        if true != ignore_class:
            counts[true, predicted] += 1
    return counts


def pixels(counts):
    """Returns truth and one-hot scores that have these counts."""
    truth, predicted = np.indices(np.shape(counts)).reshape(2, -1).repeat(np.ravel(counts), axis=1)
    return truth, np.eye(len(counts), dtype="float32")[predicted]


def numbers(result):
    """Returns what a metric's result holds, as one array."""
    return np.hstack([np.ravel(part) for part in keras.tree.flatten(result)])


def test_a_golden_example():
    # Truth 0 0 1 1, predicted 0 1 1 1: class 0 has 1 of {0, 1}, class 1 has 2 of {1, 2, 3};
    # class 2 is nowhere. IoU 1/2, 2/3, none; their mean is 7/12, and so is the mean weighted by
    # 2/4, 2/4. Dice 2/3, 4/5; mean 11/15. Precision 1/1, 2/3. Recall 1/2, 2/2; mean 3/4.
    truth, scores = np.array([0, 0, 1, 1]), np.eye(3, dtype="float32")[[0, 1, 1, 1]]
    confusion = ConfusionMatrix(3)
    confusion.update_state(truth, scores)
    np.testing.assert_array_equal(confusion.result(), [[1, 1, 0], [0, 2, 0], [0, 0, 0]])
    found = confusion.scores()
    np.testing.assert_allclose(found.iou_per_class, [1 / 2, 2 / 3, np.nan])
    np.testing.assert_allclose(found.dice_per_class, [2 / 3, 4 / 5, np.nan])
    np.testing.assert_allclose(found.precision_per_class, [1, 2 / 3, np.nan])
    np.testing.assert_allclose(found.recall_per_class, [1 / 2, 1, np.nan])
    assert found.support.tolist() == [2, 2, 0]
    assert found.absent == (2,)
    figures = {
        "pixel_accuracy": 3 / 4,
        "mean_iou": 7 / 12,
        "mean_dice": 11 / 15,
        "mean_accuracy": 3 / 4,
        "frequency_weighted_iou": 7 / 12,
    }
    assert {name: getattr(found, name) for name in figures} == pytest.approx(figures)
    for metric, figure in ((MeanIoU, 7 / 12), (MeanDice, 11 / 15), (FrequencyWeightedIoU, 7 / 12)):
        streamed = metric(3)
        streamed.update_state(truth, scores)
        assert float(streamed.result()) == pytest.approx(figure)


def test_the_table_names_the_classes_and_who_is_left_out():
    text = Scores([[1, 1, 0], [0, 2, 0], [0, 0, 0]]).table(("road", "car", "sky"))
    assert "0 road       2  0.500  0.667      1.000   0.500" in text
    assert "Left out of the means, as neither in the truth nor predicted: 2 sky." in text
    scores = Scores([[1, 0], [0, 1]])
    assert str(scores) == scores.table()
    assert "Left out" not in str(scores)
    with pytest.raises(ValueError, match="`names` must hold one name .* 1 names for 2 classes"):
        scores.table(["road"])


@given(seed=SEEDS, n_classes=st.integers(2, 6), ignored=st.sampled_from([0.0, 0.3, 0.97]))
def test_every_figure_is_scikit_learns(seed, n_classes, ignored):
    truth, scores = batch(seed, n_classes, ignored)
    kept = truth[..., 0] != 255
    true, predicted = pair = truth[kept][:, 0], scores[kept].argmax(-1)
    present = np.union1d(true, predicted)
    assume(present.size)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(*pair),
        "mean_iou": sklearn_metrics.jaccard_score(*pair, labels=present, average="macro"),
        "mean_dice": sklearn_metrics.f1_score(*pair, labels=present, average="macro"),
        "frequency_weighted_iou": sklearn_metrics.jaccard_score(
            *pair, labels=present, average="weighted"
        ),
    }
    streamed = SegmentationMetrics(n_classes, ignore_class=255)
    streamed.update_state(truth, scores)
    figures = {name: float(figure) for name, figure in streamed.result().items()}
    assert figures == pytest.approx(expected, rel=1e-6)

    exact = streamed.scores()
    every = range(n_classes)
    np.testing.assert_array_equal(
        exact.counts, sklearn_metrics.confusion_matrix(*pair, labels=every)
    )
    assert exact.absent == tuple(sorted(set(every) - set(present)))
    recall = sklearn_metrics.recall_score(*pair, labels=np.unique(true), average="macro")
    expected |= {"pixel_accuracy": expected.pop("accuracy"), "mean_accuracy": recall}
    found = {name: getattr(exact, name) for name in expected}
    assert found == pytest.approx(expected, rel=1e-12)
    for name, function, labels in (
        ("iou", sklearn_metrics.jaccard_score, present),
        ("dice", sklearn_metrics.f1_score, present),
        ("precision", sklearn_metrics.precision_score, np.unique(predicted)),
        ("recall", sklearn_metrics.recall_score, np.unique(true)),
    ):
        values = getattr(exact, f"{name}_per_class")
        by_class = function(*pair, labels=labels, average=None)
        np.testing.assert_allclose(values[labels], by_class, rtol=1e-12)
        assert np.isnan(np.delete(values, labels)).all()


@given(seed=SEEDS, ignored=st.sampled_from([0.0, 0.3, 1.0]))
def test_mean_iou_is_kerass(seed, ignored):
    truth, scores = batch(seed, ignored=ignored)
    ours = MeanIoU(4, ignore_class=255)
    theirs = keras.metrics.MeanIoU(4, ignore_class=255, sparse_y_pred=False)
    for metric in (ours, theirs):
        metric.update_state(truth, scores)
    assert float(ours.result()) == pytest.approx(float(theirs.result()), rel=1e-6)


@given(counts=COUNTS)
def test_one_matrix_gives_what_many_metrics_give(counts):
    together = SegmentationMetrics(len(counts), per_class=True)
    together.update_state(*pixels(counts))
    figures = together.result()
    for metric in (MeanIoU, MeanDice, FrequencyWeightedIoU):
        alone = metric(len(counts))
        alone.update_state(*pixels(counts))
        assert float(figures[alone.name]) == float(alone.result())
    by_class = [figures[f"iou_{number}"] for number in range(len(counts))]
    np.testing.assert_allclose(by_class, Scores(counts).iou_per_class, rtol=1e-6)


@given(seed=SEEDS, cuts=st.lists(st.integers(0, 60), max_size=4))
def test_any_split_into_batches_gives_the_same(seed, cuts):
    truth, scores = (part.reshape(60, -1) for part in batch(seed, ignored=0.2))
    for metric in COUNTING:
        whole, streamed = metric(4, 255), metric(4, 255)
        whole.update_state(truth, scores)
        bounds = [0, *sorted(cuts), 60]
        for start, stop in itertools.pairwise(bounds):
            streamed.update_state(truth[start:stop], scores[start:stop])
        np.testing.assert_array_equal(numbers(streamed.result()), numbers(whole.result()))


@given(counts=COUNTS, data=st.data())
def test_renamed_classes_have_the_same_figures(counts, data):
    order = data.draw(st.permutations(range(len(counts))))
    scores, renamed = Scores(counts), Scores(np.array(counts)[order][:, order])
    for name in ("iou", "dice", "precision", "recall"):
        values, others = (getattr(one, f"{name}_per_class") for one in (scores, renamed))
        np.testing.assert_array_equal(others, values[order])
    assert [order[number] for number in renamed.absent] == sorted(
        scores.absent, key=list(order).index
    )
    for name in ("pixel_accuracy", "mean_iou", "mean_dice", "frequency_weighted_iou"):
        np.testing.assert_allclose(getattr(renamed, name), getattr(scores, name), rtol=1e-12)


def test_ignored_pixels_change_nothing():
    truth, scores = batch(1, ignored=0.4)
    kept = truth[..., 0] != 255
    for metric in (PixelAccuracy(255), *(kind(4, 255) for kind in COUNTING)):
        metric.update_state(truth, scores)
        other = type(metric).from_config(metric.get_config())
        other.update_state(truth[kept], scores[kept])
        np.testing.assert_array_equal(numbers(metric.result()), numbers(other.result()))


def test_a_class_can_be_ignored():
    truth, scores = batch(1)
    confusion = ConfusionMatrix(4, ignore_class=0)
    confusion.update_state(truth, scores)
    np.testing.assert_array_equal(confusion.result(), counted(truth, scores, 4, ignore_class=0))


def test_counts_are_exact_where_float32_is_not():
    metric = MeanIoU(2)
    metric.counts.assign([[2**24, 0], [0, 2**40]])
    metric.update_state(*pixels([[1, 0], [0, 1]]))
    assert metric.scores().counts.tolist() == [[2**24 + 1, 0], [0, 2**40 + 1]]
    assert np.asarray(ConfusionMatrix.result(metric)).tolist() == [[2**24 + 1, 0], [0, 2**40 + 1]]
    assert Scores([[2**53 + 1, 1], [0, 2**60 + 1]]).support.tolist() == [2**53 + 2, 2**60 + 1]
    # Sums are too large for float16, not the share.
    half = MeanIoU(2, dtype="float16")
    half.counts.assign([[2**20, 2**20], [0, 2**20]])
    assert half.result().dtype == "float16"
    assert float(half.result()) == 0.5


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint32", "int64", "uint64", "float32"])
def test_masks_of_every_type_count_alike(kind):
    truth, scores = batch(2, ignored=0.3)
    confusion = ConfusionMatrix(4, ignore_class=255)
    confusion.update_state(truth.astype(kind), scores)
    np.testing.assert_array_equal(confusion.result(), counted(truth, scores, 4))


@given(seed=SEEDS, n_classes=st.integers(1, 9))
def test_the_first_of_the_greatest_scores_is_predicted(seed, n_classes):
    scores = np.random.default_rng(seed).choice([-np.inf, -1, -0.0, 0.0, 2], (30, n_classes))
    np.testing.assert_array_equal(most_probable(scores), scores.argmax(-1))
    quantized = np.clip(scores, -9, 9).astype("int8")
    np.testing.assert_array_equal(most_probable(quantized), quantized.argmax(-1))
    assert most_probable([[np.nan] * n_classes]) == NO_CLASS


@pytest.mark.parametrize(
    ("foreign", "told"),
    [
        (-1, "negative ids"),
        (4, "id 4"),
        (200, "id 200"),
        (300, "ids from 259 up"),
        # Their last 32 bits are a class's id.
        (2**32 + 1, "ids from 259 up"),
        (1 - 2**32, "negative ids"),
        # Interpolated masks.
        (1.5, "fractions"),
        (np.nan, "fractions"),
        (np.inf, "ids from 259 up"),
    ],
)
@pytest.mark.parametrize("kind", COUNTING)
def test_an_id_out_of_range_raises(kind, foreign, told):
    truth, scores = batch(0)
    truth = np.where(np.arange(60).reshape(truth.shape) < 2, foreign, truth)
    metric = kind(4, ignore_class=255)
    metric.update_state(truth, scores)
    message = (
        r"`y_true` must hold ids in \[0, 4\) or 255, which is ignored. "
        rf"Received: 2 other pixels: {told} \(2\). Pass `ignore_class`"
    )
    for ask in (metric.result, metric.scores):
        with pytest.raises(ValueError, match=message):
            ask()
    metric.reset_state()
    assert not numbers(metric.result()).any()


def test_foreign_ids_are_listed_but_not_without_end():
    confusion = ConfusionMatrix(2)
    confusion.update_state(np.arange(20), np.zeros((20, 2)))
    with pytest.raises(
        ValueError, match=r"in \[0, 2\). Received: 18 .*: id 2 \(1\), .*, id 9 \(1\), 10 more\."
    ):
        confusion.result()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("kind", COUNTING)
def test_compiled_it_counts_alike_and_foreign_ids_give_nan(kind, jit_compile):
    truth, scores = (tf.constant(part) for part in batch(0, ignored=0.2))
    eager, compiled = kind(4, 255), kind(4, 255)

    @tf.function(jit_compile=jit_compile)
    def step(truth):
        compiled.update_state(truth, scores)
        return compiled.result()

    eager.update_state(truth, scores)
    np.testing.assert_allclose(numbers(step(truth)), numbers(eager.result()), rtol=1e-6)
    assert np.isnan(numbers(step(truth + 1))).all()
    assert np.isnan(numbers(step(truth))).all(), "one wrong mask spoils what follows"
    with pytest.raises(ValueError, match=r"`scores\(\)` must be called outside of compiled"):
        tf.function(compiled.scores)()


@pytest.mark.parametrize("kind", COUNTING)
def test_predictions_that_are_nan_give_nan(kind):
    truth, scores = batch(0)
    metric = kind(4)
    metric.update_state(truth, scores)
    metric.update_state(truth, np.full_like(scores, np.nan))
    assert np.isnan(numbers(metric.result())).all()
    with pytest.raises(ValueError, match="`y_pred` must hold numbers. Received: NaN for 60 pixels"):
        metric.scores()
    accuracy = PixelAccuracy()
    accuracy.update_state(truth, np.full_like(scores, np.nan))
    assert float(accuracy.result()) == 0


def test_the_means_of_nothing_are_nan_and_every_class_is_absent():
    scores = Scores(np.zeros((3, 3)))
    assert scores.absent == (0, 1, 2)
    for name in ("pixel_accuracy", "mean_iou", "mean_dice", "mean_accuracy"):
        assert np.isnan(getattr(scores, name))
    assert np.isnan(scores.frequency_weighted_iou)


def test_nothing_seen_is_zero_and_reset_forgets():
    for metric in (PixelAccuracy(), *(kind(4) for kind in COUNTING)):
        assert not numbers(metric.result()).any()
        metric.update_state(*batch(0))
        assert numbers(metric.result()).any()
        metric.reset_state()
        assert not numbers(metric.result()).any()


@given(seed=SEEDS)
def test_pixel_accuracy_is_kerass_where_nothing_is_ignored(seed):
    truth, scores = batch(seed)
    weights = np.random.default_rng(seed).random(truth.shape[:-1])
    for sample_weight in (None, weights, weights[:, 0, 0]):
        ours, theirs = PixelAccuracy(), keras.metrics.SparseCategoricalAccuracy()
        ours.update_state(truth, scores, sample_weight=sample_weight)
        if sample_weight is not None and sample_weight.ndim == 1:
            sample_weight = np.broadcast_to(sample_weight[:, None, None], truth.shape[:-1])
        theirs.update_state(truth, scores, sample_weight=sample_weight)
        assert float(ours.result()) == pytest.approx(float(theirs.result()), rel=1e-5)


def small_model(metrics, **options):
    model = unetv2.build_unetv2((6, 8, 3), 3, filters=2, depth=1, ignore_class=255, seed=0)
    # A loss that foreign ids do not break, so that the metrics have to tell.
    loss = keras.losses.MeanSquaredError()
    model.compile("sgd", loss, metrics=metrics, **options)
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (4, 6, 8, 1))
    masks[:, :2] = 255
    return model, rng.random((4, 6, 8, 3), dtype="float32"), masks


@pytest.mark.parametrize("jit_compile", [False, True])
def test_logs_hold_the_figures_of_the_whole_epoch(jit_compile):
    model, images, masks = small_model(
        [SegmentationMetrics(3, 255, per_class=True), MeanIoU(3, 255, name="iou")],
        jit_compile=jit_compile,
    )
    names = ["accuracy", "mean_iou", "mean_dice", "frequency_weighted_iou", "iou"]
    names += ["loss", "iou_0", "iou_1", "iou_2"]
    history = model.fit(
        images, masks, batch_size=3, validation_data=(images, masks), verbose=0
    ).history
    assert set(history) == {*names, *(f"val_{name}" for name in names)}
    logs = model.evaluate(images, masks, batch_size=3, verbose=0, return_dict=True)
    confusion = ConfusionMatrix(3, 255)
    confusion.update_state(masks, model.predict(images, verbose=0))
    scores = confusion.scores()
    for values in (logs, {name: history[f"val_{name}"][0] for name in names}):
        assert values["accuracy"] == pytest.approx(scores.pixel_accuracy)
        assert values["mean_iou"] == values["iou"] == pytest.approx(scores.mean_iou)
        assert values["mean_dice"] == pytest.approx(scores.mean_dice)
        assert values["frequency_weighted_iou"] == pytest.approx(scores.frequency_weighted_iou)
        by_class = [values[f"iou_{number}"] for number in range(3)]
        np.testing.assert_allclose(by_class, scores.iou_per_class, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "jit_compile"), [*((kind, False) for kind in SHARES), (SegmentationMetrics, True)]
)
def test_foreign_ids_are_nan_in_a_training_step_and_end_fit_and_evaluate(kind, jit_compile):
    model, images, masks = small_model([kind(3, 255)], jit_compile=jit_compile)
    masks[0, 3] = 7
    logs = model.train_on_batch(images, masks, return_dict=True)
    assert np.isfinite(logs.pop("loss"))
    assert np.isnan(numbers(logs)).all()
    for run in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"8 other pixels: id 7 \(8\)"):
            run(images, masks, verbose=0)


def test_callbacks_know_that_more_is_better():
    model, images, masks = small_model([PixelAccuracy(255), *(kind(3, 255) for kind in SHARES[:3])])
    for name in ("pixel_accuracy", "mean_iou", "mean_dice", "frequency_weighted_iou"):
        stop = keras.callbacks.EarlyStopping(monitor=name, patience=9)
        model.fit(images, masks, callbacks=[stop], verbose=0)
        assert stop.monitor_op(1.0, 0.0)
        assert not stop.monitor_op(0.0, 1.0)


def test_a_saved_model_keeps_its_metrics(tmp_path):
    model, images, masks = small_model([SegmentationMetrics(3, 255, per_class=True, name="one")])
    logs = model.evaluate(images, masks, verbose=0, return_dict=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.evaluate(images, masks, verbose=0, return_dict=True) == pytest.approx(logs)


@pytest.mark.parametrize("kind", COUNTING)
def test_configurations_and_states_survive(kind):
    metric = kind(4, np.int64(255), name="mine", dtype="float64")
    metric.update_state(*batch(0, ignored=0.2))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is kind
    assert again.get_config() == metric.get_config()
    for variable, value in zip(again.variables, metric.variables, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(numbers(again.result()), numbers(metric.result()))


def test_names_in_logs():
    names = [kind(2).name for kind in COUNTING]
    assert names == [
        "confusion_matrix",
        "mean_iou",
        "mean_dice",
        "frequency_weighted_iou",
        "segmentation_metrics",
    ]


DISTRIBUTED = """
import numpy as np, tensorflow as tf
from unetv2.metrics import SegmentationMetrics
one = tf.config.LogicalDeviceConfiguration()
tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [one] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    metric = SegmentationMetrics(3, 255)
truth = tf.constant([[0, 1], [2, 255]])
scores = tf.one_hot([[0, 1], [1, 0]], 3)
run = tf.function(lambda truth: strategy.run(
    lambda: metric.update_state(truth, scores)))
run(truth)
run(truth)
assert metric.scores().counts.tolist() == [[4, 0, 0], [0, 4, 0], [0, 4, 0]]
assert float(metric.result()["mean_iou"]) == 0.5
metric.reset_state()
assert not metric.scores().counts.any()
run(truth + 3)
try:
    metric.result()
except ValueError as error:
    assert "8 other pixels: id 3 (2), id 4 (2), id 5 (2), ids from 258 up (2)" in str(error), error
    print("raised")
"""


def test_replicas_count_together():
    result = subprocess.run(
        [sys.executable, "-c", DISTRIBUTED], capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == ["raised"], result.stderr


def test_sample_weights_are_no_counts():
    with pytest.raises(ValueError, match="`sample_weight` must be None for a confusion matrix"):
        ConfusionMatrix(4).update_state(*batch(0), sample_weight=np.ones(2))


@pytest.mark.parametrize("kind", COUNTING)
def test_arguments_are_checked(kind):
    for n_classes in (1, 0):
        with pytest.raises(ValueError, match="`n_classes` must be an integer of at least 2"):
            kind(n_classes)
    with pytest.raises(TypeError, match="`ignore_class` must be an integer or None"):
        kind(3, ignore_class="void")


def test_shapes_are_checked():
    truth, scores = batch(0)
    with pytest.raises(
        ValueError, match="`y_pred` must hold a score for each class, .* n_classes=5"
    ):
        ConfusionMatrix(5).update_state(truth, scores)
    for wrong in (truth[:, :1, :1], truth.swapaxes(1, 2), np.eye(4)[truth[..., 0]], truth.ravel()):
        with pytest.raises(ValueError, match="`y_true` must hold an id for each pixel of `y_pred`"):
            ConfusionMatrix(4).update_state(wrong, scores)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros((2, 3)), r"must be \(n_classes, n_classes\), .* Received: shape \(2, 3\)"),
        (np.zeros(4), r"must be \(n_classes, n_classes\)"),
        ([[1]], r"must be \(n_classes, n_classes\), 2 classes or more"),
        ([[1, -1], [0, 0]], "must be whole numbers from 0 up. Received: -1 among int64"),
        ([[1, np.nan], [0, 0]], "must be whole numbers from 0 up. Received: nan among float64"),
        ([[1, np.inf], [0, 0]], "must be whole numbers from 0 up. Received: inf"),
        ([[1, 0.5], [0, 0]], "must be whole numbers from 0 up. Received: 0.5"),
        ([["1", "2"], ["3", "4"]], "must be whole numbers from 0 up. Received: 1 among <U1"),
    ],
)
def test_scores_are_of_counts_only(counts, message):
    with pytest.raises(ValueError, match=f"`counts` {message}"):
        Scores(counts)


def test_scores_do_not_change_with_what_they_were_made_of():
    counts = np.array([[1, 0], [0, 1]])
    scores = Scores(counts)
    counts[:] = 0
    assert scores.pixel_accuracy == 1
    with pytest.raises(ValueError, match="read-only"):
        scores.counts[0, 0] = 5
