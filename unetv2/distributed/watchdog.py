"""What becomes of the others where a worker is gone or stands still."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import tensorflow as tf

from unetv2.distributed.cluster import Cluster
from unetv2.distributed.collectives import Crew
from unetv2.distributed.rendezvous import leave

_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
_STUCK_CODE = 75  # sysexits' "try again later".

_log = logging.getLogger("unetv2")


class WorkerLostError(RuntimeError):
    """A worker is gone, so no step can be made: start all of them again with ``resume=True``.

    Args:
        message: str. Which worker, who noticed, and what to do.

    Example:
        >>> issubclass(unetv2.distributed.WorkerLostError, RuntimeError)
        True
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


@contextmanager
def told_who_is_lost(crew: Crew) -> Iterator[None]:
    """Says in plain words which worker is gone, where TensorFlow says which call failed."""
    try:
        yield
    except _LOST as error:
        if crew.size == 1:
            raise
        raise WorkerLostError(
            f"All workers must stay to the end. Received: {_lost(crew)}, noticed by "
            f"{crew.name(crew.index)}. Look at what it wrote last, and start all workers again "
            "with resume=True: they go on from the last checkpoint. TensorFlow said: "
            f"{str(error).strip().splitlines()[-1][:300]}"
        ) from error


def _lost(crew: Crew) -> str:
    silent = Cluster(crew.addresses, crew.index).silent()
    if silent:
        return f"no answer any more from {' and '.join(crew.name(number) for number in silent)}"
    return "a connection that broke, though all addresses answer"


class Watch:
    """Ends the process where nothing has been heard of for too long.

    A worker that is gone breaks its connections, and the others notice within seconds. One that
    stands still, or whose network swallows everything, breaks none: TensorFlow would wait for
    ever, in a call that nothing interrupts.

    Args:
        crew: The workers.
        seconds: float. Longest time from one sign of life to the next.
    """

    def __init__(self, crew: Crew, seconds: float) -> None:
        self._crew = crew
        self._seconds = seconds
        self._heard = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="unetv2-watch", daemon=True)

    def __enter__(self) -> Watch:
        """Begins to watch, where there is somebody to wait for."""
        if self._crew.size > 1:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends."""
        self._over.set()

    def heard(self) -> None:
        """Notes a sign of life: something that all workers do together is done."""
        self._heard = time.monotonic()

    def _run(self) -> None:
        while not self._over.wait(min(1.0, self._seconds / 4)):
            if time.monotonic() - self._heard < self._seconds:
                continue
            message = (
                f"{self._crew.name(self._crew.index)} has waited {self._seconds:g} s for a step "
                f"that all workers make: {_lost(self._crew)}, or one stands still. It ends here "
                f"(exit code {_STUCK_CODE}). Start all workers again with resume=True."
            )
            _log.error("%s", message)
            print(f"unetv2: {message}", file=sys.stderr, flush=True)
            leave(_STUCK_CODE)
