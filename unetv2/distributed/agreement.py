"""Whether all workers are about to do the same, before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from unetv2.data.origin import origin_of
from unetv2.distributed.crew import Crew
from unetv2.training.folder import differences

_MOST_SHOWN = 4


def identity(dataset: tf.data.Dataset | None) -> Any:
    """Returns what makes a data set the one it is, as far as it knows."""
    origin = None if dataset is None else origin_of(dataset)
    return None if origin is None else origin.identity


def require_same(crew: Crew, description: Mapping[str, Any]) -> None:
    """Raises on every worker unless all describe their training as the chief does.

    Args:
        crew: The workers.
        description: Of types that JSON knows.

    Raises:
        ValueError: If one differs; it names the worker and the difference.
    """
    told = crew.exchange(dict(description))
    wrong = []
    for number, other in enumerate(told):
        found = list(differences(told[0], other, ("on worker 0", f"on worker {number}")))
        if found:
            shown = "; ".join(found[:_MOST_SHOWN]) + ("; ..." if len(found) > _MOST_SHOWN else "")
            wrong.append(f"{crew.name(number)} differs from the chief: {shown}")
    if wrong:
        raise ValueError(
            "All workers must train the same model in the same way on the same data. Received: "
            f"{'. '.join(wrong)}. Start all of them with the same arguments and files."
        )
