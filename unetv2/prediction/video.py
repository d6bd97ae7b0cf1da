"""A video to a video of its classes."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetv2.exporting.exported_model import ExportedModel
from unetv2.files import atomic_path
from unetv2.inference.inputs import InputImage
from unetv2.inference.postprocess import Wanted
from unetv2.inference.prediction import Prediction
from unetv2.inference.predictor import Gathering, Predictor, Ready
from unetv2.prediction.predict import load
from unetv2.prediction.video_file import SUFFIXES, Film, FilmWriter, Frame, open_film, require_av
from unetv2.prefetch import ahead
from unetv2.progress import Progress
from unetv2.text import counted, printable

# Of 255: what a camera's noise and a video's compression change.
_HARDLY = 8


class Flicker:
    """Counts pixels that change their class for no reason that is seen.

    Both measures compare a pixel with the same place in other frames. What moves is not followed
    by optical flow, as the temporal consistency of Liu et al., *Efficient Semantic Video
    Segmentation with Per-frame Inference*, ECCV 2020, does, so what passes quickly counts too.
    """

    def __init__(self) -> None:
        self._masks: list[np.ndarray] = []
        self._frame: np.ndarray | None = None
        self._blinks = self._inner = 0
        self._changes = self._still = 0

    def add(self, mask: np.ndarray, frame: np.ndarray) -> None:
        """Counts the next frame.

        Args:
            mask: Class ids ``(height, width)``.
            frame: uint8 ``(height, width, channels)``.
        """
        if self._frame is not None:
            low = np.minimum(frame, self._frame)
            still = np.all(np.maximum(frame, self._frame) - low <= _HARDLY, axis=-1)
            self._still += int(np.count_nonzero(still))
            self._changes += int(np.count_nonzero(still & (mask != self._masks[-1])))
        if len(self._masks) == 2:
            before, between = self._masks
            self._inner += mask.size
            self._blinks += int(np.count_nonzero((before == mask) & (between != mask)))
        self._masks = [*self._masks[-1:], mask]
        self._frame = frame

    @property
    def blinking(self) -> float | None:
        """The share of pixels, in [0, 1], whose class is another one for a single frame.

        Of all pixels of all frames but the first and the last; None below three frames.
        """
        return self._blinks / self._inner if self._inner else None

    @property
    def unsteady(self) -> float | None:
        """The share of still pixels, in [0, 1], whose class changes.

        Of the pixels none of whose channels changes by more than 8 of 255 from one frame to the
        next; None if there is none.
        """
        return self._changes / self._still if self._still else None


_FRAMES_BEHIND = 8


@dataclass(frozen=True)
class PredictedVideo:
    """What :func:`unetv2.predict_video` did.

    Attributes:
        path: pathlib.Path. The video written.
        frames: int. How many there are.
        size: ``(height, width)`` in pixels.
        frame_rate: float or None. Frames a second when it is shown, on average, if the video tells.
        frames_per_second: float. How fast they were predicted and written.
        blinking: float in [0, 1], or None below three frames. The share of pixels whose class is
            another one for a single frame: of all pixels of the frames but the first and the last,
            those whose class before and after is the same, and not theirs.
        unsteady: float in [0, 1], or None. The share of still pixels whose class changes: of those
            of which no channel changes by more than 8 of 255 from one frame to the next.

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
        """Returns a line."""
        shares = {"blinking": self.blinking, "unsteady": self.unsteady}
        words = [f"{share:.2%} {name}" for name, share in shares.items() if share is not None]
        words = [counted(self.frames, "frame"), f"{self.frames_per_second:.1f} a second", *words]
        return f"{printable(self.path)}: {', '.join(words)}"

    def as_dict(self) -> dict[str, Any]:
        """Returns it in types that JSON knows."""
        return {**asdict(self), "path": str(self.path), "size": list(self.size)}


