"""The command ``unetv2 check``."""

from __future__ import annotations

import argparse

from unetv2.cli.options import add_command, add_data, data
from unetv2.data.checking import check_dataset
from unetv2.data.decoding import MAX_PIXELS


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "check",
        purpose="find what is wrong with a data set",
        description="Reads every pair of two folders and reports all that is wrong with them.",
        epilog=(
            "example:\n  unetv2 check data/CameraRGB data/CameraMask --classes carla "
            "--report report\n\n"
            "exit code: 0 without errors, 1 with errors, 2 for wrong arguments or missing folders"
        ),
    )
    command.set_defaults(run=run)
    add_data(command)
    command.add_argument(
        "--max-pixels",
        type=int,
        default=MAX_PIXELS,
        metavar="N",
        help=f"larger pictures are not decoded (default: {MAX_PIXELS})",
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the split")
    command.add_argument("--report", metavar="FOLDER", help="write text, JSON and pictures there")
    command.add_argument("--json", action="store_true", help="print JSON instead of text")
    command.add_argument("--quiet", action="store_true", help="do not show how far it is")


def run(options: argparse.Namespace) -> int:
    """Runs the command, and returns 1 if it found errors."""
    report = check_dataset(
        options.images,
        options.masks,
        **data(options),
        max_pixels=options.max_pixels,
        output=options.report,
        progress=not options.quiet,
    )
    print(report.to_json() if options.json else report)
    return 0 if report.ok else 1
