"""Where an artifact keeps its description: beside its files, or in its only one."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from unetv2.arguments import MAX_CLASSES, require_choice
from unetv2.checksums import add_checksum, read_json, read_member, verify_checksum
from unetv2.files import recover
from unetv2.preprocessing import Preprocessing
from unetv2.text import error_summary


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        name: str.
        precisions: What the numbers in the network may be.
        suffix: str. Of an artifact that is one file; empty where it is a folder always.
        main: str. The file that holds the network.
        extra: str. What ``pip install "unetv2[...]"`` takes; empty where nothing is missing.
        runtime: str. The module that runs it.
        tools: The modules that write it besides.
        open_sizes: bool. Whether the sizes of images may be open.
        read: Patterns of the files of a folder that the runtime may read, by their names alone.
    """

    name: str
    precisions: tuple[str, ...]
    suffix: str
    main: str
    extra: str
    runtime: str
    tools: tuple[str, ...] = ()
    open_sizes: bool = True
    read: tuple[str, ...] = ()


FORMATS = {
    one.name: one
    for one in (
        Format(
            "saved_model", ("float32", "float16", "bfloat16"), "", "saved_model.pb", "",
            "tensorflow", read=("saved_model.*", "variables/*", "assets/*", "fingerprint.pb"),
        ),
        Format(
            "litert", ("float32", "float16", "int8"), ".tflite", "model.tflite", "litert",
            "ai_edge_litert.interpreter", open_sizes=False, read=("model.tflite",),
        ),
        Format(
            "onnx", ("float32", "float16", "int8"), ".onnx", "model.onnx", "onnx", "onnxruntime",
            ("onnx", "tf2onnx"), read=("model.onnx",),
        ),
        Format(
            "openvino", ("float32", "float16", "bfloat16", "int8"), "", "model.xml", "openvino",
            "openvino", read=("model.xml", "model.bin"),
        ),
    )
}  # fmt: skip


def require_format(name: object) -> Format:
    """Returns a format, or says which there are."""
    require_choice("format", name, FORMATS)
    return FORMATS[str(name)]


def require_precision(format: Format, precision: object) -> str:
    """Returns the precision, or says which the format has."""
    if precision not in format.precisions:
        listed = ", ".join(repr(one) for one in format.precisions)
        raise ValueError(
            f"`precision` must be one of {listed} for format='{format.name}'. "
            f"Received: precision={precision!r}."
        )
    return str(precision)


