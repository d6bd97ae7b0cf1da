"""Progress of a training in lines of text."""

from __future__ import annotations

import time

from unetv2.text import counted
from unetv2.training.checkpoint import TrainingState
from unetv2.training.clock import Clock
from unetv2.training.data import DataSpec
from unetv2.training.recipes import Recipe


class Reporter:
    """Prints a line at the start, for each phase of progressive resizing, and for each epoch.

    Args:
        progress: bool or ``"epoch"``. Whether to print anything.
        recipe: Recipe. Its phases.
        spec: DataSpec. The properties of the data.
        steps: int. Batches in an epoch.
        epochs: int or None. Number of epochs, or None without a limit.
        clock: Clock, or None without a time.
    """

    def __init__(
        self,
        progress: bool | str,
        recipe: Recipe,
        spec: DataSpec,
        *,
        steps: int,
        epochs: int | None,
        clock: Clock | None,
    ) -> None:
        self._shown = bool(progress)
        # Keras's bar has its own lines, but neither the best score nor the time left.
        self._shows_epochs = progress == "epoch" or (self._shown and clock is not None)
        self._recipe = recipe
        self._spec = spec
        self._steps = steps
        self._epochs = epochs
        self._clock = clock
        self._scale = 1.0
        self._first_epoch: int | None = None
        self._start = 0.0

    def begin(self, state: TrainingState) -> None:
        """Prints the extent of the training."""
        self._first_epoch, self._start = state.epoch, time.monotonic()
        epochs = f"epochs of {counted(self._steps, 'step')} of " + counted(
            self._spec.batch_size, "image"
        )
        if self._clock is None:
            extent = f"for {self._epochs} {epochs}"
        else:
            left = self._clock.left
            until = time.strftime("%H:%M", time.localtime(time.time() + left))
            most = "" if self._epochs is None else f"at most {self._epochs} "
            extent = f"for {duration(left)}, until about {until}, in {most}{epochs}"
        resumed = f", resumed after {counted(state.epoch, 'epoch')}" if state.epoch else ""
        self._print(f"Training {extent}, with {self._spec.n_classes} classes{resumed}.")

    def phase_began(self, phase: tuple[float, float, float]) -> None:
        """Prints the scale of the images, if it changes during the training.

        Args:
            phase: Start, end and scale, in epochs, or in shares of the time with a clock.
        """
        _, end, self._scale = phase
        if len(self._recipe.progressive_resizing) == 1:
            return
        size = "full size" if self._scale == 1 else f"{self._scale:g} times their height and width"
        if self._scale == 1 and end in (1, self._epochs):
            until = "until the end"
        elif self._clock is None:
            until = f"until epoch {end:g}"
        else:
            until = f"for the first {end:.0%} of the time"
        self._print(f"Progressive resizing: images at {size}, {until}.")

    def epoch_ended(self, state: TrainingState, steps: int) -> None:
        """Prints the scores of the last epoch, and the time that is left.

        Args:
            state: TrainingState, after the epoch.
            steps: int. Steps of the epoch.
        """
        if not self._shows_epochs:
            return
        row = state.history[-1]
        number = f"{state.epoch}" if self._epochs is None else f"{state.epoch}/{self._epochs}"
        parts = [counted(steps, "step"), f"loss {row['loss']:.4g}"]
        if "val_mean_iou" in row and state.best is not None:
            best = f"best {state.best:.3f} in epoch {(state.best_epoch or 0) + 1}"
            parts.append(f"validation mean IoU {row['val_mean_iou']:.3f} ({best})")
        elif "mean_iou" in row:
            parts.append(f"mean IoU in training {row['mean_iou']:.3f}")
        parts.append(f"{duration(self._left(state.epoch))} left")
        self._print(f"Epoch {number}: {', '.join(parts)}")

    def show(self, messages: list[str]) -> None:
        """Prints messages at the end."""
        for message in messages:
            self._print(message)

    def _left(self, epoch: int) -> float:
        """Returns the time left in seconds, estimated from the mean time of an epoch."""
        if self._clock is not None:
            return self._clock.left
        assert self._epochs is not None
        assert self._first_epoch is not None
        # Small images take less time.
        phases = self._recipe.phases(self._epochs)

        def cost(first: int, last: int) -> float:
            return sum(
                scale**2 * max(0, min(end, last) - max(start, first))
                for start, end, scale in phases
            )

        passed = time.monotonic() - self._start
        return passed * cost(epoch, self._epochs) / max(cost(self._first_epoch, epoch), 1e-9)

    def _print(self, text: str) -> None:
        if self._shown:
            print(text, flush=True)


def duration(seconds: float) -> str:
    """Returns a duration in words.

    Example:
        >>> duration(45.3), duration(444.0), duration(7500.0)
        ('45 s', '7.4 min', '2 h 5 min')
    """
    seconds = max(0.0, seconds)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5970:
        return f"{seconds / 60:.1f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"
