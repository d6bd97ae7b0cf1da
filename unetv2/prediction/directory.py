"""Prediction of many images to files; images are read and files are written on threads."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import math
import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from unetv2.exporting.exported_model import ExportedModel
from unetv2.inference.inputs import InputImage
from unetv2.inference.prediction import OutputOptions, Prediction, PredictionBuilder
from unetv2.inference.predictor import ImagePredictor, LoadedImage
from unetv2.keras_files import fingerprint
from unetv2.prediction.output_files import (
    MASKS,
    UNCERTAINTY,
    Job,
    Provenance,
    complete_jobs,
    make_folders,
    write_outputs,
)
from unetv2.prefetch import MAX_BYTES, prefetch
from unetv2.progress import Progress
from unetv2.text import printable

# More threads do not help, as the network is slower than the decoding.
_MAX_THREADS = 8
_HEADERS_AHEAD = 64
# Masks of larger images are written to their files in rows.
_LARGEST_IN_MEMORY = 2**23

_log = logging.getLogger("unetv2")


@dataclass(frozen=True)
class PredictedDirectory:
    """The result of :func:`unetv2.predict_directory`.

    Attributes:
        written: tuple of pathlib.Path. The written masks, in the order of the images' names.
        skipped: tuple of pathlib.Path. The masks that existed already.
        failed: dict of str to str. The reason for each image that could not be predicted, by path.
        seconds: float. Duration.

    Example:
        >>> model = unetv2.build_unetv2((16, 24, 3), 5, filters=2, depth=2)
        >>> images, _ = unetv2.synthetic.write_driving_scenes(tmp / "few", 2, image_size=(24, 32))
        >>> print(unetv2.predict_directory(model, images, tmp / "few_masks", progress=False))
        2 written, 0 skipped, 0 failed
    """

    written: tuple[Path, ...] = ()
    skipped: tuple[Path, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether no image failed."""
        return not self.failed

    def __str__(self) -> str:
        """Returns the counts, and a line for each image that failed."""
        counts = (
            f"{len(self.written)} written, {len(self.skipped)} skipped, {len(self.failed)} failed"
        )
        # Most reasons contain the path.
        lines = (
            reason if path in reason else f"'{path}': {reason}"
            for path, reason in self.failed.items()
        )
        return "\n".join([counts, *(f"  {printable(line)}" for line in lines)])

    def as_dict(self) -> dict[str, Any]:
        """Returns the result as JSON types."""
        return {
            "written": [str(path) for path in self.written],
            "skipped": [str(path) for path in self.skipped],
            "failed": dict(self.failed),
            "seconds": self.seconds,
        }


def predict_jobs(
    predictor: ImagePredictor, jobs: list[Job], *, overwrite: bool, progress: bool
) -> PredictedDirectory:
    """Predicts images to files; see :meth:`unetv2.Predictor.predict_directory`."""
    start = time.monotonic()
    model, preprocessing = predictor.model, predictor.engine.preprocessing
    if isinstance(model, ExportedModel):
        digest = hashlib.sha256(model.description.to_json().encode()).hexdigest()
    else:
        digest = fingerprint(model)
    provenance = Provenance(digest, preprocessing.as_dict(), predictor.options)
    complete = set() if overwrite else complete_jobs(jobs, provenance)
    remaining = [job for number, job in enumerate(jobs) if number not in complete]
    pipeline = _Pipeline(predictor, remaining, provenance, progress)
    pipeline.run()
    return PredictedDirectory(
        tuple(pipeline.written),
        tuple(jobs[number].outputs[MASKS] for number in sorted(complete)),
        pipeline.failed,
        time.monotonic() - start,
    )


class _Read(NamedTuple):
    """An image that was read for a job, or the error."""

    job: Job
    image: InputImage | LoadedImage | Exception
    note: str = ""


class _Predicted(NamedTuple):
    job: Job
    prediction: Prediction
    note: str


