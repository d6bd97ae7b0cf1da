"""Times several things in turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# After another one's turn the first call finds its weights out of the cache, and that one's
# threads still awake.
_UNTIMED, _TIMED = 1, 5


def in_turns(calls: Sequence[Callable[[], Any]], runs: int) -> list[np.ndarray]:
    """Calls each in turns.

    Args:
        calls: What is timed.
        runs: int. How often each, at least.

    Returns:
        list of np.ndarray. Seconds of each one's calls.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(-(-runs // _TIMED)):
        for call, taken in zip(calls, seconds, strict=True):
            for number in range(_UNTIMED + _TIMED):
                start = time.perf_counter()
                call()
                if number >= _UNTIMED:
                    taken.append(time.perf_counter() - start)
    return [np.array(taken) for taken in seconds]
