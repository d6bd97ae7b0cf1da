"""Training for a given time. The time of these tests is simulated: a step takes one second."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import PLAIN, SIZE, Meddler, batches, network, train

import unetv2
from unetv2.training import clock as clock_module
from unetv2.training.checkpoint import TrainingState
from unetv2.training.clock import Clock

COSINE = unetv2.recipes.get(PLAIN, schedule="cosine", warmup=0.2)
RESIZED = unetv2.recipes.get(COSINE, progressive_resizing=((0.5, 0.5), (0.5, 1)))


class Time(keras.callbacks.Callback):
    """A simulated time, which advances by one second in each step, and records the steps."""

    def __init__(self, monkeypatch: Any, *, stop_at: float | None = None) -> None:
        super().__init__()
        self.now, self.stop_at = 0.0, stop_at
        self.steps: list[tuple[int, int]] = []
        self.epoch = 0
        monkeypatch.setattr(clock_module, "time", SimpleNamespace(monotonic=lambda: self.now))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.now == self.stop_at:
            raise ConnectionError
        self.now += 1
        self.steps.append((self.epoch, batch))


def last_steps(time: Time) -> list[int]:
    """Returns the number of steps of each epoch."""
    return [
        max(batch for number, batch in time.steps if number == epoch) + 1
        for epoch in range(time.epoch + 1)
    ]


def test_a_training_ends_at_the_given_time_with_a_rate_of_zero(tmp_path, monkeypatch):
    time = Time(monkeypatch)
    training = train(tmp_path, recipe=COSINE, epochs=None, minutes=20 / 60, callbacks=[time])
    assert 19 <= len(time.steps) <= 20
    # The last epoch is partial, and validated.
    assert last_steps(time)[:6] == [3] * 6
    assert training.epoch == list(range(7))
    rates = training.history["learning_rate"]
    # 3 of 20 steps, which is before the end of the warm-up, and all.
    assert rates[0] == pytest.approx(COSINE.learning_rate * (2 / 19) / 0.2, rel=0.1)
    assert rates[-1] == pytest.approx(0, abs=1e-5)
    assert np.all(np.diff(rates[1:]) < 0)
    assert json.loads((tmp_path / "run.json").read_text())["minutes"] == 20 / 60


@pytest.mark.parametrize("n_images", [6, 20])
def test_phases_of_progressive_resizing_follow_the_time(tmp_path, monkeypatch, capsys, n_images):
    time, heights = Time(monkeypatch), []

    class Heights(unetv2.SegmentationModel):
        def train_step(self, data: Any) -> Any:
            tf.py_function(lambda height: heights.append(int(height)), [tf.shape(data[0])[1]], [])
            return super().train_step(data)

    base = network()
    model = Heights(base.input, base.output)
    training = train(
        tmp_path, model, batches(n_images), recipe=RESIZED, epochs=None, minutes=0.5,
        callbacks=[time], progress="epoch",
    )  # fmt: skip
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:5] == "Progr"]
    assert [line.rpartition(", ")[2] for line in lines] == [
        "for the first 50% of the time.", "until the end.",
    ]  # fmt: skip
    halves = heights.count(SIZE[0] // 2)
    assert heights == halves * [SIZE[0] // 2] + (len(heights) - halves) * [SIZE[0]]
    # Half of 30 s.
    assert 13 <= halves <= 17
    assert 29 <= len(heights) <= 30
    assert training.epoch == list(range(len(training.epoch)))


def test_there_is_at_least_one_step_with_validation(tmp_path):
    training = train(tmp_path, epochs=None, minutes=1e-9, recipe=RESIZED)
    assert training.epoch == [0]
    assert training.best == training.history["val_mean_iou"][0]
    (warning,) = [warning for warning in training.warnings if "steps" in warning]
    assert "learns little in 1 step. Pass more `minutes`" in warning
    again = train(tmp_path, epochs=None, minutes=1e-9, recipe=RESIZED, resume=True)
    assert again.history == training.history


def test_epochs_limit_a_training_for_a_given_time(tmp_path, monkeypatch):
    time = Time(monkeypatch)
    training = train(tmp_path, recipe=COSINE, epochs=2, minutes=60, callbacks=[time])
    assert training.epoch == [0, 1]
    # The schedule is that of the epochs.
    assert training.history["learning_rate"][-1] == pytest.approx(0, abs=1e-6)


def test_a_resumed_training_continues_with_the_used_time(tmp_path, monkeypatch):
    options = {"recipe": COSINE, "epochs": None, "minutes": 20 / 60, "checkpoint_minutes": 0.0}
    first = Time(monkeypatch, stop_at=8.0)
    with pytest.raises(ConnectionError):
        train(tmp_path, callbacks=[first], **options)
    assert TrainingState.load(tmp_path / "within_epoch.npz").clock["used"] == 8
    second = Time(monkeypatch)
    training = train(tmp_path, callbacks=[second], resume=True, **options)
    assert second.steps[0] == (2, 2)
    assert 19 <= 8 + len(second.steps) <= 20
    assert training.history["learning_rate"][-1] == pytest.approx(0, abs=1e-5)
    # A finished run has no time left; more minutes extend it.
    third = Time(monkeypatch)
    assert train(tmp_path, callbacks=[third], resume=True, **options) == training
    assert not third.steps
    options["minutes"] = 30 / 60
    longer = train(tmp_path, callbacks=[third], resume=True, **options)
    assert 8 <= len(third.steps) <= 11
    assert longer.epoch[: len(training.epoch)] == training.epoch


def test_rollbacks_do_not_give_time_back(tmp_path, monkeypatch):
    time = Time(monkeypatch)
    training = train(
        tmp_path, recipe=COSINE, epochs=None, minutes=20 / 60,
        callbacks=[time, Meddler(np.nan, epoch=1, batch=2)],
    )  # fmt: skip
    assert len(training.events) == 1
    assert 19 <= len(time.steps) <= 20
    assert len(set(time.steps)) < len(time.steps)


def test_a_callback_may_stop_a_training_for_a_given_time(tmp_path, monkeypatch):
    time = Time(monkeypatch)
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, _: setattr(stop.model, "stop_training", epoch == 1)
    )
    training = train(tmp_path, recipe=RESIZED, epochs=None, minutes=1, callbacks=[time, stop])
    assert training.epoch == [0, 1]


def test_a_line_per_epoch_has_the_time_left(tmp_path, monkeypatch, capsys):
    for progress in ("epoch", True):
        options = {"minutes": 10 / 60, "epochs": None, "progress": progress, "overwrite": True}
        train(tmp_path, callbacks=[Time(monkeypatch)], **options)
        shown = capsys.readouterr().out
        assert "Training for 10 s, until about " in shown
        assert "in epochs of 3 steps of 2 images, with 3 classes." in shown
        for number, left in enumerate((7, 4, 1), 1):
            line = next(line for line in shown.splitlines() if line.startswith(f"Epoch {number}:"))
            assert line.endswith(f"{left} s left")


def test_the_last_validation_is_reserved(tmp_path, monkeypatch):
    time = Time(monkeypatch)

    class Slow(unetv2.SegmentationModel):
        def evaluate(self, *arguments: Any, **options: Any) -> Any:
            time.now += 4
            return super().evaluate(*arguments, **options)

    base = network()
    train(
        tmp_path, Slow(base.input, base.output), batches(20), recipe=COSINE, epochs=None, minutes=1,
        callbacks=[time],
    )  # fmt: skip
    assert 55 <= time.now <= 60


@pytest.mark.parametrize(
    ("minutes", "error"), [(0, ValueError), (-1, ValueError), ("5", TypeError), (True, TypeError)]
)
def test_minutes_are_checked(tmp_path, minutes, error):
    with pytest.raises(error, match=f"`minutes` must be .* Received: minutes={minutes!r}"):
        train(tmp_path / "run", minutes=minutes)
    assert not (tmp_path / "run").exists()


def test_minutes_are_refused_with_a_strategy(tmp_path):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with pytest.raises(ValueError, match="`minutes` must be None with a `strategy`"):
        train(tmp_path / "run", minutes=1, strategy=strategy)


@settings(max_examples=30, deadline=None)
@given(
    seconds=st.floats(1, 1e5),
    steps=st.lists(st.floats(0.01, 50), min_size=1, max_size=50),
    pauses=st.lists(st.floats(0, 20), min_size=1, max_size=5),
)
def test_the_share_rises_to_one_at_the_end(seconds, steps, pauses):
    now = [0.0]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(clock_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
        clock, shares = Clock(seconds), [0.0]
        for number, step in enumerate(steps):
            now[0] += step
            clock.step_ended(is_first=number == 0, least_share=0.0)
            shares.append(clock.share)
            if clock.is_over:
                break
            if number % 10 == 9:
                now[0] += pauses[number // 10 % len(pauses)]
                clock.epoch_ended()
    assert shares == sorted(shares)
    assert 0 <= shares[-1] <= 1
    if now[0] >= seconds and len(shares) > 2:
        assert shares[-1] == 1
    assert float(clock.position.numpy()) == pytest.approx(shares[-1])


def test_the_schedule_follows_the_position_and_is_saved():
    position = keras.Variable(0.25, trainable=False)
    optimizer = unetv2.recipes.get(PLAIN, schedule="cosine").optimizer(
        network(), 1, position=position
    )
    rate = PLAIN.learning_rate
    for share, expected in ((0.0, rate), (0.5, rate / 2), (1.0, 0.0)):
        position.assign(share)
        assert float(np.asarray(optimizer.learning_rate)) == pytest.approx(expected, abs=1e-6)
    schedule = keras.optimizers.serialize(optimizer)
    restored = keras.optimizers.deserialize(schedule)
    # Without the clock, it is at its start.
    assert float(np.asarray(restored.learning_rate)) == pytest.approx(rate)


def test_phases_of_a_time():
    recipe = unetv2.recipes.get("fast", progressive_resizing=((0.25, 0.25), (0.25, 0.5), (0.5, 1)))
    assert recipe.phases_of_time() == [(0.0, 0.25, 0.25), (0.25, 0.5, 0.5), (0.5, 1.0, 1.0)]
    assert unetv2.recipes.get("reference").phases_of_time() == [(0.0, 1.0, 1.0)]


def test_compilation_is_no_part_of_the_schedule(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    clock = Clock(100)
    shares = []
    # 10 s of compilation in each phase leave 80 s for 80 steps.
    for later, steps in ((1, 41), (0, 41)):
        clock.phase_began(0.5, later)
        for step in range(steps):
            now[0] += 10 if step == 0 else 1
            clock.step_ended(is_first=step == 0, least_share=0.0)
            shares.append(clock.share)
    assert shares[0] == 0
    np.testing.assert_allclose(np.diff(shares), [1 / 80] * 40 + [0] + [1 / 80] * 40, atol=1e-9)
    assert clock.is_over
