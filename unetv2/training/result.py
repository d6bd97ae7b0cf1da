"""What a training returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from unetv2.training.state import State


@dataclass(frozen=True)
class Training:
    """What a training logged.

    Attributes:
        history: dict of lists of float. Values by epoch of everything logged, validation under
            ``val_``.
        epoch: list of int. The epochs' numbers, from 0.
        best_epoch: int or None. Number of the epoch with the highest validation mean IoU, whose
            weights were kept; without validation of the last one.
        best: float in [0, 1]. Its validation mean IoU; None without validation.
        events: list of str. What went wrong and what was done.
        output_dir: pathlib.Path. Where everything lies.
        warnings: list of str. What makes the result doubtful, each with a cause and a cure; the
            logger ``unetv2`` said so too.

    Example:
        >>> training = unetv2.Training({"loss": [2.0, 1.0]}, [0, 1], 1, 0.5, [], tmp)
        >>> training.history["loss"][training.best_epoch]
        1.0
    """

    history: dict[str, list[float]]
    epoch: list[int]
    best_epoch: int | None
    best: float | None
    events: list[str]
    output_dir: Path
    warnings: list[str] = field(default_factory=list)


def result_of(state: State, folder: Path, warnings: list[str]) -> Training:
    """Returns what a training came to."""
    names = [name for name in (state.history[0] if state.history else {}) if name != "epoch"]
    return Training(
        {name: [row[name] for row in state.history] for name in names},
        [int(row["epoch"]) for row in state.history],
        state.best_epoch,
        state.best,
        state.events,
        folder,
        warnings,
    )
