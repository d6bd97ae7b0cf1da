"""The output folder of a training, and the checkpoints in it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np

from unetv2 import keras_files
from unetv2.checksums import add_checksum, read_arrays, read_json, verify_checksum, write_arrays
from unetv2.files import Lock, atomic_path, clean_up, write_atomically
from unetv2.keras_files import layer_configs, without_generated_names
from unetv2.models.segmentation_model import SegmentationModel
from unetv2.preprocessing import Preprocessing
from unetv2.runtime import precision_of, versions
from unetv2.text import error_summary

RUN, MODEL, HISTORY = "run.json", "model.keras", "history.csv"
PLAN = "plan.json"
# The state at the end of an epoch, and at a step within the next epoch.
CHECKPOINT, WITHIN_EPOCH = "checkpoint.npz", "within_epoch.npz"
TENSORBOARD, IMAGES = "tensorboard", "images"
# Drawings of the best epoch, and of the history.
BEST, CURVES = "best.png", "curves.png"
_LOCK = "lock"
# Allowed factor between losses of epochs. Regular increases are 10 % unless there are few images;
# the collapse of the reference implementation was a factor of 19.
MOST_INCREASE = 2.0
# These may change on resume.
_NOT_COMPARED = ("versions", "epochs", "minutes")
_MOST_SHOWN = 6
_ADVICE = "call `train` again with resume=True; earlier checkpoints are intact"

Assign = Callable[[Sequence[Any], Sequence[np.ndarray]], None]


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file atomically; errors contain advice on resuming."""
    write_atomically(path, write, _ADVICE)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with a digest atomically."""
    text = json.dumps(add_checksum(content), indent=2) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def same_layers(model: keras.Model, shape: tuple[int | None, ...]) -> SegmentationModel:
    """Returns an uncompiled model with the same layers and weights, for another input shape.

    Args:
        model: A functional model with one input.
        shape: ``(height, width, channels)``.
    """
    clone = keras.models.clone_model(
        # Converts sequential models, and models whose inputs and outputs are lists.
        keras.Model(model.inputs[0], model.outputs[0]),
        input_tensors=keras.Input(shape, name=model.inputs[0].name),
        clone_function=lambda layer: layer,
    )
    # The clone of a compiled model is compiled.
    uncompiled = SegmentationModel(clone.inputs[0], clone.outputs[0], name=model.name)
    uncompiled.dtype_policy = model.dtype_policy
    return uncompiled


def load_weights(model: keras.Model, path: Path) -> None:
    """Loads the weights of a saved model."""
    keras_files.load_weights(same_layers(model, model.input_shape[1:]), path)


def save_model(model: keras.Model, path: Path, preprocessing: Preprocessing | None) -> None:
    """Saves an uncompiled copy of a functional model atomically."""
    # The optimizer's state, which would triple the file, is in the checkpoint.
    copy = same_layers(model, model.input_shape[1:])
    copy.preprocessing = preprocessing
    with atomic_path(path, _ADVICE) as temporary:
        copy.save(temporary)


def write_history(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Writes all logs as CSV; Keras's ``CSVLogger`` would repeat resumed epochs."""
    if history:
        text = io.StringIO()
        table = csv.DictWriter(text, list(history[0]))
        table.writeheader()
        table.writerows(history)
        write_whole(folder / HISTORY, lambda file: file.write(text.getvalue().encode()))


def describe_run(
    model: keras.Model,
    recipe: Mapping[str, Any],
    *,
    epochs: int | None,
    minutes: float | None,
    seed: int,
    data: Mapping[str, Any],
    class_weights: list[float] | None,
) -> dict[str, Any]:
    """Returns a JSON-serializable description of a training, the content of ``run.json``."""
    described = {
        "recipe": dict(recipe),
        "epochs": epochs,
        "minutes": minutes,
        "seed": seed,
        "data": dict(data),
        "class_weights": class_weights,
        "precision": precision_of(model).name,
        "weights": [
            [without_generated_names(weight.path), list(weight.shape)] for weight in model.weights
        ],
        "layers": layer_configs(model),
        "versions": versions(),
    }
    # The same types as after reading: tuples become lists, keys become strings.
    return json.loads(json.dumps(described, default=str))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a folder, which is created if needed, against other trainings.

    The lock is released at the end of the context or of the process.

    Raises:
        ValueError: If another training, of this or another process, uses the folder.
        OSError: If the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        # `open_folder` raises the error.
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _LOCK
    try:
        lock = Lock(path)
    except BlockingIOError as error:
        holder = path.read_text(encoding="utf-8", errors="replace").strip()
        raise ValueError(
            "`output_dir` must not be in use by another training. Received: "
            f"'{folder}', which {holder or 'another process'} uses. "
            "Wait until it ends, or pass another folder."
        ) from error
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        lock.remove()


