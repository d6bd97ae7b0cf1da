"""The reference training: a U-Net segments the images of a car's camera.

Without arguments it trains on synthetic driving scenes with the 23 classes of CARLA, which are
written once to a cache folder::

    python examples/train_carseg.py

On the real recordings, with CameraRGB/ and CameraMask/ in one folder::

    python examples/train_carseg.py --data-dir data

On any two folders of images::

    python examples/train_carseg.py --image-dir photos --mask-dir labels --n-classes 5

As in the reference: images of 96x128, Adam, cross-entropy, 40 epochs, batches of 32.
Differences: all metrics are computed on held-out images, and the learning rate decays to zero, so
that training does not collapse.

A better model in the same time::

    python examples/train_carseg.py --recipe fast --epochs 100

``--resume`` continues a run that was stopped or killed; without it, the run starts again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import unetv2

# 160 of them are for training, five full batches: 40 epochs take less than 8 minutes on two cores.
N_SCENES = 198
SCENE_SIZE = (480, 640)
# Increased when the scenes change, so that old and new ones are not mixed.
SCENES_VERSION = 1

IMAGES_SHOWN = 4
PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")


class Task(NamedTuple):
    """A learning task: folders, classes, and the split of the pairs."""

    train: tuple[Path, Path]
    held_out: tuple[Path, Path] | None
    classes: unetv2.ClassTable
    ignore_class: int | None

    def dataset(self, subset: str, arguments: argparse.Namespace) -> tf.data.Dataset:
        """Returns a subset; held-out folders are used for both validation and test."""
        folders = self.train
        if self.held_out is not None and subset != "train":
            folders = self.held_out
        return unetv2.make_dataset(
            *folders,
            n_classes=len(self.classes),
            ignore_class=self.ignore_class,
            image_size=arguments.image_size,
            batch_size=arguments.batch_size or 32,
            subset=subset if self.held_out is None else None,
            shuffle=subset == "train",
            seed=arguments.seed,
        )


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = parser.add_argument_group("data (default: synthetic scenes)")
    data.add_argument("--data-dir", type=Path, help="folder with CameraRGB/ and CameraMask/")
    data.add_argument("--image-dir", type=Path, help="folder of images")
    data.add_argument("--mask-dir", type=Path, help="folder of masks")
    data.add_argument("--val-image-dir", type=Path, help="held-out images (default: a tenth each)")
    data.add_argument("--val-mask-dir", type=Path, help="held-out masks")
    data.add_argument("--n-classes", type=int, help="classes in --mask-dir")
    data.add_argument("--classes", choices=("carla", "camvid"), help="class names and colors")
    data.add_argument("--ignore-class", type=int, help="mask id of unlabeled pixels")
    parser.add_argument("--recipe", choices=unetv2.recipes.NAMES, default="reference")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch-size", type=int, help="default: the recipe's, or 32")
    parser.add_argument(
        "--image-size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH")
    )
    parser.add_argument("--filters", type=int, default=32, help="filters of the first block")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="auto", help="auto: the native precision"
    )
    parser.add_argument("--output", type=Path, default=Path("runs/carseg"))
    parser.add_argument("--resume", action="store_true", help="continue the run in --output")
    arguments = parser.parse_args(words)
    arguments.image_size = tuple(arguments.image_size)
    _check_arguments(parser, arguments)
    return arguments


def _check_arguments(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    if arguments.data_dir and (arguments.image_dir or arguments.mask_dir):
        parser.error("pass --data-dir, or --image-dir and --mask-dir, not both")
    for one, other in (("image", "mask"), ("val_image", "val_mask")):
        if bool(vars(arguments)[f"{one}_dir"]) != bool(vars(arguments)[f"{other}_dir"]):
            names = [name.replace("_", "-") for name in (one, other)]
            parser.error(f"pass --{names[0]}-dir and --{names[1]}-dir together")
    if arguments.val_image_dir and not arguments.image_dir:
        parser.error("--val-image-dir and --val-mask-dir go with --image-dir and --mask-dir")
    if arguments.image_dir and not (arguments.n_classes or arguments.classes):
        parser.error("--image-dir needs --n-classes or --classes")
    if arguments.epochs < 1:
        parser.error(f"--epochs must be 1 or more, not {arguments.epochs}")


def find_task(arguments: argparse.Namespace) -> Task:
    """Returns the task, and writes the synthetic scenes if necessary."""
    tables = {"carla": unetv2.CARLA, "camvid": unetv2.CAMVID}
    classes = tables.get(arguments.classes, unetv2.CARLA)
    if arguments.n_classes and arguments.n_classes != len(classes):
        classes = unetv2.ClassTable.numbered(arguments.n_classes)
    ignore_class = arguments.ignore_class
    if ignore_class is None:
        ignore_class = classes.ignore_class
    held_out = None
    if arguments.image_dir:
        folders = (arguments.image_dir, arguments.mask_dir)
        if arguments.val_image_dir:
            held_out = (arguments.val_image_dir, arguments.val_mask_dir)
    else:
        root = arguments.data_dir or synthetic_scenes(arguments.seed)
        folders = (root / "CameraRGB", root / "CameraMask")
    return Task(folders, held_out, classes, ignore_class)


def synthetic_scenes(seed: int) -> Path:
    """Returns the folder of the synthetic scenes, written on first use."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unetv2"
    height, width = SCENE_SIZE
    directory = cache / f"scenes-v{SCENES_VERSION}-{N_SCENES}-{height}x{width}-seed{seed}"
    if not directory.exists():
        print(f"Writing {N_SCENES} driving scenes to {directory} ...", flush=True)
        unetv2.synthetic.write_driving_scenes(directory, N_SCENES, image_size=SCENE_SIZE, seed=seed)
    print(f"Driving scenes: {directory}")
    return directory


