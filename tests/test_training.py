from __future__ import annotations

import csv
import io
import json
import platform

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_training import (
    N_CLASSES,
    PLAIN,
    SIZE,
    Meddler,
    Watcher,
    batches,
    network,
    random_images,
    train,
    unet,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import unetv2
from unetv2.training.checkpoint import TrainingState
from unetv2.training.recovery import DivergenceGuard

EPOCHS = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training with progressive resizing, EMA, class weights and augmentation."""
    folder = tmp_path_factory.mktemp("training") / "deep" / "run"
    recipe = unetv2.recipes.get(
        "fast", batch_size=2, ema_momentum=0.5, progressive_resizing=((0.5, 0.5), (0.5, 1))
    )
    model, watcher = unet(), Watcher()
    training = train(
        folder, model, recipe=recipe, epochs=EPOCHS, images_every=2, callbacks=[watcher]
    )
    return model, training, folder, watcher


def test_the_model_ends_with_the_weights_of_the_best_epoch(run):
    model, training, folder, _ = run
    scores = training.history["val_mean_iou"]
    assert training.best == max(scores) == scores[training.best_epoch]
    saved = keras.models.load_model(folder / "model.keras")
    for one, other in zip(saved.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    images, masks = random_images()
    metric = unetv2.metrics.MeanIoU(N_CLASSES)
    metric.update_state(masks, saved.predict(images, verbose=0))
    assert float(metric.result()) == pytest.approx(training.best, abs=0.01)


def test_the_saved_model_is_as_large_as_its_weights(run, tmp_path):
    model, _, folder, _ = run
    assert not keras.models.load_model(folder / "model.keras").compiled
    bare = unet()
    keras.Model(bare.input, bare.output).save(tmp_path / "bare.keras")
    sizes = [path.stat().st_size for path in (folder / "model.keras", tmp_path / "bare.keras")]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)
    # It stays as it is for whoever trains on: compiled by the recipe.
    assert isinstance(model.optimizer, keras.optimizers.AdamW)


def test_the_csv_is_the_history(run):
    _, training, folder, _ = run
    with (folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row.pop("epoch")) for row in rows] == training.epoch == list(range(EPOCHS))
    assert {name: [float(row[name]) for row in rows] for name in rows[0]} == training.history
    assert {"loss", "mean_iou", "val_loss", "val_mean_iou", "learning_rate"} <= set(rows[0])


def test_run_json_has_recipe_seed_data_and_versions(run):
    _, _, folder, _ = run
    told = json.loads((folder / "run.json").read_text())
    assert told["recipe"]["name"] == "fast"
    assert told["recipe"]["progressive_resizing"] == [[0.5, 0.5], [0.5, 1.0]]
    assert (told["epochs"], told["seed"], told["precision"]) == (EPOCHS, 0, "float32")
    assert told["data"]["n_pairs"] == 6
    assert told["data"]["image_shape"] == [*SIZE, 3]
    assert told["class_weights"] == pytest.approx(unetv2.class_weights(batches(), N_CLASSES))
    assert told["versions"]["keras"] == keras.__version__
    assert told["versions"]["python"] == platform.python_version()


def test_images_are_drawn_every_few_epochs(run):
    _, _, folder, _ = run
    found = sorted((folder / "images").iterdir())
    assert [path.name for path in found] == ["epoch_0001.png", "epoch_0003.png"]
    for path in found:
        with Image.open(path) as image:
            # Image, ground truth and prediction side by side, in columns of 320 pixels.
            assert image.width == 3 * 320 + 4 * 6
            assert image.mode == "RGB"


def test_nothing_else_is_left_in_the_folder(run):
    _, _, folder, _ = run
    names = {"checkpoint.npz", "history.csv", "model.keras", "images", "run.json", "tensorboard"}
    names |= {"best.png", "curves.png"}
    assert {path.name for path in folder.iterdir()} == names


def test_tensorboard_has_the_history_and_the_images(run):
    _, training, folder, _ = run
    events = EventAccumulator(str(folder / "tensorboard"), {"tensors": 0, "images": 0})
    events.Reload()
    names = set(events.Tags()["tensors"])
    names.remove("image, ground truth, prediction")
    assert names == {*training.history}
    for name in names:
        logged = [(one.step, tf.make_ndarray(one.tensor_proto)) for one in events.Tensors(name)]
        assert [step for step, _ in logged] == training.epoch
        assert [value for _, value in logged] == pytest.approx(training.history[name])
    drawn = events.Tensors("image, ground truth, prediction")
    assert [one.step for one in drawn] == [0, 2]
    # Width, height and a PNG.
    width, height, drawing = tf.make_ndarray(drawn[0].tensor_proto)
    with Image.open(io.BytesIO(drawing)) as image:
        assert image.size == (int(width), int(height))
        with Image.open(folder / "images" / "epoch_0001.png") as same:
            np.testing.assert_array_equal(np.asarray(image), np.asarray(same))


def test_callbacks_observe_every_epoch_and_batch_once_and_in_order(run):
    *_, watcher = run
    assert watcher.begun == watcher.ended == list(range(EPOCHS))
    assert watcher.batches == [3] * EPOCHS


def test_training_improves_the_score(tmp_path):
    training = train(tmp_path, recipe=unetv2.recipes.get(PLAIN, learning_rate=0.03), epochs=15)
    assert training.best > 0.6
    assert not training.events


def test_averaged_weights_are_validated_and_saved(tmp_path):
    model, watcher = network(), Watcher()
    recipe = unetv2.recipes.get(PLAIN, ema_momentum=0.75)
    train(tmp_path, model, validation=None, recipe=recipe, epochs=1, callbacks=[watcher])
    # The average starts with the first step's weights, w1, and goes on as 0.75 a + 0.25 w.
    for average, *steps in zip(model.get_weights(), *watcher.weights, strict=True):
        expected = 0.75 * (0.75 * steps[0] + 0.25 * steps[1]) + 0.25 * steps[2]
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-7)
    assert not np.allclose(model.get_weights()[0], watcher.weights[-1][0])


def test_without_validation_the_last_epochs_weights_are_kept(tmp_path):
    model, watcher = network(), Watcher()
    training = train(tmp_path, model, validation=None, callbacks=[watcher])
    assert (training.best, training.best_epoch) == (None, 1)
    for kept, last in zip(model.get_weights(), watcher.weights[-1], strict=True):
        np.testing.assert_array_equal(kept, last)
    assert not (tmp_path / "images").exists()
    assert not any(name.startswith("val_") for name in training.history)


def test_patience_ends_a_stagnant_training(tmp_path):
    # Nothing is learnt at a rate of zero.
    recipe = unetv2.recipes.get(PLAIN, learning_rate=0)
    training = train(tmp_path, recipe=recipe, epochs=9, patience=2)
    assert training.epoch == [0, 1, 2]
    assert training.best_epoch == 0
    again = train(tmp_path, recipe=recipe, epochs=9, patience=2, resume=True)
    assert again == training


def test_a_keras_callback_may_stop_training(tmp_path):
    stop = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=100)
    assert train(tmp_path, epochs=9, callbacks=[stop]).epoch == [0, 1]


@pytest.mark.parametrize(
    ("meddler", "what"),
    [
        (Meddler(np.nan, epoch=1), "the loss became nan"),
        (Meddler(np.nan, epoch=1, batch=2), "a weight became infinite or NaN"),
        (Meddler(100, epoch=1), "the loss jumped from"),
        (Meddler(100, epoch=0, batch=0), "the loss jumped from"),
    ],
    ids=["nan", "nan after the last batch", "jump", "jump in the first epoch"],
)
def test_divergence_rolls_back_and_halves_the_rate(tmp_path, caplog, meddler, what):
    model, watcher = network(), Watcher()
    options = {"epochs": 3, "callbacks": [meddler, watcher], "checkpoint_minutes": 0.0}
    training = train(tmp_path, model, validation=None, **options)
    at = meddler.at[0]
    assert len(training.events) == 1
    assert training.events[0].startswith(f"in epoch {at + 1} {what}")
    assert training.events[0].endswith("with 0.5 times the recipe's learning rate")
    assert training.events[0] in caplog.text
    assert watcher.ended == training.epoch == [0, 1, 2]
    assert watcher.begun == sorted([0, 1, 2, at])
    rates = [PLAIN.learning_rate * (1 if epoch < at else 0.5) for epoch in range(3)]
    assert training.history["learning_rate"] == pytest.approx(rates)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert max(training.history["loss"]) < 2


def test_divergence_keeps_the_best_weights(tmp_path):
    model, saved = network(), []

    class Look(Meddler):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                # Ours would know of a file that was overwritten.
                saved.append((tmp_path / "model.keras").read_bytes())
            super().on_epoch_begin(epoch, logs)

    train(tmp_path, model, callbacks=[Look(np.nan, epoch=1, batch=2)], validation=None)
    assert len(saved) == 2
    assert saved[0] == saved[1]


def test_repeated_divergence_raises(tmp_path, caplog):
    recipe = unetv2.recipes.get(PLAIN, learning_rate=1e6, clip_norm=None)
    with pytest.raises(
        RuntimeError, match="failed for the 6th time in epoch 1. Received: .* `unetv2 check`"
    ):
        train(tmp_path, recipe=recipe)
    assert caplog.text.count("Training failed: in epoch 1 ") == 5
    assert TrainingState.load(tmp_path / "checkpoint.npz").rate_factor == 1 / 32


def jumping(monkeypatch, losses):
    """Sets the mean loss of each attempt at an epoch."""
    left = {epoch: list(values) for epoch, values in losses.items()}
    check, watcher = DivergenceGuard.check_epoch, Watcher()

    def chosen(self, loss):
        attempts = left.get(watcher.begun[-1])
        check(self, attempts.pop(0) if attempts else loss)

    monkeypatch.setattr(DivergenceGuard, "check_epoch", chosen)
    return watcher


def test_an_increase_at_all_rates_is_attributed_to_the_images(tmp_path, caplog, monkeypatch):
    watcher = jumping(monkeypatch, {0: [1.0], 1: [3.0, 3.1, 2.9, 3.0], 2: [5.7], 3: [6.1, 1.0]})
    training = train(tmp_path, validation=None, epochs=4, callbacks=[watcher])
    assert watcher.begun == [0, 1, 1, 1, 1, 2, 3, 3]
    rates = np.array([1, 1, 1, 0.5]) * PLAIN.learning_rate
    assert training.history["learning_rate"] == pytest.approx(rates)
    *_, known, last = training.events
    assert known.startswith(
        "in epoch 2 the loss jumped from 1 to 2.9, also at a half and a quarter"
    )
    assert known.endswith("rolled back to its start with 1 times the recipe's learning rate")
    assert f"Training continues: {known}. From now on the loss may be 5.8 times" in caplog.text
    assert last.startswith("in epoch 4 the loss jumped from 1 to 6.1; rolled back")


@pytest.mark.parametrize(
    "attempts",
    [[3.0, 3.1, 2.5], [3.0, np.nan, 3.0, 3.0], [11.0, 11.0, 11.0]],
    ids=["it gets lower", "another failure between", "as high as a collapse"],
)
def test_other_increases_are_divergence(tmp_path, monkeypatch, attempts):
    watcher = jumping(monkeypatch, {0: [1.0], 1: attempts})
    training = train(tmp_path, validation=None, epochs=2, callbacks=[watcher])
    assert len(training.events) == len(attempts)
    expected = PLAIN.learning_rate * 0.5 ** len(attempts)
    assert training.history["learning_rate"][1] == pytest.approx(expected)


def test_a_single_predicted_class_is_warned_about(tmp_path, caplog):
    model = network()
    model.get_layer("logits").set_weights([np.zeros((1, 1, 4, 3)), np.array([0.0, 9.0, 0.0])])
    recipe = unetv2.recipes.get(PLAIN, learning_rate=0)
    training = train(tmp_path, model, recipe=recipe, epochs=1)
    assert (
        "After epoch 1 the model predicts class 1 for every validation pixel. Likely" in caplog.text
    )
    assert not training.events


def test_a_sequential_model_and_a_model_of_lists_train(tmp_path):
    layer = keras.layers.Conv2D(N_CLASSES, 3, padding="same", data_format="channels_last")
    model = keras.Sequential([keras.Input((*SIZE, 3)), layer])
    recipe = unetv2.recipes.get(PLAIN, progressive_resizing=((0.5, 0.5), (0.5, 1)))
    assert train(tmp_path / "sequential", model, recipe=recipe).epoch == [0, 1]
    saved = keras.models.load_model(tmp_path / "sequential" / "model.keras")
    np.testing.assert_array_equal(saved.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_and_resumes(tmp_path, dtype):
    recipe = unetv2.recipes.get(PLAIN, ema_momentum=0.5)
    train(tmp_path, network(dtype=dtype), recipe=recipe, epochs=1)
    model = network(dtype=dtype, seed=1)
    training = train(tmp_path, model, recipe=recipe, resume=True)
    assert training.epoch == [0, 1]
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (
        dtype == "mixed_float16"
    )
    assert not training.events
    assert tf.as_dtype(model(random_images()[0]).dtype) == tf.float32
