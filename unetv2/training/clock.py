"""The clock of a training that ends after some minutes, and the learning rate that follows it."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras

# Largest shares of an epoch that are left out at the end of the time, and at the end of a phase,
# instead of a short epoch with a validation.
_LEFT_OUT, _LEFT_OUT_OF_PHASE = 0.1, 0.5
# Drawings take at most this share of the time.
_MOST_DRAWING = 0.02
# Loading the best weights and scoring them, relative to a validation with saving.
_ENDING = 0.5


class Clock:
    """Measures the elapsed share of a training's time, and reserves the time to finish it.

    Args:
        seconds: float. Wall time of the training, from the creation of the clock.

    Attributes:
        share: float in [0, 1]. The elapsed share of the time of the steps.
        position: keras.Variable. ``share`` as a float32, for :class:`TimedSchedule`.
        phase_end: float. The share at which the current phase of progressive resizing ends.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last = time.monotonic()
        self._deadline = self._last + seconds
        # Durations in seconds: of a step, of validation and saving, and of drawing.
        self._step = self._finish = self._drawing = 0.0
        # Durations of the first step and the first validation of a phase, which compile them.
        self._first_step = self._first_finish = 0.0
        self._is_first_finish = True
        self._later_phases = 0
        # Start of the current epoch: its time, and its share.
        self._epoch = (self._last, 0.0)
        # Tolerances in seconds of the end, and in shares of the end of a phase.
        self._rest = self._rest_of_phase = 0.0
        self._drawn: float | None = None
        self._drawn_in_epoch = 0.0
        self.share = 0.0
        self.phase_end = math.inf
        self.position = keras.Variable(0.0, trainable=False, dtype="float32", autocast=False)

    @property
    def left(self) -> float:
        """The remaining time in seconds."""
        return self._deadline - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether a further step would end in the reserved time."""
        return self.left - self._reserved < max(self._step / 2, self._rest)

    @property
    def phase_share(self) -> float:
        """The share, or after an epoch that of the phase's end if it is near."""
        return min(1.0, self.share + self._rest_of_phase)

    @property
    def phase_is_over(self) -> bool:
        """Whether the current phase of progressive resizing ends."""
        return self.phase_share >= self.phase_end

    @property
    def may_draw(self) -> bool:
        """Whether drawing now takes a small share of the time."""
        if self._drawn is None:
            return True
        return _MOST_DRAWING * (time.monotonic() - self._drawn) >= self._drawing

    @property
    def _reserved(self) -> float:
        return (1 + _ENDING) * self._finish + self._drawing

    @property
    def _compilation(self) -> float:
        """The expected time of the compilations in later phases."""
        return self._later_phases * (self._first_step + max(0.0, self._first_finish - self._finish))

    def phase_began(self, end: float, later_phases: int) -> None:
        """Begins a phase of progressive resizing, before a call of ``fit``.

        Args:
            end: float. The share at which it ends.
            later_phases: int. Number of phases after it.
        """
        self.phase_end = end if later_phases else math.inf
        self._later_phases = later_phases
        self._last, self._is_first_finish = time.monotonic(), True

    def step_ended(self, *, is_first: bool, least_share: float) -> None:
        """Updates the share after a step.

        Args:
            is_first: bool. Whether the step is the first one of a call of ``fit``, which compiles
                it. Its duration is no part of the schedule: the steps share the remaining time.
            least_share: float. The share of the steps, if their number is limited.
        """
        now = time.monotonic()
        self._rest = self._rest_of_phase = self._drawn_in_epoch = 0.0
        passed = now - self._last
        if is_first:
            self._epoch, self._first_step = (now, self.share), passed
        else:
            left = self._deadline - self._reserved - self._compilation - self._last
            # The rest of the schedule is distributed over the rest of the time.
            self.share += (1 - self.share) * (passed / left if left > passed else 1.0)
            self._step = passed
        self.share = max(self.share, least_share)
        self._last = now
        self.position.assign(self.share)

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """Measures the duration of a drawing, which is reserved for the end."""
        start = time.monotonic()
        yield
        self._drawn = time.monotonic()
        self._drawing = self._drawn_in_epoch = self._drawn - start

    def epoch_ended(self) -> None:
        """Notes the duration of validation and saving, which is reserved for the last epoch."""
        now = time.monotonic()
        start, share = self._epoch
        self._rest = _LEFT_OUT * (self._last - start)
        self._rest_of_phase = _LEFT_OUT_OF_PHASE * (self.share - share)
        self._finish = now - self._last - self._drawn_in_epoch
        if self._is_first_finish:
            self._first_finish, self._is_first_finish = self._finish, False
        self._epoch = (now, self.share)

    def state(self) -> dict[str, float]:
        """Returns the used time, JSON-serializable, for a checkpoint."""
        return {
            "seconds": self._seconds,
            "used": self._seconds - self.left,
            "share": self.share,
            "finish": self._finish,
            "rest": _LEFT_OUT * (self._last - self._epoch[0]),
        }

    def resume(self, state: Mapping[str, float]) -> None:
        """Continues from the result of :meth:`state`; an empty mapping changes nothing.

        If the training has more time than before, its share decreases.
        """
        if not state:
            return
        self._deadline -= state["used"]
        self._finish, self._rest = state["finish"], state["rest"]
        self.share = state["share"] * min(1.0, state["seconds"] / self._seconds)
        self.position.assign(self.share)


@keras.saving.register_keras_serializable(package="unetv2")
class TimedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that follows a clock instead of the optimizer's steps.

    Args:
        schedule: A Keras schedule of ``steps`` steps.
        steps: int. Its number of steps.
        position: keras.Variable. The elapsed share of the time, in [0, 1]; None is the start.
    """

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        steps: int,
        position: keras.Variable | None = None,
    ) -> None:
        super().__init__()
        self._schedule = schedule
        self._steps = steps
        self._position = position

    def __call__(self, step: Any) -> Any:
        """Returns the learning rate; the number of the step does not matter."""
        position = 0.0 if self._position is None else self._position.value
        return self._schedule(position * self._steps)

    def get_config(self) -> dict[str, Any]:
        """Returns the schedule without the clock, JSON-serializable."""
        schedule = keras.optimizers.schedules.serialize(self._schedule)
        return {"schedule": schedule, "steps": self._steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> TimedSchedule:
        """Creates the schedule from the result of :meth:`get_config`."""
        schedule = keras.optimizers.schedules.deserialize(config["schedule"])
        return cls(schedule, config["steps"])
