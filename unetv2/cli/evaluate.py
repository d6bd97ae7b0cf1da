"""The command ``unetv2 evaluate``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from unetv2.cli.options import add_command, add_folders, add_labels, reading, table
from unetv2.data.pairs import SUBSETS
from unetv2.evaluation.boundaries import TOLERANCE
from unetv2.evaluation.evaluate import evaluate
from unetv2.evaluation.result import Evaluation
from unetv2.report.page import REPORT, write_report


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "evaluate",
        purpose="hold a model against masks",
        description=(
            "Measures a model on two folders at the masks' own resolution: pictures are prepared "
            "as in training, the logits brought back to the mask's size."
        ),
        epilog=(
            "example:\n  unetv2 evaluate runs/carseg/model.keras data/CameraRGB data/CameraMask "
            "--subset test --report report\n\n"
            "exit code: 0, or 2 for wrong arguments, missing files and masks that do not fit"
        ),
    )
    command.set_defaults(run=run)
    command.add_argument("model", metavar="MODEL", help="a .keras file, or what was exported")
    add_folders(command)
    add_labels(command)
    command.add_argument("--subset", choices=SUBSETS, help="which pairs (default: all)")
    command.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed of the split and of the intervals"
    )
    command.add_argument(
        "--boundary-tolerance",
        type=_tolerance,
        default=TOLERANCE,
        metavar="N",
        help=f"pixels, or a share of the diagonal below 1 (default: {TOLERANCE})",
    )
    command.add_argument(
        "--shard", type=_shard, metavar="INDEX/COUNT", help="a part of the pairs, from 0/COUNT on"
    )
    command.add_argument("--report", metavar="FOLDER", help=f"write {REPORT} and the figures there")
    command.add_argument(
        "--against", metavar="FOLDER", help="compare with the evaluation that was written there"
    )
    command.add_argument("--json", action="store_true", help="print JSON instead of text")
    command.add_argument("--quiet", action="store_true", help="do not show how far it is")


def run(options: argparse.Namespace) -> int:
    """Runs the command."""
    if options.against is not None and options.report is None:
        raise ValueError(
            "`--against` must come with `--report`, where the comparison is written. "
            f"Received: --against {options.against} alone."
        )
    before = None if options.against is None else Evaluation.load(options.against)
    evaluation = evaluate(
        options.model,
        (options.images, options.masks),
        classes=table(options.classes),
        report=options.report,
        reading={**reading(options), "subset": options.subset},
        shard=options.shard,
        boundary_tolerance=options.boundary_tolerance,
        seed=options.seed,
        progress=not options.quiet,
    )
    if before is not None:
        write_report([before, evaluation], Path(options.report) / REPORT)
    print(json.dumps(evaluation.as_dict(), indent=2) if options.json else evaluation)
    if options.report is not None:
        # Beside the JSON, for which stdout is kept.
        print(f"Report: {Path(options.report) / REPORT}", file=sys.stderr)
    return 0


def _tolerance(word: str) -> int | float:
    return int(word) if word.isdecimal() else float(word)


def _shard(word: str) -> tuple[int, int]:
    try:
        index, count = map(int, word.split("/"))
    except ValueError as error:
        message = f"must be INDEX/COUNT, such as 0/4. Received: {word!r}."
        raise argparse.ArgumentTypeError(message) from error
    return index, count
