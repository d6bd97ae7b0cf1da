"""``unetv2 predict``: masks of images, or the predicted classes of a video."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import unetv2
from unetv2.cli.options import MAX_PIXELS, CommandResult, add_command, add_number, add_tta, shard

# Options of predictions to a folder.
_OF_FOLDERS = ("colors", "overlays", "uncertainty", "shard")
_VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
# Outputs with these extensions are files, not folders.
_IMAGES = (".bmp", ".jpeg", ".jpg", ".npy", ".png", ".tif", ".tiff", ".webp")

_NAMES = {
    "image": "INPUT",
    "images": "INPUT",
    "path": "INPUT",
    "output": "--output",
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
        purpose="predict masks of images or a video",
        description=(
            "Predicts masks of class ids for images. Each mask is saved as PNG, with the size and "
            "the relative path of its image. Existing masks of the same model and options are "
            "skipped. For a video, writes a video with the colors of the predicted classes. For a "
            "single image or video, the output may also be a file."
        ),
        epilog=(
            "examples:\n"
            "  unetv2 predict runs/carseg/model.keras images --output masks --overlays overlays\n"
            "  unetv2 predict model.keras street.png --output mask.png\n"
            "  unetv2 predict model.keras street.png square.jpg --output masks --tta horizontal\n"
            "  unetv2 predict model.keras scenes --output masks --window 512 512 --overlap 0.5\n"
            "  unetv2 predict model.keras images --output masks --shard 0/8\n"
            "  unetv2 predict model.keras drive.mp4 --output videos\n\n"
            "exit code: 0 if all images are done, 1 if images failed, 2 for invalid arguments or "
            "missing files"
        ),
        run=run,
        check=check,
        uses=("predict", "predict_directory", "predict_video"),
        names=_NAMES,
        after_interruption="run the same command again; finished images are kept",
    )
    command.add_argument("model", metavar="MODEL", help="a .keras file or an exported model")
    command.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="a folder of images, image files, or a video"
    )
    command.add_argument(
        "--output", required=True, metavar="PATH",
        help="output folder of the masks or the video; for one image also a .png, .tif or .npy "
        "file, for a video a .mp4, .mkv or .mov file",
    )  # fmt: skip
    for name, content in (
        ("colors", "masks in the colors of the classes"),
        ("overlays", "images blended with these colors"),
        ("uncertainty", "the uncertainty as 16-bit gray images"),
    ):
        command.add_argument(
            f"--{name}", metavar="FOLDER", help=f"also write {content} to this folder"
        )
    command.add_argument("--overwrite", action="store_true", help="replace existing outputs")
    command.add_argument(
        "--shard", type=shard, metavar="INDEX/COUNT",
        help="predict one of COUNT disjoint parts, counted from 0, such as 0/8",
    )  # fmt: skip
    _add_prediction_options(command)


def _add_prediction_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--window", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="predict in windows of this size at the original scale of the images (default: the "
        "model's, at the scale of the training)",
    )  # fmt: skip
    command.add_argument(
        "--overlap", type=float, default=0.25, metavar="SHARE",
        help="fraction of a window that overlaps the next one (default: 0.25)",
    )  # fmt: skip
    command.add_argument(
        "--scale", type=float, metavar="X", help="scale of the images, such as 0.5"
    )
    add_tta(command)
    add_number(
        command, "--mc-samples", "average N predictions with dropout enabled", default=0, least=0
    )
    add_number(command, "--batch-size", "images or windows per batch", default=8)
    add_number(command, "--max-pixels", "reject images with more pixels", default=MAX_PIXELS)
    add_number(command, "--seed", "seed of dropout", default=0, least=0)


def _is_video(options: argparse.Namespace) -> bool:
    return any(Path(path).suffix.lower() in _VIDEOS for path in options.inputs)


def _writes_file(options: argparse.Namespace) -> bool:
    """Returns whether the output is a file, not a folder."""
    suffixes = _VIDEOS if _is_video(options) else _IMAGES
    output = Path(options.output)
    return output.suffix.lower() in suffixes and not output.is_dir()


def _check_file(options: argparse.Namespace) -> None:
    """Checks the options for the mask file of an image."""
    inputs: list[str] = options.inputs
    if len(inputs) > 1 or Path(inputs[0]).is_dir():
        raise ValueError(
            "`--output` must be a folder for several images. "
            f"Received: --output {options.output}. Pass a folder, or one image."
        )
    for name in _OF_FOLDERS:
        if getattr(options, name) is not None:
            raise ValueError(
                f"`--output` must be a folder together with `--{name}`. "
                f"Received: --output {options.output}. Pass a folder."
            )
    if Path(options.output).exists() and not options.overwrite:
        raise ValueError(
            f"`--output` must not exist already. Received: --output {options.output}. "
            "Pass --overwrite to replace it, or another path."
        )


def check(options: argparse.Namespace) -> None:
    """Checks the options before TensorFlow is loaded."""
    inputs: list[str] = options.inputs
    missing = [path for path in inputs if not Path(path).exists()]
    if _is_video(options):
        if len(inputs) > 1:
            raise ValueError(
                "`INPUT` must be one video, or images. "
                f"Received: {' '.join(inputs)}. Run the command for each video."
            )
        for name in _OF_FOLDERS:
            if getattr(options, name) is not None:
                raise ValueError(
                    f"`--{name}` must not be given for a video. Received: {inputs[0]}. "
                    "The output of a video is a single video."
                )
        if missing:
            raise FileNotFoundError(
                f"`INPUT` must be a video file. Received: '{missing[0]}', which does not exist. "
                "Check the path."
            )
        if importlib.util.find_spec("av") is None:
            raise ImportError(
                "Videos need PyAV, which is not installed. Run `pip install 'unetv2[video]'`."
            )
    elif missing:
        raise FileNotFoundError(
            f"`INPUT` must be files or one folder. Received: '{missing[0]}', which does not exist. "
            "Check the path."
        )
    elif len(inputs) > 1 and any(Path(path).is_dir() for path in inputs):
        raise ValueError(
            "`INPUT` must be one folder, or files. "
            f"Received: {' '.join(inputs)}. Run the command for each folder."
        )
    elif _writes_file(options):
        _check_file(options)


def run(options: argparse.Namespace) -> CommandResult:
    """Runs the command; the exit code is 1 if images failed."""
    common: dict[str, Any] = {
        "window": options.window,
        "overlap": options.overlap,
        "scale": options.scale,
        "tta": options.tta,
        "mc_samples": options.mc_samples,
        "batch_size": options.batch_size,
        "seed": options.seed,
        "progress": not options.quiet,
    }
    inputs: list[str] = options.inputs
    output = Path(options.output)
    if _is_video(options):
        path = Path(inputs[0])
        if not _writes_file(options):
            output.mkdir(parents=True, exist_ok=True)
            output /= f"{path.stem}.mp4"
        video = unetv2.predict_video(
            options.model, path, output, overwrite=options.overwrite, **common
        )
        return CommandResult(str(video), video.as_dict())
    if _writes_file(options):
        prediction = unetv2.predict(
            options.model, inputs[0], output=output, max_pixels=options.max_pixels, **common
        )
        written = str(prediction.path)
        return CommandResult(f"{written} written", {"written": [written]})
    result = unetv2.predict_directory(
        options.model,
        inputs[0] if Path(inputs[0]).is_dir() else inputs,
        options.output,
        colors_dir=options.colors,
        overlays_dir=options.overlays,
        uncertainty_dir=options.uncertainty,
        shard=options.shard,
        max_pixels=options.max_pixels,
        overwrite=options.overwrite,
        **common,
    )
    return CommandResult(str(result), result.as_dict(), code=0 if result.ok else 1)
