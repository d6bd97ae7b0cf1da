"""The confusion matrix as a map of heat, and what is mixed up most."""

from __future__ import annotations

from typing import Any

import numpy as np

from unetv2.classes import ClassTable
from unetv2.evaluation.measurement import Measurement
from unetv2.report.layout import scroller, section, swatch
from unetv2.report.markup import Markup, element
from unetv2.report.numbers import count, percent
from unetv2.report.subject import Subject

_LISTED = 8
# From this share of a row on a cell shows its number.
_SHOWN = 0.005
# And from this one on it is so dark that its number is white.
_DARK = 0.9
# So many classes leave room for a list beside them.
_NARROW = 14


def confusion(subject: Subject) -> Markup:
    """Returns the section of the confusion matrices."""
    shown = subject.shown_classes()
    parts = []
    for name, evaluation in subject.each():
        title = element("h3", name) if subject.comparison is not None else ""
        parts += [title, _panel(subject.classes, evaluation, shown)]
    lead = (
        "What the pixels of a class, in rows, were predicted to be, in columns, in per cent of the "
        "row. The diagonal is right. Move over the cells, or through them with the arrow keys."
    )
    return section("confusion", "Confusion", lead, *parts)


def _panel(classes: ClassTable, evaluation: Measurement, shown: list[int]) -> Markup:
    matrix = evaluation.confusion[np.ix_(shown, shown)]
    names = [classes.names[number] for number in shown]
    swatches = [swatch(classes.colors[number]) for number in shown]
    totals = evaluation.scores.support[shown]
    shares = matrix / np.maximum(totals, 1)[:, np.newaxis]
    heads, rows = [], []
    for row, (name, patch) in enumerate(zip(names, swatches, strict=True)):
        upright = element("span", patch, name, class_="upright")
        heads.append(element("th", upright, scope="col", data_name=name))
        label = element("span", element("span", name, class_="cut"), patch, class_="name")
        cells = [
            _cell(share, pixels, right=row == column, known=totals[row] > 0)
            for column, (share, pixels) in enumerate(zip(shares[row], matrix[row], strict=True))
        ]
        rows.append(element("tr", element("th", label, scope="row", data_name=name), *cells))
    corner = element("td", element("span", "truth \u2193", element("br"), "predicted \u2192"))
    table = element(
        "table",
        element("caption", "Confusion matrix, in per cent of the true class", class_="unseen"),
        element("thead", element("tr", corner, *heads)),
        element("tbody", *rows),
        class_="heat",
    )
    reading = element("output", "Choose a cell to read it.", class_="reading", aria_live="polite")
    return element(
        "div",
        element("div", scroller("Confusion matrix", table), reading, class_="matrix"),
        _mix_ups(names, matrix, totals),
        # A large one takes the whole width.
        class_="panel split" if len(shown) <= _NARROW else "panel stack",
    )


def _cell(share: Any, pixels: Any, *, right: bool, known: bool) -> Markup:
    shown = f"{100 * share:.0f}" if known and share >= _SHOWN else ""
    kinds = [word for word, holds in (("right", right), ("dark", share >= _DARK)) if holds]
    return element(
        "td",
        shown,
        style=f"--v:{100 * share:.0f}" if known and share >= _SHOWN else None,
        class_=" ".join(kinds) or None,
        data_pixels=pixels,
        data_share=percent(share) if known else "",
    )


def _mix_ups(names: list[str], matrix: np.ndarray, totals: np.ndarray) -> Markup:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_LISTED]
    entries = []
    for row, column in zip(*np.unravel_index(order, wrong.shape), strict=True):
        pixels = wrong[row, column]
        if not pixels:
            break
        detail = f"{percent(pixels / totals[row])} of {names[row]}, {count(pixels)} pixels"
        pair = element("b", names[row]), " taken for ", element("b", names[column])
        entries.append(element("li", *pair, element("span", detail, class_="detail")))
    if not entries:
        return element("p", "No pixel is wrong.", class_="note")
    title = element("h3", "Most frequent mix-ups")
    return element("div", title, element("ol", *entries, class_="mixups"))
