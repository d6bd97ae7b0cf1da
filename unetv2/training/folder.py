"""The folder of a training: whose it is, and files that are whole or not there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import keras

from unetv2 import files, keras_files
from unetv2.fingerprint import layers_of, unnumbered
from unetv2.precision import precision_of
from unetv2.preprocessing import Preprocessing
from unetv2.scratch import sweep
from unetv2.sealing import read_json, reason, sealed, unsealed
from unetv2.segmentation_model import SegmentationModel
from unetv2.versions import versions

RUN, MODEL, HISTORY = "run.json", "model.keras", "history.csv"
# The end of an epoch, which a failure goes back to, and a place within the next one.
STATE, WITHIN = "checkpoint.npz", "within_epoch.npz"
TENSORBOARD, PICTURES = "tensorboard", "pictures"
# What a later version may add without making a run another one.
_NOT_COMPARED = ("versions", "epochs")
_ADVICE = "call `train` again with resume=True; what was saved before is whole"


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Writes a file beside its place and renames it into it; an error says how to go on."""
    files.write_whole(path, write, _ADVICE)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON with a digest, whole or not at all."""
    text = json.dumps(sealed(content), indent=2) + "\n"
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
        preprocessing: What the file is to tell of the pictures, or None if it is unknown.
    """
    # The optimizer's state would treble the file; to go on there is the checkpoint.
    copy = same_layers(model, model.input_shape[1:])
    copy.preprocessing = preprocessing
    with files.beside(path, _ADVICE) as beside:
        copy.save(beside)


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
        "weights": [[unnumbered(weight.path), list(weight.shape)] for weight in model.weights],
        "layers": layers_of(model),
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
        for name in (TENSORBOARD, PICTURES):
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
    for one in (folder, folder / PICTURES):
        sweep(one)
    write_json(folder / RUN, description)
    return there and (folder / STATE).exists()


def _require_same(folder: Path, description: Mapping[str, Any]) -> None:
    try:
        before = unsealed(read_json((folder / RUN).read_bytes()))
    except ValueError as error:
        raise ValueError(
            f"'{folder / RUN}' must describe the run. Received: {reason(error)}. "
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
