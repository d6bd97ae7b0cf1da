"""The reliability curve."""

from __future__ import annotations

import numpy as np

from unetv2.evaluation.counting import BINS
from unetv2.evaluation.measurement import Measurement
from unetv2.report.layout import scroller, section
from unetv2.report.markup import Markup, element
from unetv2.report.numbers import count, percent, points
from unetv2.report.subject import Subject

# Of the drawing, in its own units.
_LEFT, _TOP, _SIDE, _HEIGHT, _GAP = 44, 12, 300, 56, 30
_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def calibration(subject: Subject) -> Markup:
    """Returns the section of the calibration."""
    both = subject.comparison is not None
    panels = [_panel(name if both else None, evaluation) for name, evaluation in subject.each()]
    lead = (
        "Whether a probability can be taken at its word: of the pixels that the model is 80 % sure "
        "of, 80 % should be right. Points below the diagonal are overconfident."
    )
    return section("calibration", "Calibration", lead, *panels)


def _panel(name: str | None, evaluation: Measurement) -> Markup:
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
