"""Where a training goes on from: its start, a checkpoint, or the end of the last good epoch."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetv2.training.checkpoint import JUMP, STATE, WITHIN, State

# One batch is a poor estimate.
_JUMP_FROM_ONE_BATCH = 10.0
# Below, where twice as much is still learnt by heart.
_NOTHING = 0.01
# Asking for a loss waits for the device, so not after every step.
_STEPS_BETWEEN = 20


class Failure(Exception):  # noqa: N818 - it is caught and fixed, not an error yet.
    """A training failed and is to go back to its last good checkpoint.

    Args:
        what: str. What happened.
        jump: A pair of floats: the loss before it jumped and after; empty if it did not.
    """

    def __init__(self, what: str, jump: Sequence[float] = ()) -> None:
        super().__init__(what)
        self.jump = list(jump)


class Guard(keras.callbacks.Callback):
    """Raises :class:`Failure` where training fails.

    Args:
        first_loss: float or None. The loss of this stage's first batch.
        lowest_loss: float or None. The lowest loss of an epoch of this stage so far.
        jump: float. How many times that an epoch's loss may be.
    """

    def __init__(
        self, first_loss: float | None, lowest_loss: float | None, jump: float = JUMP
    ) -> None:
        super().__init__()
        self.first_loss = first_loss
        self.lowest_loss = lowest_loss
        self._jump = jump

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the mean loss of the epoch so far, now and then."""
        if batch % _STEPS_BETWEEN == 0 and logs is not None and "loss" in logs:
            loss = float(logs["loss"])
            self.require_number("loss", loss)
            if self.first_loss is None:
                self.first_loss = loss

    def check_epoch(self, loss: float) -> None:
        """Checks the mean loss of an epoch.

        Raises:
            Failure: If it is no number, too far above the lowest before, or in a stage's first
                epoch far above the first batch's.
        """
        self.require_number("loss", loss)
        before, jump = self.lowest_loss, self._jump
        if before is None:
            before, jump = self.first_loss, _JUMP_FROM_ONE_BATCH
        if before is not None and loss > jump * max(before, _NOTHING):
            what = f"the loss jumped from {before:.4g} to {loss:.4g}"
            raise Failure(what, (max(before, _NOTHING), loss))
        self.lowest_loss = loss if self.lowest_loss is None else min(loss, self.lowest_loss)

    @staticmethod
    def check_weights(arrays: Sequence[np.ndarray]) -> None:
        """Raises :class:`Failure` where a weight is infinite or no number."""
        if not all(np.isfinite(array).all() for array in arrays):
            raise Failure("a weight became infinite or no number")

    @staticmethod
    def require_number(name: str, loss: float) -> None:
        """Raises :class:`Failure` where a loss is infinite or no number."""
        if not math.isfinite(loss):
            raise Failure(f"the {name} became {loss}")


# Halving the rate five times is a factor of 32: what fails then does not fail by the rate.
_MOST_FAILURES = 5
# At the full, a half and a quarter of the rate, the same epoch has the same images. A loss that
# the rate hardly changes is theirs, unless it is as high as that of a network that forgot it all.
_ATTEMPTS = 3
_SAME = 0.1
_COLLAPSE = 10.0

_log = logging.getLogger("unetv2")


def first_state(folder: Path, model: keras.Model, *, going_on: bool) -> State:
    """Returns the state of the latest checkpoint, or that of the start, which is saved.

    Args:
        folder: The output folder.
        model: Compiled, as it is at the start.
        going_on: bool. Whether there is a checkpoint.
    """
    if going_on:
        state = State.load(folder / STATE)
        if (folder / WITHIN).exists():
            within = State.load(folder / WITHIN)
            # One of an epoch before was left by a kill after that epoch's end was saved.
            return within if within.epoch == state.epoch else state
        return state
    state = State()
    state.take(model)
    # So that a run that is killed in its first epoch starts again from the same weights.
    state.save(folder / STATE)
    return state


def recovered(folder: Path, failure: Failure) -> State:
    """Returns the end of the last good epoch, with a lower learning rate.

    Where that did not help because the images make the loss jump, it has the rate from before
    and lets such jumps be.

    Raises:
        RuntimeError: If training has failed too often.
    """
    state = State.load(folder / STATE)
    state.jumps = [*state.jumps, failure.jump] if failure.jump else []
    if _by_images(state.jumps):
        return _tolerant(state, folder, failure)
    if state.factor <= 2**-_MOST_FAILURES:
        raise RuntimeError(
            f"The training failed for the {_MOST_FAILURES + 1}th time in epoch "
            f"{state.epoch + 1}: {failure}. Before: {'; '.join(state.events)}. The learning rate "
            "was halved each time, so something else is wrong: look at the data with "
            "`unetv2 check`, and at the loss."
        )
    state.factor /= 2
    event = (
        f"in epoch {state.epoch + 1} {failure}; back to its start, with "
        f"{state.factor:g} times the recipe's learning rate"
    )
    _go_back(state, folder, event)
    _log.warning("Training failed: %s.", event)
    return state


def _by_images(jumps: list[list[float]]) -> bool:
    losses = [loss for _, loss in jumps]
    if len(jumps) < _ATTEMPTS or max(losses) - min(losses) > _SAME * max(losses):
        return False
    return all(loss < _COLLAPSE * before for before, loss in jumps)


def _tolerant(state: State, folder: Path, failure: Failure) -> State:
    before, loss = failure.jump
    state.factor *= 2 ** (_ATTEMPTS - 1)
    state.jump = 2 * loss / before
    state.jumps = []
    event = (
        f"in epoch {state.epoch + 1} {failure}, at a half and a quarter of the learning rate as "
        f"well, so it is the images' doing; back to its start, with {state.factor:g} times the "
        "recipe's learning rate"
    )
    _go_back(state, folder, event)
    _log.warning(
        "Training goes on: %s. From now on a loss may be %.2g times the lowest.", event, state.jump
    )
    return state


def _go_back(state: State, folder: Path, event: str) -> None:
    state.events.append(event)
    (folder / WITHIN).unlink(missing_ok=True)
    state.save(folder / STATE)
