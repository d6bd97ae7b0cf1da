"""Everything that a training goes on from, in one file that is whole or not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from unetv2.sealing import read_arrays, read_json, reason, write_arrays
from unetv2.training.folder import write_whole
from unetv2.training.guard import JUMP

_NOTES = "notes"


def _assign(variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


@dataclass
class State:
    """Where a training stands.

    Args:
        epoch: int. The epoch to go on with.
        step: int. Batches of it that are done.
        factor: float. What the recipe's learning rate is multiplied by, after failures.
        best: float or None. The highest validation mean IoU.
        best_epoch: int or None. Its epoch.
        stage: list or None. First epoch, end and scale of the present stage.
        first_loss: float or None. The loss of its first batch.
        lowest_loss: float or None. The lowest loss of an epoch of it.
        jump: float. How many times the lowest an epoch's loss may be.
        jumps: list of pairs of floats. Losses before and after the jumps that this epoch failed by.
        history: list of dict. What each finished epoch logged.
        events: list of str. What went wrong and what was done.
        warnings: list of str. What makes the result doubtful.
        one_class: int. Epochs in a row whose validation pixels were all called one class.
        trivial: float or None. Validation mean IoU of calling all pixels the most frequent class.
        variables: NumPy arrays by kind: the model's, the optimizer's, and within an epoch the
            metrics'.
    """

    epoch: int = 0
    step: int = 0
    factor: float = 1.0
    best: float | None = None
    best_epoch: int | None = None
    stage: list[float] | None = None
    first_loss: float | None = None
    lowest_loss: float | None = None
    jump: float = JUMP
    jumps: list[list[float]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    one_class: int = 0
    trivial: float | None = None
    variables: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def is_over(self, patience: int | None) -> bool:
        """Returns whether so many epochs passed without a better one."""
        if patience is None or self.best_epoch is None:
            return False
        return self.epoch - 1 - self.best_epoch >= patience

    def enter(self, stage: tuple[int, int, float]) -> None:
        """Forgets the losses where a stage begins: other pictures have others."""
        if self.stage != list(stage):
            # More epochs make another stage of it too, with a rate that may rise again.
            self.stage, self.first_loss, self.lowest_loss = list(stage), None, None

    def take(self, model: keras.Model) -> None:
        """Keeps a copy of what a compiled model is made of."""
        kinds = {"model": model.variables, "optimizer": model.optimizer.variables}
        if self.step:
            kinds["metrics"] = model.metrics_variables
        self.variables = {
            kind: [np.array(variable) for variable in variables]
            for kind, variables in kinds.items()
        }

    def give(
        self,
        model: keras.Model,
        kinds: Sequence[str] = ("model", "optimizer"),
        assign: Callable[[Sequence[Any], Sequence[np.ndarray]], None] = _assign,
    ) -> None:
        """Sets a compiled model to what was kept."""
        held = {
            "model": model.variables,
            "optimizer": model.optimizer.variables,
            "metrics": model.metrics_variables,
        }
        for kind in kinds:
            arrays = self.variables.get(kind, [])
            if kind == "metrics" and not arrays:
                continue
            assign(held[kind], arrays)

    def save(self, path: Path) -> None:
        """Writes the file beside and renames it into place.

        Raises:
            OSError: If it cannot be written; what was there stays.
        """
        notes = {name: value for name, value in vars(self).items() if name not in ("variables",)}
        arrays = {
            f"{kind}/{number:06d}": array
            for kind, found in self.variables.items()
            for number, array in enumerate(found)
        }
        arrays[_NOTES] = np.frombuffer(json.dumps(notes).encode(), np.uint8)
        write_whole(path, lambda file: write_arrays(file, arrays))

    @classmethod
    def load(cls, path: Path) -> State:
        """Reads the file.

        Raises:
            ValueError: If it is no such file.
        """
        try:
            arrays = read_arrays(path)
            notes: dict[str, Any] = read_json(arrays.pop(_NOTES).tobytes())
            variables: dict[str, list[np.ndarray]] = {}
            for name in sorted(arrays):
                variables.setdefault(name.split("/")[0], []).append(arrays[name])
            return cls(**notes, variables=variables)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"'{path}' must be a checkpoint of a training. Received: "
                f"{path.stat().st_size} bytes that are none ({reason(error)}). "
                "Start again with overwrite=True; model.keras beside it holds the best weights."
            ) from error