def require_module(name: str, extra: str, purpose: str) -> ModuleType:
    """Imports a module of an extra.

    Args:
        name: str. The module.
        extra: str. The extra that it comes with.
        purpose: str. What it is needed for.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"`{name.split('.')[0]}` must be installed {purpose}. Received: {error}. "
            f'Run: pip install "unetv2[{extra}]"'
        ) from error


# Of this layout. A later one that this version cannot read has a higher number. From 2 on it has a
# digest.
SCHEMA = 2
KEY = "unetv2"

Size = tuple[int | None, int | None]


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an artifact is, as its JSON tells.

    Args:
        name: str. The model's.
        format: str.
        precision: str. Of the numbers in the network.
        n_classes: int.
        frame_size: ``(height, width)`` of the images that it takes, None where it is open.
        network_size: ``(height, width)`` of what the network in it is fed with.
        resizes: bool. Whether it brings images to that size, and the answer back, itself.
        preprocessing: Preprocessing.
        parity: How far it agrees with the Keras model.
        versions: What it was written with.
        files: Size in bytes and SHA-256 of each of its files.
    """

    name: str
    format: str
    precision: str
    n_classes: int
    frame_size: Size
    network_size: Size
    resizes: bool
    preprocessing: Preprocessing
    parity: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns it as JSON, with what a reader without this library needs, and a digest."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        classes = self.preprocessing.classes
        content = {
            "schema": SCHEMA,
            **values,
            "preprocessing": self.preprocessing.as_dict(),
            "input": "frames: uint8 (batch, height, width, channels)",
            "outputs": {
                "mask": "class ids (batch, height, width), of the frames' size",
                "confidence": "float32, the class's probability, of the frames' size",
                "logits": "float32 (batch, height, width, n_classes), of the network's size",
            },
            "class_names": None if classes is None else list(classes.names),
        }
        return json.dumps(add_checksum(content), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Description:
        """Reads what :meth:`to_json` wrote.

        Raises:
            ValueError: If it is something else, damaged, or of another version.
        """
        document = read_json(text)
        schema = document.get("schema") if isinstance(document, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise ValueError(
                f"its schema is {schema}, and this version reads {SCHEMA}: install a later unetv2"
            )
        values = verify_checksum(document)
        if schema != SCHEMA or isinstance(schema, bool):
            raise ValueError(f"its schema is {schema!r}, and this version reads {SCHEMA}")
        try:
            known = {one.name: values[one.name] for one in fields(cls)}
        except KeyError as error:
            raise ValueError(f"it lacks {error}") from error
        known["preprocessing"] = Preprocessing.from_dict(known["preprocessing"])
        for name in ("frame_size", "network_size"):
            known[name] = _size(known[name])
        if not (
            known["format"] in FORMATS
            and known["precision"] in FORMATS[known["format"]].precisions
            and isinstance(known["name"], str)
            and type(known["n_classes"]) is int
            and 2 <= known["n_classes"] <= MAX_CLASSES
            and isinstance(known["resizes"], bool)
            and all(isinstance(known[name], dict) for name in ("parity", "versions", "files"))
        ):
            raise ValueError("its values are of the wrong kind")
        return cls(**known)


def _size(value: Any) -> Size:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or any(one is not None and (type(one) is not int or one < 1) for one in value)
    ):
        raise ValueError(f"{value!r} is no size")
    return value[0], value[1]


DESCRIPTION = "unetv2.json"

# ModelProto.metadata_props of ONNX, the 14th field, an entry of two strings.
_ONNX_FIELD, _ONNX_KEY = b"\x72", b"\x0a\x06" + KEY.encode() + b"\x12"
_MOST_BYTES = 2**24
_AT_ONCE = 2**20


class BrokenArtifactError(ValueError):
    """What was to be loaded is no artifact, or a damaged one."""

    def __init__(self, path: Any, why: str) -> None:
        super().__init__(
            f"`path` must be an artifact of `unetv2.export`. Received: '{path}': "
            f"{' '.join(why.split())}. Export the model again."
        )


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields name and path of all files of a folder but the description, in order."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != DESCRIPTION:
            yield name, path


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns size and SHA-256 of each file of a folder."""
    return {
        name: {"bytes": path.stat().st_size, "sha256": _sha256(path, path.stat().st_size)}
        for name, path in files_of(folder)
    }


def write_description(folder: Path, description: Description) -> None:
    """Writes the description into an artifact's folder, with what its files are."""
    text = replace(description, files=describe_files(folder)).to_json()
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def join(folder: Path, format: str) -> Path:
    """Puts the description of a folder into the file of its network, and returns that file.

    Both formats have a place for it: LiteRT models carry further files as a ZIP archive behind
    them, ONNX has metadata.
    """
    path = folder / FORMATS[format].main
    text = (folder / DESCRIPTION).read_bytes()
    if format == "litert":
        with zipfile.ZipFile(path, "a") as archive:
            # Without a time, so that the same model gives the same bytes.
            archive.writestr(zipfile.ZipInfo(DESCRIPTION), text)
    else:
        with path.open("ab") as file:
            file.write(_onnx_metadata(text))
    return path


def read(path: str | os.PathLike[str]) -> tuple[Description, dict[str, Path]]:
    """Reads the description of an artifact and checks its files.

    Args:
        path: A folder, or a ``.tflite`` or ``.onnx`` file.

    Returns:
        tuple ``(description, files)``, the latter by their names.

    Raises:
        FileNotFoundError: If there is nothing.
        BrokenArtifactError: If it is something else, or damaged.
    """
    path = Path(path)
    recover(path)
    if not path.exists():
        raise FileNotFoundError(
            f"`path` must be an artifact. Received: '{path}', where there is none. Check the path."
        )
    try:
        text, end = _text(path)
    # What a damaged archive raises has no common base.
    except Exception as error:
        raise BrokenArtifactError(
            path, f"it has no description ({error_summary(error)})"
        ) from error
    try:
        description = Description.from_json(text)
    except (ValueError, TypeError) as error:
        why = f"its description cannot be read ({error_summary(error)})"
        raise BrokenArtifactError(path, why) from error
    files = _named(path, description)
    for name, file in files.items():
        _require_written(path, name, file, description.files[name], end)
    return description, files


def is_artifact(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path looks like an artifact's."""
    path = Path(path)
    recover(path)
    if path.is_dir():
        return (path / DESCRIPTION).is_file()
    return path.suffix in {one.suffix for one in FORMATS.values() if one.suffix}


def network_of(files: Mapping[str, Path], description: Description) -> bytes:
    """Returns the file of the network, without the description that may follow it."""
    main = FORMATS[description.format].main
    return files[main].read_bytes()[: description.files[main]["bytes"]]


def _text(path: Path) -> tuple[bytes, int | None]:
    """Returns the description, and where the network before it ends in an only file."""
    if path.is_dir():
        file = path / DESCRIPTION
        if file.stat().st_size > _MOST_BYTES:
            raise ValueError(f"'{DESCRIPTION}' is too long")
        return file.read_bytes(), None
    if path.suffix == FORMATS["litert"].suffix:
        with zipfile.ZipFile(path) as archive:
            (member,) = archive.infolist()
            if member.filename != DESCRIPTION or member.file_size > _MOST_BYTES:
                raise ValueError(f"'{member.filename}' of {member.file_size} bytes follows it")
            return read_member(archive, member), member.header_offset
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _MOST_BYTES))
        tail = stream.read()
    start = tail.rfind(_ONNX_KEY)
    if start < 0:
        raise ValueError("no metadata at its end")
    length, begin = _read_varint(tail, start + len(_ONNX_KEY))
    if begin + length != len(tail):
        raise ValueError("its metadata is cut off")
    metadata = _onnx_metadata(tail[begin:])
    if not tail.endswith(metadata):
        raise ValueError("its metadata is damaged")
    return tail[begin:], path.stat().st_size - len(metadata)


