"""Where a model comes from: what stands beside its file, and what runs it here."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from unetv2.escaping import printable
from unetv2.sealing import read_json, reason, unsealed
from unetv2.versions import versions

_RUN = "run.json"
# What a reader of a report wants to know of a training; the rest is for resuming it.
_TOLD = ("recipe", "epochs", "seed", "precision", "data", "versions")

_log = logging.getLogger("unetv2")


def provenance(path: Path | None) -> dict[str, Any]:
    """Returns what is known of a model, of types that JSON knows.

    Args:
        path: Its file, or None.

    Returns:
        dict. ``"versions"`` that run here; ``"training"``, what ``run.json`` beside the file says
        of recipe, seed, epochs, data and versions, if it is there.
    """
    known: dict[str, Any] = {"versions": versions()}
    run = None if path is None else path.parent / _RUN
    if run is None or not run.exists():
        return known
    try:
        content = unsealed(read_json(run.read_bytes()))
        known["training"] = {name: content[name] for name in _TOLD if name in content}
    except (OSError, ValueError) as error:
        _log.warning(
            "'%s' describes no training (%s); the evaluation goes on without.",
            printable(run), reason(error),
        )  # fmt: skip
    return known
