"""Evaluations of parts of the pictures to one of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unetv2.evaluation.examples import Gallery
from unetv2.evaluation.measurement import Measurement
from unetv2.evaluation.rows import Rows

_SHOWN = 3


def merged(parts: Sequence[Measurement]) -> dict[str, Any]:
    """Returns the arguments of the evaluation of all pictures; see ``Evaluation.merge``."""
    if not parts:
        raise ValueError("`parts` must hold an evaluation. Received: none.")
    first = parts[0]
    for part in parts[1:]:
        _require_same(first, part)
    rows = Rows.joined([part.rows for part in parts])
    twice = [one for one, other in zip(rows.names, rows.names[1:], strict=False) if one == other]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:_SHOWN])
        raise ValueError(
            f"`parts` must be of different pictures. Received: {len(twice)} of them twice, such as "
            f"{shown}. Evaluate disjoint shards of two folders; pictures of a data set are "
            "told apart by their number alone."
        )
    settings = dict(first.settings)
    shards = [shard for part in parts for shard in part.settings.get("shards", [])]
    if shards:
        settings["shards"] = sorted(shards)
    return {
        "classes": first.classes,
        "confusion": np.sum([part.confusion for part in parts], axis=0),
        "rows": rows,
        "examples": Gallery(example for part in parts for example in part.examples).examples,
        "settings": settings,
    }


def _require_same(one: Measurement, other: Measurement) -> None:
    if one.classes != other.classes:
        raise ValueError(
            "`parts` must have the same classes. "
            f"Received: {len(one.classes)} and {len(other.classes)} classes, or other names. "
            "Pass the same table to each."
        )
    for name in sorted({*one.settings, *other.settings} - {"shards"}):
        pair = one.settings.get(name), other.settings.get(name)
        if pair[0] != pair[1]:
            raise ValueError(
                f"`parts` must be measured in the same way. Received: {name}={pair[0]!r} and "
                f"{name}={pair[1]!r}."
            )
