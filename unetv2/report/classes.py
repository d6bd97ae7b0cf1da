"""The figures class by class: bars and a table to sort."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unetv2.evaluation.measurement import Measurement
from unetv2.report.layout import named, plot, scroller, section
from unetv2.report.markup import Markup, element
from unetv2.report.numbers import between, count, percent
from unetv2.report.overview import difference_words
from unetv2.report.subject import Subject

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
