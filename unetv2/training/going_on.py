"""Where a training goes on from: its start, a checkpoint, or the end of the last good epoch."""

from __future__ import annotations

import logging
from pathlib import Path

import keras

from unetv2.training.folder import STATE, WITHIN
from unetv2.training.guard import Failure
from unetv2.training.state import State

# Halving the rate five times is a factor of 32: what fails then does not fail by the rate.
_MOST_FAILURES = 5
# At the full, a half and a quarter of the rate, the same epoch has the same pictures. A loss that
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

    Where that did not help because the pictures make the loss jump, it has the rate from before
    and lets such jumps be.

    Raises:
        RuntimeError: If training has failed too often.
    """
    state = State.load(folder / STATE)
    state.jumps = [*state.jumps, failure.jump] if failure.jump else []
    if _by_pictures(state.jumps):
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


def _by_pictures(jumps: list[list[float]]) -> bool:
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
        f"well, so it is the pictures' doing; back to its start, with {state.factor:g} times the "
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
