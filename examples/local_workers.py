"""Runs the workers of a training as processes of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_POLL_SECONDS = 0.2
# The others notice a failed worker in this time.
_OTHERS_SECONDS = 60.0


def free_addresses(n: int) -> list[str]:
    """Returns loopback addresses with free ports.

    Args:
        n: int, at least 0. Number of addresses.

    Returns:
        list of str, ``"127.0.0.1:port"`` each.
    """
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    try:
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
    finally:
        for server in servers:
            server.close()


class LocalWorkers:
    """Runs processes, which end with the context.

    Args:
        commands: Each process's command.
        log_dir: Folder for the output of all but the first, ``worker1.log`` and so on.
        cores: list of int or None. CPU cores to bind the processes to, if the system supports that.
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
        """Starts the processes."""
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            for number, command in enumerate(self._commands):
                self._start(number, command)
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Kills the processes that still run."""
        self._kill()

    def wait(self, seconds: float) -> int:
        """Waits until all processes end, and returns the first exit code that is not 0, or 0.

        Args:
            seconds: float. Timeout.

        Returns:
            int. An exit code; negative if a signal ended the process. If one fails, the others are
            waited for up to 60 s.

        Raises:
            TimeoutError: If they do not end in time.
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
                raise TimeoutError(
                    f"Workers must end within {seconds:g} s. Received: some are running."
                )
            time.sleep(_POLL_SECONDS)
        return failed or next((child.returncode for child in self._children if child.returncode), 0)

    def log(self, number: int) -> Path:
        """Returns the log file of a worker.

        Args:
            number: int, at least 1. The worker; worker 0 writes to this process's output.
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

    def _kill(self) -> None:
        for child in self._children:
            if child.poll() is None:
                os.kill(child.pid, signal.SIGKILL)
                child.wait()
