"""The HTML report of one evaluation, or of two in comparison."""

from __future__ import annotations

import base64
import functools
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from unetv2.classes import ClassTable
from unetv2.evaluation.comparison import compare, distinct_names
from unetv2.evaluation.counts import BINS
from unetv2.evaluation.evaluation import Evaluation, plain_metrics, settings_text
from unetv2.evaluation.examples import Example
from unetv2.evaluation.scores import decimals
from unetv2.files import explain_write_errors, write_atomically
from unetv2.text import printable_lines
from unetv2.visualization.masks import colorize

REPORT_FILE = "report.html"
_LISTED_CONFUSIONS = 8
_JPEG_QUALITY = 82


def write_report(
    evaluations: Evaluation | Sequence[Evaluation],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
) -> Path:
    """Writes evaluations as a self-contained HTML page.

    The report shows the metrics with their intervals, every class, the confusion matrix, the
    reliability curve, the worst and best images with both masks, and the settings.

    Args:
        evaluations: One :class:`unetv2.Evaluation`, or two of the same classes. The report of two
            shows the differences, second minus first, with their intervals.
        path: Output file; its folder is created if it does not exist.
        names: Names of the evaluations; None takes the names of their models.

    Returns:
        pathlib.Path. The output file.

    Raises:
        ValueError: If there are not one or two evaluations, their classes differ, or there is not
            one name for each.
        OSError: If the file cannot be written.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "reported_on", 4, image_size=(48, 64))
        >>> data = unetv2.make_dataset(images, masks, n_classes=23, shuffle=False)
        >>> model = unetv2.build_unetv2((96, 128, 3), 23, filters=2, depth=2)
        >>> evaluation = unetv2.evaluate(model, data, classes=unetv2.CARLA, progress=False)
        >>> unetv2.write_report(evaluation, tmp / "report.html").name
        'report.html'
    """
    if isinstance(evaluations, Evaluation):
        evaluations = [evaluations]
    page = render(list(evaluations), names)
    path = Path(path)
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(page.encode("utf-8")))
    return path


def render(evaluations: Sequence[Evaluation], names: Sequence[str] | None = None) -> str:
    """Returns the HTML of a report, see :func:`write_report`."""
    if len(evaluations) not in (1, 2):
        raise ValueError(
            "`evaluations` must be one, or two to compare. "
            f"Received: {len(evaluations)}. Write several reports."
        )
    if any(other.classes != evaluations[0].classes for other in evaluations[1:]):
        raise ValueError(
            "`evaluations` must have the same classes to be compared. Received: two tables. "
            "Evaluate both with the same `classes`."
        )
    if names is not None and len(names) != len(evaluations):
        raise ValueError(
            "`names` must hold one name for each evaluation. "
            f"Received: {len(names)} for {len(evaluations)}."
        )
    folder = resources.files("unetv2.evaluation") / "templates"
    style, script = (
        (folder / name).read_text(encoding="utf-8") for name in ("report.css", "report.js")
    )
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return (
        _templates()
        .get_template("report.html")
        .render(
            _context(evaluations, tuple(map(str, names or distinct_names(evaluations)))),
            style=Markup(style),
            script=Markup(script),
            # Nothing is loaded, and no other script runs.
            policy="default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        )
    )


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unetv2.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Control characters and invalid UTF-8 of names are shown escaped.
        finalize=lambda value: value if isinstance(value, Markup) else printable_lines(str(value)),
    )
    environment.filters |= {
        "count": count,
        "interval": interval,
        "percent": percent,
        "points": points,
        "rounded": rounded,
    }
    return environment


def _context(evaluations: Sequence[Evaluation], names: Sequence[str]) -> dict[str, Any]:
    """Returns the variables of the template, of JSON types."""
    classes = evaluations[0].classes
    absent = set.intersection(*(set(evaluation.scores.absent) for evaluation in evaluations))
    shown = [number for number in range(len(classes)) if number not in absent]
    iou = np.nan_to_num(evaluations[-1].iou_per_class, nan=-1)
    examples = [example for evaluation in evaluations for example in evaluation.examples]
    masks = [mask for example in examples for mask in (example.mask, example.predicted)]
    ids = np.unique(np.concatenate([np.unique(mask) for mask in masks])) if masks else np.array([])
    difference = None
    if len(evaluations) == 2:
        comparison = compare(*evaluations)
        scalars, per_class = plain_metrics(comparison.differences, comparison.intervals)
        difference = {"metrics": scalars, "classes": per_class, "paired": comparison.paired}
    return {
        "title": " compared with ".join(names[::-1]),
        "runs": [_run(name, part, shown) for name, part in zip(names, evaluations, strict=True)],
        "difference": difference,
        "classes": [
            {"name": name, "color": f"rgb({','.join(map(str, color))})"}
            for name, color in zip(classes.names, classes.colors, strict=True)
        ],
        "shown": shown,
        "by_iou": sorted(shown, key=lambda number: -iou[number]),
        "legend": [n for n in ids.tolist() if n in shown and n != classes.ignore_class],
        "bins": BINS,
    }


