"""The result of an evaluation: metrics with intervals, text, JSON and files."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unetv2.checksums import read_arrays, read_json, write_arrays
from unetv2.classes import ClassTable
from unetv2.evaluation.counts import BINS, ImageCounts
from unetv2.evaluation.examples import N_EXAMPLES, Example, Gallery
from unetv2.evaluation.scores import (
    LEVEL,
    PER_CLASS,
    RESAMPLES,
    SCALARS,
    bootstrap,
    compute_metrics,
    decimals,
    percentile_intervals,
    reliability,
)
from unetv2.files import atomic_folder, clean_up
from unetv2.metrics.scores import Scores, absent_note, score_text, text_table
from unetv2.text import counted, error_summary, printable

Floats = npt.NDArray[np.float64]

JSON_FILE, COUNTS_FILE = "evaluation.json", "evaluation.npz"
# Increased when the meaning of the file's content changes.
_VERSION = 3
# Key in the JSON file: digest of its counts file.
_COUNTS_SHA256 = "counts_sha256"
# Retries while another process replaces both files.
_RETRIES, _RETRY_SECONDS = 20, 0.05
_COUNTS = ("pixels", "boundaries", "calibration")
_EXAMPLE_IMAGES = ("image", "mask", "predicted")
# Names in an error message.
_LISTED = 3


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of :func:`unetv2.evaluate`. ``print`` shows a table.

    Metrics are in [0, 1]. A metric with a zero denominator is NaN, such as the IoU of an absent
    class, and is excluded from means. All metrics are computed from sums over the images, except
    boundary F1, which is a mean over the images.

    Args:
        classes: :class:`unetv2.ClassTable`, with the ``ignore_class`` of the evaluation.
        confusion: int64 ``(n_classes, n_classes)``. Pixels by ground-truth class (rows) and
            predicted class (columns).
        counts: Counts of each image, sorted by name.
        examples: The worst and best images, downscaled, the worst first.
        settings: Settings of the evaluation, of JSON types.

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

    classes: ClassTable
    confusion: npt.NDArray[np.int64]
    counts: ImageCounts = field(repr=False)
    examples: tuple[Example, ...] = field(default=(), repr=False)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.counts)

    @cached_property
    def scores(self) -> Scores:
        """:class:`unetv2.metrics.Scores` of the confusion matrix."""
        return Scores(self.confusion)

    @cached_property
    def metrics(self) -> dict[str, Floats]:
        """All metrics by name, scalars as ``()`` and metrics per class as ``(n_classes,)``."""
        return compute_metrics(self.counts)

    @cached_property
    def intervals(self) -> dict[str, Floats]:
        """95 % intervals by the name of the metric, ``(2,)``; per class ``(n_classes, 2)``.

        Percentiles of the metrics of 10,000 bootstrap samples of the images. They show how much a
        metric varies between samples of similar images, not between trainings. NaN with fewer than
        two images.
        """
        (samples,) = bootstrap([self.counts], int(self.settings.get("seed", 0)))
        intervals = {name: percentile_intervals(values) for name, values in samples.items()}
        if self.n_images < 2:
            intervals = {name: np.full_like(bounds, np.nan) for name, bounds in intervals.items()}
        return intervals

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes in the ground truth or the prediction."""
        return float(self.metrics["mean_iou"])

    @property
    def pixel_accuracy(self) -> float:
        """Share of correct pixels."""
        return float(self.metrics["pixel_accuracy"])

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU, weighted by the ground-truth pixels of each class."""
        return float(self.metrics["frequency_weighted_iou"])

    @property
    def mean_dice(self) -> float:
        """Mean Dice coefficient over the classes in the ground truth or the prediction."""
        return float(self.metrics["mean_dice"])

    @property
    def mean_accuracy(self) -> float:
        """Mean recall over the classes in the ground truth."""
        return float(self.metrics["mean_accuracy"])

    @property
    def mean_boundary_f1(self) -> float:
        """Mean boundary F1 over the classes with a boundary."""
        return float(self.metrics["mean_boundary_f1"])

    @property
    def calibration_error(self) -> float:
        """Expected calibration error, the mean difference of confidence and accuracy."""
        return float(self.metrics["calibration_error"])

    @property
    def iou_per_class(self) -> Floats:
        """Intersection over union, float64 ``(n_classes,)``; NaN for an absent class."""
        return self.metrics["iou_per_class"]

    @property
    def boundary_f1_per_class(self) -> Floats:
        """Boundary F1 of each class, a mean over the images, float64 ``(n_classes,)``."""
        return self.metrics["boundary_f1_per_class"]

    @property
    def reliability(self) -> dict[str, Floats]:
        """The reliability curve, float64 ``(15,)`` each.

        ``"low"`` and ``"high"`` are the edges of the confidence bins, ``"pixels"`` their numbers of
        pixels, ``"confidence"`` and ``"accuracy"`` their means, NaN without pixels.
        """
        return reliability(self.counts)

    @property
    def worst(self) -> tuple[tuple[str, float], ...]:
        """Names and mean IoU of up to 6 images with the lowest mean IoU, the worst first."""
        return self._ranked_images()[:N_EXAMPLES]

    @property
    def best(self) -> tuple[tuple[str, float], ...]:
        """Names and mean IoU of up to 6 images with the highest mean IoU, the best first."""
        return self._ranked_images()[: -N_EXAMPLES - 1 : -1]

    def _ranked_images(self) -> tuple[tuple[str, float], ...]:
        pairs = zip(self.counts.names, self.counts.mean_iou.tolist(), strict=True)
        ranked = sorted((pair for pair in pairs if not math.isnan(pair[1])), key=lambda p: p[::-1])
        return tuple(ranked)

    def __str__(self) -> str:
        """Returns the metrics with their intervals as a table."""
        metrics, intervals = self.metrics, self.intervals
        names = map(printable, self.classes.names)
        labels = [f"{number} {name}" for number, name in enumerate(names)]
        support = self.scores.support
        columns = {
            "class": [*labels, "mean"],
            "pixels": [*map(str, support), str(support.sum())],
        }
        for title, per_class, mean in _COLUMNS:
            average = score_text(metrics[mean]) if mean else ""
            columns[title] = [*map(score_text, metrics[per_class]), average]
            if per_class == "iou_per_class":
                bounds = [*intervals[per_class], intervals[mean]]
                columns["interval"] = [interval_text(pair) for pair in bounds]
        width = max(map(len, _SUMMARY.values()))
        summary = [
            f"{label:{width}}  {score_text(metrics[name])}  {interval_text(intervals[name])}"
            for name, label in _SUMMARY.items()
        ]
        return "\n".join([text_table(columns), "", *summary, "", *self._notes(labels)])

    def _notes(self, labels: Sequence[str]) -> list[str]:
        resolution = self.settings.get("resolution", "")
        lines = [f"{counted(self.n_images, 'image')}, {resolution}".rstrip(", ") + "."]
        if self.n_images > 1:
            lines[0] += " Intervals are 95 % bootstrap intervals over the images."
        predicted = self.settings.get("prediction", {})
        if predicted:
            lines.append(f"Predicted with {settings_text(predicted)}.")
        recorded = self.settings.get("as_in_training", [])
        if recorded:
            values = self.settings.get("data_options", {})
            options = settings_text({name: values.get(name) for name in recorded})
            lines.append(f"Read as in the model's training: {options}.")
        shards = self.settings.get("shards", [])
        if shards and len(shards) < shards[0][1]:
            indices = ", ".join(str(index) for index, _ in shards)
            lines.append(f"A part of the data: shard {indices} of {shards[0][1]}, counted from 0.")
        lines += absent_note(self.scores, labels)
        if self.worst:
            name, value = self.worst[0]
            lines.append(f"Worst image by mean IoU: {printable(name)} ({score_text(value)}).")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Returns all metrics as JSON types; NaN is None."""
        classes, support = self.classes, self.scores.support.tolist()
        scalars, per_class = plain_metrics(self.metrics, self.intervals)
        return {
            "n_images": self.n_images,
            "pixels": sum(support),
            "ignore_class": classes.ignore_class,
            "metrics": scalars,
            "classes": [
                {
                    "id": number,
                    "name": classes.names[number],
                    "color": list(classes.colors[number]),
                    "pixels": support[number],
                    **per_class[number],
                }
                for number in range(len(classes))
            ],
            "confusion": self.confusion.tolist(),
            "reliability": {
                name: [_plain(value) for value in values]
                for name, values in self.reliability.items()
            },
            "worst": [{"name": name, "mean_iou": value} for name, value in self.worst],
            "best": [{"name": name, "mean_iou": value} for name, value in self.best],
            "intervals": {"level": LEVEL, "resamples": RESAMPLES},
            "settings": dict(self.settings),
        }

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes ``evaluation.json`` for other programs and ``evaluation.npz`` for :meth:`load`.

        Both files appear together. The first one contains the SHA-256 digest of the second.

        Args:
            folder: Output folder, created if it does not exist.

        Raises:
            OSError: If a file cannot be written.
        """
        with atomic_folder(Path(folder), "to keep the evaluation") as new:
            write_files(self, new)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Evaluation:
        """Reads the files of :meth:`save`.

        Args:
            folder: Folder of the files.

        Returns:
            Evaluation.

        Raises:
            FileNotFoundError: If the folder contains no evaluation.
            ValueError: If a file is damaged, or the files belong to different evaluations.
        """
        folder = Path(folder)
        path = folder / COUNTS_FILE
        clean_up(folder)
        if not path.exists():
            raise FileNotFoundError(
                f"`folder` must hold an evaluation. Received: '{folder}' without '{COUNTS_FILE}'. "
                "`Evaluation.save` writes one."
            )
        try:
            arrays = read_arrays(path)
            content = read_json(arrays["content"].tobytes())
            if content["version"] != _VERSION:
                raise ValueError(f"version {content['version']} instead of {_VERSION}")
            evaluation = cls(**_parse(content, arrays))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(
                f"'{path}' must be an evaluation of this version. Received: "
                f"{error_summary(error)}. Evaluate again."
            ) from error
        _require_matching_files(folder)
        return evaluation

    @classmethod
    def merge(cls, parts: Sequence[Evaluation]) -> Evaluation:
        """Merges evaluations of the same model on different images; the counts are added.

        Args:
            parts: One or more evaluations, such as of ``evaluate(..., shard=(index, count))``.

        Returns:
            Evaluation of all images.

        Raises:
            ValueError: If ``parts`` is empty, or the evaluations have different settings or an
                image in common.
        """
        if not parts:
            raise ValueError("`parts` must hold an evaluation. Received: none.")
        first = parts[0]
        for part in parts[1:]:
            _require_same_settings(first, part)
        counts = ImageCounts.concatenate([part.counts for part in parts])
        names = counts.names
        duplicates = [a for a, b in itertools.pairwise(names) if a == b]
        if duplicates:
            listed = ", ".join(map(repr, duplicates[:_LISTED]))
            raise ValueError(
                "`parts` must be evaluations of different images. Received: "
                f"{counted(len(duplicates), 'image')} twice, such as {listed}. Evaluate different "
                "shards; images of a tf.data.Dataset are named by their number."
            )
        settings = dict(first.settings)
        shards = [shard for part in parts for shard in part.settings.get("shards", [])]
        if shards:
            settings["shards"] = sorted(shards)
        confusion = np.sum([part.confusion for part in parts], axis=0)
        gallery = Gallery(example for part in parts for example in part.examples)
        return cls(first.classes, confusion, counts, gallery.examples, settings)


# Title, metric per class, and its mean.
_COLUMNS = (
    ("IoU", "iou_per_class", "mean_iou"),
    ("Dice", "dice_per_class", "mean_dice"),
    ("precision", "precision_per_class", ""),
    ("recall", "recall_per_class", "mean_accuracy"),
    ("boundary F1", "boundary_f1_per_class", "mean_boundary_f1"),
)
_SUMMARY = {
    "mean_iou": "Mean IoU",
    "pixel_accuracy": "Pixel accuracy",
    "frequency_weighted_iou": "Frequency-weighted IoU",
    "mean_boundary_f1": "Mean boundary F1",
    "calibration_error": "Calibration error",
}


def interval_text(bounds: np.ndarray) -> str:
    """Returns an interval with its significant decimals, ``-`` for NaN."""
    if np.isnan(bounds).any():
        return "-"
    return "-".join(f"{bound:.{decimals(bounds)}f}" for bound in bounds)


def plain_metrics(
    metrics: Mapping[str, Floats], intervals: Mapping[str, Floats]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns metrics with intervals as JSON types, the scalars and a dict for each class."""

    def entry(value: Any, bounds: Any) -> dict[str, float | None]:
        low, high = map(_plain, bounds)
        return {"value": _plain(value), "low": low, "high": high}

    scalars = {name: entry(metrics[name], intervals[name]) for name in SCALARS}
    per_class = [
        {
            name.removesuffix("_per_class"): entry(metrics[name][number], intervals[name][number])
            for name in PER_CLASS
        }
        for number in range(len(metrics[PER_CLASS[0]]))
    ]
    return scalars, per_class


