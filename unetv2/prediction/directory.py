"""A folder of images to a folder of masks."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from unetv2.arguments import require_integer
from unetv2.data.io.open import MAX_PIXELS
from unetv2.exporting.exported_model import ExportedModel
from unetv2.inference.inputs import InputImage
from unetv2.inference.postprocess import Part, Wanted
from unetv2.inference.prediction import Maker, Prediction
from unetv2.inference.predictor import Gathering, Predictor, Ready
from unetv2.keras_files import fingerprint
from unetv2.prediction.output_files import (
    COLORS,
    MASKS,
    OVERLAYS,
    UNCERTAINTY,
    Job,
    done,
    make_folders,
    plan_jobs,
    write_products,
)
from unetv2.prediction.predict import load
from unetv2.prefetch import ahead
from unetv2.progress import Progress
from unetv2.text import printable

# More threads decode no faster than a network predicts.
_MOST_THREADS = 8
_HEADERS_AHEAD = 64
# Masks of larger images go to their files band by band.
_LARGEST_IN_MEMORY = 2**23

_log = logging.getLogger("unetv2")


class Pipeline:
    """Predicts images one after the other; reading and writing are on threads.

    Args:
        predictor: What predicts them.
        jobs: The images, and what is written of each.
        maker: Who predicts them, noted in what is written.
        max_pixels: int. Larger image files fail.
        progress: Where it is told how far it is.

    Attributes:
        written: list of Path. The masks written.
        failed: dict. The images that could not be read, by path, and why.
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
                for image, parts in self._predictor.all(read, self._wanted):
                    job, note = self._fed.popleft()
                    prediction = self._gathered(job, image, parts, note)
                    self._writing.append(
                        (job, writers.submit(write_products, prediction, job.outputs, note))
                    )
                    # A large one with its colors needs much memory.
                    behind = 0 if _is_large(image) else 2 * threads
                    while len(self._writing) > behind:
                        self._wait()
                while self._writing:
                    self._wait()
            finally:
                read.close()
                for _, future in self._writing:
                    future.cancel()

    def _gathered(
        self, job: Job, image: InputImage, parts: Iterable[Part], note: str
    ) -> Prediction:
        path = job.outputs[MASKS] if _is_large(image) else None
        result = Gathering(image, self._predictor, self._wanted, path, note)
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
        """Yields the images that can be predicted, and notes the others."""
        opened = ahead(self._open, self._jobs, threads, most=_HEADERS_AHEAD)
        read = ahead(self._decode, opened, threads, most=most, cost=_bytes)
        for job, ready, note in read:
            if isinstance(ready, Exception):
                self._fail(job, ready)
                continue
            try:
                self._predictor.prepare(ready.image.size)
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

    def _open(self, job: Job) -> tuple[Job, InputImage | Exception]:
        try:
            channels = self._predictor.network.channels
            return job, InputImage(job.image, channels=channels, max_pixels=self._max_pixels)
        except (ValueError, OSError) as error:
            return job, error

    def _decode(
        self, opened: tuple[Job, InputImage | Exception]
    ) -> tuple[Job, Ready | Exception, str]:
        """Reads an image, after what tells it from one that may take its place meanwhile."""
        job, image = opened
        if isinstance(image, Exception):
            return job, image, ""
        try:
            note = self._maker.note(job.image)
            return job, self._predictor.read(image), note
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


def _is_large(image: InputImage) -> bool:
    return image.size[0] * image.size[1] > _LARGEST_IN_MEMORY


def _bytes(opened: tuple[Job, InputImage | Exception]) -> int:
    """Returns what an image needs while it is read; 8 bits a channel are the rule."""
    image = opened[1]
    return 0 if isinstance(image, Exception) else 3 * image.size[0] * image.size[1]


