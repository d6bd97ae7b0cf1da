"""Accuracy and cost of each option of the network.

Trains variants of a plain network with the recipe "fast", whose own network is `bilinear_residual`,
on CamVid at 96x128 or on a folder with the same layout, for few epochs and with few filters. The
variants alternate for each seed. For each variant it prints

- the validation mean IoU of the last epoch, its mean over the seeds, and its mean difference from
  the first variant with the same seed;
- the processor time of a training without graph building, relative to the first variant. Other
  load on the machine hardly changes it.

`deep_supervision` is not an option of the library. Here, coarser decoder blocks get an additional
head with a weight of 0.4 and 0.2 in the loss.

An interrupted command resumes from `--output`.

    python benchmarks/architecture.py --data ../shared/data/camvid --seeds 2
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from machine import machine
from training_runs import EpochSeconds, Split, add_data, read_seconds, run, write_json

import unetv2
from unetv2.training.data import inspect_data
from unetv2.training.feed import Feed
from unetv2.training.recipes import FAST, get

IMAGE_SIZE = (96, 128)
DEEP_SUPERVISION = "deep_supervision"
DEEP_WEIGHTS = (1.0, 0.4, 0.2)


@dataclass(frozen=True)
class Variant:
    """A network with other options and a factor for the filters."""

    options: dict[str, Any] = field(default_factory=dict)
    width: float = 1.0


# Options of the recipe's network.
PLAIN = {"upsampling": "transpose", "residual": False}
VARIANTS = {
    "plain": Variant(),
    "no_normalization": Variant({"normalization": None, "normalization_start": 0}),
    "normalized_everywhere": Variant({"normalization_start": 0}),
    "bilinear": Variant({"upsampling": "bilinear"}),
    "residual": Variant({"residual": True}),
    "bilinear_residual": Variant({"upsampling": "bilinear", "residual": True}),
    DEEP_SUPERVISION: Variant(),
    "strided": Variant({"stem": "strided"}),
    "strided_wide": Variant({"stem": "strided"}, 1.5),
    "mobilenet": Variant({"encoder": "MobileNetV3Small"}),
}


def supervised(
    folder: Path, split: Split, *, epochs: int, filters: int, seed: int
) -> dict[str, Any]:
    """Trains "fast" with a head on each of the coarser decoder blocks."""
    finished = folder / "result.json"
    if finished.exists():
        found: dict[str, Any] = json.loads(finished.read_text(encoding="utf-8"))
        return found
    keras.utils.set_random_seed(seed)
    train, validation = split.datasets(IMAGE_SIZE, FAST.batch_size or 32, seed)
    model = FAST.build(
        (None, None, 3), split.n_classes, filters=filters, seed=seed,
        ignore_class=split.ignore_class, **PLAIN,
    )  # fmt: skip
    spec = inspect_data(model, train, validation, FAST)
    weights = unetv2.class_weights(
        train, split.n_classes, ignore_class=split.ignore_class, method=str(FAST.class_weights)
    )
    feed = Feed(train, None, spec, seed=seed)
    levels = range(1, len(DEEP_WEIGHTS))
    outputs = [model.output] + [
        keras.layers.Conv2D(split.n_classes, 1, dtype="float32", name=f"head_{level}")(
            model.get_layer(f"decoder_{level}").output
        )
        for level in levels
    ]
    trained = keras.Model(model.input, outputs)
    trained.dtype_policy = model.dtype_policy
    trained.compile(
        FAST.optimizer(trained, feed.steps * epochs),
        [FAST.loss_function(split.ignore_class, weights) for _ in outputs],
        loss_weights=list(DEEP_WEIGHTS),
    )

    def coarser(image: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        return image, tuple(mask[:, :: 2**level, :: 2**level] for level in (0, *levels))

    lines = folder / "seconds.jsonl"
    lines.unlink(missing_ok=True)
    clock = EpochSeconds(lines)
    for start, end, scale in FAST.phases(epochs):
        batches = feed.batches(scale)[0].map(coarser)
        feed.start_epoch(start)
        trained.fit(
            batches, initial_epoch=start, epochs=end, shuffle=False, verbose=2, callbacks=[clock]
        )
    confusion = unetv2.metrics.ConfusionMatrix(split.n_classes, ignore_class=split.ignore_class)
    for images, truth in validation:
        confusion.update_state(truth, model(images, training=False))
    result = {
        "val_mean_iou": [confusion.scores().mean_iou],
        "training_seconds": read_seconds(lines, "training"),
        "processor_seconds": read_seconds(lines, "processor"),
    }
    write_json(finished, result)
    return result


def cost(found: dict[str, Any], epochs: int) -> float:
    """Returns the computed seconds of a training, without the first epoch of a phase."""
    seconds = found["processor_seconds"]
    total = 0.0
    for start, end, _ in FAST.phases(epochs):
        # The first epoch of a phase includes building the graph, unless it is the only one.
        steady = seconds[start + 1 : end] or seconds[start:end]
        total += statistics.median(steady) * (end - start)
    return total


def measure(arguments: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Trains every variant with every seed."""
    split = Split.of(arguments.data, arguments.n_classes, arguments.ignore_class)
    figures: dict[str, dict[str, list[float]]] = {
        name: {"mean_iou": [], "cost": []} for name in arguments.variants
    }
    for seed in range(arguments.seeds):
        for name in arguments.variants:
            variant = VARIANTS[name]
            filters = round(arguments.filters * variant.width)
            folder = arguments.output / f"{name}_{filters}_filters_{arguments.epochs}_epochs_{seed}"
            print(f"{name}, seed {seed}: {folder}", flush=True)
            if name == DEEP_SUPERVISION:
                found = supervised(
                    folder, split, epochs=arguments.epochs, filters=filters, seed=seed
                )
            else:
                recipe = get(FAST, name=name, model={**FAST.model, **PLAIN, **variant.options})
                found = run(
                    folder, recipe, split, image_size=IMAGE_SIZE, epochs=arguments.epochs,
                    filters=filters, seed=seed,
                )  # fmt: skip
            figures[name]["mean_iou"].append(found["val_mean_iou"][-1])
            figures[name]["cost"].append(cost(found, arguments.epochs))
            print(f"{name}, seed {seed}: mean IoU {found['val_mean_iou'][-1]:.4f}", flush=True)
    return figures


