"""Progress reporting: one line that is updated on a terminal, and occasional lines in a log.

A progress bar of `rich` would need a context manager, so that an error restores the cursor, and
the lines for logs would remain.
"""

from __future__ import annotations

import sys
import time

_SECONDS_ON_A_TERMINAL = 0.2
_SECONDS_IN_A_LOG = 15.0


class Progress:
    """Reports progress on stderr.

    Args:
        total: int or None. Number of items, if it is known.
        unit: str. Name of the items, in the plural.
        shown: bool. Whether to report anything.
    """

    def __init__(self, total: int | None, unit: str, *, shown: bool) -> None:
        self._total = total
        self._unit = unit
        self._shown = shown
        self._terminal = sys.stderr.isatty()
        self._pause = _SECONDS_ON_A_TERMINAL if self._terminal else _SECONDS_IN_A_LOG
        self._start = self._last = time.monotonic()

    def update(self, done: int, note: str = "") -> None:
        """Reports the number of items that are done, if the last report is old enough.

        Args:
            done: int. Number of items.
            note: str. Further text for the line.
        """
        now = time.monotonic()
        is_last = done == self._total
        if not self._shown or (now - self._last < self._pause and not is_last):
            return
        if not self._terminal and is_last:
            return
        self._last = now
        rate = done / max(now - self._start, 1e-9)
        amount = (
            f"{done} {self._unit}"
            if self._total is None
            else f"{done} of {self._total} {self._unit}"
        )
        line = ", ".join(filter(None, (amount, note, f"{rate:.0f} {self._unit}/s")))
        if self._terminal:
            # Return to the start of the line and clear it.
            print(f"\r\x1b[K{line}", end="\n" if is_last else "", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)
