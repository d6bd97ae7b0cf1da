"""The command ``unetv2 plan``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import unetv2
from unetv2.cli.options import (
    CommandResult,
    add_command,
    add_data,
    add_number,
    data_options,
    require_together,
)

if TYPE_CHECKING:
    from unetv2.data.dataset import SegmentationDataset
    from unetv2.planning.plan import Plan


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "plan",
        purpose="show how `train` would train on a data set, and why",
        description=(
            "Looks at the images and masks, times training steps on this machine, and prints "
            "every decision with its reason, without training."
        ),
        epilog=(
            "example:\n  unetv2 plan photos labels --minutes 30 --output plan.json\n"
            "  unetv2 train photos labels --plan plan.json --output runs/first\n\n"
            "exit code: 0, or 2 for invalid arguments or data"
        ),
        run=run,
        check=check,
        uses=("Plan", "SegmentationDataset", "plan"),
        names={"image_dir": "IMAGES", "mask_dir": "MASKS"},
    )
    add_data(command)
    add_plan_options(command)
    command.add_argument("--output", metavar="PATH", help="write the plan to this JSON file")


def add_plan_options(command: argparse.ArgumentParser) -> None:
    """Adds the options that override decisions of a plan."""
    command.add_argument("--val-images", metavar="IMAGES", help="folder of validation images")
    command.add_argument("--val-masks", metavar="MASKS", help="folder of validation masks")
    command.add_argument(
        "--minutes", type=float, metavar="M",
        help="time until the end of the command (default: what the data needs)",
    )  # fmt: skip
    command.add_argument(
        "--memory", type=float, metavar="GB", help="memory to use (default: half of what is free)"
    )
    command.add_argument(
        "--fold", type=int, nargs=2, metavar=("INDEX", "COUNT"),
        help="validate on one of COUNT parts of the images, INDEX from 0",
    )  # fmt: skip
    for name, purpose in (
        ("--image-size", "size that images are resized to"),
        ("--crop-size", "size of random crops"),
    ):
        command.add_argument(
            name, type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
            help=f"{purpose} (default: the plan's)",
        )  # fmt: skip
    add_number(command, "--batch-size", "images per batch (default: the plan's)")
    add_number(command, "--filters", "filters of the first level (default: the plan's)")
    add_number(command, "--depth", "number of poolings (default: the plan's)")
    command.add_argument(
        "--normalization", choices=("batch", "group"),
        help="normalization layers (default: the plan's)",
    )  # fmt: skip
    add_number(command, "--epochs", "number of epochs, each with a validation")
    add_number(command, "--seed", "seed of all random numbers", default=0, least=0)


def check(options: argparse.Namespace) -> None:
    """Checks the options before TensorFlow is loaded."""
    require_together(options, "val_images", "val_masks")
    if options.minutes is not None and not 0 < options.minutes < float("inf"):
        raise ValueError(
            f"`minutes` must be above 0. Received: minutes={options.minutes}. Leave it out for "
            "what the data needs."
        )


def run(options: argparse.Namespace) -> CommandResult:
    """Runs the command."""
    plan = make_plan(options, options.minutes)
    note = ""
    if options.output is not None:
        plan.save(options.output)
        note = f"Plan: {options.output}"
    text = f"{plan.data}\n\n{plan}"
    return CommandResult(text, plan.as_dict(), note)


def make_plan(options: argparse.Namespace, minutes: float | None) -> Plan:
    """Returns the plan for the options of :func:`add_data` and :func:`add_plan_options`."""
    data, validation = folders(options)
    return unetv2.plan(
        data,
        minutes=minutes,
        memory=options.memory,
        validation=validation,
        fold=None if options.fold is None else tuple(options.fold),
        seed=options.seed,
        progress=not options.quiet,
        **overrides(options),
    )


def overrides(options: argparse.Namespace) -> Any:
    """Returns the decisions that the command line makes."""
    values = {
        "image_size": options.image_size and tuple(options.image_size),
        "crop_size": options.crop_size and tuple(options.crop_size),
        "batch_size": options.batch_size,
        "filters": options.filters,
        "depth": options.depth,
        "normalization": options.normalization,
        "epochs": options.epochs,
    }
    return {name: value for name, value in values.items() if value is not None}


def folders(
    options: argparse.Namespace, **sizes: Any
) -> tuple[SegmentationDataset, SegmentationDataset | None]:
    """Returns the data set, and that of ``--val-images`` and ``--val-masks`` or None."""
    make = unetv2.SegmentationDataset.from_folders
    data = make(options.images, options.masks, **data_options(options), **sizes)
    if not options.val_images:
        return data, None
    known = data.preprocessing
    options.names.update(image_dir="--val-images", mask_dir="--val-masks")
    # The same classes, whichever of them occur.
    labels = {
        "n_classes": data.n_classes, "ignore_class": data.ignore_class, "classes": data.classes,
        "encoding": known.encoding, "channels": known.channels,
        "label_map": None if known.label_map is None else dict(known.label_map),
        "image_suffix": options.image_suffix, "mask_suffix": options.mask_suffix,
    }  # fmt: skip
    other = {name: value for name, value in data_options(options).items() if name not in labels}
    return data, make(options.val_images, options.val_masks, **labels, **other, **sizes)
