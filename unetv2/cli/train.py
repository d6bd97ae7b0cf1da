"""The command ``unetv2 train``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from unetv2 import recipes
from unetv2.cli.options import Answer, add_command, add_data, data
from unetv2.data.dataset import make_dataset
from unetv2.data.labels import resolve_labels
from unetv2.distributed import connect
from unetv2.plurals import counted
from unetv2.training.trainer import train

_LABELS = ("n_classes", "ignore_class", "classes", "encoding", "label_map")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "train",
        purpose="train a U-Net on two folders",
        description=(
            "Trains by a recipe. Without folders of its own, the validation is a part of the pairs."
        ),
        epilog=(
            "example:\n  unetv2 train data/CameraRGB data/CameraMask --n-classes 23 "
            "--output runs/carseg\n\n"
            "Run it again with --resume where it was stopped or killed.\n\n"
            "exit code: 0, 2 for wrong arguments and a training that fails, 130 after Ctrl-C"
        ),
        run=run,
        names={"image_dir": "IMAGES", "mask_dir": "MASKS", "output_dir": "--output"},
        after_interruption="run the same command with --resume to go on",
    )
    add_data(command)
    command.add_argument("--val-images", metavar="FOLDER", help="folder of validation images")
    command.add_argument("--val-masks", metavar="FOLDER", help="folder of their masks")
    command.add_argument("--output", required=True, metavar="FOLDER", help="where to write")
    command.add_argument("--recipe", choices=recipes.NAMES, default="fast", help="default: fast")
    command.add_argument("--epochs", type=int, default=40, metavar="N", help="default: 40")
    command.add_argument(
        "--image-size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH"),
        help="size that pictures are resized to (default: 96 128)",
    )  # fmt: skip
    command.add_argument("--batch-size", type=int, metavar="N", help="default: the recipe's, or 32")
    command.add_argument("--filters", type=int, default=32, metavar="N", help="default: 32")
    command.add_argument(
        "--normalization", choices=("batch", "group"),
        help="of the network; 'group' for few images (default: the recipe's)",
    )  # fmt: skip
    command.add_argument("--cache", default="memory", metavar="FOLDER", help="default: memory")
    command.add_argument("--patience", type=int, metavar="N", help="epochs without a better one")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything")
    command.add_argument(
        "--workers", metavar="HOST:PORT,...",
        help="train together: all workers' addresses, or 'auto' for those of TF_CONFIG, Slurm, or "
        "this machine's GPUs",
    )  # fmt: skip
    command.add_argument(
        "--index", type=int, metavar="N",
        help="number of this worker, from 0 (default: JOB_COMPLETION_INDEX)",
    )  # fmt: skip
    command.add_argument("--resume", action="store_true", help="go on with the run in the folder")
    command.add_argument("--overwrite", action="store_true", help="remove the run in the folder")


def run(options: argparse.Namespace) -> Answer:
    """Runs the command."""
    # Before anything is computed.
    strategy = _strategy(options)
    recipe = recipes.get(options.recipe)
    if options.batch_size is not None:
        recipe = recipes.get(recipe, batch_size=options.batch_size)
    read = {**data(options), "image_size": tuple(options.image_size), "cache": options.cache}
    if bool(options.val_images) != bool(options.val_masks):
        raise ValueError(
            "`--val-images` and `--val-masks` must come together. "
            f"Received: {options.val_images} and {options.val_masks}."
        )
    n_classes = resolve_labels(**{name: read[name] for name in _LABELS}).n_classes
    if not n_classes:
        raise ValueError("`--n-classes` or `--classes` must be given. Received: neither.")
    own = bool(options.val_images)
    training = make_dataset(options.images, options.masks, subset=None if own else "train", **read)
    if own:
        options.names.update(image_dir="--val-images", mask_dir="--val-masks")
        validation = make_dataset(options.val_images, options.val_masks, shuffle=False, **read)
    else:
        validation = make_dataset(options.images, options.masks, subset="validation", **read)
    chosen = {} if options.normalization is None else {"normalization": options.normalization}
    model = recipe.build(
        (*options.image_size, options.channels),
        n_classes,
        filters=options.filters,
        seed=options.seed,
        **chosen,
    )
    done = train(
        model, training, validation, recipe=recipe, epochs=options.epochs,
        output_dir=options.output, resume=options.resume, overwrite=options.overwrite,
        patience=options.patience, seed=options.seed,
        verbose=_verbose(options), strategy=strategy,
    )  # fmt: skip
    epochs = counted(1 + (done.best_epoch or 0), "epoch")
    return Answer(
        f"Best validation mean IoU: {done.best:.3f}, after {epochs}",
        {
            "output_dir": str(done.output_dir),
            "best_epoch": done.best_epoch,
            "best": done.best,
            "events": done.events,
            "warnings": done.warnings,
            "epoch": done.epoch,
            "history": done.history,
        },
        note=f"Model, checkpoint, logs and pictures: {done.output_dir}",
    )


def _verbose(options: argparse.Namespace) -> int:
    if options.quiet:
        return 0
    # A bar that is drawn again and again is for a terminal only.
    return 1 if sys.stdout.isatty() else 2


def _strategy(options: argparse.Namespace) -> Any:
    if options.workers is None and options.index is None:
        return None
    automatic = options.workers in (None, "auto")
    return connect(None if automatic else options.workers.split(","), options.index)
