"""Many pictures, read ahead of the network and written behind it."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from unetv2.escaping import printable
from unetv2.inference.ahead import ahead
from unetv2.inference.destinations import Job, make_folders
from unetv2.inference.figures import Part, Wanted
from unetv2.inference.gathering import Gathering
from unetv2.inference.notes import Maker
from unetv2.inference.pictures import Picture
from unetv2.inference.prediction import Prediction
from unetv2.inference.predictor import Predictor, Ready
from unetv2.inference.products import MASKS, UNCERTAINTY, write_products
from unetv2.progress import Progress

# More threads decode no faster than a network predicts.
_MOST_THREADS = 8
_HEADERS_AHEAD = 64
# Masks of larger pictures go to their files band by band.
_LARGEST_IN_MEMORY = 2**23

_log = logging.getLogger("unetv2")


class Pipeline:
    """Predicts pictures one after the other; reading and writing are on threads.

    Args:
        predictor: What predicts them.
        jobs: The pictures, and what is written of each.
        maker: Who predicts them, noted in what is written.
        max_pixels: int. Larger picture files fail.
        progress: Where it is told how far it is.

    Attributes:
        written: list of Path. The masks written.
        failed: dict. The pictures that could not be read, by path, and why.
    """

    def __init__(
        self,
        predictor: Predictor,
        jobs: list[Job],
        maker: Maker,
        max_pixels: int,
        progress: Progress,
    ) -> None:
        self._predictor, self._jobs, self._max_pixels = predictor, jobs, max_pixels
        self._maker = maker
        self._progress = progress
        self._wanted = Wanted(uncertainty=any(UNCERTAINTY in job.outputs for job in jobs))
        self._fed: deque[tuple[Job, str]] = deque()
        self._writing: deque[tuple[Job, Future[None]]] = deque()
        self._prepared = False
        self.written: list[Path] = []
        self.failed: dict[str, str] = {}

    def run(self, batch_size: int) -> None:
        """Does them all.

        Args:
            batch_size: int. How many are fed at once.

        Raises:
            ValueError: If the network takes none of them.
            OSError: If something cannot be written; what was is whole.
        """
        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        with ThreadPoolExecutor(threads) as readers, ThreadPoolExecutor(threads) as writers:
            read = self._read(readers, batch_size + threads)
            try:
                for picture, parts in self._predictor.all(read, self._wanted):
                    job, note = self._fed.popleft()
                    prediction = self._gathered(job, picture, parts, note)
                    self._writing.append(
                        (job, writers.submit(write_products, prediction, job.outputs, note))
                    )
                    # A large one with its colours needs much memory.
                    behind = 0 if _is_large(picture) else 2 * threads
                    while len(self._writing) > behind:
                        self._wait()
                while self._writing:
                    self._wait()
            finally:
                read.close()
                for _, future in self._writing:
                    future.cancel()

    def _gathered(self, job: Job, picture: Picture, parts: Iterable[Part], note: str) -> Prediction:
        path = job.outputs[MASKS] if _is_large(picture) else None
        result = Gathering(picture, self._predictor, self._wanted, path, note)
        with result.writing():
            for part in parts:
                result.add(part)
        return result.prediction()

    def _wait(self) -> None:
        job, future = self._writing.popleft()
        future.result()
        self.written.append(job.outputs[MASKS])
        self._count()

    def _read(self, threads: ThreadPoolExecutor, most: int) -> Generator[Ready, None, None]:
        """Yields the pictures that can be predicted, and notes the others."""
        opened = ahead(self._open, self._jobs, threads, most=_HEADERS_AHEAD)
        read = ahead(self._decode, opened, threads, most=most, cost=_bytes)
        for job, ready, note in read:
            if isinstance(ready, Exception):
                self._fail(job, ready)
                continue
            try:
                self._predictor.prepare(ready.picture.size)
            except ValueError as error:
                # What is wrong with the first is wrong with the arguments.
                if not self._prepared:
                    raise
                self._fail(job, error)
                continue
            if not self._prepared:
                make_folders(self._jobs)
            self._prepared = True
            self._fed.append((job, note))
            yield ready

    def _open(self, job: Job) -> tuple[Job, Picture | Exception]:
        try:
            channels = self._predictor.network.channels
            return job, Picture(job.image, channels=channels, max_pixels=self._max_pixels)
        except (ValueError, OSError) as error:
            return job, error

    def _decode(
        self, opened: tuple[Job, Picture | Exception]
    ) -> tuple[Job, Ready | Exception, str]:
        """Reads an image, after what tells it from one that may take its place meanwhile."""
        job, picture = opened
        if isinstance(picture, Exception):
            return job, picture, ""
        try:
            note = self._maker.note(job.image)
            return job, self._predictor.read(picture), note
        except (ValueError, OSError) as error:
            return job, error, ""

    def _fail(self, job: Job, error: Exception) -> None:
        reason = " ".join(str(error).split())
        self.failed[job.image] = reason
        _log.warning("Could not predict '%s': %s", printable(job.image), printable(reason))
        self._count()

    def _count(self) -> None:
        note = f"{len(self.failed)} failed" if self.failed else ""
        self._progress.update(len(self.written) + len(self.failed), note)


def _is_large(picture: Picture) -> bool:
    return picture.size[0] * picture.size[1] > _LARGEST_IN_MEMORY


def _bytes(opened: tuple[Job, Picture | Exception]) -> int:
    """Returns what a picture needs while it is read; 8 bits a channel are the rule."""
    picture = opened[1]
    return 0 if isinstance(picture, Exception) else 3 * picture.size[0] * picture.size[1]
