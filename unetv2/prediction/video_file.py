"""Reading and writing videos frame by frame, with PyAV."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

SUFFIXES = (".mp4", ".mkv", ".mov")
# The default of 23 blurs fine structures. B frames would change the average rate in the file.
_QUALITY = {"crf": "20", "bf": "0"}
# What FFmpeg converts RGB to by default, as numbers of ITU-T H.273. Without them, players assume
# other colors for large videos.
_BT_601, _LIMITED_RANGE = 6, 1
# The unit of times in seconds if the file has none.
_CLOCK = Fraction(1, 90_000)
_FORMATS = {1: "gray", 3: "rgb24"}


class Frame(NamedTuple):
    """A frame: uint8 ``(height, width, channels)``, upright, and its time in units of a clock."""

    pixels: np.ndarray
    time: int


def require_av() -> ModuleType:
    """Imports PyAV, or raises an ImportError with advice."""
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "Videos need PyAV, which is not installed. Run `pip install 'unetv2[video]'`."
        ) from error
    return av


class VideoReader:
    """The frames of a video; use :func:`open_video`.

    Attributes:
        frames: int or None. Number of frames, if the file has it.
        rate: Fraction or None. Average frames per second, if the file has it.
        usual_rate: Fraction or None. Frames per second of most frames.
        clock: Fraction. Unit of times in seconds.
    """

    def __init__(self, container: Any, path: Path, channels: int) -> None:
        self._container, self._path, self._format = container, path, _FORMATS[channels]
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.frames: int | None = self._stream.frames or None
        self.rate: Fraction | None = self._stream.average_rate or self._stream.guessed_rate
        self.usual_rate: Fraction | None = self._stream.guessed_rate or self.rate
        self.clock: Fraction = self._stream.time_base or _CLOCK

    def __iter__(self) -> Iterator[Frame]:
        """Yields the frames.

        Raises:
            ValueError: If the file is broken.
        """
        import av

        first: Any = None
        last = -1
        try:
            for frame in self._container.decode(self._stream):
                # The size may change within a file.
                first = first or frame
                pixels = frame.to_ndarray(
                    format=self._format, width=first.width, height=first.height
                )
                if pixels.ndim == 2:
                    pixels = pixels[..., np.newaxis]
                # Phones store rotated videos.
                pixels = np.rot90(pixels, round(first.rotation / 90) % 4)
                last = self._time(frame, first, last)
                yield Frame(np.ascontiguousarray(pixels), last)
        except av.FFmpegError as error:
            raise ValueError(
                f"'{self._path}' must be a complete video. Received: a truncated one ({error}). "
                "Repair it, for example with `ffmpeg -i`, or cut it before the damage."
            ) from error

    def _time(self, frame: Any, first: Any, last: int) -> int:
        if frame.pts is None or first.pts is None:
            step = 1 / (self.rate * self.clock) if self.rate else Fraction(1, 25) / self.clock
            return max(last + 1, round((last + 1) if last < 0 else last + step))
        # Times must increase.
        return max(last + 1, frame.pts - first.pts)


@contextlib.contextmanager
def open_video(path: Path, channels: int) -> Iterator[VideoReader]:
    """Opens a video to read frames of 1 or 3 channels.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If it is not a video, or the number of channels is not supported.
    """
    av = require_av()
    if channels not in _FORMATS:
        raise ValueError(
            "`model` must take images of 1 or 3 channels to predict a video. "
            f"Received: a model of {channels} channels."
        )
    try:
        # Metadata, such as the title, may not be UTF-8.
        container = av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise ValueError(
            f"`path` must be a video. Received: '{path}', which is not a video ({error})."
        ) from error
    with container:
        if not container.streams.video:
            raise ValueError(f"`path` must be a video. Received: '{path}' without an image.")
        yield VideoReader(container, path, channels)


class VideoWriter:
    """A video to write; it is complete at the end of the context.

    H.264, which browsers and players support, with colors at half resolution, or at full
    resolution if a side is odd. Frame rate and clock are those of the source.
    """

    def __init__(self, path: Path, source: VideoReader, size: tuple[int, int]) -> None:
        av = require_av()
        self._clock = source.clock
        # The index comes first, so that the video plays while it loads.
        options = {"movflags": "+faststart"} if path.suffix.lower() != ".mkv" else {}
        self._container = av.open(str(path), "w", options=options)
        stream: Any = self._container.add_stream("libx264", rate=source.usual_rate or 25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        stream.options = dict(_QUALITY)
        stream.codec_context.time_base = source.clock
        stream.codec_context.colorspace = _BT_601
        stream.codec_context.color_range = _LIMITED_RANGE
        self._stream = stream

    def add(self, pixels: np.ndarray, time: int) -> None:
        """Writes the next frame, uint8 ``(height, width, 3)``, at a time in units of the clock."""
        import av

        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = time, self._clock
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> VideoWriter:
        """Returns the writer."""
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        """Completes the video."""
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()
