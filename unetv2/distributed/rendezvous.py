"""Rendezvous of all workers before TensorFlow's runtime starts.

TensorFlow's runtime would wait forever for a missing worker. Therefore each worker except the chief
first listens on its port and sends a description of itself. The chief connects to all workers,
compares the descriptions, and replies whether to start. Then the connections are closed.
"""

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
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_number
from unetv2.distributed.cluster import Cluster, split_address
from unetv2.distributed.collectives import Collectives

_REPLY_SECONDS = 5.0
_RETRY_SECONDS = 0.2
# Enough for hundreds of workers.
_LONGEST_LINE = 1 << 16
_START = "start"
# Additional time for the chief's reply, which it may send when `timeout` has passed.
_CHIEF_SECONDS = 15.0
_START_SECONDS = 120.0

_log = logging.getLogger("unetv2")


def connect(
    workers: Sequence[str] | Cluster | None = None,
    index: int | None = None,
    *,
    timeout: float = 300.0,
) -> tf.distribute.Strategy | None:
    """Returns the strategy for :func:`unetv2.train`: several machines, several devices, or one.

    Each worker calls this with the same arguments, before any other computation with TensorFlow.
    The call returns when all workers have connected. Without arguments, the workers are those of
    ``TF_CONFIG`` or of a Slurm step, with ports from ``UNETV2_PORT`` or 8888 on; without these, the
    GPUs of this machine are used if there are several. Workers communicate by gRPC on CPUs
    and by NCCL on GPUs.

    The ports accept commands from anyone who can reach them: use private networks only.

    Args:
        workers: ``"host:port"`` of each worker, in the same order everywhere; or a
            :class:`unetv2.distributed.Cluster`; or None.
        index: int, at least 0, or None. The number of this worker; None uses
            ``JOB_COMPLETION_INDEX``, which Kubernetes sets in the pods of an indexed job.
        timeout: float above 0. Seconds in which all workers must connect.

    Returns:
        ``tf.distribute.MultiWorkerMirroredStrategy``, ``tf.distribute.MirroredStrategy``, or None
        for a single process with one device.

    Raises:
        ValueError: If an address is malformed or duplicated, or ``index`` is out of range or
            missing.
        TypeError: If ``index`` or ``timeout`` is of the wrong type.
        OSError: If this worker's port is in use, or not on this machine.
        RuntimeError: If a worker did not connect in time, or its ``workers`` or its code differ. It
            is raised on each connected worker within 15 s.

    Example:
        >>> strategy = unetv2.distributed.connect()
        >>> strategy is None  # one process, one device
        True
    """
    timeout = require_number("timeout", timeout, "300 is the default.", positive=True)
    cluster = _find_cluster(workers, index)
    if cluster is None or len(cluster.workers) == 1:
        has_several_gpus = len(tf.config.list_logical_devices("GPU")) > 1
        return tf.distribute.MirroredStrategy() if has_several_gpus else None
    _wait_for_all(cluster, timeout)

    def start() -> Any:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster.resolver())
        n_workers = int(Collectives(strategy).reduce_sum(np.ones((), np.int32)))
        _log.info("All %d workers are connected; this is worker %d.", n_workers, cluster.index)
        return strategy

    # If a worker is lost meanwhile, TensorFlow waits in a call that blocks all Python threads, so
    # that neither SIGTERM nor Ctrl-C is handled.
    faulthandler.dump_traceback_later(_START_SECONDS, exit=True)
    try:
        return _start_interruptibly(start)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _find_cluster(workers: Sequence[str] | Cluster | None, index: int | None) -> Cluster | None:
    if isinstance(workers, Cluster):
        return workers
    if workers is None:
        if index is not None:
            raise ValueError(
                "`index` must be passed together with `workers`. "
                f"Received: index={index} and workers=None. Pass both, or neither."
            )
        return Cluster.from_environment()
    if index is None:
        if "JOB_COMPLETION_INDEX" not in os.environ:
            raise ValueError(
                "`workers` must be passed together with `index`. Received: index=None. Pass the "
                "position of this worker in the list."
            )
        index = int(os.environ["JOB_COMPLETION_INDEX"])
    return Cluster(workers, index)


def _wait_for_all(cluster: Cluster, timeout: float) -> None:
    """Waits until all workers are connected and run the same code.

    Raises:
        RuntimeError: If one is missing or differs.
    """
    deadline = time.monotonic() + timeout
    if cluster.is_chief:
        cluster.listen().close()
        problem = "; ".join(start_workers(cluster, deadline))
    else:
        with ChiefListener(cluster) as listener:
            reply = listener.wait(deadline + _CHIEF_SECONDS)
        if reply is None:
            problem = f"no response from worker 0 ({cluster.workers[0]})"
        else:
            problem = "" if may_start(reply) else f"from worker 0: {reply}"
    if problem:
        raise RuntimeError(
            f"All {len(cluster.workers)} workers must connect within `timeout`, with the same "
            f"`workers` and the same code. Received: timeout={timeout:g} and {problem}; reported "
            f"by worker {cluster.index} ({cluster.address}). Start all of them with the same list, "
            "and check that they can reach each other's ports."
        )


def describe_worker(cluster: Cluster) -> dict[str, Any]:
    """Returns the properties that must be equal on all workers, and the index."""
    return {
        "index": cluster.index,
        "workers": list(cluster.workers),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "code of unetv2": code_digest(),
    }


def code_digest() -> str:
    """Returns a hash of the library's files, which may differ in one version."""
    root = Path(__file__).parent.parent
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


