"""Prediction of a video to a video with the colors of the classes."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unetv2.files import atomic_path
from unetv2.inference.prediction import OutputOptions, Prediction, PredictionBuilder
from unetv2.inference.predictor import ImagePredictor, LoadedImage
from unetv2.prediction.video_file import (
    SUFFIXES,
    Frame,
    VideoReader,
    VideoWriter,
    open_video,
    require_av,
)
from unetv2.prefetch import prefetch
from unetv2.progress import Progress
from unetv2.text import counted, printable

# Of 255: differences due to camera noise and compression.
_NOISE = 8
# Predicted frames that are not written yet.
_FRAMES_BEHIND = 8


class Flicker:
    """Measures how much the classes of a video flicker.

    Pixels are compared at the same position. Motion is not followed by optical flow, as in Liu et
    al., *Efficient Semantic Video Segmentation with Per-frame Inference*, ECCV 2020, so objects
    that pass quickly count too.
    """

    def __init__(self) -> None:
        self._masks: list[np.ndarray] = []
        self._frame: np.ndarray | None = None
        self._blinks = self._inner = 0
        self._changes = self._still = 0

    def add(self, mask: np.ndarray, frame: np.ndarray) -> None:
        """Adds the class ids and the uint8 pixels of the next frame."""
        if self._frame is not None:
            low = np.minimum(frame, self._frame)
            still = np.all(np.maximum(frame, self._frame) - low <= _NOISE, axis=-1)
            self._still += int(np.count_nonzero(still))
            self._changes += int(np.count_nonzero(still & (mask != self._masks[-1])))
        if len(self._masks) == 2:
            first, second = self._masks
            self._inner += mask.size
            self._blinks += int(np.count_nonzero((first == mask) & (second != mask)))
        self._masks = [*self._masks[-1:], mask]
        self._frame = frame

    @property
    def blinking(self) -> float | None:
        """See :class:`PredictedVideo`."""
        return self._blinks / self._inner if self._inner else None

    @property
    def unsteady(self) -> float | None:
        """See :class:`PredictedVideo`."""
        return self._changes / self._still if self._still else None


@dataclass(frozen=True)
class PredictedVideo:
    """The result of :func:`unetv2.predict_video`.

    Attributes:
        path: pathlib.Path. The written video.
        frames: int. Number of frames.
        size: ``(height, width)`` in pixels.
        frame_rate: float or None. Average frames per second of the video, if the file has it.
        frames_per_second: float. Frames predicted and written per second.
        blinking: float in [0, 1], or None below three frames. Over all frames except the first and
            the last, the share of pixels whose class differs from that in the previous and the
            next frame, while these two agree.
        unsteady: float in [0, 1], or None if there are no such pixels. Of the pixels whose
            channels all change by at most 8 of 255 from one frame to the next, the share whose
            class changes.

    Example:
        >>> path = pathlib.Path("classes.mp4")
        >>> print(unetv2.PredictedVideo(path, 300, (480, 640), 30.0, 41.2, 0.0031, 0.0058))
        classes.mp4: 300 frames, 41.2 a second, 0.31% blinking, 0.58% unsteady
    """

    path: Path
    frames: int
    size: tuple[int, int]
    frame_rate: float | None
    frames_per_second: float
    blinking: float | None
    unsteady: float | None

    def __str__(self) -> str:
        """Returns a summary in one line."""
        shares = {"blinking": self.blinking, "unsteady": self.unsteady}
        parts = [counted(self.frames, "frame"), f"{self.frames_per_second:.1f} a second"]
        parts += [f"{share:.2%} {name}" for name, share in shares.items() if share is not None]
        return f"{printable(self.path)}: {', '.join(parts)}"

    def as_dict(self) -> dict[str, Any]:
        """Returns the result as JSON types."""
        return {**asdict(self), "path": str(self.path), "size": list(self.size)}


class VideoJob(NamedTuple):
    """A video to predict; use :func:`plan_video`."""

    path: Path
    output: Path
    opacity: float


def plan_video(
    path: str | os.PathLike[str], output: str | os.PathLike[str], opacity: float, overwrite: bool
) -> VideoJob:
    """Checks the arguments of :meth:`unetv2.Predictor.predict_video`, which lists the errors."""
    require_av()
    job = VideoJob(Path(path), Path(output), opacity)
    if not job.path.is_file():
        raise FileNotFoundError(
            f"`path` must be a video file. Received: '{job.path}', which does not exist. "
            "Check the path."
        )
    if job.output.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"`output` must end in {', '.join(SUFFIXES)}. Received: output='{job.output}'."
        )
    if not job.output.parent.is_dir():
        raise FileNotFoundError(
            f"`output` must be in an existing folder. Received: output='{job.output}'. "
            "Create the folder first."
        )
    if job.output.exists() and job.output.samefile(job.path):
        raise ValueError(
            "`output` must be another file than the video. "
            f"Received: output='{job.output}'. Pass another path."
        )
    if job.output.exists() and not overwrite:
        raise ValueError(
            f"`output` must not exist already. Received: output='{job.output}'. "
            "Pass overwrite=True to replace it, or another path."
        )
    if not 0 <= opacity <= 1:
        raise ValueError(
            "`opacity` must be a number in [0, 1]. "
            f"Received: opacity={opacity!r}. 0 shows the frames, 1 the colors."
        )
    return job


def predict_video_job(
    predictor: ImagePredictor, job: VideoJob, *, progress: bool
) -> PredictedVideo:
    """Predicts a video; see :meth:`unetv2.Predictor.predict_video`."""
    start = time.monotonic()
    flicker = Flicker()
    count = 0
    with open_video(job.path, predictor.engine.network.channels) as video:
        frames, size = _frames_and_size(video, job.path)
        predictor.engine.prepare(size)
        bar = Progress(video.frames, "frames", shown=progress)
        with (
            atomic_path(job.output) as temporary,
            VideoWriter(temporary, video, size) as writer,
            # One thread each, as frames are read and written in order.
            ThreadPoolExecutor(1) as reading,
            ThreadPoolExecutor(1) as writing,
        ):

            def write(predicted: tuple[Frame, Prediction]) -> None:
                frame, prediction = predicted
                flicker.add(prediction.mask, frame.pixels)
                writer.add(prediction.overlay(opacity=job.opacity), frame.time)

            with (
                contextlib.closing(_predicted(predictor, frames, reading)) as predicted,
                contextlib.closing(
                    prefetch(write, predicted, writing, buffer_size=_FRAMES_BEHIND)
                ) as written,
            ):
                for _ in written:
                    count += 1
                    bar.update(count)
    return PredictedVideo(
        job.output,
        count,
        size,
        None if video.rate is None else float(video.rate),
        count / max(time.monotonic() - start, 1e-9),
        flicker.blinking,
        flicker.unsteady,
    )


def _frames_and_size(video: VideoReader, path: Path) -> tuple[Iterator[Frame], tuple[int, int]]:
    frames = iter(video)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"`path` must be a video. Received: '{path}' without a frame.")
    height, width = first.pixels.shape[:2]
    return chain([first], frames), (height, width)


def _predicted(
    predictor: ImagePredictor, frames: Iterator[Frame], reading: ThreadPoolExecutor
) -> Generator[tuple[Frame, Prediction], None, None]:
    engine = predictor.engine
    # Frames that the engine has received.
    queue: deque[Frame] = deque()

    def load_next(_: None) -> tuple[Frame, LoadedImage] | None:
        frame = next(frames, None)
        return None if frame is None else (frame, engine.load(engine.open(frame.pixels)))

    def loaded() -> Iterator[LoadedImage]:
        buffer_size = 2 * predictor.batch_size
        for item in prefetch(load_next, repeat(None), reading, buffer_size=buffer_size):
            if item is None:
                return
            queue.append(item[0])
            yield item[1]

    for image, blocks in engine.predict(loaded(), OutputOptions(uncertainty=False)):
        builder = PredictionBuilder(image, engine.classes)
        for block in blocks:
            builder.add(block)
        yield queue.popleft(), builder.prediction()
