"""Everything that a training goes on from, in one file that is whole or not there."""

from __future__ import annotations

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
# The end of an epoch, which a failure goes back to, and a place within the next one.
STATE, WITHIN = "checkpoint.npz", "within_epoch.npz"
TENSORBOARD, IMAGES = "tensorboard", "images"
# The reference's collapse was a factor of 19; between good epochs of one stage the loss rises by
# a tenth, unless there are few images.
JUMP = 2.0
# What a later version may add without making a run another one.
_NOT_COMPARED = ("versions", "epochs")
_ADVICE = "call `train` again with resume=True; what was saved before is whole"


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file beside its place and renames it into it; an error says how to go on."""
    write_atomically(path, write, _ADVICE)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with a digest, whole or not at all."""
    text = json.dumps(add_checksum(content), indent=2) + "\n"
    write_whole(path, lambda file: file.write(text.encode()))


def same_layers(model: keras.Model, shape: tuple[int | None, ...]) -> SegmentationModel:
    """Returns a model of the same layers and weights, not compiled, for inputs of a shape.

    Args:
        model: A functional model of one input.
        shape: ``(height, width, channels)``.
    """
    same = keras.models.clone_model(
        # A Sequential model, or one of lists of one, becomes as any other.
        keras.Model(model.inputs[0], model.outputs[0]),
        input_tensors=keras.Input(shape, name=model.inputs[0].name),
        clone_function=lambda layer: layer,
    )
    # A clone of a compiled model is compiled, as a model made of its two ends is not.
    bare = SegmentationModel(same.inputs[0], same.outputs[0], name=model.name)
    bare.dtype_policy = model.dtype_policy
    return bare


def load_weights(model: keras.Model, path: Path) -> None:
    """Loads the weights of a saved model, and not its optimizer."""
    keras_files.load_weights(same_layers(model, model.input_shape[1:]), path)


def save_model(model: keras.Model, path: Path, preprocessing: Preprocessing | None) -> None:
    """Saves a model without its compilation, whole or not at all.

    Args:
        model: A functional model.
        path: The file.
        preprocessing: What the file is to tell of the images, or None if it is unknown.
    """
    # The optimizer's state would treble the file; to go on there is the checkpoint.
    copy = same_layers(model, model.input_shape[1:])
    copy.preprocessing = preprocessing
    with atomic_path(path, _ADVICE) as temporary:
        copy.save(temporary)


def describe_run(
    model: keras.Model,
    recipe: Mapping[str, Any],
    *,
    epochs: int,
    seed: int,
    data: Mapping[str, Any],
    class_weights: list[float] | None,
) -> dict[str, Any]:
    """Returns what makes a training the one it is, of types that JSON knows."""
    described = {
        "recipe": dict(recipe),
        "epochs": epochs,
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
    # As it will be read again: tuples become lists, keys strings.
    return json.loads(json.dumps(described, default=str))


def open_folder(
    folder: Path, description: Mapping[str, Any], *, resume: bool, overwrite: bool
) -> bool:
    """Makes the output folder ready.

    Args:
        folder: Where the training writes.
        description: Of the training, see :func:`describe_run`.
        resume: bool. Whether to go on with the run in it, if there is one.
        overwrite: bool. Whether to remove the run in it.

    Returns:
        bool. Whether there is a run to go on with.

    Raises:
        ValueError: If it holds another run, or a run of something else.
    """
    if resume and overwrite:
        raise ValueError(
            "`resume` and `overwrite` must not both be True: one keeps what the other removes. "
            "Received: resume=True and overwrite=True."
        )
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`output_dir` must be a folder. Received: the file '{folder}'.")
    there = (folder / RUN).exists()
    if there and overwrite:
        # All but the description, which a new one replaces in one step: after a kill meanwhile
        # nothing of this run passes for another's.
        for name in (STATE, WITHIN, MODEL, HISTORY):
            (folder / name).unlink(missing_ok=True)
        for name in (TENSORBOARD, IMAGES):
            shutil.rmtree(folder / name, ignore_errors=True)
        there = False
    if there and not resume:
        raise ValueError(
            f"`output_dir` must not hold another run. Received: '{folder}', which does. "
            "Pass resume=True to go on with it, overwrite=True to remove it, or another folder."
        )
    if there:
        _require_same(folder, description)
    folder.mkdir(parents=True, exist_ok=True)
    for one in (folder, folder / IMAGES):
        clean_up(one)
    write_json(folder / RUN, description)
    return there and (folder / STATE).exists()


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
        shown = "; ".join(found[:6]) + ("; ..." if len(found) > 6 else "")
        raise ValueError(
            f"A run must be resumed as it was started. Received: '{folder}' with {shown}. "
            "Pass what it was started with, or another folder."
        )


def differences(
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    where: tuple[str, str] = ("before", "now"),
) -> Iterator[str]:
    """Yields what two descriptions of trainings differ in, but for what may change."""
    one, other = where
    for name in sorted({*before, *now} - {*_NOT_COMPARED}):
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            for key in sorted({*old, *new}):
                if old.get(key) != new.get(key):
                    yield f"{name}.{key}={old.get(key)!r} {one} and {new.get(key)!r} {other}"
        elif isinstance(old, list) and isinstance(new, list):
            yield _first_difference(name, old, new, where)
        else:
            yield f"{name}={old!r} {one} and {new!r} {other}"


def _first_difference(name: str, old: list[Any], new: list[Any], where: tuple[str, str]) -> str:
    if len(old) != len(new):
        return f"{len(old)} {name} {where[0]} and {len(new)} {where[1]}"
    pairs = zip(old, new, strict=True)
    one, other = next((one, other) for one, other in pairs if one != other)
    return f"{name} such as {_narrowed(one, other, where)}"


def _narrowed(one: Any, other: Any, where: tuple[str, str], path: str = "") -> str:
    """Returns the first value within two that differs, and where it stands."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        key = next(key for key in one if one[key] != other[key])
        return _narrowed(one[key], other[key], where, f"{path}.{key}" if path else str(key))
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        number = next(number for number, item in enumerate(one) if item != other[number])
        if isinstance(one[number], dict | list):
            # A layer begins with its name.
            named = not path and isinstance(one[0], str)
            place = one[0] if named else f"{path}[{number}]"
            return _narrowed(one[number], other[number], where, place)
    return f"{path}{'=' if path else ''}{one!r} {where[0]} and {other!r} {where[1]}"


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
        """Forgets the losses where a stage begins: other images have others."""
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
                f"{path.stat().st_size} bytes that are none ({error_summary(error)}). "
                "Start again with overwrite=True; model.keras beside it holds the best weights."
            ) from error


_LOCK = "lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other trainings out of a folder, until this one ends or its process does.

    Args:
        folder: Created if need be.

    Raises:
        ValueError: If another training, of this or another process, is at work in it.
        OSError: If it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        # A file in its place is refused with better words later.
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
            f"'{folder}', where {holder or 'another process'} is at work. "
            "Wait for it, or pass another folder."
        ) from error
    try:
        path.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        lock.remove()
