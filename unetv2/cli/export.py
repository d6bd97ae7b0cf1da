"""``unetv2 export``: a model for other runtimes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import unetv2
from unetv2.cli.options import CommandResult, add_command, table
from unetv2.exporting.formats import FORMATS


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "export",
        purpose="export a model to run without Keras",
        description=(
            "Exports a model for another runtime. The exported model maps camera frames to masks "
            "and confidences, including all preprocessing. Its output is compared with that of the "
            "Keras model."
        ),
        epilog=(
            "examples:\n"
            "  unetv2 export runs/carseg/model.keras --format openvino --precision int8 "
            "--calibration data/CameraRGB\n"
            "  unetv2 export model.keras --format litert --output carseg.tflite\n\n"
            "exit code: 0, or 2 for invalid arguments, missing files or packages, or if the "
            "outputs of the exported and the Keras model differ too much"
        ),
        run=run,
        uses=("export",),
        names={"path": "--output"},
        after_interruption="nothing was written; existing files are unchanged",
    )
    command.add_argument("model", metavar="MODEL", help="a .keras file")
    command.add_argument(
        "--format", required=True, choices=FORMATS, help="format of the exported model"
    )
    command.add_argument(
        "--precision", default="float32", metavar="NAME",
        help="float32, float16, bfloat16 or int8, if the format supports it (default: float32)",
    )  # fmt: skip
    command.add_argument(
        "--output", metavar="PATH",
        help="folder, or .tflite or .onnx file (default: MODEL-FORMAT-PRECISION beside the model)",
    )  # fmt: skip
    for name, target in (
        ("image-size", "the network's input (default: as in training)"),
        ("frame-size", "the camera frames (default: any size)"),
    ):
        command.add_argument(
            f"--{name}", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help=f"size of {target}"
        )
    command.add_argument(
        "--classes", metavar="TABLE", help="class table, a name or a file (default: the model's)"
    )
    command.add_argument(
        "--calibration", metavar="FOLDER", help="images for int8 calibration and for the comparison"
    )
    command.add_argument(
        "--min-agreement",
        type=float,
        metavar="FRACTION",
        help="smallest fraction of pixels on which the exported and the Keras model must agree",
    )
    command.add_argument(
        "--overwrite", action="store_true", help="replace an existing exported model"
    )


def run(options: argparse.Namespace) -> CommandResult:
    """Runs the command."""
    model = Path(options.model)
    output = options.output or model.with_name(f"{model.stem}-{options.format}-{options.precision}")
    exported = unetv2.export(
        model,
        output,
        format=options.format,
        precision=options.precision,
        image_size=options.image_size,
        frame_size=options.frame_size,
        classes=table(options.classes),
        calibration=options.calibration,
        min_agreement=options.min_agreement,
        overwrite=options.overwrite,
    )
    description = exported.description
    content = {"path": str(output), **json.loads(description.to_json())}
    line = "" if options.quiet else f"{output}: {description.parity}"
    return CommandResult(line, content, line if options.json else "")