def predict_video(
    model: keras.Model | ExportedModel | str | os.PathLike[str],
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    opacity: float = 0.5,
    overwrite: bool = False,
    window: Sequence[int] | None = None,
    overlap: float = 0.25,
    scale: float | None = None,
    tta: bool | Sequence[str | float] = False,
    mc_samples: int = 0,
    batch_size: int = 8,
    seed: int = 0,
    progress: bool = True,
) -> PredictedVideo:
    """Predicts a video to a video under its classes' colors.

    It has the size, the frame rate and the times of the other, upright where that is turned, and
    no sound: H.264, at a quality where the loss is hardly seen. Frames are predicted each by
    itself, as by :func:`unetv2.predict`. It is written beside its place and renamed into it when it
    is whole. Needs the extra ``video``.

    Args:
        model: A Keras model that gives logits for 1 or 3 channels, or the path of its ``.keras``
            file; an :class:`~unetv2.ExportedModel`, or the path of what was exported.
        path: The video, of any format that FFmpeg reads.
        output: A ``.mp4``, ``.mkv`` or ``.mov`` file.
        opacity: float in [0, 1]. 0 shows the frames, 1 the colors.
        overwrite: bool. Whether a file that is there is replaced.
        window: As of :func:`unetv2.predict`, like the following ones.
        overlap: float in [0, 1).
        scale: float above 0, or None.
        tta: bool, or a sequence of flips and scales.
        mc_samples: int, at least 0.
        batch_size: int, at least 1.
        seed: int, at least 0.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        PredictedVideo. With how steady the classes are.

    Raises:
        ImportError: If PyAV is not installed.
        FileNotFoundError: If the video, the model or the folder of ``output`` is missing.
        ValueError: If it is no whole video, ``output`` is there already or of another format, or
            an argument is out of its range. Nothing is written then.
        TypeError: If an argument is of the wrong type.
        OSError: If the video cannot be written; what was there stays.

    Example:
        >>> import av
        >>> with av.open(str(tmp / "drive.mp4"), "w") as container:
        ...     stream = container.add_stream("libx264", rate=10)
        ...     stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        ...     for number in range(4):
        ...         scene, _ = unetv2.synthetic.driving_scene(number, image_size=(48, 64))
        ...         frame = av.VideoFrame.from_ndarray(scene[..., :3].copy(), format="rgb24")
        ...         container.mux(stream.encode(frame))
        ...     container.mux(stream.encode())
        >>> model = unetv2.build_unetv2((48, 64, 3), 23, filters=2, depth=2)
        >>> result = unetv2.predict_video(
        ...     model, tmp / "drive.mp4", tmp / "classes.mp4", progress=False)
        >>> result.frames, result.size, result.frame_rate
        (4, (48, 64), 10.0)
    """
    require_av()
    source, target = Path(path), Path(output)
    _require_files(source, target, overwrite)
    if not 0 <= opacity <= 1:
        raise ValueError(
            "`opacity` must be a number in [0, 1]. "
            f"Received: opacity={opacity!r}. 0 shows the frames, 1 the colors."
        )
    if not isinstance(model, keras.Model):
        model = load(model)
    predictor = Predictor(
        model, window=window, overlap=overlap, scale=scale, tta=tta, mc_samples=mc_samples,
        batch_size=batch_size, seed=seed,
    )  # fmt: skip
    start = time.monotonic()
    steadiness = Flicker()
    count = 0
    with open_film(source, predictor.network.channels) as film:
        frames, size = _begun(film, source)
        predictor.prepare(size)
        shown = Progress(film.frames, "frames", shown=progress)
        with (
            atomic_path(target) as other,
            FilmWriter(other, film, size) as writer,
            # One each: frames are read, and written, one after the other.
            ThreadPoolExecutor(1) as reading,
            ThreadPoolExecutor(1) as writing,
        ):

            def write(predicted: tuple[Frame, Prediction]) -> None:
                frame, prediction = predicted
                steadiness.add(prediction.mask, frame.pixels)
                writer.add(prediction.overlay(opacity=opacity), frame.time)

            predicted = _predicted(predictor, frames, reading, batch_size)
            for _ in ahead(write, predicted, writing, most=_FRAMES_BEHIND):
                count += 1
                shown.update(count)
    return PredictedVideo(
        target,
        count,
        size,
        None if film.rate is None else float(film.rate),
        count / max(time.monotonic() - start, 1e-9),
        steadiness.blinking,
        steadiness.unsteady,
    )


def _begun(film: Film, path: Path) -> tuple[Iterator[Frame], tuple[int, int]]:
    """Returns the frames of a film and their size."""
    frames = iter(film)
    first = next(frames, None)
    if first is None:
        raise ValueError(f"`path` must be a video. Received: '{path}' without a frame.")
    height, width = first.pixels.shape[:2]
    return chain([first], frames), (height, width)


def _predicted(
    predictor: Predictor, frames: Iterator[Frame], threads: ThreadPoolExecutor, batch_size: int
) -> Iterator[tuple[Frame, Prediction]]:
    fed: deque[Frame] = deque()

    def following(_: None) -> tuple[Frame, Ready] | None:
        frame = next(frames, None)
        if frame is None:
            return None
        image = InputImage(
            frame.pixels, channels=predictor.network.channels, max_pixels=frame.pixels.size
        )
        return frame, predictor.read(image)

    def read() -> Iterator[Ready]:
        for one in ahead(following, repeat(None), threads, most=2 * batch_size):
            if one is None:
                return
            fed.append(one[0])
            yield one[1]

    wanted = Wanted(uncertainty=False)
    for image, parts in predictor.all(read(), wanted):
        gathering = Gathering(image, predictor, wanted, None)
        for part in parts:
            gathering.add(part)
        yield fed.popleft(), gathering.prediction()


def _require_files(path: Path, output: Path, overwrite: bool) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"`path` must be a video file. Received: '{path}', where there is none. Check the path."
        )
    if output.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"`output` must end in {', '.join(SUFFIXES)}. Received: output='{output}'."
        )
    if not output.parent.is_dir():
        raise FileNotFoundError(
            f"`output` must lie in a folder. Received: output='{output}', where there is none. "
            "Make it before."
        )
    if output.exists() and output.samefile(path):
        raise ValueError(
            "`output` must be another file than the video. "
            f"Received: output='{output}', which is. Pass another path."
        )
    if output.exists() and not overwrite:
        raise ValueError(
            f"`output` must not be there already. Received: '{output}', which is. "
            "Pass overwrite=True to replace it, or another path."
        )
