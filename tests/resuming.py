"""A child process: it makes TensorFlow deterministic, which no process can undo, and trains.

``python resuming.py FOLDER JOB...``, a job being ``NAME:SETUP[:EPOCH.POINT...]``: each point is one
where the training is interrupted and then resumed with a newly built model and data set; by Ctrl-C
where ``^`` stands after it.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from small_training import Meddler

import unetv2

SIZE, EPOCHS, STEPS = (16, 24), 3, 4
SETUPS = {
    # The first two of three epochs at half the size.
    "all": unetv2.recipes.get(
        "fast", batch_size=2, ema_momentum=0.9, progressive_resizing=((0.67, 0.5), (0.33, 1))
    ),
    "plain": unetv2.recipes.get("reference", batch_size=2, augmentation="driving"),
    "failing": unetv2.recipes.get("reference", batch_size=2),
}


class Interruption(Exception):  # noqa: N818 - it simulates a user, not an error.
    """Ends the training as a killed process would."""


class Interrupter(keras.callbacks.Callback):
    """Raises at a point: after a batch, within validation or at the end of an epoch."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.by_hand = where.endswith("^")
        epoch, self.point = where.rstrip("^").split(".")
        self.at, self.epoch = int(epoch), -1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._raise_at(str(batch))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self._raise_at("validation")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._raise_at("end")

    def _raise_at(self, point: str) -> None:
        if (self.epoch, self.point) == (self.at, point):
            if not self.by_hand:
                raise Interruption
            signal.raise_signal(signal.SIGINT)


class Slow(keras.callbacks.Callback):
    """Waits, so that the process can be killed meanwhile."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        time.sleep(0.2)


def network(seed: int) -> keras.Model:
    """A model with weights, moving statistics and random seeds."""
    keras.utils.set_random_seed(seed)
    layout = {"data_format": "channels_last"}
    image = keras.Input((*SIZE, 3), name="image")
    features = keras.layers.Conv2D(4, 3, padding="same", name="features", **layout)(image)
    features = keras.layers.BatchNormalization(name="norm")(features)
    features = keras.layers.Dropout(0.3, seed=seed, name="dropout")(features)
    return keras.Model(image, keras.layers.Conv2D(23, 1, name="logits", **layout)(features))


def train(folder: Path, name: str, setup: str, callbacks: list[Any], *, seed: int) -> None:
    scenes = folder / "scenes"
    if not scenes.exists():
        unetv2.synthetic.write_driving_scenes(scenes, 7, image_size=SIZE)
    # Validation in another order each time, too.
    data, validation = (
        unetv2.make_dataset(
            scenes / "CameraRGB",
            scenes / "CameraMask",
            n_classes=23,
            image_size=SIZE,
            batch_size=batch,
        )
        for batch in (4, 3)
    )
    if setup == "failing":
        callbacks = [Meddler(np.nan, epoch=1, batch=1), *callbacks]
    by_hand = any(isinstance(one, Interrupter) and one.by_hand for one in callbacks)
    model = network(seed)
    training = unetv2.train(
        model, data, validation, recipe=SETUPS[setup], epochs=EPOCHS, output_dir=folder / name,
        resume=True, callbacks=callbacks, progress=False,
        # Ctrl-C needs none.
        checkpoint_minutes=0.0 if callbacks and not by_hand else 10.0,
    )  # fmt: skip
    np.savez(folder / name / "weights.npz", *model.get_weights())
    told = [training.history, training.epoch, training.best_epoch, training.best, training.events]
    (folder / name / "returned.json").write_text(json.dumps(told))


def main(folder: Path, jobs: list[str]) -> None:
    tf.config.experimental.enable_op_determinism()
    for job in jobs:
        name, setup, *points = job.split(":")
        if points == ["slowly"]:
            train(folder, name, setup, [Slow()], seed=0)
            continue
        for number, point in enumerate(points):
            try:
                # Seeds that are others after the first start are to change nothing.
                train(folder, name, setup, [Interrupter(point)], seed=number)
            except (Interruption, KeyboardInterrupt):
                continue
            raise SystemExit(f"{job} was not interrupted at {point}.")
        train(folder, name, setup, [], seed=len(points))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