def open_folder(
    folder: Path, description: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> bool:
    """Prepares the output folder.

    Args:
        folder: The output folder.
        description: The result of :func:`describe_run`.
        resume: bool. Whether to resume a run in it.
        overwrite: bool. Whether to remove a run in it.

    Returns:
        bool. Whether there is a checkpoint to resume from.

    Raises:
        ValueError: If it contains another run.
    """
    if resume and overwrite:
        raise ValueError(
            "`resume` and `overwrite` must not both be True. Received: resume=True and "
            "overwrite=True. Pass resume=True to keep the run, or overwrite=True to remove it."
        )
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`output_dir` must be a folder. Received: the file '{folder}'.")
    exists = (folder / RUN).exists()
    if exists and overwrite:
        # Except the description, which is replaced atomically below, so that a kill meanwhile does
        # not mix files of two runs.
        for name in (CHECKPOINT, WITHIN_EPOCH, MODEL, HISTORY, PLAN, BEST, CURVES):
            (folder / name).unlink(missing_ok=True)
        for name in (TENSORBOARD, IMAGES):
            shutil.rmtree(folder / name, ignore_errors=True)
        exists = False
    if exists and not resume:
        raise ValueError(
            f"`output_dir` must not contain another run. Received: '{folder}', which contains one. "
            "Pass resume=True to continue it, overwrite=True to remove it, or another folder."
        )
    if exists:
        _require_same(folder, description)
    folder.mkdir(parents=True, exist_ok=True)
    for written in (folder, folder / IMAGES):
        clean_up(written)
    write_json(folder / RUN, description)
    return exists and (folder / CHECKPOINT).exists()


def _require_same(folder: Path, description: Mapping[str, Any]) -> None:
    try:
        before = verify_checksum(read_json((folder / RUN).read_bytes()))
    except ValueError as error:
        raise ValueError(
            f"'{folder / RUN}' must describe the run. Received: {error_summary(error)}. "
            "Pass overwrite=True to start again."
        ) from error
    found = list(differences(before, description))
    if found:
        shown = "; ".join(found[:_MOST_SHOWN]) + ("; ..." if len(found) > _MOST_SHOWN else "")
        raise ValueError(
            f"A run must be resumed with the arguments of its start. Received: '{folder}' with "
            f"{shown}. Pass the same arguments, or another folder."
        )


def differences(
    first: Mapping[str, Any],
    second: Mapping[str, Any],
    labels: tuple[str, str] = ("before", "now"),
) -> Iterator[str]:
    """Yields the differences of two descriptions that must not change on resume."""
    label, other_label = labels
    for name in sorted({*first, *second} - {*_NOT_COMPARED}):
        value, other = first.get(name), second.get(name)
        if value == other:
            continue
        if isinstance(value, dict) and isinstance(other, dict):
            for key in sorted({*value, *other}):
                if value.get(key) != other.get(key):
                    pair = f"{value.get(key)!r} {label} and {other.get(key)!r} {other_label}"
                    yield f"{name}.{key}={pair}"
        elif isinstance(value, list) and isinstance(other, list):
            yield _first_difference(name, value, other, labels)
        else:
            yield f"{name}={value!r} {label} and {other!r} {other_label}"


def _first_difference(
    name: str, first: list[Any], second: list[Any], labels: tuple[str, str]
) -> str:
    if len(first) != len(second):
        return f"{len(first)} {name} {labels[0]} and {len(second)} {labels[1]}"
    pairs = zip(first, second, strict=True)
    item, other = next((item, other) for item, other in pairs if item != other)
    return f"{name} such as {_nested_difference(item, other, labels)}"


def _nested_difference(first: Any, second: Any, labels: tuple[str, str], path: str = "") -> str:
    """Returns the first nested value that differs, with its path."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        key = next(key for key in first if first[key] != second[key])
        path = f"{path}.{key}" if path else str(key)
        return _nested_difference(first[key], second[key], labels, path)
    if isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        number = next(number for number, item in enumerate(first) if item != second[number])
        if isinstance(first[number], dict | list):
            # The first item of a layer is its name.
            is_layer = not path and isinstance(first[0], str)
            path = first[0] if is_layer else f"{path}[{number}]"
            return _nested_difference(first[number], second[number], labels, path)
    equals = "=" if path else ""
    return f"{path}{equals}{first!r} {labels[0]} and {second!r} {labels[1]}"


_NOTES = "notes"


@dataclass
class TrainingState:
    """The state of a training between two steps: the content of a checkpoint.

    Args:
        epoch: int. The epoch to continue with.
        step: int. Finished batches of this epoch.
        rate_factor: float. Factor of the recipe's learning rate, below 1 after rollbacks.
        best: float or None. The highest validation mean IoU.
        best_epoch: int or None. Its epoch.
        phase: list or None. Start, end and scale of the current phase of progressive resizing.
        first_loss: float or None. The loss of the first batch of the phase.
        lowest_loss: float or None. The lowest loss of the epochs of the phase.
        most_increase: float. Largest allowed ratio of an epoch's loss to the lowest one.
        increases: list of pairs of floats. Losses before and after the increases due to which this
            epoch was rolled back.
        history: list of dict. The logs of each finished epoch.
        events: list of str. Rollbacks and their causes.
        warnings: list of str. Warnings about the result.
        one_class_epochs: int. Number of consecutive epochs in which one class was predicted for
            all validation pixels.
        trivial_score: float or None. Validation mean IoU of predicting the most frequent class.
        clock: dict of float. The used time, of a training for a given time.
        variables: NumPy arrays of the ``"model"``, the ``"optimizer"``, and within an epoch the
            ``"metrics"``.
    """

    epoch: int = 0
    step: int = 0
    rate_factor: float = 1.0
    best: float | None = None
    best_epoch: int | None = None
    phase: list[float] | None = None
    first_loss: float | None = None
    lowest_loss: float | None = None
    most_increase: float = MOST_INCREASE
    increases: list[list[float]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    one_class_epochs: int = 0
    trivial_score: float | None = None
    clock: dict[str, float] = field(default_factory=dict)
    variables: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def stagnates(self, patience: int | None) -> bool:
        """Returns whether the last ``patience`` epochs brought no improvement."""
        if patience is None or self.best_epoch is None:
            return False
        return self.epoch - 1 - self.best_epoch >= patience

    def enter(self, phase: tuple[float, float, float]) -> None:
        """Enters a phase, and resets the losses if it is new, as the size of images changes."""
        if self.phase != list(phase):
            self.phase, self.first_loss, self.lowest_loss = list(phase), None, None

    def capture(self, model: keras.Model) -> None:
        """Copies the variables of a compiled model."""
        groups = {"model": model.variables, "optimizer": model.optimizer.variables}
        if self.step:
            groups["metrics"] = model.metrics_variables
        self.variables = {
            group: [np.array(variable) for variable in variables]
            for group, variables in groups.items()
        }

    def restore(self, model: keras.Model, assign: Assign, *, with_metrics: bool = False) -> None:
        """Assigns the copies to the variables of a compiled model."""
        assign(model.variables, self.variables["model"])
        assign(model.optimizer.variables, self.variables["optimizer"])
        if with_metrics and "metrics" in self.variables:
            assign(model.metrics_variables, self.variables["metrics"])

    def save(self, path: Path) -> None:
        """Writes a checkpoint atomically.

        Raises:
            OSError: If it cannot be written; an existing checkpoint is not changed.
        """
        notes = {name: value for name, value in vars(self).items() if name != "variables"}
        arrays = {
            f"{group}/{number:06d}": array
            for group, values in self.variables.items()
            for number, array in enumerate(values)
        }
        arrays[_NOTES] = np.frombuffer(json.dumps(notes).encode(), np.uint8)
        write_whole(path, lambda file: write_arrays(file, arrays))

    @classmethod
    def load(cls, path: Path) -> TrainingState:
        """Reads a checkpoint.

        Raises:
            ValueError: If the file is not a valid checkpoint.
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
                f"'{path}' must be a checkpoint of a training. Received: a file of "
                f"{path.stat().st_size} bytes that is not a valid checkpoint "
                f"({error_summary(error)}). "
                "Start again with overwrite=True; model.keras beside it has the best weights."
            ) from error
