"""The worst and the best pictures, with a slider from truth to prediction."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from unetv2.classes import ClassTable
from unetv2.evaluation.examples import Example
from unetv2.evaluation.measurement import Measurement
from unetv2.report.layout import named, section
from unetv2.report.markup import Markup, element
from unetv2.report.numbers import percent
from unetv2.report.subject import Subject
from unetv2.visualization.masks import colorize

_QUALITY = 82


def pictures(subject: Subject) -> Markup:
    """Returns the section of the pictures."""
    parts = []
    for name, evaluation in subject.each():
        before = f"{name}: " if subject.comparison is not None else ""
        worst, best = _halves(evaluation)
        parts += _group(f"{before}worst pictures", worst, subject.classes)
        parts += _group(f"{before}best pictures", best, subject.classes)
    examples = [example for evaluation in subject.evaluations for example in evaluation.examples]
    lead = (
        "Ranked by the mean IoU of the classes that are in a picture or predicted there. Move the "
        "divider: truth to its left, prediction to its right. Pixels that do not count show the "
        "picture alone."
    )
    control = element(
        "div",
        element("label", "Opacity of the masks", for_="opacity"),
        element("input", type="range", id="opacity", min=0, max=100, value=60),
        class_="control",
    )
    legend = _legend(examples, subject.classes)
    return section("pictures", "Pictures", lead, control, legend, *parts)


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
    return element("figure", stage, caption, class_="picture")


def _legend(examples: Sequence[Example], classes: ClassTable) -> Markup:
    seen = [np.unique(mask) for e in examples for mask in (e.truth, e.predicted)]
    present = np.unique(np.concatenate(seen)) if seen else np.array([], int)
    entries = [
        element("li", named(classes, number))
        for number in present.tolist()
        if 0 <= number < len(classes) and number != classes.ignore_class
    ]
    return element("ul", *entries, class_="legend", aria_label="Colours of the classes")


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
        # Few colours: a palette takes a fraction of the bytes.
        nothing = len(classes)
        picture = Image.fromarray(np.where(counts, ids, nothing).astype(np.uint8)).convert("P")
        picture.putpalette([value for color in (*classes.colors, (0, 0, 0)) for value in color])
        picture.save(encoded, format="PNG", optimize=True, transparency=nothing)
    else:
        alpha = np.where(counts, 255, 0).astype(np.uint8)
        pixels = np.dstack([colorize(ids, classes), alpha])
        Image.fromarray(pixels).save(encoded, format="PNG", optimize=True)
    return _data("image/png", encoded)


def _data(kind: str, encoded: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(encoded.getvalue()).decode('ascii')}"
