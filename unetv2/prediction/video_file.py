"""Videos, frame by frame: read, and written with the times of another."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

SUFFIXES = (".mp4", ".mkv", ".mov")
# FFmpeg's own default is 23; fine lines of classes want more. Frames that are stored out of order
# would shift the average rate that a file tells.
_QUALITY = {"crf": "20", "bf": "0"}
# What FFmpeg converts RGB to where nobody says otherwise, by its numbers in ITU-T H.273: players
# would take large images for others.
_BT_601, _LIMITED_RANGE = 6, 1
# Times are kept to this part of a second where a file does not tell its own.
_CLOCK = Fraction(1, 90_000)
_FORMATS = {1: "gray", 3: "rgb24"}


class Frame(NamedTuple):
    """A frame of a video.

    Attributes:
        pixels: uint8 ``(height, width, channels)``, upright.
        time: int. When it is shown, in units of the film's ``clock``.
    """

    pixels: np.ndarray
    time: int


def require_av() -> ModuleType:
    """Returns PyAV.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImportError(
            "Videos need PyAV, which is not installed. Run `pip install 'unetv2[video]'`."
        ) from error
    return av


class Film:
    """A video to read; use :func:`open_film`.

    Args:
        container: Of PyAV.
        path: Its file.
        channels: int. 1 for gray, 3 for RGB.

    Attributes:
        frames: int or None. How many there are, if the file tells.
        rate: Fraction or None. Frames a second on average, if the file tells.
        usual_rate: Fraction or None. Frames a second while most are shown.
        clock: Fraction. The unit of times, in seconds.
    """

    def __init__(self, container: Any, path: Path, channels: int) -> None:
        self._container, self._path, self._format = container, path, _FORMATS[channels]
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.frames: int | None = self._stream.frames or None
        self.rate: Fraction | None = self._stream.average_rate or self._stream.guessed_rate
        # Where frames are shown for different times: of most of them.
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
                # Some files change their size on the way.
                first = first or frame
                pixels = frame.to_ndarray(
                    format=self._format, width=first.width, height=first.height
                )
                if pixels.ndim == 2:
                    pixels = pixels[..., np.newaxis]
                # Turned by a quarter of a circle, or more, as phones do.
                pixels = np.rot90(pixels, round(first.rotation / 90) % 4)
                last = self._time(frame, first, last)
                yield Frame(np.ascontiguousarray(pixels), last)
        except av.FFmpegError as error:
            raise ValueError(
                f"'{self._path}' must be a whole video. Received: one that breaks off ({error}). "
                "Fix it, as by `ffmpeg -i`, or cut it before that place."
            ) from error

    def _time(self, frame: Any, first: Any, last: int) -> int:
        if frame.pts is None or first.pts is None:
            step = 1 / (self.rate * self.clock) if self.rate else Fraction(1, 25) / self.clock
            return max(last + 1, round((last + 1) if last < 0 else last + step))
        # Times rise in a whole file.
        return max(last + 1, frame.pts - first.pts)


@contextlib.contextmanager
def open_film(path: Path, channels: int) -> Iterator[Film]:
    """Opens a video to read it.

    Args:
        path: Its file.
        channels: int. Channels of the frames, 1 or 3.

    Raises:
        ImportError: If PyAV is not installed.
        ValueError: If it is no video, or a model takes other channels.
    """
    av = require_av()
    if channels not in _FORMATS:
        raise ValueError(
            "`model` must take images of 1 or 3 channels to predict a video. "
            f"Received: a model of {channels} channels."
        )
    try:
        # Texts in the file, such as its title, need not be UTF-8.
        container = av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise ValueError(
            f"`path` must be a video. Received: '{path}', which is none ({error})."
        ) from error
    with container:
        if not container.streams.video:
            raise ValueError(f"`path` must be a video. Received: '{path}' without an image.")
        yield Film(container, path, channels)


class FilmWriter:
    """A video to write; use it as a context, after which it is whole.

    H.264, which every browser and player shows; colors at half resolution, or at full where a side
    is odd.

    Args:
        path: Its file.
        film: Whose frame rate and times it has.
        size: ``(height, width)``.
    """

    def __init__(self, path: Path, film: Film, size: tuple[int, int]) -> None:
        av = require_av()
        self._clock = film.clock
        # What players need first comes first, so that it plays while it loads.
        options = {"movflags": "+faststart"} if path.suffix.lower() != ".mkv" else {}
        self._container = av.open(str(path), "w", options=options)
        stream: Any = self._container.add_stream("libx264", rate=film.usual_rate or 25)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
        stream.options = dict(_QUALITY)
        stream.codec_context.time_base = film.clock
        stream.codec_context.colorspace = _BT_601
        stream.codec_context.color_range = _LIMITED_RANGE
        self._stream = stream

    def add(self, pixels: np.ndarray, time: int) -> None:
        """Writes the next frame.

        Args:
            pixels: uint8 ``(height, width, 3)``.
            time: int. When it is shown, in units of the film's clock.
        """
        import av

        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = time, self._clock
        self._container.mux(self._stream.encode(frame))

    def __enter__(self) -> FilmWriter:
        """Returns itself."""
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        """Ends the video."""
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
        finally:
            self._container.close()
