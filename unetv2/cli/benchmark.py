"""``unetv2 benchmark``: speed, size and accuracy of models on this machine."""

from __future__ import annotations

import argparse

import unetv2
from unetv2.cli.options import CommandResult, add_command, add_number


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "benchmark",
        purpose="measure models on this machine",
        description=(
            "Measures latency, throughput, memory, size and start-up time of Keras models and "
            "exported models, alternating between them, and their mean IoU if --data is given."
        ),
        epilog=(
            "example:\n  unetv2 benchmark runs/carseg/model.keras runs/carseg/model-openvino-int8 "
            "--data data/CameraRGB data/CameraMask --output benchmark\n\n"
            "exit code: 0, or 2 for invalid arguments, missing files or packages"
        ),
        run=run,
        uses=("benchmark",),
        names={"dataset": "--data", "image_dir": "IMAGES", "mask_dir": "MASKS", "model": "MODEL"},
    )
    command.add_argument(
        "models", nargs="+", metavar="MODEL", help="a .keras file or an exported model"
    )
    command.add_argument(
        "--data",
        nargs=2,
        metavar=("IMAGES", "MASKS"),
        help="folders of images and masks, for the mean IoU",
    )
    add_number(command, "--batch-size", "images per batch", default=32)
    add_number(command, "--runs", "number of single frames per model", default=100)
    add_number(command, "--threads", "number of threads of exported models")
    command.add_argument(
        "--output", metavar="FOLDER", help="write a table, JSON and a plot to this folder"
    )


def run(options: argparse.Namespace) -> CommandResult:
    """Runs the command."""
    result = unetv2.benchmark(
        options.models,
        dataset=options.data,
        batch_size=options.batch_size,
        runs=options.runs,
        threads=options.threads,
        output=options.output,
        progress=not options.quiet,
    )
    note = f"Table, JSON and plot: {options.output}" if options.output else ""
    return CommandResult(str(result), result.as_dict(), note)
