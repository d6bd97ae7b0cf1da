"""The command ``unetv2 evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

import unetv2
from unetv2.cli.options import (
    SUBSETS,
    CommandResult,
    add_command,
    add_folders,
    add_labels,
    add_number,
    add_tta,
    folder_options,
    shard,
    table,
)

REPORT = "report.html"
TOLERANCE = 0.0075


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "evaluate",
        purpose="evaluate a model",
        description=(
            "Evaluates a model on two folders at the resolution of the masks: images are "
            "preprocessed as in training, and logits are resized to the size of the mask. Windows "
            "and test-time augmentation are those that are stored with the model."
        ),
        epilog=(
            "example:\n  unetv2 evaluate runs/carseg/model.keras data/CameraRGB data/CameraMask "
            "--subset test --report report\n\n"
            "exit code: 0, or 2 for invalid arguments, missing files or invalid masks"
        ),
        run=run,
        check=check,
        uses=("Evaluation", "evaluate", "write_report"),
        names={"image_dir": "IMAGES", "mask_dir": "MASKS", "data": "IMAGES and MASKS"},
    )
    command.add_argument("model", metavar="MODEL", help="a .keras file or an exported model")
    add_folders(command, of_model=True)
    add_labels(command, of_model=True)
    command.add_argument(
        "--subset", choices=SUBSETS, help="evaluate one subset (default: all pairs)"
    )
    add_number(
        command, "--seed", "seed of the split and of the confidence intervals", default=0, least=0
    )
    command.add_argument(
        "--boundary-tolerance",
        type=_tolerance,
        default=TOLERANCE,
        metavar="N",
        help=f"in pixels, or below 1 as a fraction of the diagonal (default: {TOLERANCE})",
    )
    add_tta(command)
    command.add_argument(
        "--shard",
        type=shard,
        metavar="INDEX/COUNT",
        help="evaluate one of COUNT parts of the pairs, from 0/COUNT",
    )
    command.add_argument(
        "--report", metavar="FOLDER", help=f"write {REPORT} and the scores to this folder"
    )
    command.add_argument(
        "--against", metavar="FOLDER", help="compare with the evaluation in this folder"
    )


def check(options: argparse.Namespace) -> None:
    """Checks the options before TensorFlow is loaded."""
    if options.against is not None and options.report is None:
        raise ValueError(
            "`--against` must come with `--report`, where the comparison is written. "
            f"Received: --against {options.against} alone."
        )


def run(options: argparse.Namespace) -> CommandResult:
    """Runs the command."""
    before = None if options.against is None else unetv2.Evaluation.load(options.against)
    evaluation = unetv2.evaluate(
        options.model,
        (options.images, options.masks),
        classes=table(options.classes),
        report=options.report,
        subset=options.subset,
        shard=options.shard,
        boundary_tolerance=options.boundary_tolerance,
        tta=options.tta,
        progress=not options.quiet,
        **folder_options(options),
    )
    if before is not None:
        unetv2.write_report([before, evaluation], Path(options.report) / REPORT)
    note = "" if options.report is None else f"Report: {Path(options.report) / REPORT}"
    return CommandResult(str(evaluation), evaluation.as_dict(), note)


def _tolerance(word: str) -> int | float:
    return int(word) if word.isdecimal() else float(word)
