"""Loads what Keras saved; a file that is damaged, hostile or something else is refused by name."""

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

from unetv2.sealing import LFS_POINTER, MOST_EXPANDED, reason, require_bounded, verify_member

_ARCHIVE = ".keras"
# Of a JSON document in an archive, where the largest networks need a few megabytes.
_MOST_JSON = 2**25
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
    """Loads a model, without its compilation.

    Nothing in the file is run as code. An archive is checked before Keras reads it: the checksum of
    every member, and that none expands to more than it may.

    Args:
        path: A ``.keras`` file, or an ``.h5`` file of earlier versions of Keras.
        name: str. The argument's name, for messages.

    Returns:
        keras.Model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or something else.
    """
    with _checked(Path(path), name) as file:
        model = keras.models.load_model(file, compile=False)
        if not isinstance(model, keras.Model):
            raise TypeError(f"it holds a {type(model).__name__}")
        return model


def load_weights(model: keras.Model, path: str | os.PathLike[str], name: str = "path") -> None:
    """Loads the weights of a file into a model.

    Args:
        model: Of the same layers.
        path: A ``.keras``, ``.weights.h5`` or ``.h5`` file.
        name: str. The argument's name, for messages.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, something else, or of other layers.
    """
    with _checked(Path(path), name) as file:
        model.load_weights(str(file))


@contextlib.contextmanager
def _checked(path: Path, name: str) -> Iterator[Path]:
    """Gives a file that Keras can load with a bounded need of memory."""
    if not path.is_file():
        found = (
            "a folder. Pass the .keras file in it, such as the model.keras of a training"
            if path.is_dir()
            else "where there is none. Check the path"
        )
        raise FileNotFoundError(f"`{name}` must be a file. Received: '{path}', {found}.")
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            start = file.read(len(LFS_POINTER))
        if start == LFS_POINTER:
            raise _OtherFileError("a pointer of Git LFS in its place", "Run `git lfs pull`.")
        if path.suffix == _ARCHIVE:
            if not zipfile.is_zipfile(path):
                raise _OtherFileError(
                    f"{size} bytes that are none" if size else "an empty file", _AGAIN
                )
            with _archive(path, size) as checked:
                yield checked
            return
        if path.suffix not in (".h5", ".hdf5"):
            raise _OtherFileError("which ends in neither .keras nor .h5", "Pass another path.")
        with h5py.File(path, "r") as weights:
            _require_stored(weights, size)
        yield path
    except _OtherFileError as refused:
        raise _error(name, path, *refused.args) from None
    # What a damaged file raises, in zipfile, zlib, h5py and Keras, has no common base.
    except Exception as error:
        said, advice = reason(error), _AGAIN
        # Where Keras shows the whole configuration before.
        if missing := _UNREGISTERED.search(str(error)):
            said, advice = missing[0], _REGISTER
        elif "safe_mode" in str(error):
            advice = _UNSAFE
        raise _error(name, path, f"which cannot be loaded: {said}", advice) from error


class _OtherFileError(Exception):
    """What a file is in place of a model, and what to do."""


def _error(name: str, path: Path, found: str, advice: str) -> ValueError:
    return ValueError(
        f"`{name}` must be a file that Keras saved. Received: '{path}', {found.rstrip('.')}. "
        f"{advice}"
    )


@contextlib.contextmanager
def _archive(path: Path, size: int) -> Iterator[Path]:
    """Gives an archive of members that are whole and stored as they are, as Keras saves them."""
    with zipfile.ZipFile(path) as archive:
        require_bounded(archive, size)
        members = {member.filename: member for member in archive.infolist()}
        for document in _DOCUMENTS:
            if document not in members:
                raise ValueError(f"it has no member '{document}'")
            if members[document].file_size > _MOST_JSON:
                raise ValueError(f"its member '{document}' has more than {_MOST_JSON} bytes")
        weights = next((one for one in _WEIGHTS if one in members), None)
        if weights is None:
            raise ValueError(f"it has no member '{_WEIGHTS[0]}'")
        if not any(member.compress_type for member in members.values()):
            for member in members.values():
                verify_member(archive, member)
            _require_weights(archive, members[weights])
            yield path
            return
        # Keras would expand them whatever they expand to.
        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / path.name
            with zipfile.ZipFile(unpacked, "w") as stored:
                for member in members.values():
                    with stored.open(member.filename, "w", force_zip64=True) as file:
                        verify_member(archive, member, file)
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

    def visit(name: str, found: Any) -> None:
        nonlocal total
        if isinstance(found, h5py.Dataset):
            if found.external or found.is_virtual:
                raise ValueError(f"its array '{name}' is in another file")
            total += found.nbytes
        if total > max(4 * size, MOST_EXPANDED):
            raise ValueError(f"its arrays are larger than its {size} bytes")

    weights.visititems(visit)


def unnumbered(config: Any) -> Any:
    """Returns a configuration without what a second, equal model has otherwise.

    That is the seeds, and the numbers that Keras gives to layers without a name.
    """
    if isinstance(config, str):
        return re.sub(r"_\d+(?=/|$)", "", config)
    if isinstance(config, Mapping):
        return {name: unnumbered(value) for name, value in config.items() if name != "seed"}
    if isinstance(config, list | tuple):
        return [unnumbered(value) for value in config]
    return config


def layers_of(model: keras.Model) -> list[Any]:
    """Returns name, type and configuration of a model's layers."""
    return [
        unnumbered([layer.name, type(layer).__name__, layer.get_config()]) for layer in model.layers
    ]


def fingerprint(model: keras.Model) -> str:
    """Returns the SHA-256 of a model's layers and weights.

    Layers whose configuration Keras cannot tell count by names, types and weights alone.
    """
    try:
        layers = layers_of(model)
    except NotImplementedError:
        layers = [unnumbered([layer.name, type(layer).__name__]) for layer in model.layers]
    digest = hashlib.sha256(json.dumps(layers, default=str, sort_keys=True).encode())
    for weight in model.weights:
        values = np.ascontiguousarray(weight)
        digest.update(f"{values.dtype.name} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
