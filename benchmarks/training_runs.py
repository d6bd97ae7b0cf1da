"""Data, timing and resumable runs for the benchmarks of training."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from machine import machine

import unetv2
from unetv2.training.recipes import Recipe

# Checkpoints only between epochs, so that each epoch runs in one process.
NO_CHECKPOINT_WITHIN_AN_EPOCH = 1e6
DEFAULT_DATA = Path("../shared/data/camvid")


@dataclass(frozen=True)
class Split:
    """Folders of images and masks for training and validation, and their classes."""

    train: tuple[Path, Path]
    validation: tuple[Path, Path]
    n_classes: int
    ignore_class: int | None

    @classmethod
    def of(cls, root: Path, n_classes: int, ignore_class: int | None) -> Split:
        """Returns the data in ``{train,val}/{images,masks}``, CamVid's layout."""
        train, validation = (
            (root / name / "images", root / name / "masks") for name in ("train", "val")
        )
        return cls(train, validation, n_classes, ignore_class)

    @classmethod
    def made_up(cls, folder: Path, n: int, image_size: tuple[int, int]) -> Split:
        """Returns n driving scenes to train on and a quarter of that to validate on."""
        parts = (folder / "train", folder / "val")
        for seed, (part, count) in enumerate(zip(parts, (n, max(1, n // 4)), strict=True)):
            if not part.exists():
                unetv2.synthetic.write_driving_scenes(part, count, image_size=image_size, seed=seed)
        train, validation = ((part / "CameraRGB", part / "CameraMask") for part in parts)
        return cls(train, validation, len(unetv2.CARLA.names), None)

    def datasets(
        self, image_size: tuple[int, int], batch_size: int, seed: int
    ) -> tuple[tf.data.Dataset, tf.data.Dataset]:
        """Returns the training and validation data, with filled caches."""
        train, validation = (
            unetv2.make_dataset(
                *folders,
                n_classes=self.n_classes,
                ignore_class=self.ignore_class,
                image_size=image_size,
                batch_size=batch_size,
                shuffle=folders == self.train,
                seed=seed,
            )
            for folders in (self.train, self.validation)
        )
        read(train)
        read(validation)
        return train, validation


def add_data(parser: argparse.ArgumentParser, *, scenes: bool = False) -> None:
    """Adds the options for the data: CamVid or, if ``scenes``, synthetic scenes."""
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--n-classes", type=int, default=11)
    parser.add_argument("--ignore-class", type=int, default=11)
    if scenes:
        parser.add_argument(
            "--scenes", type=int, help="number of synthetic scenes, instead of CamVid"
        )


def read(dataset: tf.data.Dataset) -> None:
    """Iterates over a data set once to fill its cache."""
    for _ in dataset:
        pass


class EpochSeconds(keras.callbacks.Callback):
    """Appends the seconds of each epoch to a file of JSON lines.

    ``training`` counts from the epoch's begin to the end of its last batch: the building of the
    graph does, validation and checkpoints do not. ``processor`` is what the process's threads
    computed in that time, which other work on the machine hardly changes. ``total`` counts
    everything since the end of the epoch before, or since this object was made. What a failed try
    of the same epoch took is in all of them.

    Args:
        path: The file. An epoch that a later process repeats gets a second line, which wins.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._process = time.time()
        self._epoch = 0
        self._trained: dict[int, float] = {}
        self._computed: dict[int, float] = {}
        self._ended = self._last = time.perf_counter()
        self._last_computed = time.process_time()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Starts the clock."""
        self._epoch = epoch
        self._trained.setdefault(epoch, 0.0)
        self._computed.setdefault(epoch, 0.0)
        self._last = time.perf_counter()
        self._last_computed = time.process_time()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the batch, and writes after the last one."""
        is_last = batch + 1 == self.params["steps"]
        if is_last and logs:
            # An accelerator may still be computing.
            float(logs["loss"])
        now, computed = time.perf_counter(), time.process_time()
        self._trained[self._epoch] += now - self._last
        self._computed[self._epoch] += computed - self._last_computed
        self._last, self._last_computed = now, computed
        if is_last:
            self._append("training", self._trained[self._epoch])
            self._append("processor", self._computed[self._epoch])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes the total."""
        now = time.perf_counter()
        self._append("total", now - self._ended)
        self._ended = now

    def _append(self, kind: str, seconds: float) -> None:
        line = {"epoch": self._epoch, kind: seconds, "process": self._process}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def read_seconds(path: Path, kind: str) -> list[float]:
    """Returns the seconds of each epoch that :class:`EpochSeconds` wrote."""
    found: dict[int, float] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            # Truncated when a process was killed; the epoch was repeated.
            continue
        if kind in values:
            found[values["epoch"]] = values[kind]
    return [found[epoch] for epoch in sorted(found)]


def run(
    folder: Path,
    recipe: Recipe,
    split: Split,
    *,
    image_size: tuple[int, int],
    epochs: int,
    filters: int,
    seed: int,
) -> dict[str, Any]:
    """Trains with a recipe, resumes, or returns the result of a finished run.

    Args:
        folder: Of the run. ``result.json`` in it is what is returned.
        recipe: Says model and training; without ``dtype`` the model is in float32, and without
            ``batch_size`` batches are of 32.
        split: The data.
        image_size: ``(height, width)``.
        epochs: int.
        filters: int.
        seed: int. Of the weights, the dropout, the order and the augmentation.

    Returns:
        dict. ``loss``, ``val_mean_iou``, and seconds by epoch (see :class:`EpochSeconds`),
        ``events``, and what it was run with.

    Raises:
        ValueError: If the folder holds a run of something else.
    """
    settings = json.loads(json.dumps({
        "recipe": recipe.as_dict(), "epochs": epochs, "filters": filters, "seed": seed,
        "image_size": image_size, "train": split.train, "validation": split.validation,
    }, default=str))  # fmt: skip
    finished = folder / "result.json"
    if finished.exists():
        result = json.loads(finished.read_text(encoding="utf-8"))
        changed = [name for name, value in settings.items() if result[name] != value]
        if changed:
            raise ValueError(f"'{folder}' holds a run with another {', '.join(changed)}.")
        return result
    keras.utils.set_random_seed(seed)
    train, validation = split.datasets(image_size, recipe.batch_size or 32, seed)
    options = {"dtype": "float32", **recipe.model}
    model = recipe.build(
        (*image_size, 3), split.n_classes, filters=filters, seed=seed,
        ignore_class=split.ignore_class, **options,
    )  # fmt: skip
    lines = folder / "seconds.jsonl"
    training = unetv2.train(
        model, train, validation, recipe=recipe, epochs=epochs, output_dir=folder, resume=True,
        callbacks=[EpochSeconds(lines)], seed=seed, progress="epoch",
        checkpoint_minutes=NO_CHECKPOINT_WITHIN_AN_EPOCH,
    )  # fmt: skip
    result = {
        **settings,
        "precision": model.dtype_policy.name,
        "loss": training.history["loss"],
        "val_mean_iou": training.history["val_mean_iou"],
        "training_seconds": read_seconds(lines, "training"),
        "processor_seconds": read_seconds(lines, "processor"),
        "total_seconds": read_seconds(lines, "total"),
        "events": training.events,
        "machine": machine(),
    }
    write_json(finished, result)
    return result


def spread(values: Sequence[float]) -> dict[str, float | int]:
    """Returns mean, standard deviation of the sample, smallest and largest."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    figures = {"mean": statistics.mean(values), "sd": deviation}
    return {"n": len(values), **figures, "min": min(values), "max": max(values)}


def write_json(path: Path, figures: Any) -> None:
    """Writes results to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def write_runs(path: Path | None, figures: dict[str, Any], runs: Any) -> None:
    """Writes results, runs and the machine to a file, if one is given."""
    if path:
        write_json(path, {"machine": machine(), **figures, "runs": runs})