def _plain(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number


def write_files(evaluation: Evaluation, folder: Path) -> None:
    """Writes the two files of an evaluation."""
    content = {
        "version": _VERSION,
        "classes": evaluation.classes.as_dict(),
        "settings": dict(evaluation.settings),
        "names": evaluation.counts.names,
        "examples": [(example.name, example.mean_iou) for example in evaluation.examples],
    }
    arrays = {name: getattr(evaluation.counts, name) for name in _COUNTS}
    arrays["confusion"] = evaluation.confusion
    # ASCII: file names may contain bytes that are not valid UTF-8.
    arrays["content"] = np.frombuffer(json.dumps(content).encode("ascii"), np.uint8)
    for number, example in enumerate(evaluation.examples):
        arrays |= {f"{name}_{number}": getattr(example, name) for name in _EXAMPLE_IMAGES}
    with (folder / COUNTS_FILE).open("wb") as file:
        write_arrays(file, arrays, compressed=True)
    summary = {**evaluation.as_dict(), _COUNTS_SHA256: _sha256(folder / COUNTS_FILE)}
    (folder / JSON_FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="ascii")


def _parse(content: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the arguments of an evaluation, after a check of their shapes."""
    classes = ClassTable.from_dict(content["classes"])
    names = tuple(map(str, content["names"]))
    n, n_classes = len(names), len(classes)
    shapes = {
        "confusion": (n_classes, n_classes),
        "pixels": (n, 3, n_classes),
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
        "counts": ImageCounts(names, *(arrays[name] for name in _COUNTS)),
        "examples": tuple(
            Example(name, mean_iou, *(arrays[f"{part}_{number}"] for part in _EXAMPLE_IMAGES))
            for number, (name, mean_iou) in enumerate(content["examples"])
        ),
        "settings": dict(content["settings"]),
    }


def _require_matching_files(folder: Path) -> None:
    """Raises a ValueError if the JSON file belongs to the counts of another evaluation.

    The JSON file may be missing, or be a file of another program.
    """
    for _ in range(_RETRIES):
        try:
            digest = json.loads((folder / JSON_FILE).read_bytes())[_COUNTS_SHA256]
        except (OSError, ValueError, KeyError, TypeError):
            return
        if digest == _sha256(folder / COUNTS_FILE):
            return
        time.sleep(_RETRY_SECONDS)
    raise ValueError(
        f"'{folder / COUNTS_FILE}' must belong to the '{JSON_FILE}' beside it. Received: files of "
        "different evaluations. Evaluate again, or copy both files."
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_text(settings: Mapping[str, Any]) -> str:
    """Returns settings as they are written in Python."""
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())


def _require_same_settings(first: Evaluation, other: Evaluation) -> None:
    if first.classes != other.classes:
        raise ValueError(
            "`parts` must have the same classes. "
            f"Received: {len(first.classes)} and {len(other.classes)} classes, or different names. "
            "Pass the same table to each."
        )
    for name in sorted({*first.settings, *other.settings} - {"shards"}):
        pair = first.settings.get(name), other.settings.get(name)
        if pair[0] != pair[1]:
            raise ValueError(
                f"`parts` must have the same settings. Received: {name}={pair[0]!r} and "
                f"{name}={pair[1]!r}."
            )
