"""What may happen to one worker, and must be decided by all in the same step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from unetv2.distributed.crew import Crew

_STOP, _SAVE = range(2)


class PreemptedError(RuntimeError):
    """A worker was told to end by SIGTERM; all have, after saving.

    Args:
        message: str. When it was, and what to do.

    Example:
        >>> issubclass(unetv2.distributed.PreemptedError, RuntimeError)
        True
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


class Signals:
    """Told by each worker with its part of a step, and heard by all after it.

    A worker that is told to end by SIGTERM says so, and all of them save and end after the same
    step. Only the chief's clock says when a checkpoint is due.

    Args:
        crew: The workers.
        seconds: float. Longest time between two checkpoints.
    """

    def __init__(self, crew: Crew, seconds: float) -> None:
        self._crew = crew
        self._seconds = seconds
        self._saved = time.monotonic()
        self._terminated = threading.Event()
        self._before: Any = None
        self._watched = threading.current_thread() is threading.main_thread()
        self.stop = self.save = False

    def __enter__(self) -> Signals:
        """Listens to SIGTERM."""
        if self._watched:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Has SIGTERM do what it did."""
        if self._watched:
            # None is a handler of TensorFlow's, which does nothing about it.
            signal.signal(signal.SIGTERM, self._before or signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._terminated.set()

    def own(self) -> np.ndarray:
        """Returns what this worker says with the next step."""
        due = self._crew.is_chief and time.monotonic() - self._saved >= self._seconds
        said = np.zeros(2, np.float32)
        said[_STOP], said[_SAVE] = self._terminated.is_set(), due
        return said

    def hear(self, total: Sequence[float]) -> None:
        """Takes what all said."""
        self.stop, self.save = total[_STOP] > 0, total[_SAVE] > 0
        if self.save:
            self._saved = time.monotonic()
