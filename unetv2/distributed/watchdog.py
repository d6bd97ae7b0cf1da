"""Detection of lost and hanging workers."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from unetv2.distributed.cluster import Cluster
from unetv2.distributed.collectives import Collectives
from unetv2.distributed.rendezvous import exit_now

_CONNECTION_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
)
_TIMEOUT_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: try again later.

_log = logging.getLogger("unetv2")


class WorkerLostError(RuntimeError):
    """A worker was lost, which ends the training; restart all workers with ``resume=True``.

    Args:
        message: str. The lost worker, the reporting worker, and what to do.

    Example:
        >>> issubclass(unetv2.distributed.WorkerLostError, RuntimeError)
        True
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


@contextmanager
def report_lost_workers(collectives: Collectives) -> Iterator[None]:
    """Converts errors of connections to a WorkerLostError with the worker's name."""
    try:
        yield
    except _CONNECTION_ERRORS as error:
        if collectives.n_workers == 1:
            raise
        raise WorkerLostError(
            "All workers must run until the training ends. Received: "
            f"{_describe_loss(collectives)}, noticed by {collectives.name(collectives.index)}. "
            "Read that worker's log, and start all workers again with resume=True: they continue "
            "from the last checkpoint. TensorFlow's error: "
            f"{str(error).strip().splitlines()[-1][:300]}"
        ) from error


def _describe_loss(collectives: Collectives) -> str:
    unreachable = Cluster(collectives.addresses, collectives.index).unreachable()
    if unreachable:
        names = " and ".join(collectives.name(number) for number in unreachable)
        return f"no response from {names}"
    return "a broken connection, although all workers can be reached"


class Watchdog:
    """Exits the process if no step finishes within a timeout.

    The loss of a worker closes its connections, which raises an error within seconds. A worker that
    hangs, or whose network drops all packets, does not close them: TensorFlow would wait forever,
    in a call that cannot be interrupted.

    Args:
        collectives: Collectives. Communication of the workers.
        timeout: float. Longest time between two resets, in seconds.
    """

    def __init__(self, collectives: Collectives, timeout: float) -> None:
        self._collectives = collectives
        self._timeout = timeout
        self._last_reset = time.monotonic()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="unetv2-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        """Starts the watchdog if there are several workers."""
        if self._collectives.n_workers > 1:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the watchdog."""
        self._finished.set()

    def reset(self) -> None:
        """Restarts the timeout after a step."""
        self._last_reset = time.monotonic()

    def _run(self) -> None:
        collectives = self._collectives
        while not self._finished.wait(min(1.0, self._timeout / 4)):
            if time.monotonic() - self._last_reset < self._timeout:
                continue
            message = (
                f"{collectives.name(collectives.index)} has waited {self._timeout:g} s for a step "
                f"of all workers: {_describe_loss(collectives)}, or a worker hangs. This process "
                f"exits with code {_TIMEOUT_EXIT_CODE}. Start all workers again with resume=True."
            )
            _log.error("%s", message)
            print(f"unetv2: {message}", file=sys.stderr, flush=True)
            exit_now(_TIMEOUT_EXIT_CODE)
