"""An evaluation as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.classes import ClassTable
from unetv2.evaluation.counting import BINS
from unetv2.evaluation.description import describe
from unetv2.evaluation.examples import Example
from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.rows import Rows
from unetv2.files import write_whole
from unetv2.sealing import read_arrays, read_json, reason, write_arrays

JSON, COUNTS = "evaluation.json", "evaluation.npz"
# Raised when what the file holds changes its meaning. From 2 on it has a digest.
_VERSION = 2
_COLUMNS = ("tallies", "boundaries", "calibration")
_PICTURES = ("image", "truth", "predicted")


def save(evaluation: Measurement, folder: Path) -> None:
    """Writes an evaluation; see ``Evaluation.save``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = evaluation.rows
    content = {
        "version": _VERSION,
        "classes": evaluation.classes.as_dict(),
        "settings": dict(evaluation.settings),
        "names": rows.names,
        "examples": [(example.name, example.mean_iou) for example in evaluation.examples],
    }
    arrays = {name: getattr(rows, name) for name in _COLUMNS}
    arrays["confusion"] = evaluation.confusion
    # ASCII: names of files may hold what is no Unicode.
    arrays["content"] = np.frombuffer(json.dumps(content).encode("ascii"), np.uint8)
    for number, example in enumerate(evaluation.examples):
        arrays |= {f"{name}_{number}": getattr(example, name) for name in _PICTURES}
    text = json.dumps(describe(evaluation), indent=2) + "\n"
    write_whole(folder / COUNTS, lambda file: write_arrays(file, arrays, compressed=True))
    write_whole(folder / JSON, lambda file: file.write(text.encode("ascii")))


def load(folder: Path) -> dict[str, Any]:
    """Returns the arguments of the evaluation in a folder; see ``Evaluation.load``."""
    path = folder / COUNTS
    if not path.exists():
        raise FileNotFoundError(
            f"`folder` must hold an evaluation. Received: '{folder}' without '{COUNTS}'. "
            "`Evaluation.save` writes one."
        )
    try:
        arrays = read_arrays(path)
        content = read_json(arrays["content"].tobytes())
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}, and this one reads {_VERSION}")
        return _evaluation(content, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"'{path}' must be an evaluation of this version. Received: {reason(error)}. "
            "Evaluate again."
        ) from error


def _evaluation(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the arguments of an evaluation, all of them of one number of classes and pictures."""
    classes = ClassTable.from_dict(content["classes"])
    names = tuple(map(str, content["names"]))
    n, n_classes = len(names), len(classes)
    shapes = {
        "confusion": (n_classes, n_classes),
        "tallies": (n, 3, n_classes),
        "boundaries": (n, 4, n_classes),
        "calibration": (n, 3, BINS),
    }
    for name, shape in shapes.items():
        if arrays[name].dtype != np.int64 or arrays[name].shape != shape:
            raise ValueError(
                f"`{name}` of {arrays[name].dtype} {arrays[name].shape} in place of int64 {shape}"
            )
    return {
        "classes": classes,
        "confusion": arrays["confusion"],
        "rows": Rows(names, *(arrays[name] for name in _COLUMNS)),
        "examples": tuple(
            Example(name, mean_iou, *(arrays[f"{part}_{number}"] for part in _PICTURES))
            for number, (name, mean_iou) in enumerate(content["examples"])
        ),
        "settings": dict(content["settings"]),
    }
