"""A child process: one worker of a training on loopback, or one process that trains alone.

``python teamwork.py FOLDER SESSION``, a session being JSON: the workers' addresses and the number
of this one, and the trainings to do one after the other.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import unetv2
from unetv2.distributed import Distribution, connect

SIZE, N_CLASSES = (24, 32), 23
PLAIN = unetv2.recipes.get("reference", batch_size=4, progressive_resizing=((1, 1),))
FULL = unetv2.recipes.get(
    "fast",
    batch_size=4,
    ema_momentum=0.9,
    learning_rate=5e-3,
    progressive_resizing=((0.5, 0.5), (0.5, 1)),
    warmup=0.0,
)
RECIPES = {
    # Clipped gradients, nothing else.
    "plain": PLAIN,
    "small batches": unetv2.recipes.get(PLAIN, batch_size=2),
    # Stages, moving averages, class weights, cross-entropy and Dice, augmentation, decay.
    "full": FULL,
}


class Sabotage(keras.callbacks.Callback):
    """Calls a function after a batch of an epoch."""

    def __init__(self, epoch: int, batch: int, act: str) -> None:
        super().__init__()
        self._place: Any = (epoch, batch)
        self._act, self._epoch = act, -1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self._epoch, batch) != self._place:
            return
        self._place = None
        if self._act == "nan":
            weight = self.model.trainable_variables[0]
            weight.assign(weight * np.nan)
        else:
            os.kill(os.getpid(), getattr(signal, self._act))


def network(normalization: str | None, seed: int, filters: int) -> keras.Model:
    return unetv2.build_unetv2(
        (*SIZE, 3), N_CLASSES, filters=filters, depth=2, dropout=0.0, seed=seed,
        normalization=normalization,
    )  # fmt: skip


def datasets(scenes: Path, job: dict[str, Any]) -> list[tf.data.Dataset]:
    found = []
    for shuffle, batch_size in ((True, 4), (False, 3)):
        data = unetv2.make_dataset(
            scenes / "CameraRGB", scenes / "CameraMask", n_classes=N_CLASSES, image_size=SIZE,
            batch_size=batch_size, shuffle=shuffle, seed=job.get("data_seed", 0),
            augmentation=job.get("augmentation"), on_error=job.get("on_error", "raise"),
            max_skipped=0.5,
        )  # fmt: skip
        if job.get("foreign"):
            # As a user's own: it does not know where it comes from.
            data = data.map(lambda image, mask: (image, mask))
        found.append(data)
    return found


def train(folder: Path, job: dict[str, Any], strategy: Any) -> None:
    scenes = folder / job.get("scenes", "scenes7")
    model = network(job.get("normalization"), job.get("seed", 0), job.get("filters", 2))
    data, validation = datasets(scenes, job)
    callbacks = [Sabotage(*job["sabotage"])] if "sabotage" in job else []
    if strategy is not None:
        strategy = Distribution(
            strategy=strategy, timeout=job.get("timeout", 100.0),
            gradients=job.get("gradients", "auto"),
        )  # fmt: skip
    output = Path(job["output"]) if "output" in job else folder / job["name"]
    training = unetv2.train(
        model, data, validation, recipe=RECIPES[job["recipe"]], epochs=job.get("epochs", 2),
        output_dir=output, resume=job.get("resume", False), callbacks=callbacks,
        strategy=strategy, progress=False, checkpoint_minutes=job.get("minutes", 10.0),
    )  # fmt: skip
    who = job.get("who", "alone")
    np.savez(folder / f"{job['name']}.{who}.npz", *model.get_weights())
    told = [training.history, training.best_epoch, training.events]
    (folder / f"{job['name']}.{who}.json").write_text(json.dumps(told))


def main(folder: Path, session: dict[str, Any]) -> None:
    devices = session.get("devices", 1)
    # Fewer threads than there may be processes' worth of cores.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    strategy = None
    if "workers" in session:
        strategy = connect(session["workers"], session["index"], timeout=session["timeout"])
    elif devices > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        split = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, split)
        strategy = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(devices)])
    for job in session["jobs"]:
        train(folder, job, strategy)
    print("done", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
