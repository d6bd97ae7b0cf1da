"""Metrics in compiled code, in training, in files and on replicas."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from counted_pixels import COUNTING, SHARES, batch, numbers

import unetv2
from unetv2.metrics import ConfusionMatrix, MeanIoU, PixelAccuracy, SegmentationMetrics


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("kind", COUNTING)
def test_compiled_functions_count_the_same_and_invalid_ids_give_nan(kind, jit_compile):
    y_true, scores = (tf.constant(part) for part in batch(0, ignored=0.2))
    eager, compiled = kind(4, 255), kind(4, 255)

    @tf.function(jit_compile=jit_compile)
    def step(y_true):
        compiled.update_state(y_true, scores)
        return compiled.result()

    eager.update_state(y_true, scores)
    np.testing.assert_allclose(numbers(step(y_true)), numbers(eager.result()), rtol=1e-6)
    assert np.isnan(numbers(step(y_true + 1))).all()
    assert np.isnan(numbers(step(y_true))).all(), "one wrong mask spoils what follows"
    with pytest.raises(ValueError, match=r"`scores\(\)` must be called outside of compiled"):
        tf.function(compiled.scores)()


def small_model(metrics, **options):
    model = unetv2.build_unetv2((6, 8, 3), 3, filters=2, depth=1, ignore_class=255, seed=0)
    # A loss that ignores invalid ids, so that only the metrics detect them.
    loss = keras.losses.MeanSquaredError()
    model.compile("sgd", loss, metrics=metrics, **options)
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (4, 6, 8, 1))
    masks[:, :2] = 255
    return model, rng.random((4, 6, 8, 3), dtype="float32"), masks


@pytest.mark.parametrize("jit_compile", [False, True])
def test_logs_are_scores_of_the_whole_epoch(jit_compile):
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
def test_invalid_ids_are_nan_in_a_training_step_and_raise_in_fit_and_evaluate(kind, jit_compile):
    model, images, masks = small_model([kind(3, 255)], jit_compile=jit_compile)
    masks[0, 3] = 7
    logs = model.train_on_batch(images, masks, return_dict=True)
    assert np.isfinite(logs.pop("loss"))
    assert np.isnan(numbers(logs)).all()
    for run in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"8 other pixels: id 7 \(8\)"):
            run(images, masks, verbose=0)


def test_callbacks_maximize_scores():
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
def test_configurations_and_states_are_restored(kind):
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
y_true = tf.constant([[0, 1], [2, 255]])
scores = tf.one_hot([[0, 1], [1, 0]], 3)
run = tf.function(lambda y_true: strategy.run(
    lambda: metric.update_state(y_true, scores)))
run(y_true)
run(y_true)
assert metric.scores().counts.tolist() == [[4, 0, 0], [0, 4, 0], [0, 4, 0]]
assert float(metric.result()["mean_iou"]) == 0.5
metric.reset_state()
assert not metric.scores().counts.any()
run(y_true + 3)
try:
    metric.result()
except ValueError as error:
    assert "8 other pixels: id 3 (2), id 4 (2), id 5 (2), ids from 258 up (2)" in str(error), error
    print("raised")
"""


def test_replicas_add_their_counts():
    result = subprocess.run(
        [sys.executable, "-c", DISTRIBUTED], capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == ["raised"], result.stderr
