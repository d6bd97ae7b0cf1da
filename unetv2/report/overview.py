"""The figures that sum a model up."""

from __future__ import annotations

from typing import Any

import numpy as np

from unetv2.report.layout import plot, section
from unetv2.report.markup import Markup, element
from unetv2.report.numbers import between, count, percent, points, rounded
from unetv2.report.subject import Subject

# Whether more is better, the figure's name and what it says.
_CARDS = {
    "mean_iou": ("Mean IoU", "Overlap of prediction and truth, the same weight for every class."),
    "pixel_accuracy": ("Pixel accuracy", "Share of the labelled pixels that are right."),
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
    pictures = evaluation.n_pictures
    what = "1 picture" if pictures == 1 else f"{count(pictures)} pictures"
    pixels = rounded(evaluation.confusion.sum())
    resolution = str(evaluation.settings.get("resolution", "")).strip()
    ending = f", {resolution}" if resolution else ""
    return f"{what} with {pixels} labelled pixels of {len(subject.classes)} classes{ending}."


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
    if min(evaluation.n_pictures for evaluation in subject.evaluations) > 1:
        words.append(
            "Ranges are 95\u202f% intervals: how far a figure would move with other pictures of "
            "the same kind."
        )
    comparison = subject.comparison
    if comparison is not None:
        how = (
            "on the same pictures, drawn together"
            if comparison.paired
            else "which were measured on other pictures"
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
