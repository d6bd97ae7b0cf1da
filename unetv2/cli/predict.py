"""``unetv2 predict``: pictures to masks, a video to a video of its classes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from unetv2.cli.options import Answer, add_command, shard
from unetv2.data.decoding import MAX_PIXELS
from unetv2.inference.directory import predict_directory
from unetv2.inference.video import predict_video

_VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")

_NAMES = {
    "image": "INPUT",
    "images": "INPUT",
    "path": "INPUT",
    "output_dir": "--output",
    "colors_dir": "--colors",
    "overlays_dir": "--overlays",
    "uncertainty_dir": "--uncertainty",
}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "predict",
        purpose="predict the classes of pictures or of a video",
        description=(
            "Predicts a folder of pictures, or some files, to masks of ids as PNG, each of its "
            "picture's size and at its relative path; or a video to one under the classes' "
            "colours. What is done is not done again."
        ),
        epilog=(
            "examples:\n"
            "  unetv2 predict runs/carseg/model.keras images --output masks --overlays overlays\n"
            "  unetv2 predict model.keras street.png square.jpg --output masks --tta horizontal\n"
            "  unetv2 predict model.keras scenes --output masks --window 512 512 --overlap 0.5\n"
            "  unetv2 predict model.keras images --output masks --shard 0/8\n"
            "  unetv2 predict model.keras drive.mp4 --output videos\n\n"
            "exit code: 0 if all is done, 1 if pictures failed, 2 for wrong arguments or missing "
            "files"
        ),
        run=run,
        names=_NAMES,
        after_interruption="run the same command again; what is done already is kept",
    )
    command.add_argument("model", metavar="MODEL", help="a .keras file, or what was exported")
    command.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="a folder of pictures, picture files, or a video"
    )
    command.add_argument(
        "--output", required=True, metavar="FOLDER", help="where the masks or the video go"
    )
    for name, what in (
        ("colors", "masks in the classes' colours"),
        ("overlays", "the pictures under these colours"),
        ("uncertainty", "the uncertainty, grey of 16 bits"),
    ):
        command.add_argument(f"--{name}", metavar="FOLDER", help=f"write there, too: {what}")
    command.add_argument("--overwrite", action="store_true", help="do again what is done already")
    command.add_argument(
        "--shard", type=shard, metavar="INDEX/COUNT",
        help="do one of COUNT disjoint parts, counted from 0, such as 0/8",
    )  # fmt: skip
    _add_ways(command)


def _add_ways(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--window", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="predict windows of that size at the pictures' own scale",
    )  # fmt: skip
    command.add_argument(
        "--overlap", type=float, default=0.25, metavar="SHARE",
        help="share of a window that the next one covers too (default: 0.25)",
    )  # fmt: skip
    command.add_argument("--scale", type=float, metavar="X", help="another scale, such as 0.5")
    command.add_argument(
        "--tta", type=_ways, default=(), metavar="WAYS",
        help="ask flipped and resized, too: horizontal, vertical and scales, with commas between",
    )  # fmt: skip
    command.add_argument(
        "--mc-samples", type=int, default=0, metavar="N", help="ask N times with dropout on"
    )
    command.add_argument("--batch-size", type=int, default=8, metavar="N", help="default: 8")
    command.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, metavar="N",
        help=f"larger pictures fail (default: {MAX_PIXELS})",
    )  # fmt: skip
    command.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the dropout")


def _ways(word: str) -> tuple[str | float, ...]:
    return tuple(_number(one) for one in word.split(","))


def _number(word: str) -> str | float:
    try:
        return float(word)
    except ValueError:
        return word


def run(options: argparse.Namespace) -> Answer:
    """Runs the command; the code is 1 if pictures failed."""
    asked: dict[str, Any] = {
        "window": options.window,
        "overlap": options.overlap,
        "scale": options.scale,
        "tta": options.tta,
        "mc_samples": options.mc_samples,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "overwrite": options.overwrite,
        "progress": not options.quiet,
    }
    inputs: list[str] = options.inputs
    if any(Path(one).suffix.lower() in _VIDEOS for one in inputs):
        return _video(options, asked)
    if len(inputs) > 1 and any(Path(one).is_dir() for one in inputs):
        raise ValueError(
            "`INPUT` must be one folder, or files. "
            f"Received: {' '.join(inputs)}. Run the command for each folder."
        )
    result = predict_directory(
        options.model,
        inputs[0] if Path(inputs[0]).is_dir() else inputs,
        options.output,
        colors_dir=options.colors,
        overlays_dir=options.overlays,
        uncertainty_dir=options.uncertainty,
        shard=options.shard,
        max_pixels=options.max_pixels,
        **asked,
    )
    return Answer(str(result), result.as_dict(), code=0 if result.ok else 1)


def _video(options: argparse.Namespace, asked: dict[str, Any]) -> Answer:
    if len(options.inputs) > 1:
        raise ValueError(
            "`INPUT` must be one video, or pictures. "
            f"Received: {' '.join(options.inputs)}. Run the command for each video."
        )
    for name in ("colors", "overlays", "uncertainty", "shard"):
        if getattr(options, name) is not None:
            raise ValueError(
                f"`--{name}` must not be given for a video. Received: {options.inputs[0]}. "
                "A video becomes one under the classes' colours."
            )
    path = Path(options.inputs[0])
    output = Path(options.output)
    if path.is_file():
        output.mkdir(parents=True, exist_ok=True)
    result = predict_video(options.model, path, output / f"{path.stem}.mp4", **asked)
    return Answer(str(result), result.as_dict())
