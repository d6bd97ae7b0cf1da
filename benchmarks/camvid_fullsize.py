"""CamVid at 360x480 from random weights, within a budget of wall-clock minutes.

The first phase trains on half-size images or, with `--first crops`, on random crops. The second
phase continues with these weights on images of full size, at a lower learning rate. The speed of a
few steps of each phase is measured first and determines the numbers of epochs. The budget includes
reading, measuring, training and evaluation, but not the imports. Validation images are not used
in training, not even to select an epoch, so the command can be repeated on a held-out split by
changing only `--validation`.

Prints the scores of the 11 classes at full size without unlabeled pixels. The output folder
contains `model.keras`, `figures.json`, and the output of `unetv2.train` in `first` and `whole`.

    python benchmarks/camvid_fullsize.py --minutes 90 --output runs/camvid_fullsize
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from machine import machine
from training_runs import DEFAULT_DATA, EpochSeconds, read, read_seconds, write_json

import unetv2
from unetv2.training.recipes import FAST, Recipe

IMAGE_SIZE = (360, 480)
TABLE = unetv2.CAMVID
STEPS_MEASURED = 6
# Reserve of the budget for other load on the machine.
MARGIN = 0.05
# Forward is a third of a training step; half leaves room to build the graph.
EVALUATION_SHARE = 0.5

FIRST = dataclasses.replace(FAST, name="first", batch_size=None, progressive_resizing=((1, 1),))
WHOLE = dataclasses.replace(FIRST, name="whole", learning_rate=FAST.learning_rate / 2, warmup=0.1)


class Deadline(keras.callbacks.Callback):
    """Ends a training before an epoch that would exceed the budget.

    Args:
        end: float. When to be done, of ``time.monotonic``.
    """

    def __init__(self, end: float) -> None:
        super().__init__()
        self._end = end
        self._last = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compares the remaining time with that of this epoch."""
        now = time.monotonic()
        if now + (now - self._last) > self._end:
            self.model.stop_training = True
        self._last = now


def images(
    folder: Path, batch_size: int, image_size: tuple[int, int] = IMAGE_SIZE, **options: Any
) -> tf.data.Dataset:
    """Returns the data of ``folder/images`` and ``folder/masks``, with filled caches."""
    dataset = unetv2.make_dataset(
        folder / "images", folder / "masks", classes=TABLE,
        image_size=image_size, batch_size=batch_size, **options,
    )  # fmt: skip
    read(dataset)
    return dataset


def build(arguments: argparse.Namespace) -> keras.Model:
    """Returns an untrained model."""
    options = {
        "filters": arguments.filters, "seed": arguments.seed, "ignore_class": TABLE.ignore_class,
        # A quarter of the pixels at the finest level; poles are still visible at this size.
        "stem": "strided" if arguments.strided else None,
    }  # fmt: skip
    return FAST.build((None, None, 3), len(TABLE), **options)


def speed(
    model: keras.Model, recipe: Recipe, dataset: tf.data.Dataset, folder: Path
) -> dict[str, float]:
    """Returns the seconds of an epoch, and those to build the graph once."""
    steps = min(STEPS_MEASURED, len(dataset))
    lines = folder / f"speed_{recipe.name}.jsonl"
    lines.unlink(missing_ok=True)
    # A low rate, so that the loss does not jump and no epoch is repeated.
    unetv2.train(
        model, dataset.take(steps), None, recipe=dataclasses.replace(recipe, learning_rate=1e-6),
        epochs=2, output_dir=folder / "speed", overwrite=True, callbacks=[EpochSeconds(lines)],
        progress=False,
    )  # fmt: skip
    shutil.rmtree(folder / "speed")
    first, second = read_seconds(lines, "training")
    beside = read_seconds(lines, "total")[1] - second
    return {"epoch": second / steps * len(dataset) + beside, "graph": max(0.0, first - second)}


