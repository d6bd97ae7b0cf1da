"""Writes files beside the training, one job after the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Writer:
    """Runs jobs on a thread of its own, in order, so that no step waits for the disk.

    What a job raises is raised by the next call.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="unetv2-writer")
        self._job: Future[None] | None = None

    def submit(self, job: Callable[[], None]) -> None:
        """Begins a job when the one before is done: a slow disk slows, and fills no memory.

        Raises:
            OSError: What the job before raised.
        """
        self.wait()
        self._job = self._thread.submit(job)

    def wait(self) -> None:
        """Returns when nothing is left to do.

        Raises:
            OSError: What the last job raised.
        """
        if self._job is not None:
            job, self._job = self._job, None
            job.result()
