"""The user's callbacks observe one training of one model."""

from __future__ import annotations

import csv
import re
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_training import N_CLASSES, PLAIN, SIZE, Meddler, Watcher, batches, network, train

import unetv2

RESIZED = unetv2.recipes.get(PLAIN, progressive_resizing=((0.5, 0.5), (0.5, 1)), ema_momentum=0.5)
EVENTS = [
    f"on_{event}"
    for event in (
        *("train_begin", "train_end", "epoch_begin", "epoch_end", "test_begin", "test_end"),
        *("train_batch_begin", "train_batch_end", "test_batch_begin", "test_batch_end"),
    )
]


class Diary(keras.callbacks.Callback):
    """Records all events."""

    def __init__(self) -> None:
        super().__init__()
        self.models: list[keras.Model] = []
        self.told: list[dict[str, Any]] = []
        self.events: list[Any] = []
        self.logs: dict[int, dict[str, float]] = {}

    def set_model(self, model: keras.Model) -> None:
        super().set_model(model)
        self.models.append(model)

    def set_params(self, params: dict[str, Any]) -> None:
        super().set_params(params)
        self.told.append(params)


def _noting(event: str) -> Any:
    def note(self: Diary, *args: Any, **_: Any) -> None:
        numbers = [one for one in args if isinstance(one, int)]
        self.events.append((event.removeprefix("on_"), *numbers))
        if event == "on_epoch_end":
            self.logs[args[0]] = dict(args[1])

    return note


for _event in EVENTS:
    setattr(Diary, _event, _noting(_event))


def epoch_of(number: int, steps: int = 3, first: int = 0) -> list[Any]:
    trained = [
        (event, batch)
        for batch in range(first, steps)
        for event in ("train_batch_begin", "train_batch_end")
    ]
    tested = [
        (event, batch) for batch in range(3) for event in ("test_batch_begin", "test_batch_end")
    ]
    return [
        ("epoch_begin", number), *trained, ("test_begin",), *tested, ("test_end",),
        ("epoch_end", number),
    ]  # fmt: skip


def test_callbacks_observe_a_single_training(tmp_path):
    model, diary = network(), Diary()
    training = train(tmp_path, model, recipe=RESIZED, callbacks=[diary])
    assert [id(one) for one in diary.models] == [id(model)]
    assert [(params["epochs"], params["steps"]) for params in diary.told] == [(2, 3)]
    epochs = [event for number in range(2) for event in epoch_of(number)]
    assert diary.events == [("train_begin",), *epochs, ("train_end",)]
    for name in ("loss", "mean_iou", "val_loss", "val_mean_iou"):
        assert [diary.logs[epoch][name] for epoch in range(2)] == training.history[name]


def test_a_rollback_repeats_an_epoch_but_not_on_train_begin(tmp_path):
    diary = Diary()
    train(tmp_path, epochs=3, callbacks=[Meddler(np.nan, epoch=1, batch=2), diary])
    # Noticed after the last batch, as the loss of the one before it is a number.
    failed = epoch_of(1)[:-1]
    again = [*epoch_of(0), *failed, *epoch_of(1), *epoch_of(2)]
    assert diary.events == [("train_begin",), *again, ("train_end",)]


class Interruption(Exception):  # noqa: N818 - it simulates a user, not an error.
    """Simulates the end of a process."""


class Interrupter(keras.callbacks.Callback):
    def __init__(self, epoch: int, batch: int) -> None:
        super().__init__()
        self.place, self.epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self.epoch, batch) == self.place:
            raise Interruption


def test_an_error_of_a_callback_ends_the_training_which_can_be_resumed(tmp_path):
    diary, options = Diary(), {"epochs": 3, "checkpoint_minutes": 0.0}
    first = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    with pytest.raises(Interruption):
        train(tmp_path / "run", callbacks=[first, Interrupter(1, 1)], **options)
    first.on_train_end()  # It leaves its file open otherwise.
    more = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"), append=True)
    resumed = train(tmp_path / "run", resume=True, callbacks=[diary, more], **options)
    assert diary.events == [
        ("train_begin",), *epoch_of(1, first=2), *epoch_of(2), ("train_end",),
    ]  # fmt: skip
    # The log of the epoch that was resumed is of all its batches.
    whole = train(tmp_path / "whole", **options)
    assert resumed.history["loss"] == pytest.approx(whole.history["loss"], rel=1e-5)
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [0, 1, 2]
    for name in ("loss", "mean_iou", "val_loss", "val_mean_iou"):
        assert [float(row[name]) for row in rows] == pytest.approx(resumed.history[name])


