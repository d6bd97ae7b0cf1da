"""The workers meet before TensorFlow's engine starts, which would wait for ever for one missing.

Each worker but the chief opens its own port and says who it is and what it runs; the chief asks
all of them, compares, and tells each whether to start. Nothing of it is left when training begins.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.distributed.cluster import Cluster, split_address

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
