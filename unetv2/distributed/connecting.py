"""Brings the workers together, or says who is missing."""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_number
from unetv2.distributed.cluster import Cluster
from unetv2.distributed.crew import Crew
from unetv2.distributed.meeting import Waiting, call_together, may_start

_LOOKS_EVERY_SECONDS = 0.2
# The chief may notice at the last moment that one is missing, and tell the others then.
_CHIEF_TAKES_SECONDS = 15.0
_START_SECONDS = 120.0

_log = logging.getLogger("unetv2")


def connect(
    workers: Sequence[str] | Cluster | None = None,
    index: int | None = None,
    *,
    timeout: float = 300.0,
) -> tf.distribute.Strategy | None:
    """Returns what :func:`unetv2.train` trains on: several machines, several devices, or one.

    To be called before anything else is computed with TensorFlow, in the same way by each worker.
    It returns when all of them are there. Without arguments the workers are those of
    ``TF_CONFIG`` or of a Slurm step, if there is one, whose ports begin at ``UNETV2_PORT`` or
    8888; otherwise the GPUs of this machine share the work, if there are several. On CPUs workers
    talk by gRPC, on GPUs by NCCL.

    The ports take commands from anybody who reaches them: private networks only.

    Args:
        workers: ``"host:port"`` of each worker, in the same order everywhere; or a
            :class:`unetv2.distributed.Cluster`; or None.
        index: int, at least 0, or None. The number of this worker; None takes
            ``JOB_COMPLETION_INDEX``, which Kubernetes gives to the pods of an indexed job.
        timeout: float above 0. Seconds in which all workers must have come.

    Returns:
        ``tf.distribute.MultiWorkerMirroredStrategy``, ``tf.distribute.MirroredStrategy``, or None
        where this process is alone with one device.

    Raises:
        ValueError: If an address is malformed or named twice, or ``index`` is none of them or
            missing.
        TypeError: If ``index`` or ``timeout`` is of the wrong type.
        OSError: If this worker's port is in use, or not on this machine.
        RuntimeError: If a worker did not come in time, or has other workers or other code; it says
            which and what, on every worker that came, 15 s later at most.

    Example:
        >>> strategy = unetv2.distributed.connect()
        >>> strategy is None  # one process, one device
        True
    """
    timeout = require_number("timeout", timeout, "300 is the default.", positive=True)
    cluster = _cluster(workers, index)
    if cluster is None or len(cluster.workers) == 1:
        several = len(tf.config.list_logical_devices("GPU")) > 1
        return tf.distribute.MirroredStrategy() if several else None
    until = time.monotonic() + timeout
    _meet(cluster, until, timeout)

    def start() -> Any:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster.resolver())
        present = int(Crew(strategy).total(np.ones((), np.int32)))
        _log.info("All %d workers are there; this is worker %d.", present, cluster.index)
        return strategy

    # In case that one has gone since: TensorFlow then waits in a call that lets no other thread
    # of Python run, and hears neither SIGTERM nor Ctrl-C.
    faulthandler.dump_traceback_later(_START_SECONDS, exit=True)
    try:
        return _without_waiting(start)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _meet(cluster: Cluster, until: float, timeout: float) -> None:
    """Waits until all workers are there and have the same of everything, or raises."""
    if cluster.is_chief:
        cluster.listen().close()
        wrong = call_together(cluster, until)
        if wrong:
            raise _different(cluster, "; ".join(wrong), timeout)
        return
    with Waiting(cluster) as waiting:
        word = waiting.until(until + _CHIEF_TAKES_SECONDS)
    if word is None:
        raise _different(cluster, f"no word of worker 0 ({cluster.workers[0]})", timeout)
    if not may_start(word):
        raise _different(cluster, f"worker 0 says that {word}", timeout)


def _different(cluster: Cluster, what: str, timeout: float) -> RuntimeError:
    return RuntimeError(
        f"All {len(cluster.workers)} workers must come within `timeout`={timeout:g} s, with the "
        f"same `workers` and the same code. Received: {what}; told by worker {cluster.index} "
        f"({cluster.address}). Start all of them alike, and let them reach each other's ports."
    )


def _cluster(workers: Sequence[str] | Cluster | None, index: int | None) -> Cluster | None:
    if isinstance(workers, Cluster):
        return workers
    if workers is None:
        if index is not None:
            raise ValueError(
                "`index` must come with `workers`. "
                f"Received: index={index} and workers=None. Pass both, or none."
            )
        return Cluster.from_environment()
    if index is None:
        if "JOB_COMPLETION_INDEX" not in os.environ:
            raise ValueError(
                "`workers` must come with `index`, this worker's place among them. "
                "Received: index=None."
            )
        index = int(os.environ["JOB_COMPLETION_INDEX"])
    return Cluster(workers, index)


def _without_waiting(start: Callable[[], Any]) -> Any:
    """Returns what TensorFlow's start gives, and hears SIGTERM and Ctrl-C meanwhile."""
    found: list[Any] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            found.append(start())
        except Exception as error:
            failed.append(error)

    # A thread that still waits in TensorFlow would keep the process from ending.
    waits = threading.Event()
    waits.set()
    atexit.register(lambda: leave(1) if waits.is_set() else None)
    thread = threading.Thread(target=run, name="unetv2-connect", daemon=True)
    with _ended_by_sigterm() as keep:
        thread.start()
        while thread.is_alive():
            thread.join(_LOOKS_EVERY_SECONDS)
            keep()
        keep()
    waits.clear()
    if failed:
        raise failed[0]
    return found[0]


@contextmanager
def _ended_by_sigterm() -> Iterator[Callable[[], None]]:
    """Has SIGTERM do what it did, though TensorFlow's start takes it to do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    before = signal.getsignal(signal.SIGTERM)
    # None is a handler that was not set by Python.
    kept = signal.SIG_DFL if before is None else before

    def keep() -> None:
        signal.signal(signal.SIGTERM, kept)

    yield keep


def leave(code: int) -> None:
    """Ends the process at once: a thread that waits in TensorFlow hears nothing else."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
