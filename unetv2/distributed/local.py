"""Workers on this machine: to try a training on several before there are several."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

_LOOKS_EVERY_SECONDS = 0.2
# Those that are left, once one has failed, have noticed by then.
_OTHERS_SECONDS = 60.0


def free_addresses(n: int) -> list[str]:
    """Returns loopback addresses whose ports were free a moment ago.

    Args:
        n: int, at least 0. How many.

    Returns:
        list of str, ``"127.0.0.1:port"`` each.

    Example:
        >>> len(set(unetv2.distributed.free_addresses(2)))
        2
    """
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    try:
        return [f"127.0.0.1:{door.getsockname()[1]}" for door in doors]
    finally:
        for door in doors:
            door.close()


class LocalWorkers:
    """Processes on this machine, the first of which is heard; none outlives the context.

    Args:
        commands: The words of each process's command.
        log_dir: Where the others' output goes, ``worker1.log`` and so on.
        cores: list of int or None. The core of each, where the system can tie them to one; with
            fewer cores than processes, from the first again.

    Example:
        >>> import sys
        >>> commands = [[sys.executable, "-c", "pass"]] * 2
        >>> with unetv2.distributed.LocalWorkers(commands, tmp) as workers:
        ...     workers.wait(seconds=60)
        0
    """

    def __init__(
        self,
        commands: Sequence[Sequence[str]],
        log_dir: str | os.PathLike[str],
        *,
        cores: Sequence[int] | None = None,
    ) -> None:
        self._commands = [list(command) for command in commands]
        self._folder = Path(log_dir)
        self._cores = None if cores is None else list(cores)
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> LocalWorkers:
        """Starts them."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            for number, command in enumerate(self._commands):
                self._start(number, command)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends those that still run."""
        self._end()

    def wait(self, seconds: float) -> int:
        """Returns the first code that is not 0, or 0, when all have ended.

        Args:
            seconds: float. How long they may take.

        Returns:
            int. An exit code; negative where a signal ended the process. Once one has failed the
            others have 60 s.

        Raises:
            TimeoutError: If they take longer.
        """
        until = time.monotonic() + seconds
        failed = 0
        while any(child.poll() is None for child in self._children):
            codes = [child.returncode for child in self._children if child.returncode]
            if codes and not failed:
                failed = codes[0]
                until = min(until, time.monotonic() + _OTHERS_SECONDS)
            if time.monotonic() > until:
                if failed:
                    break
                raise TimeoutError(f"Workers must end within {seconds:g} s. Received: they run.")
            time.sleep(_LOOKS_EVERY_SECONDS)
        return failed or next((child.returncode for child in self._children if child.returncode), 0)

    def log(self, number: int) -> Path:
        """Returns the file that a worker's output goes to.

        Args:
            number: int, at least 1. The worker; what worker 0 writes is not in a file.
        """
        return self._folder / f"worker{number}.log"

    def _start(self, number: int, command: list[str]) -> None:
        if number == 0:
            child = subprocess.Popen(command)
        else:
            with self.log(number).open("wb") as log:
                child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._children.append(child)
        if self._cores is not None and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(child.pid, {self._cores[number % len(self._cores)]})

    def _end(self) -> None:
        for child in self._children:
            if child.poll() is None:
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