def show(figures: dict[str, dict[str, list[float]]]) -> None:
    """Prints a line for each variant."""
    first = next(iter(figures.values()))
    print(f"\n{'variant':24} {'mean IoU':>9} {'gain':>7} {'each seed':>9} {'cost':>6}")
    for name, found in figures.items():
        gains = [
            one - other for one, other in zip(found["mean_iou"], first["mean_iou"], strict=True)
        ]
        costs = [one / other for one, other in zip(found["cost"], first["cost"], strict=True)]
        each = " ".join(f"{gain:+.3f}" for gain in gains)
        print(
            f"{name:24} {statistics.mean(found['mean_iou']):9.3f} {statistics.mean(gains):+7.3f} "
            f"{each} {statistics.median(costs):6.2f}"
        )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data(parser)
    parser.add_argument("--variants", default=",".join(VARIANTS), help="names, separated by commas")
    parser.add_argument("--seeds", type=int, default=2, help="number of seeds, from 0")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--output", type=Path, default=Path("runs/architecture"))
    parser.add_argument("--json", type=Path, help="also write the results to this file")
    arguments = parser.parse_args()
    arguments.variants = arguments.variants.split(",")
    unknown = sorted(set(arguments.variants) - set(VARIANTS))
    if unknown:
        parser.error(f"--variants must be of {', '.join(VARIANTS)}. Received: {unknown}.")
    figures = measure(arguments)
    show(figures)
    if arguments.json:
        settings = {name: str(value) for name, value in vars(arguments).items()}
        write_json(arguments.json, {"machine": machine(), "arguments": settings, **figures})


if __name__ == "__main__":
    main()
