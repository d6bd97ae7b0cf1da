"""Brings the workers together, or says who is missing."""

from __future__ import annotations

import atexit
import faulthandler
import hashlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_number
from unetv2.distributed.cluster import Cluster, split_address
from unetv2.distributed.collectives import Crew

# The workers meet before TensorFlow's engine starts, which would wait for ever for one missing.
#
# Each worker but the chief opens its own port and says who it is and what it runs; the chief asks
# all of them, compares, and tells each whether to start. Nothing is left of it in training.

_ANSWER_SECONDS = 5.0
_KNOCK_AGAIN_SECONDS = 0.2
# A list of some hundred workers fits; what does not is no worker's.
_LONGEST_LINE = 1 << 16
_START = "start"


def introduction(cluster: Cluster) -> dict[str, Any]:
    """Returns what a worker says of itself."""
    return {
        "index": cluster.index,
        "workers": list(cluster.workers),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "code of unetv2": code_digest(),
    }


def code_digest() -> str:
    """Returns a hash of this library's files: a version may be changed and called the same."""
    root = Path(__file__).parent.parent
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class Waiting:
    """A worker that has come and waits for the chief's word.

    Args:
        cluster: The workers.

    Raises:
        OSError: If its port is in use, or not on this machine.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._own = introduction(cluster)
        self._door = cluster.listen()
        self._said: str | None = None
        self._heard = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="unetv2-meeting", daemon=True)

    def __enter__(self) -> Waiting:
        """Opens."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes; the port is free for TensorFlow then."""
        self._heard.set()
        self._thread.join()
        self._door.close()

    def until(self, moment: float) -> str | None:
        """Returns the chief's word, or None if it has not come by then."""
        while time.monotonic() < moment and not self._heard.wait(_KNOCK_AGAIN_SECONDS):
            pass
        return self._said

    def _serve(self) -> None:
        self._door.settimeout(_KNOCK_AGAIN_SECONDS)
        while not self._heard.is_set():
            try:
                visitor, _ = self._door.accept()
            except OSError:
                continue
            try:
                with visitor:
                    visitor.settimeout(_ANSWER_SECONDS)
                    _send(visitor, self._own)
                    word = _receive(visitor)
                    if isinstance(word, dict) and isinstance(word.get("word"), str):
                        self._said = word["word"]
                        _send(visitor, {"heard": True})
                        self._heard.set()
            except (OSError, ValueError):
                # Somebody else, or somebody gone.
                continue


def call_together(cluster: Cluster, until: float) -> list[str]:
    """Has the chief ask all others, and tell them to start, or why not.

    Args:
        cluster: The workers.
        until: float. When to give up, on ``time.monotonic``'s clock.

    Returns:
        list of str. What is wrong, a line for each worker; then nobody starts.
    """
    own = introduction(cluster)
    others = range(1, len(cluster.workers))
    with ThreadPoolExecutor(min(64, len(others))) as threads:
        met = list(threads.map(lambda number: _meet(cluster, number, until), others))
    wrong = [
        f"worker {number} ({cluster.workers[number]}) {_complaint(number, one, own)}"
        for number, one in zip(others, met, strict=True)
        if isinstance(one, str) or {**own, "index": number} != one[1]
    ]
    for one in met:
        if isinstance(one, str):
            continue
        visited, _ = one
        try:
            with visited:
                _send(visited, {"word": "; ".join(wrong) or _START})
                _receive(visited)
        except (OSError, ValueError):
            continue
    return wrong


def may_start(word: str) -> bool:
    """Returns whether the chief's word is to start; otherwise it says what is wrong."""
    return word == _START


def _meet(cluster: Cluster, number: int, until: float) -> tuple[socket.socket, Any] | str:
    """Returns the connection to a worker and what it says, or why there is none."""
    trouble = "was not asked"
    while True:
        try:
            visited = socket.create_connection(
                split_address(cluster.workers[number]), timeout=_ANSWER_SECONDS
            )
            try:
                return visited, _receive(visited)
            except (OSError, ValueError):
                visited.close()
                trouble = "answers, but is no worker: another program has the port"
        except socket.gaierror:
            trouble = "has a host name that is not known here"
        except TimeoutError:
            trouble = f"gave no answer within {_ANSWER_SECONDS:g} s"
        except OSError as error:
            trouble = f"did not open: {(error.strerror or str(error)).lower()}"
        if time.monotonic() > until:
            return trouble
        time.sleep(_KNOCK_AGAIN_SECONDS)


def _complaint(number: int, met: tuple[socket.socket, Any] | str, own: dict[str, Any]) -> str:
    if isinstance(met, str):
        return met
    wanted = {**own, "index": number}
    said = met[1] if isinstance(met[1], dict) else {}
    differences = [
        f"{name}={said.get(name)!r} where the chief has {value!r}"
        for name, value in wanted.items()
        if said.get(name) != value
    ]
    return "has " + ", ".join(differences)


def _send(to: socket.socket, content: Any) -> None:
    to.sendall(json.dumps(content).encode() + b"\n")


def _receive(visited: socket.socket) -> Any:
    """Returns a line of JSON.

    Raises:
        OSError: If none comes in time.
        ValueError: If it is none.
    """
    line = b""
    while not line.endswith(b"\n"):
        more = visited.recv(4096)
        if not more or len(line) > _LONGEST_LINE:
            raise ValueError("no line")
        line += more
    return json.loads(line)


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
    _meet_connecting(cluster, until, timeout)

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


def _meet_connecting(cluster: Cluster, until: float, timeout: float) -> None:
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
