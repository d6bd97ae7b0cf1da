"""Effect of bfloat16 gradient communication on the result of a training.

Trains a network that computes in bfloat16 with each of several seeds on two replicas of the
processor, once with float32 gradients and once with bfloat16 gradients, on synthetic scenes or on
CamVid. All other settings are equal. Compares the training loss and the validation mean IoU of the
last epoch. Differences must be compared with the variation between seeds.

    python benchmarks/gradient_precision.py --scenes 160 --seeds 3 --json gradient_precision.json
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from training_runs import Split, add_data, spread, write_runs

import unetv2
from unetv2.distributed import Distribution

REPLICAS = 2
PRECISIONS = ("float32", "bfloat16")


def trained(
    arguments: argparse.Namespace, split: Split, seed: int, gradients: str, strategy: Any
) -> dict[str, Any]:
    """Trains once and returns the results."""
    keras.utils.set_random_seed(seed)
    recipe = unetv2.recipes.get(arguments.recipe)
    train, validation = split.datasets(arguments.image_size, arguments.batch_size, seed)
    with strategy.scope():
        model = recipe.build(
            (*arguments.image_size, 3), split.n_classes, filters=arguments.filters, seed=seed,
            ignore_class=split.ignore_class, **{**recipe.model, "dtype": "mixed_bfloat16"},
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        training = unetv2.train(
            model, train, validation, recipe=recipe, epochs=arguments.epochs, seed=seed,
            output_dir=folder, progress="epoch",
            strategy=Distribution(strategy=strategy, gradients=gradients),
        )  # fmt: skip
    scores = training.history["val_mean_iou"]
    return {
        "seed": seed, "gradients": gradients, "loss": training.history["loss"], "last": scores[-1],
        "best": max(scores), "rollbacks": len(training.events),
    }  # fmt: skip


def measure(arguments: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Trains with each seed and precision; the precisions alternate."""
    if arguments.scenes:
        split = Split.made_up(folder, arguments.scenes, arguments.image_size)
    else:
        split = Split.of(arguments.data, arguments.n_classes, arguments.ignore_class)
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        processor, [tf.config.LogicalDeviceConfiguration() for _ in range(REPLICAS)]
    )
    strategy = tf.distribute.MirroredStrategy([f"cpu:{number}" for number in range(REPLICAS)])
    runs = []
    for seed in range(arguments.seeds):
        for gradients in PRECISIONS:
            print(f"gradients in {gradients}, seed {seed}", flush=True)
            runs.append(trained(arguments, split, seed, gradients, strategy))
    return runs


def summarize(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the figures of each precision."""
    figures: dict[str, Any] = {}
    for gradients in PRECISIONS:
        own = [found for found in runs if found["gradients"] == gradients]
        figures[gradients] = {
            "seeds": [found["seed"] for found in own],
            "last": [found["last"] for found in own],
            "last_spread": spread([found["last"] for found in own]),
            "last_loss": [found["loss"][-1] for found in own],
            "rollbacks": sum(found["rollbacks"] for found in own),
        }
    return figures


def show(figures: dict[str, Any]) -> None:
    """Prints a line for each precision."""
    for gradients, found in figures.items():
        last = found["last_spread"]
        each = ", ".join(f"{value:.3f}" for value in found["last"])
        losses = ", ".join(f"{value:.3f}" for value in found["last_loss"])
        print(
            f"gradients in {gradients:8}: mean IoU {last['mean']:.3f} +- {last['sd']:.3f}, "
            f"each {each}; loss {losses}"
        )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser, scenes=True)
    parser.add_argument("--recipe", default="reference")
    parser.add_argument("--image-size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds, from 0")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    arguments.image_size = tuple(arguments.image_size)
    with tempfile.TemporaryDirectory() as folder:
        runs = measure(arguments, Path(folder))
    figures = summarize(runs)
    show(figures)
    write_runs(arguments.json, figures, runs)


if __name__ == "__main__":
    main()
