"""The files of an exported model, and the description beside or within them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from unetv2.arguments import MAX_CLASSES
from unetv2.checksums import add_checksum, read_json, verify_checksum
from unetv2.exporting.formats import FORMATS
from unetv2.exporting.formats.base import DESCRIPTION, get_format
from unetv2.exporting.graph import Size
from unetv2.files import recover
from unetv2.preprocessing import Preprocessing
from unetv2.text import error_summary

# Version of the description. Higher numbers cannot be read by this version.
SCHEMA = 2
_MAX_DESCRIPTION_BYTES = 2**24
_CHUNK_BYTES = 2**20


class BrokenArtifactError(ValueError):
    """A file or folder is not an exported model, or it is damaged."""

    def __init__(self, path: Any, reason: str) -> None:
        super().__init__(
            f"`path` must be an artifact of `unetv2.export`. Received: '{path}': "
            f"{' '.join(reason.split())}. Export the model again."
        )


@dataclass(frozen=True, kw_only=True)
class Parity:
    """Agreement of an exported model with its Keras model, on the same images.

    Args:
        agreement: float in [0, 1]. Share of pixels where the class of the exported model is the
            most probable one of the Keras model, or less probable by at most 0.001.
        max_difference: float. Largest difference of two probabilities of a class.
        mean_difference: float. Mean absolute difference of probabilities.
        n_images: int. Number of images.
        source: str. Where the images come from.
        min_agreement: float. The agreement that was required.
    """

    agreement: float
    max_difference: float
    mean_difference: float
    n_images: int
    source: str
    min_agreement: float

    def __str__(self) -> str:
        """Returns a line of text."""
        return (
            f"{self.agreement:.4%} of the pixels agree with the Keras model, probabilities differ "
            f"by at most {self.max_difference:.2g}, on {self.n_images} {self.source}"
        )


@dataclass(frozen=True, kw_only=True)
class Description:
    """The content of ``unetv2.json``.

    Args:
        name: str. Name of the model.
        format: str. One of :data:`unetv2.exporting.formats.FORMATS`.
        precision: str. Precision of the network.
        n_classes: int. Number of classes.
        frame_size: ``(height, width)`` of the frames, None for any.
        network_size: ``(height, width)`` of the input of the network, None for any.
        resizes: bool. Whether the graph resizes frames to that size, and masks back.
        preprocessing: Preprocessing of the network's images.
        parity: Agreement with the Keras model.
        versions: Versions of the packages that wrote it.
        files: Size in bytes and SHA-256 of each file.
    """

    name: str
    format: str
    precision: str
    n_classes: int
    frame_size: Size
    network_size: Size
    resizes: bool
    preprocessing: Preprocessing
    parity: Parity | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns JSON with a checksum, and a summary of inputs and outputs for other programs."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        classes = self.preprocessing.classes
        content = {
            "schema": SCHEMA,
            **values,
            "preprocessing": self.preprocessing.as_dict(),
            "parity": None if self.parity is None else asdict(self.parity),
            "input": "frames: uint8 (batch, height, width, channels)",
            "outputs": {
                "mask": "class ids (batch, height, width), of the size of the frames",
                "confidence": "float32, probability of the class, of the size of the frames",
                "logits": "float32 (batch, height, width, n_classes), of the size of the network",
            },
            "class_names": None if classes is None else list(classes.names),
        }
        return json.dumps(add_checksum(content), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Description:
        """Reads the JSON of :meth:`to_json`.

        Raises:
            ValueError: If it is not such JSON, damaged, or of another version.
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
            arguments = {field.name: values[field.name] for field in fields(cls)}
        except KeyError as error:
            raise ValueError(f"it lacks {error}") from error
        arguments["preprocessing"] = Preprocessing.from_dict(arguments["preprocessing"])
        for name in ("frame_size", "network_size"):
            arguments[name] = _size(arguments[name])
        if arguments["parity"] is not None:
            arguments["parity"] = Parity(**arguments["parity"])
        if not (
            arguments["format"] in FORMATS
            and arguments["precision"] in get_format(arguments["format"]).precisions
            and isinstance(arguments["name"], str)
            and type(arguments["n_classes"]) is int
            and 2 <= arguments["n_classes"] <= MAX_CLASSES
            and isinstance(arguments["resizes"], bool)
            and all(isinstance(arguments[name], dict) for name in ("versions", "files"))
        ):
            raise ValueError("its values have wrong types")
        return cls(**arguments)


