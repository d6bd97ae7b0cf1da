"""The figures that sum a model up."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from unetv2.evaluation.counts import BINS
from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.report.html import (
    Markup,
    between,
    count,
    element,
    named,
    percent,
    plot,
    points,
    rounded,
    scroller,
    section,
)
from unetv2.evaluation.report.subject import Subject
from unetv2.evaluation.scores import LEVEL, RESAMPLES

# Whether more is better, the figure's name and what it says.
_CARDS = {
    "mean_iou": ("Mean IoU", "Overlap of prediction and truth, the same weight for every class."),
    "pixel_accuracy": ("Pixel accuracy", "Share of the labeled pixels that are right."),
    "frequency_weighted_iou": (
        "Frequency-weighted IoU",
        "Overlap, classes weighted by area.",
    ),
    "mean_dice": ("Mean Dice", "Overlap as F1, the same weight for every class."),
    "mean_boundary_f1": ("Boundary F1", "How well outlines match within the tolerance."),
    "calibration_error": (
        "Calibration error",
        "How far the confidence is from the accuracy. Less is better.",
    ),
}  # fmt: skip
_LESS_IS_BETTER = ("calibration_error",)


def overview(subject: Subject) -> Markup:
    """Returns the section of the main figures."""
    first = next(iter(_CARDS))
    cards = [_card(subject, name, big=name == first) for name in _CARDS]
    return section(
        "overview", "Overview", None, element("div", *cards, class_="cards"), _note(subject)
    )


def lead(subject: Subject) -> str:
    """Returns one sentence about what was measured."""
    evaluation = subject.last
    images = evaluation.n_images
    what = "1 image" if images == 1 else f"{count(images)} images"
    pixels = rounded(evaluation.confusion.sum())
    resolution = str(evaluation.settings.get("resolution", "")).strip()
    ending = f", {resolution}" if resolution else ""
    return f"{what} with {pixels} labeled pixels of {len(subject.classes)} classes{ending}."


def difference_words(subject: Subject, name: str, number: int | None = None) -> Markup:
    """Returns a difference with its interval, marked by whether that holds zero."""
    value, ends = subject.difference(name, number)
    better = value < 0 if name in _LESS_IS_BETTER else value > 0
    kind = "same"
    if not np.isnan(ends).any() and (ends[0] > 0 or ends[1] < 0):
        kind = "better" if better else "worse"
    if np.isnan(value):
        return element("span", percent(value))
    return element(
        "span",
        element("b", points(float(value), sign=True)),
        element("span", between(*ends, sign=True), class_="interval"),
        class_=f"difference {kind}",
    )


def _card(subject: Subject, name: str, *, big: bool) -> Markup:
    title, meaning = _CARDS[name]
    values = []
    for label, evaluation in subject.each():
        ends = evaluation.intervals[name]
        values.append(
            element(
                "div",
                element("span", label, class_="who") if subject.comparison else "",
                element("span", percent(evaluation.figures[name]), class_="value"),
                element("span", between(*ends), class_="interval"),
                _range(evaluation.figures[name], ends),
                class_="figure",
            )
        )
    change = difference_words(subject, name) if subject.comparison else ""
    return element(
        "article",
        element("h3", title),
        *values,
        element("p", "Difference in points ", change, class_="change") if change else "",
        element("p", meaning, class_="meaning"),
        class_="card big" if big else "card",
    )


def _range(value: Any, ends: np.ndarray) -> Markup:
    """Draws a figure and its interval between 0 and 1."""
    parts = [element("rect", x=0, y=3, width=100, height=2, class_="track")]
    if not np.isnan(ends).any():
        low, high = (100 * float(end) for end in ends)
        width = f"{max(high - low, 0.4):.2f}"
        parts.append(element("rect", x=f"{low:.2f}", y=1, width=width, height=6, class_="band"))
    if not np.isnan(value):
        at = f"{min(max(100 * float(value) - 0.4, 0), 99.2):.2f}"
        parts.append(element("rect", x=at, y=0, width=0.8, height=8, class_="mark"))
    return plot(*parts, width=100, height=8, class_="range")


def _note(subject: Subject) -> Markup:
    words = []
    if min(evaluation.n_images for evaluation in subject.evaluations) > 1:
        words.append(
            "Ranges are 95\u202f% intervals: how far a figure would move with other images of "
            "the same kind."
        )
    comparison = subject.comparison
    if comparison is not None:
        how = (
            "on the same images, drawn together"
            if comparison.paired
            else "which were measured on other images"
        )
        words.append(f"Differences are the second less the first, {how}.")
    absent = ", ".join(subject.classes.names[number] for number in subject.last.scores.absent)
    if absent:
        words.append(f"Left out of the means, as neither in the truth nor predicted: {absent}.")
    for label, evaluation in subject.each():
        shards = evaluation.settings.get("shards", [])
        if shards and len(shards) < shards[0][1]:
            words.append(f"{label} is a part of the data: {len(shards)} of {shards[0][1]} shards.")
    return element("p", " ".join(words), class_="note")


_COLUMNS = {
    "iou_per_class": "IoU",
    "dice_per_class": "Dice",
    "precision_per_class": "Precision",
    "recall_per_class": "Recall",
    "boundary_f1_per_class": "Boundary F1",
}
_COMPARED = {"iou_per_class": "IoU", "boundary_f1_per_class": "Boundary F1"}


def classes(subject: Subject) -> Markup:
    """Returns the section of the classes."""
    lead = (
        "How well each class is found. The line across the end of a bar is the 95 % interval of "
        "its IoU."
    )
    return section("classes", "Classes", lead, _bars(subject), _table(subject))


def _bars(subject: Subject) -> Markup:
    iou = subject.last.iou_per_class
    ordered = sorted(subject.shown_classes(), key=lambda n: -np.nan_to_num(iou[n], nan=-1))
    rows = []
    for number in ordered:
        bars = [
            element(
                "div",
                _bar(evaluation, number, second=place > 0),
                element("span", percent(evaluation.iou_per_class[number]), class_="value"),
                class_="row",
            )
            for place, evaluation in enumerate(subject.evaluations)
        ]
        head = named(subject.classes, number)
        rows.append(element("li", head, element("div", *bars, class_="rows")))
    key = ""
    if subject.comparison is not None:
        marks = [element("span", class_=f"key key-{n}", aria_hidden="true") for n in range(2)]
        entries = [element("span", *pair) for pair in zip(marks, subject.names, strict=True)]
        key = element("p", *entries, class_="keys")
    return element(
        "figure",
        element("figcaption", "Intersection over union by class"),
        key,
        element("ol", *rows, class_="bars"),
        class_="panel",
    )  # fmt: skip


def _bar(evaluation: Measurement, number: int, *, second: bool) -> Markup:
    value = float(np.nan_to_num(evaluation.iou_per_class[number]))
    ends = [100 * float(end) for end in evaluation.intervals["iou_per_class"][number]]
    width, kind = f"{100 * value:.2f}", "second" if second else "bar"
    parts = [
        element("rect", x=0, y=0, width=100, height=12, class_="track"),
        element("rect", x=0, y=0, width=width, height=12, class_=kind),
    ]
    if not math.isnan(ends[0]):
        x1, x2 = (f"{end:.2f}" for end in ends)
        parts.append(element("line", x1=x1, x2=x2, y1=6, y2=6, class_="whisker"))
    return plot(*parts, width=100, height=12)


def _table(subject: Subject) -> Markup:
    columns = ["Class", "Pixels", *_COLUMNS.values()]
    if subject.comparison is not None:
        columns = ["Class", "Pixels"]
        for title in _COMPARED.values():
            columns += [f"{title}, {name}" for name in subject.names] + [f"{title}, difference"]
    head_row = element("tr", *(_head(title, place) for place, title in enumerate(columns)))
    support = subject.last.scores.support
    rows = []
    for number in range(len(subject.classes)):
        name = named(subject.classes, number)
        head = element("th", name, scope="row", data_value=number)
        pixels = _cell(count(support[number]), float(support[number]))
        rows.append(element("tr", head, pixels, *_figures(subject, number)))
    caption = "All figures by class; a column's heading sorts by it."
    table = element(
        "table",
        element("caption", caption, class_="unseen"),
        element("thead", head_row),
        element("tbody", *rows),
        class_="sortable",
    )
    status = element("p", class_="unseen", role="status", id="sorted")
    return element("div", scroller("Figures by class", table), status, class_="panel flush")


def _head(title: str, place: int) -> Markup:
    arrow = element("span", class_="arrow", aria_hidden="true")
    button = element("button", title, arrow, type="button")
    return element("th", button, scope="col", aria_sort="ascending" if place == 0 else "none")


def _figures(subject: Subject, number: int) -> list[Markup]:
    if subject.comparison is None:
        evaluation = subject.last
        cells = []
        for name in _COLUMNS:
            value = evaluation.figures[name][number]
            small = ""
            if name in _COMPARED:
                ends = evaluation.intervals[name][number]
                if not np.isnan(ends).any():
                    small = element("span", between(*ends), class_="interval")
            cells.append(_cell(element("span", percent(value)), value, small))
        return cells
    cells = []
    for name in _COMPARED:
        for evaluation in subject.evaluations:
            value = evaluation.figures[name][number]
            cells.append(_cell(percent(value), value))
        shown = difference_words(subject, name, number)
        cells.append(_cell(shown, subject.difference(name, number)[0]))
    return cells


def _cell(shown: Any, value: Any, small: Any = "") -> Markup:
    number = float(value)
    # Without a value a row comes last, in either direction.
    return element("td", shown, small, data_value="" if math.isnan(number) else repr(number))


_NOTES = {
    "IoU": "Pixels that are of a class and predicted so, over those that are one or the other. "
    "Summed over all images; the mean is over the classes in the truth or predicted.",
    "Dice": "Twice the hits over the true and the predicted pixels together, which is F1.",
    "Precision and recall": "Share of the predicted pixels that are right, and share of the true "
    "ones that are found.",
    "Boundary F1": "Precision and recall of outlines: a boundary pixel is matched if the other "
    "mask has one of the same class within the tolerance. By image and class, then the mean "
    "over images (Csurka, Larlus and Perronnin, BMVC 2013).",
    "Calibration error": f"Mean distance of confidence and accuracy over {BINS} bins of "
    "confidence, weighted by their pixels (Guo et al., ICML 2017).",
    "Intervals": f"Percentiles ({LEVEL:.0%}) of {RESAMPLES:,} resamples of the images, drawn "
    "with replacement (Efron and Tibshirani, 1993). They do not tell how another training would "
    "differ.",
}
_LABELS = {
    "model": "Model",
    "images": "Images",
    "masks": "Masks",
    "resolution": "Resolution",
    "seed": "Seed of the intervals",
}


def method(subject: Subject) -> Markup:
    """Returns the section of settings and definitions."""
    both = subject.comparison is not None
    runs = [_run(name if both else "Run", evaluation) for name, evaluation in subject.each()]
    notes = [
        part
        for term, words in _NOTES.items()
        for part in (element("dt", term), element("dd", words))
    ]
    title = element("h3", "What the figures mean")
    meanings = element("div", title, element("dl", *notes, class_="notes"), class_="panel")
    return section(
        "method", "Method", "How it was measured, and what was measured.", *runs, meanings
    )


def _run(name: str, evaluation: Measurement) -> Markup:
    settings = evaluation.settings
    training = settings.get("training", {})
    facts = {_LABELS[key]: settings[key] for key in _LABELS if settings.get(key) is not None}
    if isinstance(settings.get("boundary_tolerance"), float):
        share = 100 * settings["boundary_tolerance"]
        facts["Boundary tolerance"] = f"{share:g}\u202f% of the diagonal"
    elif "boundary_tolerance" in settings:
        facts["Boundary tolerance"] = f"{settings['boundary_tolerance']} pixels"
    reading = settings.get("reading", {})
    facts["Read with"] = ", ".join(f"{name}={value}" for name, value in reading.items())
    facts |= _trained(training)
    facts["Evaluated with"] = _listed(settings.get("versions", {}))
    rows = [
        element("div", element("dt", key), element("dd", value))
        for key, value in facts.items()
        if value != ""
    ]
    details = ""
    if training:
        record = element("pre", json.dumps(training, indent=2), tabindex=0)
        details = element("details", element("summary", "The training's record"), record)
    facts_list = element("dl", *rows, class_="facts")
    return element("div", element("h3", name), facts_list, details, class_="panel")


def _trained(training: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what the training's record says, in short."""
    found: dict[str, Any] = {}
    recipe = training.get("recipe")
    if isinstance(recipe, Mapping):
        found["Recipe"] = recipe.get("name", "custom")
        found["Learning rate"] = recipe.get("learning_rate", "")
    for key in ("epochs", "seed", "precision"):
        found[f"Training {key}"] = training.get(key, "")
    found["Trained with"] = _listed(training.get("versions", {}))
    return found


def _listed(versions: Any) -> str:
    if not isinstance(versions, Mapping):
        return ""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
