"""An evaluation as files."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.classes import ClassTable
from unetv2.evaluation.counting import BINS
from unetv2.evaluation.description import describe
from unetv2.evaluation.examples import Example
from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.rows import Rows
from unetv2.files import together
from unetv2.scratch import sweep
from unetv2.sealing import read_arrays, read_json, reason, write_arrays

JSON, COUNTS = "evaluation.json", "evaluation.npz"
# Raised when what the file holds changes its meaning. From 2 on it has a digest.
_VERSION = 2
# In the JSON file: which file of counts it belongs to.
_COUNTS_SHA256 = "counts_sha256"
# So often, and so long, a reader waits for the two to belong together.
_WAITS, _WAIT_SECONDS = 20, 0.05
_COLUMNS = ("tallies", "boundaries", "calibration")
_PICTURES = ("image", "truth", "predicted")


def save(evaluation: Measurement, folder: Path) -> None:
    """Writes an evaluation; see ``Evaluation.save``."""
    with together(folder, "to keep the evaluation") as new:
        write(evaluation, new)


def write(evaluation: Measurement, folder: Path) -> None:
    """Writes the two files of an evaluation, which belong together, to a folder of no others."""
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
    with (folder / COUNTS).open("wb") as file:
        write_arrays(file, arrays, compressed=True)
    described = {**describe(evaluation), _COUNTS_SHA256: _sha256(folder / COUNTS)}
    (folder / JSON).write_text(json.dumps(described, indent=2) + "\n", encoding="ascii")


def load(folder: Path) -> dict[str, Any]:
    """Returns the arguments of the evaluation in a folder; see ``Evaluation.load``."""
    path = folder / COUNTS
    sweep(folder)
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
        found = _evaluation(content, arrays)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"'{path}' must be an evaluation of this version. Received: {reason(error)}. "
            "Evaluate again."
        ) from error
    _require_pair(folder)
    return found


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


def _require_pair(folder: Path) -> None:
    """Raises if a folder has the JSON of one evaluation and the counts of another.

    The JSON alone may be missing, or be another program's.
    """
    for _ in range(_WAITS):
        try:
            named = json.loads((folder / JSON).read_bytes())[_COUNTS_SHA256]
        except (OSError, ValueError, KeyError, TypeError):
            return
        if named == _sha256(folder / COUNTS):
            return
        # Another process may be just putting both there.
        time.sleep(_WAIT_SECONDS)
    raise ValueError(
        f"'{folder / COUNTS}' must belong to the '{JSON}' beside it. Received: two files of "
        "different evaluations. Evaluate again, or copy both files."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
