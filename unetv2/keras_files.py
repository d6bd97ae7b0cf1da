"""Loads models and weights that Keras saved; damaged or malicious files raise clear errors."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py  # Keras requires it.
import keras
import numpy as np

from unetv2.checksums import LFS_POINTER, MAX_EXPANDED_BYTES, check_archive, copy_member
from unetv2.text import error_summary

_ARCHIVE = ".keras"
# Limit for a JSON document in an archive; the largest networks need a few megabytes.
_MAX_JSON_BYTES = 2**25
_DOCUMENTS = ("config.json", "metadata.json")
_WEIGHTS = ("model.weights.h5", "model.weights.npz")
_AGAIN = "Copy it again, or save it again."
_UNREGISTERED = re.compile(r"(Could not locate|Unknown layer:?) [^.]*")
_REGISTER = (
    "Import the module that registers the class before, or load it by "
    "keras.models.load_model(path, custom_objects=...) and pass the model."
)
_UNSAFE = (
    "If you trust its source, load it by keras.models.load_model(path, safe_mode=False) and pass "
    "the model."
)


def load_model(path: str | os.PathLike[str], name: str = "model") -> keras.Model:
    """Loads a model without compiling it.

    No code in the file is run. The checksum and the expanded size of each member of an archive are
    checked before Keras reads it.

    Args:
        path: A ``.keras`` file, or an ``.h5`` file of earlier versions of Keras.
        name: str. The argument's name, for messages.

    Returns:
        keras.Model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or another kind of file.
    """
    with _checked(Path(path), name) as file:
        model = keras.models.load_model(file, compile=False)
        if not isinstance(model, keras.Model):
            raise TypeError(f"it contains a {type(model).__name__}")
        return model


def load_weights(model: keras.Model, path: str | os.PathLike[str], name: str = "path") -> None:
    """Loads the weights in a file into a model.

    Args:
        model: A model with the same layers.
        path: A ``.keras``, ``.weights.h5`` or ``.h5`` file.
        name: str. The argument's name, for messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, another kind of file, or of other layers.
    """
    with _checked(Path(path), name) as file:
        model.load_weights(str(file))


@contextlib.contextmanager
def _checked(path: Path, name: str) -> Iterator[Path]:
    """Yields the path of a checked file that Keras can load with bounded memory."""
    if not path.is_file():
        received = (
            "a folder. Pass the .keras file in it, such as the model.keras of a training"
            if path.is_dir()
            else "which does not exist. Check the path"
        )
        raise FileNotFoundError(f"`{name}` must be a file. Received: '{path}', {received}.")
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
        if start == LFS_POINTER:
            raise _NotSavedByKerasError("a Git LFS pointer", "Run `git lfs pull`.")
        if path.suffix == _ARCHIVE:
            if not zipfile.is_zipfile(path):
                raise _NotSavedByKerasError(
                    "which is not a ZIP archive" if size else "an empty file", _AGAIN
                )
            with _archive(path, size) as checked:
                yield checked
            return
        if path.suffix not in (".h5", ".hdf5"):
            raise _NotSavedByKerasError(
                "which ends with neither .keras nor .h5", "Pass another path."
            )
        with h5py.File(path, "r") as weights:
            _require_stored(weights, size)
        yield path
    except _NotSavedByKerasError as refused:
        raise _error(name, path, *refused.args) from None
    # The errors for damaged files, of zipfile, zlib, h5py and Keras, have no common base.
    except Exception as error:
        summary, advice = error_summary(error), _AGAIN
        # Keras shows the whole configuration before this sentence.
        if missing := _UNREGISTERED.search(str(error)):
            summary, advice = missing[0], _REGISTER
        elif "safe_mode" in str(error):
            advice = _UNSAFE
        raise _error(name, path, f"which cannot be loaded: {summary}", advice) from error


class _NotSavedByKerasError(Exception):
    """Describes the received file, and a remedy."""


def _error(name: str, path: Path, received: str, advice: str) -> ValueError:
    return ValueError(
        f"`{name}` must be a file that Keras saved. Received: '{path}', {received.rstrip('.')}. "
        f"{advice}"
    )


@contextlib.contextmanager
def _archive(path: Path, size: int) -> Iterator[Path]:
    """Yields the path of an archive whose members are intact and stored without compression."""
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, size)
        members = {member.filename: member for member in archive.infolist()}
        for document in _DOCUMENTS:
            if document not in members:
                raise ValueError(f"it has no member '{document}'")
            if members[document].file_size > _MAX_JSON_BYTES:
                raise ValueError(f"its member '{document}' has more than {_MAX_JSON_BYTES} bytes")
        weights = next((member for member in _WEIGHTS if member in members), None)
        if weights is None:
            raise ValueError(f"it has no member '{_WEIGHTS[0]}'")
        if not any(member.compress_type for member in members.values()):
            for member in members.values():
                copy_member(archive, member)
            _require_weights(archive, members[weights])
            yield path
            return
        # Keras would expand them without a limit.
        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / path.name
            with zipfile.ZipFile(unpacked, "w") as stored:
                for member in members.values():
                    with stored.open(member.filename, "w", force_zip64=True) as file:
                        copy_member(archive, member, file)
            with zipfile.ZipFile(unpacked) as stored:
                _require_weights(stored, stored.getinfo(weights))
            yield unpacked


def _require_weights(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    if member.filename.endswith(".h5"):
        with archive.open(member) as file, h5py.File(file, "r") as weights:
            _require_stored(weights, member.file_size)


def _require_stored(weights: Any, size: int) -> None:
    """Raises unless the arrays of an HDF5 file are in it, and not much larger than it."""
    total = 0

    def visit(name: str, item: Any) -> None:
        nonlocal total
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise ValueError(f"its array '{name}' is in another file")
            total += item.nbytes
        if total > max(4 * size, MAX_EXPANDED_BYTES):
            raise ValueError(f"its arrays are larger than its {size} bytes")

    weights.visititems(visit)


def without_generated_names(config: Any) -> Any:
    """Returns a configuration without seeds and the numbers that Keras appends to layers' names.

    Two equal models differ in these.
    """
    if isinstance(config, str):
        return re.sub(r"_\d+(?=/|$)", "", config)
    if isinstance(config, Mapping):
        return {
            name: without_generated_names(value) for name, value in config.items() if name != "seed"
        }
    if isinstance(config, list | tuple):
        return [without_generated_names(value) for value in config]
    return config


def layer_configs(model: keras.Model) -> list[Any]:
    """Returns name, type and configuration of each layer of a model."""
    return [
        without_generated_names([layer.name, type(layer).__name__, layer.get_config()])
        for layer in model.layers
    ]


def fingerprint(model: keras.Model) -> str:
    """Returns the SHA-256 of a model's layers and weights.

    Layers without a serializable configuration contribute their names, types and weights only.
    """
    try:
        layers = layer_configs(model)
    except NotImplementedError:
        layers = [
            without_generated_names([layer.name, type(layer).__name__]) for layer in model.layers
        ]
    digest = hashlib.sha256(json.dumps(layers, default=str, sort_keys=True).encode())
    for weight in model.weights:
        values = np.ascontiguousarray(weight)
        digest.update(f"{values.dtype.name} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
