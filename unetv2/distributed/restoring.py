"""The chief's state on all workers: only it needs the output folder."""

from __future__ import annotations

from collections.abc import Callable

from unetv2.distributed.crew import Crew
from unetv2.training.state import State


def chiefs_state(crew: Crew, find: Callable[[], State]) -> State:
    """Returns where the training stands, as the chief finds it.

    Args:
        crew: The workers.
        find: Finds it, in the chief's folder.

    Raises:
        RuntimeError: If the chief cannot; on all workers.
    """
    state: State = crew.together("go on", find if crew.is_chief else State)
    if crew.size == 1:
        return state
    notes, kinds = crew.exchange(
        [
            {name: value for name, value in vars(state).items() if name != "variables"},
            [[kind, len(arrays)] for kind, arrays in state.variables.items()],
        ]
    )[0]
    arrays = iter(crew.from_chief([one for kind in state.variables.values() for one in kind]))
    variables = {kind: [next(arrays) for _ in range(length)] for kind, length in kinds}
    return State(**notes, variables=variables)