def _named(path: Path, description: Description) -> dict[str, Path]:
    """Returns the files that a description names, which are all that its runtime may read."""
    files: dict[str, Path] = {}
    for name in description.files:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name:
            raise BrokenArtifactError(path, f"it names the file '{name}', outside of it")
        files[name] = path / name if path.is_dir() else path
    format = FORMATS[description.format]
    if format.main not in files:
        raise BrokenArtifactError(path, "it names no network")
    if not path.is_dir():
        if len(files) != 1 or path.suffix != format.suffix:
            raise BrokenArtifactError(path, "it names other files")
        return files
    for name, _ in files_of(path):
        # What file managers leave in folders is hidden, and no runtime reads it.
        hidden = PurePosixPath(name).name.startswith(".")
        if (
            name not in files
            and not hidden
            and any(fnmatchcase(name, pattern) for pattern in format.read)
        ):
            raise BrokenArtifactError(path, f"'{name}' is in it, and was not written with it")
    return files


def _require_written(
    path: Path, name: str, file: Path, known: Mapping[str, Any], end: int | None
) -> None:
    try:
        size, digest = int(known["bytes"]), str(known["sha256"])
        found = file.stat().st_size if end is None else end
        if found != size or _sha256(file, size) != digest:
            raise BrokenArtifactError(path, f"'{name}' is not the file that was written")
    except (OSError, KeyError, TypeError) as error:
        raise BrokenArtifactError(
            path, f"'{name}' cannot be read ({error_summary(error)})"
        ) from error


def _sha256(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (part := file.read(min(size, _AT_ONCE))):
            digest.update(part)
            size -= len(part)
    return digest.hexdigest()


def _onnx_metadata(text: bytes) -> bytes:
    """Returns the entry of an ONNX model's metadata that holds a description."""
    entry = _ONNX_KEY + _varint(len(text)) + text
    return _ONNX_FIELD + _varint(len(entry)) + entry


def _varint(number: int) -> bytes:
    """Returns a number as Protocol Buffers write it: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, start: int) -> tuple[int, int]:
    number = shift = 0
    for place in range(start, min(start + 10, len(data))):
        number |= (data[place] & 127) << shift
        shift += 7
        if data[place] < 128:
            return number, place + 1
    raise ValueError("its metadata is cut off")
