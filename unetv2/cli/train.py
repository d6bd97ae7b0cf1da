"""The command ``unetv2 train``."""

from __future__ import annotations

import argparse
import sys
from typing import Any, cast

import unetv2
from unetv2.cli.options import CommandResult, add_command, add_data, add_number, data_options
from unetv2.text import counted

RECIPES = ("reference", "fast")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "train",
        purpose="train a U-Net on two folders of images and masks",
        description=(
            "Trains a U-Net with a recipe. Without --val-images and --val-masks, a subset of the "
            "pairs is used for validation."
        ),
        epilog=(
            "example:\n  unetv2 train data/CameraRGB data/CameraMask --n-classes 23 "
            "--output runs/carseg\n\n"
            "To continue an interrupted training, run the same command with --resume.\n\n"
            "exit code: 0, or 2 for invalid arguments or a failed training, 130 after Ctrl-C"
        ),
        run=run,
        check=check,
        uses=("SegmentationDataset", "recipes", "train"),
        names={"image_dir": "IMAGES", "mask_dir": "MASKS", "output_dir": "--output"},
        after_interruption="run the same command with --resume to continue",
    )
    add_data(command)
    command.add_argument("--val-images", metavar="IMAGES", help="folder of validation images")
    command.add_argument("--val-masks", metavar="MASKS", help="folder of validation masks")
    command.add_argument("--output", required=True, metavar="FOLDER", help="output folder")
    command.add_argument(
        "--recipe", choices=RECIPES, default="fast", help="training recipe (default: fast)"
    )
    add_number(command, "--epochs", "number of epochs", default=40)
    command.add_argument(
        "--image-size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH"),
        help="size that images are resized to (default: 96 128)",
    )  # fmt: skip
    add_number(command, "--batch-size", "images per batch (default: the recipe's, otherwise 32)")
    add_number(command, "--filters", "filters of the first level", default=32)
    command.add_argument(
        "--normalization", choices=("batch", "group"),
        help="normalization layers; 'group' for few images (default: the recipe's)",
    )  # fmt: skip
    command.add_argument(
        "--cache", default="memory", metavar="FOLDER", help="cache folder (default: memory)"
    )
    add_number(command, "--patience", "stop after N epochs without improvement")
    add_number(command, "--seed", "seed of all random numbers", default=0, least=0)
    command.add_argument(
        "--workers", metavar="HOST:PORT,...",
        help="distributed training: addresses of all workers, or 'auto' to use TF_CONFIG, Slurm or "
        "the GPUs of this machine",
    )  # fmt: skip
    command.add_argument(
        "--index", type=int, metavar="N",
        help="index of this worker, from 0 (default: JOB_COMPLETION_INDEX)",
    )  # fmt: skip
    command.add_argument(
        "--resume", action="store_true", help="continue the run in the output folder"
    )
    command.add_argument(
        "--overwrite", action="store_true", help="remove the run in the output folder"
    )


def check(options: argparse.Namespace) -> None:
    """Checks the options before TensorFlow is loaded."""
    if bool(options.val_images) != bool(options.val_masks):
        raise ValueError(
            "`--val-images` and `--val-masks` must come together. "
            f"Received: {options.val_images} and {options.val_masks}."
        )


def run(options: argparse.Namespace) -> CommandResult:
    """Runs the command."""
    # Must precede all computations.
    strategy = _strategy(options)
    recipe = unetv2.recipes.get(options.recipe)
    if options.batch_size is not None:
        recipe = unetv2.recipes.get(recipe, batch_size=options.batch_size)
    data_arguments = {**data_options(options), "image_size": tuple(options.image_size)}
    data = unetv2.SegmentationDataset.from_folders(options.images, options.masks, **data_arguments)
    # It is given or inferred.
    n_classes = cast(int, data.n_classes)
    known = data.preprocessing
    batching = {"batch_size": recipe.batch_size or 32, "cache": options.cache}
    if options.val_images:
        training = data.batches(**batching)
        options.names.update(image_dir="--val-images", mask_dir="--val-masks")
        # Labels and channels are those of the training images; names may differ.
        data_arguments |= {
            "n_classes": n_classes,
            "ignore_class": known.ignore_class,
            "classes": known.classes,
            "encoding": known.encoding,
            "label_map": None if known.label_map is None else dict(known.label_map),
            "channels": known.channels,
        }
        data = unetv2.SegmentationDataset.from_folders(
            options.val_images, options.val_masks, **data_arguments
        )
        validation = data.batches(shuffle=False, **batching)
    else:
        training = data.batches("train", **batching)
        validation = data.batches("validation", **batching)
    normalization = {"normalization": options.normalization} if options.normalization else {}
    model = recipe.build(
        (*options.image_size, known.channels),
        n_classes,
        filters=options.filters,
        seed=options.seed,
        **normalization,
    )
    result = unetv2.train(
        model, training, validation, recipe=recipe, epochs=options.epochs,
        output_dir=options.output, resume=options.resume, overwrite=options.overwrite,
        patience=options.patience, seed=options.seed,
        # A progress bar needs a terminal.
        progress=not options.quiet and (sys.stdout.isatty() or "epoch"), strategy=strategy,
    )  # fmt: skip
    epochs = counted(1 + (result.best_epoch or 0), "epoch")
    return CommandResult(
        f"Best validation mean IoU: {result.best:.3f}, after {epochs}",
        {
            "output_dir": str(result.output_dir),
            "best_epoch": result.best_epoch,
            "best": result.best,
            "events": result.events,
            "warnings": result.warnings,
            "epoch": result.epoch,
            "history": result.history,
        },
        note=f"Model, checkpoint, logs and images: {result.output_dir}",
    )


def _strategy(options: argparse.Namespace) -> Any:
    if options.workers is None and options.index is None:
        return None
    workers = None if options.workers in (None, "auto") else options.workers.split(",")
    return unetv2.distributed.connect(workers, options.index)