class ChiefListener:
    """Listens on a worker's port for the chief's reply.

    Args:
        cluster: The workers.

    Raises:
        OSError: If the port is in use, or not on this machine.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._description = describe_worker(cluster)
        self._server = cluster.listen()
        self._reply: str | None = None
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="unetv2-rendezvous", daemon=True)

    def __enter__(self) -> ChiefListener:
        """Starts listening."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the port, which TensorFlow needs next."""
        self._finished.set()
        self._thread.join()
        self._server.close()

    def wait(self, deadline: float) -> str | None:
        """Returns the chief's reply, or None if none arrives before ``time.monotonic`` is later."""
        while time.monotonic() < deadline and not self._finished.wait(_RETRY_SECONDS):
            pass
        return self._reply

    def _serve(self) -> None:
        self._server.settimeout(_RETRY_SECONDS)
        while not self._finished.is_set():
            try:
                connection, _ = self._server.accept()
            except OSError:
                continue
            try:
                with connection:
                    connection.settimeout(_REPLY_SECONDS)
                    _send(connection, self._description)
                    message = _receive(connection)
                    if isinstance(message, dict) and isinstance(message.get("reply"), str):
                        self._reply = message["reply"]
                        _send(connection, {"received": True})
                        self._finished.set()
            except (OSError, ValueError):
                # Not the chief, or a lost connection.
                continue


def start_workers(cluster: Cluster, deadline: float) -> list[str]:
    """Connects the chief to all other workers, and replies to start or with the problems.

    Args:
        cluster: The workers.
        deadline: float. Time of ``time.monotonic`` at which to stop.

    Returns:
        list of str. A line for each worker that is missing or differs. If it is not empty, no
            worker starts.
    """
    expected = describe_worker(cluster)
    others = range(1, len(cluster.workers))
    with ThreadPoolExecutor(min(64, len(others))) as threads:
        results = list(threads.map(lambda number: _call(cluster, number, deadline), others))
    problems = []
    for number, result in zip(others, results, strict=True):
        problem = _problem(result, {**expected, "index": number})
        if problem:
            problems.append(f"worker {number} ({cluster.workers[number]}) {problem}")
    reply = "; ".join(problems) or _START
    for result in results:
        if isinstance(result, str):
            continue
        connection, _ = result
        try:
            with connection:
                _send(connection, {"reply": reply})
                _receive(connection)
        except (OSError, ValueError):
            continue
    return problems


def may_start(reply: str) -> bool:
    """Returns whether a reply of the chief is to start."""
    return reply == _START


def _call(cluster: Cluster, number: int, deadline: float) -> tuple[socket.socket, Any] | str:
    """Returns the connection to a worker and its description, or the problem."""
    while True:
        try:
            connection = socket.create_connection(
                split_address(cluster.workers[number]), timeout=_REPLY_SECONDS
            )
            try:
                return connection, _receive(connection)
            except (OSError, ValueError):
                connection.close()
                problem = "answers, but is not a worker: another program uses the port"
        except socket.gaierror:
            problem = "has an unknown host name"
        except TimeoutError:
            problem = f"did not respond within {_REPLY_SECONDS:g} s"
        except OSError as error:
            problem = f"cannot be reached: {(error.strerror or str(error)).lower()}"
        if time.monotonic() > deadline:
            return problem
        time.sleep(_RETRY_SECONDS)


def _problem(result: tuple[socket.socket, Any] | str, expected: dict[str, Any]) -> str:
    if isinstance(result, str):
        return result
    description = result[1] if isinstance(result[1], dict) else {}
    differences = [
        f"{name}={description.get(name)!r} where the chief has {value!r}"
        for name, value in expected.items()
        if description.get(name) != value
    ]
    return "has " + ", ".join(differences) if differences else ""


def _send(connection: socket.socket, content: Any) -> None:
    connection.sendall(json.dumps(content).encode() + b"\n")


def _receive(connection: socket.socket) -> Any:
    """Returns a line of JSON.

    Raises:
        OSError: If none arrives in time.
        ValueError: If it is not JSON.
    """
    line = b""
    while not line.endswith(b"\n"):
        received = connection.recv(4096)
        if not received or len(line) > _LONGEST_LINE:
            raise ValueError("not a line")
        line += received
    return json.loads(line)


def _start_interruptibly(start: Callable[[], Any]) -> Any:
    """Calls a function in a thread, so that SIGTERM and Ctrl-C are handled meanwhile."""
    results: list[Any] = []
    failures: list[Exception] = []

    def run() -> None:
        try:
            results.append(start())
        except Exception as error:
            failures.append(error)

    # A thread that waits in TensorFlow would prevent the process from exiting.
    waiting = threading.Event()
    waiting.set()
    atexit.register(lambda: exit_now(1) if waiting.is_set() else None)
    thread = threading.Thread(target=run, name="unetv2-connect", daemon=True)
    with _preserved_sigterm() as restore:
        thread.start()
        while thread.is_alive():
            thread.join(_RETRY_SECONDS)
            restore()
        restore()
    waiting.clear()
    if failures:
        raise failures[0]
    return results[0]


@contextmanager
def _preserved_sigterm() -> Iterator[Callable[[], None]]:
    """Yields a function that restores SIGTERM's handler, which TensorFlow replaces on start."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    previous = signal.getsignal(signal.SIGTERM)
    # None is a handler that was not set by Python.
    handler = signal.SIG_DFL if previous is None else previous

    def restore() -> None:
        signal.signal(signal.SIGTERM, handler)

    yield restore


def exit_now(code: int) -> None:
    """Exits without waiting for threads: a call of TensorFlow cannot be interrupted."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
