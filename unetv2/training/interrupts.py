"""Ctrl-C in a training: the step is finished and kept first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from unetv2 import startup


class Interrupts:
    """Remembers that Ctrl-C was pressed, until all is kept."""

    def __init__(self) -> None:
        self.asked = False
        self._before = signal.getsignal(signal.SIGINT)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Takes the first Ctrl-C; the next one does not wait."""
        self.asked = True
        signal.signal(signal.SIGINT, self._before)

    def leave(self) -> None:
        """Ends the training if that was asked for; called when all is kept.

        Raises:
            KeyboardInterrupt: If Ctrl-C was pressed.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def interrupts(*, listening: bool) -> Iterator[Interrupts]:
    """Has the first Ctrl-C wait until a checkpoint is written.

    Only in the main thread, and only where Ctrl-C does what Python or the command has it do:
    another handler is its owner's.

    Args:
        listening: bool. Whether to do so at all.
    """
    found = Interrupts()
    if not (
        listening
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) in (signal.default_int_handler, startup.interrupt)
    ):
        yield found
        return
    before = signal.signal(signal.SIGINT, found.note)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
    # Pressed after the last step.
    found.leave()
