"""How far a long work is: one line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

_SECONDS_ON_A_TERMINAL = 0.2
_SECONDS_IN_A_LOG = 15.0


class Progress:
    """Says on stderr how much is done.

    Args:
        total: int. How much there is.
        unit: str. Of what, in the plural.
        shown: bool. Whether anything is said.
    """

    def __init__(self, total: int, unit: str, *, shown: bool) -> None:
        self._total = total
        self._unit = unit
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._pause = _SECONDS_ON_A_TERMINAL if self._terminal else _SECONDS_IN_A_LOG
        self._start = self._last = time.monotonic()

    def update(self, done: int, note: str = "") -> None:
        """Says where it stands, if it is time to.

        Args:
            done: int. How much is done.
            note: str. What else is to be said.
        """
        now = time.monotonic()
        if not self._shown or (now - self._last < self._pause and done < self._total):
            return
        if not self._terminal and done == self._total:
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        parts = (f"{done} of {self._total} {self._unit}", note, f"{rate:.0f} {self._unit}/s")
        line = ", ".join(part for part in parts if part)
        if self._terminal:
            # Back to the start of the line, and what was there before is cleared.
            ending = "\n" if done == self._total else ""
            print(f"\r\x1b[K{line}", end=ending, file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
