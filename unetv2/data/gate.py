"""Python called from TensorFlow's threads, until the interpreter ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_QUIET_SECONDS = 0.05
_PATIENCE_SECONDS = 10.0


class Gate:
    """Lets calls in until it is closed.

    An iterator over a data set that is cut off, by an error or Ctrl-C, goes on reading ahead. A
    thread that asks for Python's lock while the interpreter ends never gets it, and TensorFlow
    waits for that thread: the process would hang. So before the end nobody is let in any more, and
    those inside are waited for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._last_seen = 0.0
        self._closed = False

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Counts a call.

        Raises:
            ValueError: If the gate is closed.
        """
        with self._lock:
            self._inside += 1
        try:
            if self._closed:
                raise ValueError("The interpreter is ending.")
            yield
        finally:
            with self._lock:
                self._inside -= 1
                self._last_seen = time.monotonic()

    def close(self) -> None:
        """Lets nobody in any more, and returns when nobody has come for a moment."""
        self._closed = True
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            quiet = time.monotonic() - self._last_seen > _QUIET_SECONDS
            if quiet and not self._inside:
                return
            time.sleep(_QUIET_SECONDS)
