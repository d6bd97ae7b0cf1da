"""An evaluation: what was measured, as text, as values and as files."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.checksums import read_arrays, read_json, write_arrays
from unetv2.classes import ClassTable
from unetv2.evaluation.counts import BINS, Rows
from unetv2.evaluation.examples import Example, Gallery
from unetv2.evaluation.measurement import Measurement, describe, table
from unetv2.files import atomic_folder, clean_up
from unetv2.text import error_summary

_SHOWN = 3


def merged(parts: Sequence[Measurement]) -> dict[str, Any]:
    """Returns the arguments of the evaluation of all images; see ``Evaluation.merge``."""
    if not parts:
        raise ValueError("`parts` must hold an evaluation. Received: none.")
    first = parts[0]
    for part in parts[1:]:
        _require_same(first, part)
    rows = Rows.joined([part.rows for part in parts])
    twice = [one for one, other in zip(rows.names, rows.names[1:], strict=False) if one == other]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:_SHOWN])
        raise ValueError(
            f"`parts` must be of different images. Received: {len(twice)} of them twice, such as "
            f"{shown}. Evaluate disjoint shards of two folders; images of a data set are "
            "told apart by their number alone."
        )
    settings = dict(first.settings)
    shards = [shard for part in parts for shard in part.settings.get("shards", [])]
    if shards:
        settings["shards"] = sorted(shards)
    return {
        "classes": first.classes,
        "confusion": np.sum([part.confusion for part in parts], axis=0),
        "rows": rows,
        "examples": Gallery(example for part in parts for example in part.examples).examples,
        "settings": settings,
    }


def _require_same(one: Measurement, other: Measurement) -> None:
    if one.classes != other.classes:
        raise ValueError(
            "`parts` must have the same classes. "
            f"Received: {len(one.classes)} and {len(other.classes)} classes, or other names. "
            "Pass the same table to each."
        )
    for name in sorted({*one.settings, *other.settings} - {"shards"}):
        pair = one.settings.get(name), other.settings.get(name)
        if pair[0] != pair[1]:
            raise ValueError(
                f"`parts` must be measured in the same way. Received: {name}={pair[0]!r} and "
                f"{name}={pair[1]!r}."
            )


JSON, COUNTS = "evaluation.json", "evaluation.npz"
# Raised when what the file holds changes its meaning. From 2 on it has a digest.
_VERSION = 2
# In the JSON file: which file of counts it belongs to.
_COUNTS_SHA256 = "counts_sha256"
# So often, and so long, a reader waits for the two to belong together.
_WAITS, _WAIT_SECONDS = 20, 0.05
_COLUMNS = ("tallies", "boundaries", "calibration")
_IMAGES = ("image", "truth", "predicted")


def save(evaluation: Measurement, folder: Path) -> None:
    """Writes an evaluation; see ``Evaluation.save``."""
    with atomic_folder(folder, "to keep the evaluation") as new:
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
        arrays |= {f"{name}_{number}": getattr(example, name) for name in _IMAGES}
    with (folder / COUNTS).open("wb") as file:
        write_arrays(file, arrays, compressed=True)
    described = {**describe(evaluation), _COUNTS_SHA256: _sha256(folder / COUNTS)}
    (folder / JSON).write_text(json.dumps(described, indent=2) + "\n", encoding="ascii")


def load(folder: Path) -> dict[str, Any]:
    """Returns the arguments of the evaluation in a folder; see ``Evaluation.load``."""
    path = folder / COUNTS
    clean_up(folder)
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
            f"'{path}' must be an evaluation of this version. Received: {error_summary(error)}. "
            "Evaluate again."
        ) from error
    _require_pair(folder)
    return found


def _evaluation(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the arguments of an evaluation, all of them of one number of classes and images."""
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
            Example(name, mean_iou, *(arrays[f"{part}_{number}"] for part in _IMAGES))
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


@dataclass(frozen=True, eq=False)
class Evaluation(Measurement):
    """What :func:`unetv2.evaluate` found. ``print`` shows it as a table.

    Figures are shares in [0, 1]; where there is nothing to stand on, as for a class that is
    nowhere, they are NaN, and means leave them out. All follow from sums over the images, except
    boundary F1, which is a mean over them.

    Args:
        classes: :class:`unetv2.ClassTable`. With the ``ignore_class`` that did not count.
        confusion: int64 ``(n_classes, n_classes)``. Pixels by true (rows) and predicted class.
        rows: What was counted of each image, sorted by name.
        examples: The worst and best images, scaled down, the worst first.
        settings: How it was measured, of types that JSON knows.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "measured", 4, image_size=(48, 64))
        >>> data = unetv2.make_dataset(images, masks, n_classes=23, shuffle=False)
        >>> model = unetv2.build_unetv2((96, 128, 3), 23, filters=2, depth=2)
        >>> evaluation = unetv2.evaluate(model, data, classes=unetv2.CARLA, progress=False)
        >>> 0 <= evaluation.mean_iou <= 1 and 0 <= evaluation.pixel_accuracy <= 1
        True
        >>> evaluation.intervals["mean_iou"].shape, evaluation.iou_per_class.shape
        ((2,), (23,))
        >>> evaluation.save(tmp / "evaluation")
        >>> unetv2.Evaluation.load(tmp / "evaluation").mean_iou == evaluation.mean_iou
        True
    """

    def __str__(self) -> str:
        """Returns the figures as a table, with their intervals."""
        return table(self)

    def as_dict(self) -> dict[str, Any]:
        """Returns all figures, of types that JSON knows; what is NaN is None."""
        return describe(self)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``evaluation.json``, for others, and ``evaluation.npz``, for :meth:`load`.

        Both appear as one, and the first names the SHA-256 of the second.

        Args:
            folder: Where; made if it does not exist.

        Raises:
            OSError: If it cannot be written.
        """
        save(self, Path(folder))

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Evaluation:
        """Reads what :meth:`save` wrote.

        Args:
            folder: Where.

        Returns:
            Evaluation.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If a file is damaged, or the two are of different evaluations.
        """
        return cls(**load(Path(folder)))

    @classmethod
    def merge(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Joins evaluations of the same model on different images, exactly.

        Args:
            parts: One or more, as of ``evaluate(..., shard=(index, count))``.

        Returns:
            Evaluation. Of all their images; what was counted adds up.

        Raises:
            ValueError: If there is none, they were measured differently, or share an image.
        """
        return cls(**merged(parts))