def train(task: Task, arguments: argparse.Namespace) -> tuple[keras.Model, unetv2.Training]:
    """Trains; returns the model of the best epoch and the training."""
    recipe = unetv2.recipes.get(arguments.recipe)
    if arguments.batch_size:
        recipe = unetv2.recipes.get(recipe, batch_size=arguments.batch_size)
    dtype = arguments.precision
    if dtype == "auto":
        dtype = unetv2.automatic_precision()
    print(f"{recipe}\nPrecision: {dtype}.", flush=True)
    model = recipe.build(
        (*arguments.image_size, 3),
        len(task.classes),
        filters=arguments.filters,
        seed=arguments.seed,
        dtype=dtype,
    )
    training = unetv2.train(
        model,
        task.dataset("train", arguments),
        task.dataset("validation", arguments),
        recipe=recipe,
        epochs=arguments.epochs,
        output_dir=arguments.output,
        resume=arguments.resume,
        overwrite=not arguments.resume,
        seed=arguments.seed,
        progress=True if sys.stdout.isatty() else "epoch",
    )
    return model, training


def evaluate(test: tf.data.Dataset, task: Task, output: Path) -> dict[str, Any]:
    """Returns pixel accuracy, mean IoU and IoU per class on held-out images; writes a report."""
    evaluation = unetv2.evaluate(
        output / "model.keras", test, classes=task.classes, report=output / "report", progress=False
    )
    return {
        "images": evaluation.n_images,
        "pixel_accuracy": evaluation.pixel_accuracy,
        "mean_iou": evaluation.mean_iou,
        # A class that occurs neither in the masks nor in the predictions has no IoU.
        "iou_per_class": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(task.classes.names, evaluation.iou_per_class, strict=True)
        },
    }


def main(words: Sequence[str] | None = None) -> None:
    """Trains, evaluates on held-out images and plots."""
    arguments = parse_arguments(words)
    arguments.output.mkdir(parents=True, exist_ok=True)
    try:
        task = find_task(arguments)
        test = task.dataset("test", arguments)
        model, training = train(task, arguments)
    # The messages explain errors in the data or the arguments; no traceback is needed.
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")

    metrics = evaluate(test, task, arguments.output)
    (arguments.output / "metrics.json").write_text(
        json.dumps(metrics, indent=2) + "\n", encoding="utf-8"
    )
    names = ("accuracy", "val_accuracy", "mean_iou", "val_mean_iou")
    curves = {name: training.history[name] for name in names}
    unetv2.visualization.training_curves(curves).savefig(arguments.output / "accuracy.png")
    images, masks = (np.concatenate(batches) for batches in zip(*test, strict=True))
    shown = np.linspace(0, len(images) - 1, min(IMAGES_SHOWN, len(images))).astype(int)
    logits = model.predict(images[shown], verbose=0)
    unetv2.visualization.side_by_side(
        images[shown],
        masks[shown],
        logits.argmax(-1),
        task.classes,
        ignore_class=task.ignore_class,
    ).savefig(arguments.output / "predictions.png", dpi=120)
    print(
        f"Held-out: pixel accuracy {metrics['pixel_accuracy']:.3f}, "
        f"mean IoU {metrics['mean_iou']:.3f} on {metrics['images']} images.\n"
        f"Report: {arguments.output}/report/report.html\n"
        f"Model, plots and images: {arguments.output}/"
    )


if __name__ == "__main__":
    main()