def evaluate(model: keras.Model, dataset: tf.data.Dataset) -> unetv2.metrics.Scores:
    """Returns the scores of a model at full size."""
    confusion = unetv2.metrics.ConfusionMatrix(len(TABLE), ignore_class=TABLE.ignore_class)
    infer = tf.function(lambda images: model(images, training=False), reduce_retracing=True)
    for images, masks in dataset:
        confusion.update_state(masks, infer(images))
    return confusion.scores()


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains within the budget and returns the figures."""
    start = time.monotonic()
    budget = 60 * arguments.minutes
    folder, seed = arguments.output, arguments.seed
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    train = arguments.data / "train"
    if arguments.first == "half":
        half = (IMAGE_SIZE[0] // 2, IMAGE_SIZE[1] // 2)
        first = images(train, arguments.batch_size, half, seed=seed)
    else:
        first = images(
            train, arguments.batch_size, crop_size=tuple(arguments.crop_size),
            balanced=arguments.balanced, seed=seed,
        )  # fmt: skip
    whole = images(train, arguments.whole_batch_size, seed=seed)
    held = images(
        arguments.validation or arguments.data / "val", arguments.whole_batch_size, shuffle=False
    )
    seconds = {
        recipe.name: speed(build(arguments), recipe, dataset, folder)
        for recipe, dataset in ((FIRST, first), (WHOLE, whole))
    }
    one_evaluation = EVALUATION_SHARE * seconds["whole"]["epoch"] * len(held) / len(whole)

    def left(evaluations: int, *phases: str) -> float:
        graphs = sum(seconds[phase]["graph"] for phase in phases)
        done = time.monotonic() - start
        return budget * (1 - MARGIN) - done - evaluations * one_evaluation - graphs

    model = build(arguments)
    figures: dict[str, Any] = {"seconds_measured": seconds}
    for_first = left(2, "first", "whole") * arguments.first_share
    for recipe, dataset in ((FIRST, first), (WHOLE, whole)):
        # Measured again, since the first phase may have been slower or faster than expected.
        usable = for_first if recipe is FIRST else left(1, "whole")
        epochs = int(usable / seconds[recipe.name]["epoch"])
        if epochs < 1:
            raise SystemExit(f"--minutes must be more, for an epoch of {recipe.name}.")
        now = time.monotonic()
        latest = start + budget * (1 - MARGIN / 2) - one_evaluation
        end = now + usable * (1 + MARGIN) if recipe is FIRST else latest
        print(f"{recipe.name}: {epochs} epochs in {usable / 60:.1f} minutes", flush=True)
        training = unetv2.train(
            model, dataset, None, recipe=recipe, epochs=epochs, output_dir=folder / recipe.name,
            overwrite=arguments.overwrite, callbacks=[Deadline(end)], seed=seed, progress="epoch",
        )  # fmt: skip
        seconds_trained = time.monotonic() - now
        scores = evaluate(model, held)
        figures[recipe.name] = {
            "epochs_planned": epochs,
            "epochs": len(training.epoch),
            "training_seconds": seconds_trained,
            "mean_iou": scores.mean_iou,
            "events": training.events,
        }
        print(f"{recipe.name}: mean IoU {scores.mean_iou:.4f}", flush=True)
    shutil.copy(folder / "whole" / "model.keras", folder / "model.keras")
    print(f"\n{scores.table(TABLE.names)}")
    return {
        **figures,
        "mean_iou": scores.mean_iou,
        "iou": dict(zip(TABLE.names, scores.iou_per_class.tolist(), strict=True)),
        "seconds": time.monotonic() - start,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--validation", type=Path, help="images/ and masks/; default DATA/val")
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--output", type=Path, default=Path("runs/camvid_fullsize"))
    parser.add_argument("--overwrite", action="store_true", help="remove the run in OUTPUT")
    parser.add_argument("--filters", type=int, default=32)
    parser.add_argument("--strided", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--first", choices=("half", "crops"), default="half")
    parser.add_argument("--batch-size", type=int, default=8, help="of the first images")
    parser.add_argument("--whole-batch-size", type=int, default=4)
    parser.add_argument("--crop-size", type=int, nargs=2, default=(192, 256))
    parser.add_argument("--first-share", type=float, default=0.4, help="of the training time")
    parser.add_argument("--balanced", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    if (arguments.output / FIRST.name).exists() and not arguments.overwrite:
        parser.error(f"'{arguments.output}' holds a run. Pass --overwrite or another --output.")
    figures = {"machine": machine(), **measure(arguments)}
    figures["arguments"] = {name: str(value) for name, value in vars(arguments).items()}
    print(f"{figures['seconds'] / 60:.1f} of {arguments.minutes:g} minutes")
    for path in filter(None, (arguments.output / "figures.json", arguments.json)):
        write_json(path, figures)


if __name__ == "__main__":
    main()
