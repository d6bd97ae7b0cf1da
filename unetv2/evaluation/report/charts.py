"""The confusion matrix as a map of heat, and what is mixed up most."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from unetv2.classes import ClassTable
from unetv2.evaluation.counts import BINS
from unetv2.evaluation.examples import Example
from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.report.html import (
    Markup,
    count,
    element,
    named,
    percent,
    points,
    scroller,
    section,
    swatch,
)
from unetv2.evaluation.report.subject import Subject
from unetv2.visualization.masks import colorize

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


# Of the drawing, in its own units.
_LEFT, _TOP, _SIDE, _HEIGHT, _GAP = 44, 12, 300, 56, 30
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def calibration(subject: Subject) -> Markup:
    """Returns the section of the calibration."""
    both = subject.comparison is not None
    panels = [
        _panel_calibration(name if both else None, evaluation)
        for name, evaluation in subject.each()
    ]
    lead = (
        "Whether a probability can be taken at its word: of the pixels that the model is 80 % sure "
        "of, 80 % should be right. Points below the diagonal are overconfident."
    )
    return section("calibration", "Calibration", lead, *panels)


def _panel_calibration(name: str | None, evaluation: Measurement) -> Markup:
    curve = evaluation.reliability
    pixels = curve["pixels"]
    total = max(float(pixels.sum()), 1.0)
    sure = float(np.nansum(curve["confidence"] * pixels) / total)
    right = float(np.nansum(curve["accuracy"] * pixels) / total)
    words = [
        "On average the model is ",
        element("b", percent(sure)),
        " sure, and ",
        element("b", percent(right)),
        " of the pixels are right: it is ",
        element("b", "overconfident" if sure > right else "underconfident"),
        f" by {points(abs(sure - right))} points. The calibration error, the mean distance of the "
        f"two over {BINS} bins of confidence, is ",
        element("b", percent(evaluation.calibration_error)),
        ".",
    ]
    caption = "Accuracy by confidence; below, the share of the pixels"
    drawing = element("figure", _drawing(curve, total), element("figcaption", caption))
    table = element("details", element("summary", "The bins as a table"), _table(curve), open=True)
    title = element("h3", name) if name is not None else ""
    return element(
        "div", drawing, element("div", title, element("p", *words), table), class_="panel split"
    )


def _drawing(curve: dict[str, np.ndarray], total: float) -> Markup:
    bottom = _TOP + _SIDE
    parts = []
    for tick in _TICKS:
        x, y = _LEFT + tick * _SIDE, bottom - tick * _SIDE
        parts += [
            element("line", x1=_LEFT, x2=_LEFT + _SIDE, y1=y, y2=y, class_="grid"),
            element("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="grid"),
            element("text", f"{tick:.0%}", x=_LEFT - 8, y=y + 4, text_anchor="end"),
            element("text", f"{tick:.0%}", x=x, y=bottom + 18, text_anchor="middle"),
        ]
    parts.append(element("line", x1=_LEFT, y1=bottom, x2=_LEFT + _SIDE, y2=_TOP, class_="ideal"))
    curve_points = []
    floor = bottom + _GAP + _HEIGHT
    for low, high, pixels, sure, right in zip(*curve.values(), strict=True):
        if not pixels:
            continue
        x, y, ideal = _LEFT + sure * _SIDE, bottom - right * _SIDE, bottom - sure * _SIDE
        curve_points.append(f"{x:.1f},{y:.1f}")
        ends = {"x1": f"{x:.1f}", "x2": f"{x:.1f}", "y1": f"{y:.1f}", "y2": f"{ideal:.1f}"}
        parts.append(element("line", **ends, class_="gap"))
        height = pixels / total * _HEIGHT
        box = {
            "x": f"{_LEFT + low * _SIDE + 1:.1f}",
            "width": f"{(high - low) * _SIDE - 2:.1f}",
            "y": f"{floor - height:.2f}",
            "height": f"{height:.2f}",
        }
        parts.append(element("rect", **box, class_="share"))
    parts.append(element("polyline", points=" ".join(curve_points), class_="curve"))
    for place in curve_points:
        across, down = place.split(",")
        parts.append(element("circle", cx=across, cy=down, r=4, class_="point"))
    parts.append(element("line", x1=_LEFT, x2=_LEFT + _SIDE, y1=floor, y2=floor, class_="axis"))
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {_LEFT + _SIDE + 20} {floor + 8}",
        class_="chart",
        role="img",
        aria_label="Reliability curve, accuracy against confidence; a table has its values.",
    )


def _table(curve: dict[str, np.ndarray]) -> Markup:
    rows = [
        element(
            "tr",
            element("th", f"{low:.2f} to {high:.2f}", scope="row"),
            element("td", count(pixels)),
            element("td", percent(sure)),
            element("td", percent(right)),
        )
        for low, high, pixels, sure, right in zip(*curve.values(), strict=True)
    ]
    heads = ("Confidence", "Pixels", "Mean confidence", "Accuracy")
    head = element("tr", *(element("th", title, scope="col") for title in heads))
    table = element("table", element("thead", head), element("tbody", *rows))
    return scroller("Bins of confidence", table)


_QUALITY = 82


def images(subject: Subject) -> Markup:
    """Returns the section of the images."""
    parts = []
    for name, evaluation in subject.each():
        before = f"{name}: " if subject.comparison is not None else ""
        worst, best = _halves(evaluation)
        parts += _group(f"{before}worst images", worst, subject.classes)
        parts += _group(f"{before}best images", best, subject.classes)
    examples = [example for evaluation in subject.evaluations for example in evaluation.examples]
    lead = (
        "Ranked by the mean IoU of the classes that are in an image or predicted there. Move the "
        "divider: truth to its left, prediction to its right. Pixels that do not count show the "
        "image alone."
    )
    control = element(
        "div",
        element("label", "Opacity of the masks", for_="opacity"),
        element("input", type="range", id="opacity", min=0, max=100, value=60),
        class_="control",
    )
    legend = _legend(examples, subject.classes)
    return section("images", "Images", lead, control, legend, *parts)


def _halves(evaluation: Measurement) -> tuple[list[Example], list[Example]]:
    """Returns the worst and the best, none in both; the best one first."""
    examples = list(evaluation.examples)
    middle = (len(examples) + 1) // 2
    return examples[:middle], examples[middle:][::-1]


def _group(title: str, examples: Sequence[Example], classes: ClassTable) -> list[Markup]:
    if not examples:
        return []
    shown = title[0].upper() + title[1:]
    figures = [_figure(example, classes) for example in examples]
    return [element("h3", shown), element("div", *figures, class_="gallery")]


def _figure(example: Example, classes: ClassTable) -> Markup:
    height, width = example.truth.shape
    size = {"width": width, "height": height, "alt": ""}
    slider = element(
        "input",
        type="range",
        min=0,
        max=100,
        value=50,
        class_="slider",
        aria_label=f"Share of truth against prediction over {example.name}",
    )
    stage = element(
        "div",
        element("img", src=_photo(example.image), class_="photo", **size),
        element("img", src=_mask(example.truth, classes), class_="mask truth", **size),
        element("img", src=_mask(example.predicted, classes), class_="mask predicted", **size),
        element("span", "Truth", class_="tag left", aria_hidden="true"),
        element("span", "Prediction", class_="tag right", aria_hidden="true"),
        element("span", class_="divider", aria_hidden="true"),
        slider,
        class_="stage",
    )
    caption = element(
        "figcaption",
        element("span", example.name, class_="file"),
        element("span", percent(example.mean_iou), class_="value"),
    )
    return element("figure", stage, caption, class_="image")


def _legend(examples: Sequence[Example], classes: ClassTable) -> Markup:
    seen = [np.unique(mask) for e in examples for mask in (e.truth, e.predicted)]
    present = np.unique(np.concatenate(seen)) if seen else np.array([], int)
    entries = [
        element("li", named(classes, number))
        for number in present.tolist()
        if 0 <= number < len(classes) and number != classes.ignore_class
    ]
    return element("ul", *entries, class_="legend", aria_label="Colors of the classes")


def _photo(image: np.ndarray) -> str:
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="JPEG", quality=_QUALITY)
    return _data("image/jpeg", encoded)


def _mask(ids: np.ndarray, classes: ClassTable) -> str:
    """Returns a mask as a PNG in which what does not count is transparent."""
    counts = (ids >= 0) & (ids < len(classes))
    if classes.ignore_class is not None:
        counts &= ids != classes.ignore_class
    encoded = io.BytesIO()
    if len(classes) < 256:
        # Few colors: a palette takes a fraction of the bytes.
        nothing = len(classes)
        image = Image.fromarray(np.where(counts, ids, nothing).astype(np.uint8)).convert("P")
        image.putpalette([value for color in (*classes.colors, (0, 0, 0)) for value in color])
        image.save(encoded, format="PNG", optimize=True, transparency=nothing)
    else:
        alpha = np.where(counts, 255, 0).astype(np.uint8)
        pixels = np.dstack([colorize(ids, classes), alpha])
        Image.fromarray(pixels).save(encoded, format="PNG", optimize=True)
    return _data("image/png", encoded)


def _data(kind: str, encoded: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
