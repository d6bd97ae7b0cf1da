"""Whether all workers are about to do the same, before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unetv2.distributed.crew import Crew
from unetv2.training.folder import differences

_MOST_SHOWN = 4


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
