"""``unetv2 check``: validation of a data set."""

from __future__ import annotations

import argparse
import json

import unetv2
from unetv2.cli.options import (
    MAX_PIXELS,
    CommandResult,
    add_command,
    add_data,
    add_number,
    data_options,
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "check",
        purpose="validate a data set",
        description="Reads all images and masks of two folders and reports every problem.",
        epilog=(
            "example:\n  unetv2 check data/CameraRGB data/CameraMask --classes carla "
            "--report report\n\n"
            "exit code: 0 if there are no errors, 1 if there are, 2 for invalid arguments or "
            "missing folders"
        ),
        run=run,
        uses=("check_dataset",),
        names={"image_dir": "IMAGES", "mask_dir": "MASKS", "output": "--report"},
    )
    add_data(command)
    add_number(command, "--max-pixels", "do not decode images with more pixels", default=MAX_PIXELS)
    add_number(command, "--seed", "seed of the split", default=0, least=0)
    command.add_argument(
        "--report", metavar="FOLDER", help="write text, JSON and images of problems to this folder"
    )


def run(options: argparse.Namespace) -> CommandResult:
    """Runs the command; the code is 1 if it found errors."""
    report = unetv2.check_dataset(
        options.images,
        options.masks,
        **data_options(options),
        max_pixels=options.max_pixels,
        output=options.report,
        progress=not options.quiet,
    )
    note = f"Report: {options.report}" if options.report else ""
    return CommandResult(
        str(report), json.loads(report.to_json()), note, code=0 if report.ok else 1
    )
