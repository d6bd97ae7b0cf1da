"""Interrupted and resumed trainings equal uninterrupted ones bit for bit."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import resuming
from leftovers import left_behind
from small_training import PLAIN, network, train

import unetv2
from unetv2.training.checkpoint import TrainingState, open_folder

CHILD = [sys.executable, resuming.__file__]
INTERRUPTED = {
    "three times": "all:0.0:0.1:2.1",
    "after a rollback": "failing:2.0",
    "by Ctrl-C in a validation and at an epoch's end": "all:0.validation^:1.end^",
}
MORE = {
    "in the validation of averaged weights": "all:1.validation",
    "with neither phases nor averages": "plain:1.2",
    "by Ctrl-C in a step": "plain:0.1^:2.0^",
    "by Ctrl-C after the last step": "plain:2.end^",
    "in the first epoch's last step": "all:0.3",
    "at the first epoch's end": "all:0.end",
    "at the first phase's end": "all:1.end",
    "in the second phase's first step": "all:2.0",
    "at the last epoch's end": "all:2.end",
}
WHOLE = ("all", "plain", "failing")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    jobs = [f"{setup}:{setup}" for setup in WHOLE]
    jobs += [f"{name}:{job}" for name, job in INTERRUPTED.items()]
    subprocess.run([*CHILD, folder, *jobs], check=True, timeout=900)
    return folder


def assert_same(one: Path, other: Path) -> None:
    for name in ("returned.json", "history.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    images = sorted(path.name for path in (one / "images").iterdir())
    assert images == sorted(path.name for path in (other / "images").iterdir())
    for name in images:
        assert (one / "images" / name).read_bytes() == (other / "images" / name).read_bytes()
    with np.load(one / "weights.npz") as weights, np.load(other / "weights.npz") as others:
        assert weights.files == others.files
        for name in weights.files:
            np.testing.assert_array_equal(weights[name], others[name])
    state, other_state = (TrainingState.load(path / "checkpoint.npz") for path in (one, other))
    variables, other_variables = state.variables, other_state.variables
    state.variables = other_state.variables = {}
    assert state == other_state
    assert variables.keys() == other_variables.keys() == {"model", "optimizer"}
    for kind, arrays in variables.items():
        for array, other_array in zip(arrays, other_variables[kind], strict=True):
            np.testing.assert_array_equal(array, other_array)


@pytest.mark.parametrize("name", INTERRUPTED)
def test_a_resumed_training_equals_an_uninterrupted_one(folder, name):
    assert_same(folder / INTERRUPTED[name].split(":")[0], folder / name)
    assert not (folder / name / "within_epoch.npz").exists()


@pytest.mark.slow
def test_resume_is_exact_from_any_point(folder):
    jobs = [f"{name}:{job}" for name, job in MORE.items()]
    subprocess.run([*CHILD, folder, *jobs], check=True, timeout=900)
    for name, job in MORE.items():
        assert_same(folder / job.split(":")[0], folder / name)
        assert not (folder / name / "within_epoch.npz").exists()


def test_trainings_differ_where_they_should(folder):
    # Otherwise the test above would hold of anything.
    with pytest.raises(AssertionError):
        assert_same(folder / "all", folder / "plain")
    assert TrainingState.load(folder / "failing" / "checkpoint.npz").events


def test_resume_is_exact_after_a_kill_within_an_epoch(folder):
    run = folder / "killed"
    with subprocess.Popen([*CHILD, folder, "killed:all:slowly"]) as child:
        until = time.monotonic() + 300
        while not (run / "within_epoch.npz").exists() or (
            TrainingState.load(run / "checkpoint.npz").epoch < 1
        ):
            assert child.poll() is None, "it ended before it was killed"
            assert time.monotonic() < until
            time.sleep(0.02)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert 1 <= TrainingState.load(run / "checkpoint.npz").epoch < resuming.EPOCHS
    subprocess.run([*CHILD, folder, "killed:all"], check=True, timeout=300)
    assert_same(folder / "all", run)


def test_resuming_a_finished_training_changes_nothing(tmp_path):
    model = network()
    training = train(tmp_path, model)
    names = ("history.csv", "model.keras", "checkpoint.npz", "run.json")
    before = [(tmp_path / name).read_bytes() for name in names]
    other = network(seed=1)
    assert train(tmp_path, other, resume=True) == training
    assert [(tmp_path / name).read_bytes() for name in names] == before
    for one, same in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)


def test_more_epochs_extend_a_finished_training(tmp_path):
    recipe = unetv2.recipes.get(
        PLAIN, schedule="cosine", progressive_resizing=((0.5, 0.5), (0.5, 1))
    )
    first = train(tmp_path, recipe=recipe)
    more = train(tmp_path, recipe=recipe, epochs=6, resume=True)
    assert more.epoch == list(range(6))
    assert {name: values[:2] for name, values in more.history.items()} == first.history
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 7
    # Down to zero, and again up to where the schedule of six epochs has it.
    rates = more.history["learning_rate"]
    assert rates[1] == pytest.approx(0, abs=1e-9)
    assert rates[2] == pytest.approx(recipe.learning_rate / 2)
    assert rates[5] == pytest.approx(0, abs=1e-9)


def test_an_extended_phase_has_new_losses(tmp_path):
    """After more epochs the images are small again, and their loss may be twice as high."""
    train(tmp_path, validation=None)
    state = TrainingState.load(tmp_path / "checkpoint.npz")
    state.lowest_loss = 0.01
    state.save(tmp_path / "checkpoint.npz")
    assert not train(tmp_path, validation=None, epochs=3, resume=True).events


def test_leftovers_of_a_kill_are_ignored_and_removed(tmp_path):
    train(tmp_path, epochs=1)
    left = [left_behind(tmp_path), left_behind(tmp_path / "images")]
    kept = tmp_path / ".notes.txt"
    kept.write_bytes(b"mine")
    assert train(tmp_path, resume=True).epoch == [0, 1]
    assert kept.exists()
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("count", range(5))
def test_a_kill_during_overwrite_leaves_nothing_for_the_next_run(tmp_path, monkeypatch, count):
    old = {"recipe": {"name": "old"}}
    names = ("checkpoint.npz", "within_epoch.npz", "model.keras", "history.csv")
    open_folder(tmp_path, old, resume=False, overwrite=False)
    for name in names:
        (tmp_path / name).write_bytes(b"old")
    removed = []

    def killed(path, **_):
        if len(removed) == count:
            raise KeyboardInterrupt
        removed.append(path)
        path.unlink()

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(type(tmp_path), "unlink", killed)
        open_folder(tmp_path, {"recipe": {"name": "new"}}, resume=False, overwrite=True)
    described = json.loads((tmp_path / "run.json").read_text())
    there = [name for name in names if (tmp_path / name).exists()]
    assert described["recipe"] == old["recipe"] or not there


def test_a_checkpoint_within_a_finished_epoch_is_ignored(tmp_path):
    train(tmp_path / "whole", epochs=2)
    train(tmp_path / "run", epochs=1)
    old = TrainingState.load(tmp_path / "run" / "checkpoint.npz")
    # As if killed after the end of the epoch was saved, before this was removed.
    old.epoch, old.step = 0, 2
    old.save(tmp_path / "run" / "within_epoch.npz")
    train(tmp_path / "run", epochs=2, resume=True)
    names = [tmp_path / run / "history.csv" for run in ("whole", "run")]
    assert names[0].read_bytes() == names[1].read_bytes()
    assert not (tmp_path / "run" / "within_epoch.npz").exists()


def test_resume_starts_a_new_run_in_an_empty_folder(tmp_path):
    assert train(tmp_path / "run", epochs=1, resume=True).epoch == [0]
    # Killed before the first checkpoint: there is only the description.
    (tmp_path / "run" / "checkpoint.npz").unlink()
    assert train(tmp_path / "run", epochs=1, resume=True).epoch == [0]


class CtrlC(keras.callbacks.Callback):
    """Presses Ctrl-C a number of times in each batch."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)
            # Handlers run between two steps of the interpreter.
            time.sleep(0)


def test_other_handlers_of_ctrl_c_are_kept(tmp_path):
    asked = []
    before = signal.signal(signal.SIGINT, lambda *_: asked.append(True))
    try:
        assert train(tmp_path, callbacks=[CtrlC(1)]).epoch == [0, 1]
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked


def test_a_second_ctrl_c_ends_immediately(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[CtrlC(2)])
    assert not (tmp_path / "within_epoch.npz").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
