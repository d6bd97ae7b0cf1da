"""Writes evaluations as one HTML page."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from string import Template

from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.report.charts import calibration, confusion, images
from unetv2.evaluation.report.html import Markup, element, join, text
from unetv2.evaluation.report.sections import classes, lead, method, overview
from unetv2.evaluation.report.subject import Subject
from unetv2.files import explain_write_errors, write_atomically

REPORT = "report.html"

_SECTIONS = {
    "overview": "Overview",
    "classes": "Classes",
    "confusion": "Confusion",
    "calibration": "Calibration",
    "images": "Images",
    "method": "Method",
}


def write_report(
    evaluations: Measurement | Sequence[Measurement],
    path: str | os.PathLike[str],
    *,
    names: Sequence[str] | None = None,
) -> Path:
    """Writes evaluations as an HTML page that needs nothing else, no network either.

    It shows the figures with their intervals, every class, the confusion matrix, the reliability
    curve, the worst and best images under both masks, and how it was measured. It appears whole
    or not at all.

    Args:
        evaluations: One :class:`unetv2.Evaluation`, or two of the same classes, to compare: the
            report then has the differences, second less first, with their intervals.
        path: The file; its folder is made if it does not exist.
        names: What the evaluations are called; None takes their models' names.

    Returns:
        pathlib.Path. The file.

    Raises:
        ValueError: If there are not one or two evaluations, they have other classes, or there
            is not one name for each.
        OSError: If it cannot be written.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "reported_on", 4, image_size=(48, 64))
        >>> data = unetv2.make_dataset(images, masks, n_classes=23, shuffle=False)
        >>> model = unetv2.build_unetv2((96, 128, 3), 23, filters=2, depth=2)
        >>> evaluation = unetv2.evaluate(model, data, classes=unetv2.CARLA, progress=False)
        >>> unetv2.write_report(evaluation, tmp / "report.html").name
        'report.html'
    """
    if isinstance(evaluations, Measurement):
        evaluations = [evaluations]
    subject = Subject.of(list(evaluations), names)
    path = Path(path)
    page = render(subject)
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(page.encode("utf-8")))
    return path


def render(subject: Subject) -> str:
    """Returns the page."""
    style, script = _file("page.css"), _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    parts = (overview, classes, confusion, calibration, images, method)
    links = [
        element("li", element("a", shown, href=f"#{name}")) for name, shown in _SECTIONS.items()
    ]
    return Template(_file("page.html")).substitute(
        title=text(subject.title),
        lead=text(lead(subject)),
        # Nothing is loaded, and no script runs but this one.
        policy=text(
            "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
            f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        ),
        style=Markup(style),
        script=Markup(script),
        links=join(links),
        content=join(part(subject) for part in parts),
    )


def _file(name: str) -> str:
    return resources.files("unetv2.evaluation.report").joinpath(name).read_text(encoding="utf-8")