class Scores(keras.callbacks.Callback):
    """Evaluates the model as it is at each epoch's end."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []
        self.last: list[np.ndarray] = []

    def _score(self) -> float:
        metric = unetv2.metrics.MeanIoU(N_CLASSES)
        for images, masks in batches():
            metric.update_state(masks, self.model(images, training=False))
        return float(metric.result())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.found.append(self._score())

    def on_train_end(self, logs: Any = None) -> None:
        self.last = self.model.get_weights()


def test_callbacks_observe_the_validated_weights(tmp_path):
    scores, model, watcher, other = Scores(), network(), Watcher(), Watcher()
    recipe = unetv2.recipes.get(RESIZED, ema_momentum=0.9)
    training = train(tmp_path / "a", model, recipe=recipe, epochs=3, callbacks=[scores, watcher])
    # The averaged ones, which are validated.
    assert scores.found == pytest.approx(training.history["val_mean_iou"])
    # At the end those of the best epoch.
    for one, same in zip(scores.last, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)
    # To look at them changes nothing.
    train(tmp_path / "b", network(), recipe=recipe, epochs=3, callbacks=[other])
    np.testing.assert_allclose(watcher.weights[-1][0], other.weights[-1][0], rtol=1e-5)


def test_model_checkpoint_of_keras_saves_the_whole_model(tmp_path):
    image = keras.Input((*SIZE, 3))
    logits = keras.layers.Conv2D(N_CLASSES, 3, padding="same", name="logits")(image)
    model = unetv2.SegmentationModel(image, logits, preprocessing=unetv2.Preprocessing())
    saver = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"))
    train(tmp_path / "run", model, recipe=RESIZED, callbacks=[saver])
    for name in ("1.keras", "2.keras"):
        saved = keras.models.load_model(tmp_path / name)
        assert saved.input_shape == (None, *SIZE, 3)
        assert saved.preprocessing == unetv2.Preprocessing()


@pytest.mark.parametrize(("event", "epoch"), [("on_epoch_end", 1), ("on_train_batch_end", 0)])
def test_a_callback_may_stop_training_in_any_phase(tmp_path, epoch, event):
    begun = []

    def stop(*_: Any, **__: Any) -> None:
        if begun[-1] == epoch:
            stopper.model.stop_training = True

    stopper = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda number, *_: begun.append(number), **{event: stop}
    )
    training = train(tmp_path, validation=None, recipe=RESIZED, epochs=3, callbacks=[stopper])
    assert training.epoch == begun == list(range(epoch + 1))


def test_a_callback_may_stop_training_before_it_begins(tmp_path):
    stopper = keras.callbacks.LambdaCallback(
        on_train_begin=lambda *_: setattr(stopper.model, "stop_training", True)
    )
    assert train(tmp_path, callbacks=[stopper]).epoch == []


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        (keras.callbacks.LearningRateScheduler(float), "recipes.get(recipe, learning"),
        (keras.callbacks.ReduceLROnPlateau(), "`patience` ends a stagnant training"),
        (keras.callbacks.SwapEMAWeights(), "recipes.get(recipe, ema_momentum=0.99)"),
        (
            keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True),
            "pass patience=3 to",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_callbacks_that_conflict_with_train_are_refused(tmp_path, callback, words):
    received = rf"`callbacks` must .* Received: {type(callback).__name__}.*{re.escape(words)}"
    with pytest.raises(ValueError, match=received):
        train(tmp_path / "run", callbacks=[callback])
    assert not (tmp_path / "run").exists()


def test_backups_of_keras_are_refused(tmp_path):
    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    with pytest.raises(ValueError, match=r"`callbacks` .* Received: BackupAndRestore.*resume=True"):
        train(tmp_path / "run", callbacks=[backup])


@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_begin", "on_train_batch_end"])
def test_a_callback_that_sets_the_rate_is_refused(tmp_path, event):
    class Rate(keras.callbacks.Callback):
        pass

    def set_rate(self: Any, *_: Any, **__: Any) -> None:
        self.model.optimizer.learning_rate = 1e-4

    setattr(Rate, event, set_rate)
    with pytest.raises(TypeError, match=r"`callbacks` must .* Received: Rate.*recipes.get"):
        train(tmp_path, callbacks=[Rate()])


def test_other_type_errors_of_callbacks_are_unchanged(tmp_path):
    wrong = keras.callbacks.LambdaCallback(on_epoch_begin=lambda: None)
    with pytest.raises(TypeError, match="takes 0 positional arguments"):
        train(tmp_path, callbacks=[wrong])


@pytest.mark.parametrize(
    ("callbacks", "received"),
    [(keras.callbacks.History(), "Received: .*History."), ([print], "Received: <built-in.*print>")],
)
def test_callbacks_must_be_a_list_of_callbacks(tmp_path, callbacks, received):
    with pytest.raises(TypeError, match=f"`callbacks` must .*{received}"):
        train(tmp_path / "run", callbacks=callbacks)


def test_a_line_per_epoch_has_the_scores_and_the_time_left(tmp_path, capsys):
    training = train(tmp_path, recipe=RESIZED, progress="epoch")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Training for 2 epochs of 3 steps of 2 images, with 3 classes."
    assert "images at 0.5 times their height and width, until epoch 1." in lines[1]
    assert "images at full size, until the end." in lines[3]
    for number, line in enumerate((lines[2], lines[4]), 1):
        score, best = (
            training.history["val_mean_iou"][number - 1],
            max(training.history["val_mean_iou"][:number]),
        )
        loss = training.history["loss"][number - 1]
        expected = (
            rf"Epoch {number}/2: 3 steps, loss {loss:.4g}, validation mean IoU {score:.3f} "
            rf"\(best {best:.3f} in epoch \d\), \d+ s left"
        )
        assert re.fullmatch(expected, line)
    assert len(lines) == 5


def test_the_progress_bar_counts_all_epochs(tmp_path, capsys):
    train(tmp_path, recipe=RESIZED, progress=True)
    shown = capsys.readouterr().out
    assert re.findall(r"Epoch (\d)/(\d)", shown) == [("1", "2"), ("2", "2")]
    assert shown.count("val_mean_iou") == 2


STEPS: list[int] = []


@keras.saving.register_keras_serializable("tests")
class OwnStep(unetv2.SegmentationModel):
    """Counts the steps of training and validation that it computes."""

    def train_step(self, data: Any) -> Any:
        tf.py_function(lambda: STEPS.append(1), [], [])
        return super().train_step(data)

    def test_step(self, data: Any) -> Any:
        tf.py_function(lambda: STEPS.append(0), [], [])
        return super().test_step(data)


def own(kind: type[keras.Model] = OwnStep, **attributes: Any) -> keras.Model:
    base = network()
    model = kind(base.input, base.output)
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


def test_a_models_own_step_trains_every_phase(tmp_path):
    STEPS.clear()
    train(tmp_path, own(), recipe=RESIZED)
    assert STEPS == 2 * [1, 1, 1, 0, 0, 0]


def test_a_model_that_keras_runs_eagerly_trains_every_phase(tmp_path):
    class Eager(unetv2.SegmentationModel):
        def compile(self, **options: Any) -> None:
            super().compile(run_eagerly=True, **options)

    assert train(tmp_path, own(Eager), recipe=RESIZED).epoch == [0, 1]


def test_model_classes_that_would_be_ignored_are_refused(tmp_path):
    class Called(unetv2.SegmentationModel):
        def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
            return super().call(inputs, training=training, mask=mask) * 2

    class Compiled(unetv2.SegmentationModel):
        def compile(self, optimizer: Any, loss: Any, metrics: Any, teacher: Any) -> None:
            super().compile(optimizer, loss, metrics=metrics)

    for model, received in (
        (own(Called), "model of type Called, which overrides `call`"),
        (own(Compiled), "model of type Compiled, whose `compile` .*teacher"),
    ):
        with pytest.raises(ValueError, match=f"`model` must .*Received: {received}"):
            train(tmp_path / "run", model)
    with pytest.raises(
        ValueError, match="`strategy`. Received: model of type OwnStep, .*test_step, train_step"
    ):
        train(tmp_path / "run", own(), strategy=tf.distribute.OneDeviceStrategy("/cpu:0"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("names", [("train_step",), ("test_step",)])
def test_a_step_without_required_logs_is_refused(tmp_path, names):
    class Silent(unetv2.SegmentationModel):
        pass

    def silent_step(*_: Any) -> dict[str, Any]:
        return {"own": tf.constant(1.0)}

    for name in names:
        setattr(Silent, name, silent_step)
    missing = "loss" if names == ("train_step",) else "val_loss, val_mean_iou"
    with pytest.raises(
        ValueError, match=f"`model` must log .*Received: model of type Silent, .*{missing}"
    ):
        train(tmp_path / "run", own(Silent))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_only_float16_has_its_loss_scaled_and_a_loaded_model_too(tmp_path, dtype):
    class Optimizers(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            kinds.append(type(self.model.optimizer))

    kinds: list[type] = []
    network(dtype=dtype).save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    train(tmp_path / "run", model, recipe=RESIZED, validation=None, callbacks=[Optimizers()])
    scaled = keras.optimizers.LossScaleOptimizer
    assert [kind is scaled for kind in kinds] == 2 * [dtype == "mixed_float16"]
    described = (tmp_path / "run" / "run.json").read_text()
    assert f'"precision": "{dtype}"' in described
