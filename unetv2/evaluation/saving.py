"""An evaluation as files."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.classes import ClassTable
from unetv2.evaluation.description import describe
from unetv2.evaluation.examples import Example
from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.rows import Rows
from unetv2.files import write_whole

JSON, COUNTS = "evaluation.json", "evaluation.npz"
# Raised when what the file holds changes its meaning.
_VERSION = 1
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
    write_whole(folder / COUNTS, lambda file: np.savez_compressed(file, **arrays))
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
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = dict(stored)
        content = json.loads(arrays["content"].tobytes())
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}")
        return {
            "classes": ClassTable.from_dict(content["classes"]),
            "confusion": arrays["confusion"],
            "rows": Rows(tuple(content["names"]), *(arrays[name] for name in _COLUMNS)),
            "examples": tuple(
                Example(name, mean_iou, *(arrays[f"{part}_{number}"] for part in _PICTURES))
                for number, (name, mean_iou) in enumerate(content["examples"])
            ),
            "settings": content["settings"],
        }
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"'{path}' must be an evaluation of this version. Received: {error!r}. Evaluate again."
        ) from error