def _size(value: Any) -> Size:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or any(side is not None and (type(side) is not int or side < 1) for side in value)
    ):
        raise ValueError(f"{value!r} is not a size")
    return value[0], value[1]


def write_description(folder: Path, description: Description) -> None:
    """Writes the description of an artifact into its folder, with the digests of its files."""
    files = {
        name: {"bytes": path.stat().st_size, "sha256": _sha256(path, path.stat().st_size)}
        for name, path in _files(folder)
    }
    text = replace(description, files=files).to_json()
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def merge(folder: Path, format: str) -> Path:
    """Embeds the description of a folder in the file of its network, and returns that file."""
    path = folder / get_format(format).main
    get_format(format).embed(path, (folder / DESCRIPTION).read_bytes())
    return path


def read(path: str | os.PathLike[str]) -> tuple[Description, dict[str, Path]]:
    """Reads the description of an artifact and checks its files.

    Args:
        path: A folder, or a single file.

    Returns:
        tuple ``(description, files)``, the files by name.

    Raises:
        FileNotFoundError: If it does not exist.
        BrokenArtifactError: If it is not an artifact, or is damaged.
    """
    path = Path(path)
    recover(path)
    if not path.exists():
        raise FileNotFoundError(
            f"`path` must be an artifact. Received: '{path}', which does not exist. Check the path."
        )
    try:
        text, end = _read_text(path)
    # Errors of a damaged archive have no common base class.
    except Exception as error:
        raise BrokenArtifactError(
            path, f"it has no description ({error_summary(error)})"
        ) from error
    try:
        description = Description.from_json(text)
    except (ValueError, TypeError) as error:
        reason = f"its description cannot be read ({error_summary(error)})"
        raise BrokenArtifactError(path, reason) from error
    files = _require_files(path, description)
    for name, file in files.items():
        _require_digest(path, name, file, description.files[name], end)
    return description, files


def is_artifact(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path looks like that of an exported model."""
    path = Path(path)
    recover(path)
    if path.is_dir():
        return (path / DESCRIPTION).is_file()
    return path.suffix in single_file_suffixes()


def single_file_suffixes() -> dict[str, str]:
    """Returns the suffixes of artifacts that are single files, with their formats."""
    suffixes = {get_format(name).suffix: name for name in FORMATS}
    return {suffix: name for suffix, name in suffixes.items() if suffix}


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields name and path of all files of a folder but the description, in order."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != DESCRIPTION:
            yield name, path


def _read_text(path: Path) -> tuple[bytes, int | None]:
    """Returns the description and, of a single file, the size of the network before it."""
    if not path.is_dir():
        format = get_format(single_file_suffixes()[path.suffix])
        return format.read_embedded(path, _MAX_DESCRIPTION_BYTES)
    file = path / DESCRIPTION
    if file.stat().st_size > _MAX_DESCRIPTION_BYTES:
        raise ValueError(f"'{DESCRIPTION}' is too long")
    return file.read_bytes(), None


def _require_files(path: Path, description: Description) -> dict[str, Path]:
    """Returns the files of a description; raises if the runtime could read any others."""
    files: dict[str, Path] = {}
    for name in description.files:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or "\\" in name:
            raise BrokenArtifactError(path, f"it names the file '{name}', outside of it")
        files[name] = path / name if path.is_dir() else path
    format = get_format(description.format)
    if format.main not in files:
        raise BrokenArtifactError(path, "it names no network")
    if not path.is_dir():
        if len(files) != 1 or path.suffix != format.suffix:
            raise BrokenArtifactError(path, "it names other files")
        return files
    for name, _ in _files(path):
        # Hidden files are those of file managers, which no runtime reads.
        hidden = PurePosixPath(name).name.startswith(".")
        if (
            name not in files
            and not hidden
            and any(fnmatchcase(name, pattern) for pattern in format.runtime_files)
        ):
            raise BrokenArtifactError(path, f"'{name}' is in it, and was not written with it")
    return files


def _require_digest(
    path: Path, name: str, file: Path, expected: Mapping[str, Any], end: int | None
) -> None:
    try:
        size, digest = int(expected["bytes"]), str(expected["sha256"])
        actual_size = file.stat().st_size if end is None else end
        if actual_size != size or _sha256(file, size) != digest:
            raise BrokenArtifactError(path, f"'{name}' is not the file that was written")
    except (OSError, KeyError, TypeError) as error:
        raise BrokenArtifactError(
            path, f"'{name}' cannot be read ({error_summary(error)})"
        ) from error


def _sha256(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(size, _CHUNK_BYTES))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()
