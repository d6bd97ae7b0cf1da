"""``unetv2 benchmark``: how fast, how large and how good models are on this machine."""

from __future__ import annotations

import argparse

from unetv2.benchmarking.benchmark import benchmark
from unetv2.cli.options import Answer, add_command


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "benchmark",
        purpose="measure models and what was exported on this machine",
        description=(
            "Measures latency, throughput, memory, size, start and, with masks, mean IoU of Keras "
            "models and artefacts, in turns."
        ),
        epilog=(
            "example:\n  unetv2 benchmark runs/carseg/model.keras runs/carseg/model-openvino-int8 "
            "--data data/CameraRGB data/CameraMask --output benchmark\n\n"
            "exit code: 0, or 2 for wrong arguments and missing files or packages"
        ),
        run=run,
        names={"dataset": "--data", "image_dir": "IMAGES", "mask_dir": "MASKS", "model": "MODEL"},
    )
    command.add_argument(
        "models", nargs="+", metavar="MODEL", help="a .keras file, or what `unetv2 export` wrote"
    )
    command.add_argument(
        "--data", nargs=2, metavar=("IMAGES", "MASKS"), help="two folders, for the mean IoU"
    )
    command.add_argument("--batch-size", type=int, default=32, metavar="N", help="default: 32")
    command.add_argument(
        "--runs", type=int, default=100, metavar="N", help="single frames of each (default: 100)"
    )
    command.add_argument("--threads", type=int, metavar="N", help="of the artefacts' runtimes")
    command.add_argument("--output", metavar="FOLDER", help="write table, JSON and picture there")


def run(options: argparse.Namespace) -> Answer:
    """Runs the command."""
    found = benchmark(
        options.models,
        dataset=options.data,
        batch_size=options.batch_size,
        runs=options.runs,
        threads=options.threads,
        output=options.output,
        progress=not options.quiet,
    )
    note = f"Table, JSON and picture: {options.output}" if options.output else ""
    return Answer(str(found), found.as_dict(), note)
