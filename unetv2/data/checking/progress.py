"""How far the doctor is: one line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

_SECONDS_ON_A_TERMINAL = 0.2
_SECONDS_IN_A_LOG = 15.0


class Progress:
    """Says on stderr how many pairs are done.

    Args:
        total: int. Pairs there are.
        shown: bool. Whether anything is said.
    """

    def __init__(self, total: int, *, shown: bool) -> None:
        self._total = total
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._pause = _SECONDS_ON_A_TERMINAL if self._terminal else _SECONDS_IN_A_LOG
        self._start = self._last = time.monotonic()

    def update(self, done: int, problems: int) -> None:
        """Says where it stands, if it is time to."""
        now = time.monotonic()
        if not self._shown or (now - self._last < self._pause and done < self._total):
            return
        if not self._terminal and done == self._total:
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        line = f"{done} of {self._total} pairs, {problems} problems, {rate:.0f} pairs/s"
        if self._terminal:
            # Back to the start of the line, and what was there before is cleared.
            ending = "\n" if done == self._total else ""
            print(f"\r\x1b[K{line}", end=ending, file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
