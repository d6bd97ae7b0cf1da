"""``unetv2 check``: validation of a data set."""

from __future__ import annotations

import argparse
import json
import logging
from typing import TYPE_CHECKING, Any

import unetv2
from unetv2.cli.options import (
    MAX_PIXELS,
    CommandResult,
    add_command,
    add_data,
    add_number,
    data_options,
)
from unetv2.text import printable

if TYPE_CHECKING:
    from unetv2.data.dataset import SegmentationDataset

_log = logging.getLogger("unetv2")

_DEFAULTS = {"encoding": "ids", "channels": 3, "image_suffix": "", "mask_suffix": ""}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the command."""
    command = add_command(
        commands,
        "check",
        purpose="validate a data set",
        description=(
            "Reads all images and masks of two folders and reports every problem. Options that "
            "are not given are inferred from the files."
        ),
        epilog=(
            "example:\n  unetv2 check data/CameraRGB data/CameraMask --classes carla "
            "--report report\n\n"
            "exit code: 0 if there are no errors, 1 if there are, 2 for invalid arguments or "
            "missing folders"
        ),
        run=run,
        uses=("SegmentationDataset", "check_dataset"),
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
    arguments = {**data_options(options), "max_pixels": options.max_pixels}
    reporting: dict[str, Any] = {"output": options.report, "progress": not options.quiet}
    inferred: dict[str, Any] = {}
    try:
        data = unetv2.SegmentationDataset.from_folders(options.images, options.masks, **arguments)
    except ValueError as error:
        # The report describes all problems, with the defaults of `make_dataset`.
        given = {name: value for name, value in arguments.items() if value is not None}
        report = unetv2.check_dataset(options.images, options.masks, **given, **reporting)
        _log.warning("Options were not inferred. %s", error)
    else:
        report = data.check(**reporting)
        inferred = _inferred(data)
    lines = [str(report)]
    if inferred:
        listed = " ".join(f"{name}={value!r}" for name, value in inferred.items())
        lines.insert(0, f"inferred: {printable(listed)}\n")
    return CommandResult(
        "\n".join(lines),
        {**json.loads(report.to_json()), "inferred": inferred},
        f"Report: {options.report}" if options.report else "",
        code=0 if report.ok else 1,
    )


def _inferred(data: SegmentationDataset) -> dict[str, Any]:
    """Returns the inferred options that are not the defaults of `make_dataset`."""
    known = data.preprocessing.as_dict()
    values = {
        "n_classes": data.n_classes,
        "classes": None if data.classes is None else list(data.classes.names),
        "label_map": dict(data.preprocessing.label_map or ()),
    }
    found = {name: values.get(name, known.get(name)) for name in data.inferred}
    return {name: value for name, value in found.items() if value != _DEFAULTS.get(name)}
