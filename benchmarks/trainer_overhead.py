"""Overhead of an epoch of `unetv2.train` compared with plain `model.fit`.

Both train the same network with the recipe "reference" and the same optimizer, loss, metrics,
images and validation. `unetv2.train` also writes checkpoints, the best weights and logs, checks for
divergence, and draws images in every fifth epoch. After each of its epochs, plain `fit` trains one,
so that other load on the machine affects both. The first epoch of each builds the graph and does
not count. The expected ratio of the medians is at most 1.03; the ratio of the sums includes the
images.

    python benchmarks/trainer_overhead.py --json trainer_overhead.json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from machine import machine
from training_runs import read, write_json

import unetv2
from unetv2.training.recipes import REFERENCE

IMAGE_SIZE = (96, 128)
N_CLASSES = 23
BATCH_SIZE = 32


class Epoch(keras.callbacks.Callback):
    """Measures an epoch of ``fit``, validation included."""

    seconds = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Reads the clock."""
        self.seconds = time.perf_counter() - self._start


class Turns(keras.callbacks.Callback):
    """Measures the epochs of ``unetv2.train``, after each of which a bare ``fit`` trains one.

    Args:
        bare: A compiled model.
        train: What it is trained on.
        validation: What it is validated on.
    """

    def __init__(
        self, bare: keras.Model, train: tf.data.Dataset, validation: tf.data.Dataset
    ) -> None:
        super().__init__()
        self._bare, self._train, self._validation = bare, train, validation
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Reads the clock: Keras calls this after the callbacks of ``unetv2.train``."""
        self.ours.append(time.perf_counter() - self._start)
        clock = Epoch()
        self._bare.fit(
            self._train, validation_data=self._validation, shuffle=False, verbose=0,
            initial_epoch=epoch, epochs=epoch + 1, callbacks=[clock],
        )  # fmt: skip
        self.theirs.append(clock.seconds)
        print(f"epoch {epoch}: {self.ours[-1]:.2f} s, bare {self.theirs[-1]:.2f} s", flush=True)
        self._start = time.perf_counter()


def measure(folder: Path, arguments: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Returns the seconds of each epoch of ``unetv2.train`` and of the bare ``fit``."""
    keras.utils.set_random_seed(arguments.seed)
    steps = (arguments.steps, arguments.validation_steps)
    folders = [
        unetv2.synthetic.write_driving_scenes(
            folder / str(number), BATCH_SIZE * count, image_size=IMAGE_SIZE, seed=number
        )
        for number, count in enumerate(steps)
    ]

    def images(number: int) -> tf.data.Dataset:
        dataset = unetv2.make_dataset(
            *folders[number], n_classes=N_CLASSES, image_size=IMAGE_SIZE, batch_size=BATCH_SIZE,
            shuffle=number == 0, seed=arguments.seed,
        )  # fmt: skip
        read(dataset)
        return dataset

    models = [
        REFERENCE.build(
            (*IMAGE_SIZE, 3), N_CLASSES, filters=arguments.filters, seed=arguments.seed,
            dtype="float32",
        )
        for _ in range(2)
    ]  # fmt: skip
    epochs = arguments.epochs + 1
    bare = models[1]
    bare.compile(
        REFERENCE.optimizer(bare, arguments.steps * epochs),
        REFERENCE.loss_function(None, None),
        metrics=[
            unetv2.metrics.PixelAccuracy(name="accuracy"),
            unetv2.metrics.MeanIoU(N_CLASSES),
        ],
    )
    turns = Turns(bare, images(0), images(1))
    unetv2.train(
        models[0], images(0), images(1), recipe=REFERENCE, epochs=epochs,
        output_dir=folder / "run", callbacks=[turns], seed=arguments.seed, progress=False,
    )  # fmt: skip
    return turns.ours[1:], turns.theirs[1:]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12, help="batches of 32 in an epoch")
    parser.add_argument("--validation-steps", type=int, default=3)
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=10, help="that count")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = measure(Path(folder), arguments)
    medians = statistics.median(ours), statistics.median(theirs)
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    figures = {
        "seconds an epoch, unetv2.train": medians[0],
        "seconds an epoch, bare fit": medians[1],
        "ratio of the medians": medians[0] / medians[1],
        "median of the ratios": statistics.median(ratios),
        "ratio of the sums": sum(ours) / sum(theirs),
    }
    print()
    for name, value in figures.items():
        print(f"{name:32} {value:8.3f}")
    if arguments.json:
        settings = {
            name: getattr(arguments, name)
            for name in ("steps", "validation_steps", "filters", "epochs", "seed")
        }
        seconds = {"unetv2.train": ours, "bare fit": theirs}
        write_json(
            arguments.json, {"machine": machine(), **settings, **figures, "seconds": seconds}
        )


if __name__ == "__main__":
    main()
