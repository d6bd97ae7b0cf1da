"""How it was measured, and where the model comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from unetv2.evaluation.bootstrap import LEVEL, RESAMPLES
from unetv2.evaluation.counting import BINS
from unetv2.evaluation.measurement import Measurement
from unetv2.report.layout import section
from unetv2.report.markup import Markup, element
from unetv2.report.subject import Subject

_NOTES = {
    "IoU": "Pixels that are of a class and predicted so, over those that are one or the other. "
    "Summed over all pictures; the mean is over the classes in the truth or predicted.",
    "Dice": "Twice the hits over the true and the predicted pixels together, which is F1.",
    "Precision and recall": "Share of the predicted pixels that are right, and share of the true "
    "ones that are found.",
    "Boundary F1": "Precision and recall of outlines: a boundary pixel is matched if the other "
    "mask has one of the same class within the tolerance. By picture and class, then the mean "
    "over pictures (Csurka, Larlus and Perronnin, BMVC 2013).",
    "Calibration error": f"Mean distance of confidence and accuracy over {BINS} bins of "
    "confidence, weighted by their pixels (Guo et al., ICML 2017).",
    "Intervals": f"Percentiles ({LEVEL:.0%}) of {RESAMPLES:,} resamples of the pictures, drawn "
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
