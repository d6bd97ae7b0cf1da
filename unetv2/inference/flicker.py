"""How steady masks are from one frame of a video to the next."""

from __future__ import annotations

import numpy as np

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
