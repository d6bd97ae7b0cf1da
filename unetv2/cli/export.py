"""``unetv2 export``: a model to a file that runs without Keras."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from unetv2.artefacts.formats import FORMATS
from unetv2.cli.options import Answer, add_command, table
from unetv2.exporting.export import export


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "export",
        purpose="write a model so that it runs without Keras",
        description=(
            "Writes a model for another runtime: camera frames in, masks and confidences out, with "
            "resizing and all else in it. Checks that it agrees with the model."
        ),
        epilog=(
            "examples:\n"
            "  unetv2 export runs/carseg/model.keras --format openvino --precision int8 "
            "--calibration data/CameraRGB\n"
            "  unetv2 export model.keras --format litert --output carseg.tflite\n\n"
            "exit code: 0, or 2 for wrong arguments, missing files or packages, and if the result "
            "disagrees with the model"
        ),
        run=run,
        names={"path": "--output"},
        after_interruption="nothing was written; what was there before is as it was",
    )
    command.add_argument("model", metavar="MODEL", help="a .keras file")
    command.add_argument("--format", required=True, choices=FORMATS, help="the runtime's format")
    command.add_argument(
        "--precision", default="float32", metavar="NAME",
        help="float32, float16, bfloat16 or int8, where the format has it (default: float32)",
    )  # fmt: skip
    command.add_argument(
        "--output", metavar="PATH",
        help="a folder, or a .tflite or .onnx file (default: beside the model, named after both)",
    )  # fmt: skip
    for name, what in (
        ("image-size", "what the network is fed with (default: as in training)"),
        ("frame-size", "the camera's frames (default: any size)"),
    ):
        command.add_argument(
            f"--{name}", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help=f"size of {what}"
        )
    command.add_argument(
        "--classes", metavar="TABLE", help="class table: a name or a file (default: the model's)"
    )
    command.add_argument(
        "--calibration", metavar="FOLDER", help="pictures to measure int8 on, and to compare on"
    )
    command.add_argument(
        "--least-equal", type=float, metavar="SHARE", help="of pixels of the Keras model's class"
    )
    command.add_argument("--overwrite", action="store_true", help="replace an earlier artefact")


def run(options: argparse.Namespace) -> Answer:
    """Runs the command."""
    model = Path(options.model)
    output = options.output or model.with_name(f"{model.stem}-{options.format}-{options.precision}")
    exported = export(
        model,
        output,
        format=options.format,
        precision=options.precision,
        image_size=options.image_size,
        frame_size=options.frame_size,
        classes=table(options.classes),
        calibration=options.calibration,
        least_equal=options.least_equal,
        overwrite=options.overwrite,
        verbose=not options.quiet,
    )
    # How far it agrees with the model is said already.
    return Answer("", {"path": str(output), **json.loads(exported.description.to_json())})