class _Pipeline:
    """Reads, predicts and writes images; attributes are the masks written and the failures."""

    def __init__(
        self, predictor: ImagePredictor, jobs: list[Job], provenance: Provenance, progress: bool
    ) -> None:
        self._engine, self._batch_size = predictor.engine, predictor.batch_size
        self._jobs, self._provenance = jobs, provenance
        self._progress = Progress(len(jobs), "images", shown=progress)
        self._options = OutputOptions(uncertainty=any(UNCERTAINTY in job.outputs for job in jobs))
        # Jobs of the images that the engine has received.
        self._queue: deque[_Read] = deque()
        self.written: list[Path] = []
        self.failed: dict[str, str] = {}

    def run(self) -> None:
        """Predicts all images.

        Raises:
            ValueError: If the network does not support the first image.
            OSError: If a file cannot be written; finished files are kept.
        """
        threads = min(_MAX_THREADS, os.cpu_count() or 1)
        with (
            ThreadPoolExecutor(threads) as readers,
            ThreadPoolExecutor(threads) as writers,
            contextlib.closing(self._loaded(readers, self._batch_size + threads)) as images,
            contextlib.closing(
                prefetch(
                    self._write,
                    self._predicted(images),
                    writers,
                    buffer_size=2 * threads,
                    # A large image is written before the next one is predicted.
                    n_bytes=lambda item: MAX_BYTES if _is_large(item.prediction.image) else 0,
                )
            ) as written,
        ):
            for path in written:
                self.written.append(path)
                self._update()

    def _loaded(
        self, readers: ThreadPoolExecutor, buffer_size: int
    ) -> Generator[LoadedImage, None, None]:
        """Yields the images that can be predicted, and records the failures."""
        opened = prefetch(self._open, self._jobs, readers, buffer_size=_HEADERS_AHEAD)
        loaded = prefetch(self._load, opened, readers, buffer_size=buffer_size, n_bytes=_n_bytes)
        prepared = False
        for read in loaded:
            if not isinstance(read.image, LoadedImage):
                self._fail(read)
                continue
            try:
                self._engine.prepare(read.image.image.size)
            except ValueError as error:
                # The first image fails only if the arguments are wrong.
                if not prepared:
                    raise
                self._fail(read._replace(image=error))
                continue
            if not prepared:
                make_folders(self._jobs)
            prepared = True
            self._queue.append(read)
            yield read.image

    def _open(self, job: Job) -> _Read:
        try:
            return _Read(job, self._engine.open(job.image))
        except (ValueError, OSError) as error:
            return _Read(job, error)

    def _load(self, read: _Read) -> _Read:
        if not isinstance(read.image, InputImage):
            return read
        try:
            # The note first: the image may be replaced while it is read.
            note = self._provenance.note(read.job.image)
            return _Read(read.job, self._engine.load(read.image), note)
        except (ValueError, OSError) as error:
            return _Read(read.job, error)

    def _predicted(self, images: Iterator[LoadedImage]) -> Iterator[_Predicted]:
        for image, blocks in self._engine.predict(images, self._options):
            job, _, note = self._queue.popleft()
            path = job.outputs[MASKS] if _is_large(image) else None
            builder = PredictionBuilder(image, self._engine.classes, path, note)
            with builder.opened():
                for block in blocks:
                    builder.add(block)
            yield _Predicted(job, builder.prediction(), note)

    def _write(self, predicted: _Predicted) -> Path:
        write_outputs(predicted.prediction, predicted.job.outputs, predicted.note)
        return predicted.job.outputs[MASKS]

    def _fail(self, read: _Read) -> None:
        reason = " ".join(str(read.image).split())
        self.failed[read.job.image] = reason
        _log.warning("Could not predict '%s': %s", printable(read.job.image), printable(reason))
        self._update()

    def _update(self) -> None:
        note = f"{len(self.failed)} failed" if self.failed else ""
        self._progress.update(len(self.written) + len(self.failed), note)


def _is_large(image: InputImage) -> bool:
    return image.size[0] * image.size[1] > _LARGEST_IN_MEMORY


def _n_bytes(read: _Read) -> int:
    """Returns the memory of an image with 8 bits per channel, which is the common case."""
    return 3 * math.prod(read.image.size) if isinstance(read.image, InputImage) else 0