@dataclass(frozen=True)
class PredictedDirectory:
    """What :func:`unetv2.predict_directory` did.

    Attributes:
        written: tuple of pathlib.Path. The masks written, in the order of the images' names.
        skipped: tuple of pathlib.Path. The masks that were there.
        failed: dict of str to str. Images that could not be predicted, by path, and why.
        seconds: float. How long it took.

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
        # Most reasons name the file.
        lines = (why if path in why else f"'{path}': {why}" for path, why in self.failed.items())
        return "\n".join([counts, *(f"  {printable(line)}" for line in lines)])

    def as_dict(self) -> dict[str, Any]:
        """Returns it in types that JSON knows."""
        return {
            "written": [str(path) for path in self.written],
            "skipped": [str(path) for path in self.skipped],
            "failed": dict(self.failed),
            "seconds": self.seconds,
        }


def predict_directory(
    model: keras.Model | ExportedModel | str | os.PathLike[str],
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output_dir: str | os.PathLike[str],
    *,
    colors_dir: str | os.PathLike[str] | None = None,
    overlays_dir: str | os.PathLike[str] | None = None,
    uncertainty_dir: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    shard: Sequence[int] | None = None,
    window: Sequence[int] | None = None,
    overlap: float = 0.25,
    scale: float | None = None,
    tta: bool | Sequence[str | float] = False,
    mc_samples: int = 0,
    batch_size: int = 8,
    max_pixels: int = MAX_PIXELS,
    seed: int = 0,
    progress: bool = True,
) -> PredictedDirectory:
    """Predicts a folder of images, and of the folders in it, to a folder of masks.

    Each mask is a PNG of ids, of its image's size and at its relative path: that of
    ``images/a/b.jpg`` is ``output_dir/a/b.png``. So the two folders are a data set as
    :func:`unetv2.make_dataset` takes it. Each mask is the one that :func:`unetv2.predict` gives;
    images that the network sees at one size are fed together, and the next ones are read while
    it computes.

    Every file is written beside its place and renamed into it: run it again where it was stopped
    or killed, and it does the rest. An image counts as done where all that is asked for is there.
    Each file carries a note of the model, the options and the image that it was made of, as the
    text ``unetv2`` of the PNG: what another model or other options made is refused, and an image
    that was replaced by one of another size in bytes is predicted again.

    Args:
        model: A Keras model that gives logits, or the path of its ``.keras`` file; an
            :class:`~unetv2.ExportedModel`, or the path of what was exported.
        images: Folder of the images, or a list of files; hidden files and what is no image by
            its extension are left aside in a folder.
        output_dir: Folder of the masks, outside ``images``; it is made.
        colors_dir: Folder of the masks in the classes' colors, RGB PNG, or None for none.
        overlays_dir: Folder of the images under these colors, RGB PNG, or None.
        uncertainty_dir: Folder of the uncertainty, or None: gray PNG of 16 bits, the entropy of
            the probabilities, from 0 to 65535 at its maximum ``log(n_classes)``.
        overwrite: bool. Whether images that are done are done again, and files that something
            else made are replaced.
        shard: ``(index, count)`` or None. Of all images, sorted by name, each ``count``-th from
            number ``index`` on: ``count`` workers do disjoint parts.
        window: As of :func:`unetv2.predict`, like the following ones.
        overlap: float in [0, 1).
        scale: float above 0, or None.
        tta: bool, or a sequence of flips and scales.
        mc_samples: int, at least 0.
        batch_size: int, at least 1.
        max_pixels: int, at least 1. Image files of more pixels fail.
        seed: int, at least 0.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        PredictedDirectory. Images that cannot be read are in its ``failed``, and in the log of
        ``unetv2``; the others are done.

    Raises:
        FileNotFoundError: If the folder, a file of a list, or the model is missing.
        NotADirectoryError: If a folder is a file.
        ValueError: If there is no image; two have one name but for the extension; something
            would be written among the images, or outside its folder; another model, other
            options or something else made a file that is there; or an argument is out of its
            range. Nothing is written then.
        TypeError: If an argument is of the wrong type.
        OSError: If a file cannot be written; those before are whole.

    Example:
        >>> model = unetv2.build_unetv2((48, 64, 3), 23, filters=2, depth=2)
        >>> images, _ = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "folder", 3, image_size=(96, 128))
        >>> result = unetv2.predict_directory(model, images, tmp / "predicted", progress=False)
        >>> [path.name for path in result.written]
        ['000000.png', '000001.png', '000002.png']
        >>> again = unetv2.predict_directory(model, images, tmp / "predicted", progress=False)
        >>> len(again.written), len(again.skipped)
        (0, 3)
    """
    start = time.monotonic()
    require_integer("max_pixels", max_pixels, 1, "It guards against broken headers.")
    asked = {
        COLORS: colors_dir, OVERLAYS: overlays_dir, UNCERTAINTY: uncertainty_dir, MASKS: output_dir,
    }  # fmt: skip
    folders = {name: Path(folder) for name, folder in asked.items() if folder is not None}
    jobs = plan_jobs(images, folders, shard)
    if not isinstance(model, keras.Model):
        model = load(model)
    predictor = Predictor(
        model, window=window, overlap=overlap, scale=scale, tta=tta, mc_samples=mc_samples,
        batch_size=batch_size, seed=seed,
    )  # fmt: skip
    maker = Maker(_digest(model), predictor.preprocessing.as_dict(), predictor.options)
    ready = set() if overwrite else done(jobs, maker)
    todo = [job for number, job in enumerate(jobs) if number not in ready]
    pipeline = Pipeline(
        predictor, todo, maker, max_pixels, Progress(len(todo), "images", shown=progress)
    )
    pipeline.run(batch_size)
    return PredictedDirectory(
        tuple(pipeline.written),
        tuple(jobs[number].outputs[MASKS] for number in sorted(ready)),
        pipeline.failed,
        time.monotonic() - start,
    )


def _digest(model: keras.Model | ExportedModel) -> str:
    """Returns what tells a model from others."""
    if isinstance(model, ExportedModel):
        return hashlib.sha256(model.description.to_json().encode()).hexdigest()
    return fingerprint(model)
