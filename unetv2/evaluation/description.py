"""An evaluation as values that JSON knows."""

from __future__ import annotations

import math
from typing import Any

from unetv2.evaluation.bootstrap import LEVEL, RESAMPLES
from unetv2.evaluation.figures import BY_CLASS, SCALARS
from unetv2.evaluation.measurement import Measurement


def describe(evaluation: Measurement) -> dict[str, Any]:
    """Returns all figures; see ``Evaluation.as_dict``."""
    figures, intervals = evaluation.figures, evaluation.intervals
    support = evaluation.scores.support.tolist()
    classes = evaluation.classes
    by_class = [
        {
            "id": number,
            "name": classes.names[number],
            "color": list(classes.colors[number]),
            "pixels": support[number],
            **{
                name.removesuffix("_per_class"): _figure(
                    figures[name][number], intervals[name][number]
                )
                for name in BY_CLASS
            },
        }
        for number in range(len(classes))
    ]
    curve = {
        name: [_plain(value) for value in values] for name, values in evaluation.reliability.items()
    }
    return {
        "pictures": evaluation.n_pictures,
        "pixels": sum(support),
        "ignore_class": classes.ignore_class,
        "figures": {name: _figure(figures[name], intervals[name]) for name in SCALARS},
        "classes": by_class,
        "confusion": evaluation.confusion.tolist(),
        "reliability": curve,
        "worst": [{"name": name, "mean_iou": value} for name, value in evaluation.worst],
        "best": [{"name": name, "mean_iou": value} for name, value in evaluation.best],
        "intervals": {"level": LEVEL, "resamples": RESAMPLES},
        "settings": dict(evaluation.settings),
    }


def _figure(value: Any, bounds: Any) -> dict[str, float | None]:
    low, high = map(_plain, bounds)
    return {"value": _plain(value), "low": low, "high": high}


def _plain(value: Any) -> float | None:
    number = float(value)
    return None if math.isnan(number) else number