def _run(name: str, evaluation: Evaluation, shown: Sequence[int]) -> dict[str, Any]:
    content = evaluation.as_dict()
    matrix = evaluation.confusion[np.ix_(shown, shown)]
    bins = content["reliability"]
    pixels = evaluation.reliability["pixels"]
    total = max(float(pixels.sum()), 1.0)
    means = {
        part: float(np.nansum(evaluation.reliability[part] * pixels) / total)
        for part in ("confidence", "accuracy")
    }
    examples = [_example(example, evaluation.classes) for example in evaluation.examples]
    n_worst = (len(examples) + 1) // 2
    settings = evaluation.settings
    shards = settings.get("shards", [])
    return {
        **content,
        "name": name,
        "resolution": str(settings.get("resolution", "")).strip(),
        "absent": [evaluation.classes.names[number] for number in evaluation.scores.absent],
        "missing_shards": len(shards) < shards[0][1] if shards else False,
        "shards": shards,
        "matrix": matrix.tolist(),
        "confusions": _most_frequent_confusions(matrix),
        "bins": [
            dict(zip(bins, values, strict=True)) for values in zip(*bins.values(), strict=True)
        ],
        "labeled": total,
        **{f"mean_{part}": value for part, value in means.items()},
        "worst_images": examples[:n_worst],
        "best_images": examples[n_worst:][::-1],
        "facts": _facts(settings),
        "training": json.dumps(settings["training"], indent=2) if settings.get("training") else "",
    }


def _most_frequent_confusions(matrix: np.ndarray) -> list[tuple[int, int, int]]:
    """Returns rows, columns and pixels of the largest cells off the diagonal."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_LISTED_CONFUSIONS]
    cells = zip(*(axis.tolist() for axis in np.unravel_index(order, wrong.shape)), strict=True)
    return [(row, column, int(wrong[row, column])) for row, column in cells if wrong[row, column]]


def _facts(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Returns the labeled settings of an evaluation and of the model's training."""
    tolerance = settings.get("boundary_tolerance", "")
    if isinstance(tolerance, float):
        tolerance = f"{100 * tolerance:g}\u202f% of the diagonal"
    elif tolerance != "":
        tolerance = f"{tolerance} pixels"
    training = settings.get("training", {})
    recipe = training.get("recipe")
    recipe = {"name": "custom", **recipe} if isinstance(recipe, Mapping) else {}
    options = settings.get("data_options", {})
    facts = [
        ("Model", settings.get("model")),
        ("Images", settings.get("images")),
        ("Masks", settings.get("masks")),
        ("Resolution", settings.get("resolution")),
        ("Prediction", settings_text(settings.get("prediction", {}))),
        ("Seed of the intervals", settings.get("seed")),
        ("Boundary tolerance", tolerance),
        ("Data options", ", ".join(f"{name}={value}" for name, value in options.items())),
        ("Recipe", recipe.get("name")),
        ("Learning rate", recipe.get("learning_rate")),
        *((f"Training {key}", training.get(key)) for key in ("epochs", "seed", "precision")),
        ("Trained with", _versions(training.get("versions"))),
        ("Evaluated with", _versions(settings.get("versions"))),
    ]
    return [(label, value) for label, value in facts if value not in (None, "")]


def _versions(versions: Any) -> str:
    if not isinstance(versions, Mapping):
        return ""
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _example(example: Example, classes: ClassTable) -> dict[str, Any]:
    height, width = example.mask.shape
    photo = io.BytesIO()
    Image.fromarray(example.image).save(photo, format="JPEG", quality=_JPEG_QUALITY)
    return {
        "name": example.name,
        "mean_iou": example.mean_iou,
        "height": height,
        "width": width,
        "photo": _data_url("image/jpeg", photo),
        "mask": _mask_url(example.mask, classes),
        "predicted": _mask_url(example.predicted, classes),
    }


def _mask_url(ids: np.ndarray, classes: ClassTable) -> str:
    """Returns a mask as a PNG with transparent ignored pixels."""
    valid = (ids >= 0) & (ids < len(classes))
    if classes.ignore_class is not None:
        valid &= ids != classes.ignore_class
    encoded = io.BytesIO()
    if len(classes) < 256:
        # A palette image has a fraction of the size.
        transparent = len(classes)
        image = Image.fromarray(np.where(valid, ids, transparent).astype(np.uint8)).convert("P")
        image.putpalette([value for color in (*classes.colors, (0, 0, 0)) for value in color])
        image.save(encoded, format="PNG", optimize=True, transparency=transparent)
    else:
        alpha = np.where(valid, 255, 0).astype(np.uint8)
        pixels = np.dstack([colorize(ids, classes), alpha])
        Image.fromarray(pixels).save(encoded, format="PNG", optimize=True)
    return _data_url("image/png", encoded)


def _data_url(media_type: str, encoded: io.BytesIO) -> str:
    return f"data:{media_type};base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"


def percent(share: float | None) -> str:
    """Returns a share in percent with one decimal, a dash for None."""
    return "\u2013" if share is None else f"{points(share)}\u202f%"


def interval(entry: Mapping[str, float | None], *, sign: bool = False) -> str:
    """Returns an interval in percent with its significant decimals, a dash for None."""
    low, high = entry["low"], entry["high"]
    if low is None or high is None:
        return "\u2013"
    # Percent have two decimals less than shares.
    digits = decimals(np.array([low, high])) - 2
    return f"{points(low, sign=sign, digits=digits)} to {points(high, sign=sign, digits=digits)}"


def count(number: int) -> str:
    """Returns a whole number with thousands separators."""
    return f"{number:,}"


def rounded(number: int) -> str:
    """Returns a whole number with three digits in millions or billions."""
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if number >= size:
            return f"{number / size:.3g} {word}"
    return count(number)


def points(share: float, *, sign: bool = False, digits: int = 1) -> str:
    """Returns a share in percentage points."""
    text = f"{100 * share:{'+' if sign else ''}.{digits}f}"
    # No sign for a value that is rounded to 0.
    text = text if text.strip("+-0.") else text.lstrip("+-")
    return text.replace("-", "\u2212")
