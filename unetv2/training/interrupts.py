"""Ctrl-C in a training: the step is finished and kept first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupts:
    """Has the first Ctrl-C wait until a checkpoint is written; a second one does not wait.

    Only in the main thread, and only where Ctrl-C does what Python has it do: another handler is
    its owner's.

    Args:
        listening: bool. Whether to do so at all.
    """

    def __init__(self, *, listening: bool) -> None:
        self._asked = threading.Event()
        self._listening = listening

    @property
    def asked(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._asked.is_set()

    def __enter__(self) -> Interrupts:
        """Listens."""
        self._listening = (
            self._listening
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if self._listening:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Has Ctrl-C do what it did, and leaves if it was pressed after the last step."""
        if self._listening:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.leave()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def leave(self) -> None:
        """Ends the training if that was asked for; called when all is kept.

        Raises:
            KeyboardInterrupt: If Ctrl-C was pressed.
        """
        if self.asked:
            raise KeyboardInterrupt
