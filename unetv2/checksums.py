"""JSON documents and array archives with a SHA-256 checksum, and bounded reading of ZIP archives.

The checksum of a document covers its canonical JSON, that of an archive the names, types, shapes
and values of all arrays. It detects damage; it is not a signature.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from unetv2.text import error_summary

CHECKSUM = "sha256"
LFS_POINTER = b"version https://git-lfs"

# The largest size that the compressed members of an archive may expand to, so that a small file
# never needs much memory. Larger arrays are stored without compression.
MAX_EXPANDED_BYTES = 2**28
_MAX_COMPRESSED_BYTES = 2**27
_CHUNK_BYTES = 2**20
_NO_CHECKSUM = f"it has no checksum `{CHECKSUM}`: an earlier version wrote it, or it is damaged"


def read_json(text: str | bytes) -> Any:
    """Returns the content of a JSON document.

    Args:
        text: str, or bytes in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: If it is not valid JSON, nested too deeply, or repeats a key of an object.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def add_checksum(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a JSON document with its checksum under the key ``"sha256"``."""
    # As it will be read again: tuples become lists, keys strings.
    plain = json.loads(json.dumps(content))
    return {**plain, CHECKSUM: _document_checksum(plain)}


def verify_checksum(document: Any) -> dict[str, Any]:
    """Returns the content of a document that :func:`add_checksum` made, without the checksum.

    Raises:
        ValueError: If it is not a JSON object, or its content was changed.
    """
    if not isinstance(document, dict):
        raise ValueError(f"it is not a JSON object, but of the type {type(document).__name__}")
    if CHECKSUM not in document:
        raise ValueError(_NO_CHECKSUM)
    content = {name: value for name, value in document.items() if name != CHECKSUM}
    if document[CHECKSUM] != _document_checksum(content):
        raise ValueError("its content does not match its SHA-256 checksum")
    return content


def write_arrays(file: Any, arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> None:
    """Writes arrays with their checksum, as ``numpy.savez`` does.

    Args:
        file: Open for writing.
        arrays: By name; none of the dtype ``object``.
        compressed: bool. Whether to compress them, up to 128 MiB in all.
    """
    total = sum(array.nbytes for array in arrays.values())
    write = np.savez_compressed if compressed and total <= _MAX_COMPRESSED_BYTES else np.savez
    checksum = np.frombuffer(_arrays_checksum(arrays), np.uint8)
    # The type stubs of NumPy take any keyword for its own `allow_pickle`.
    write(file, **{**arrays, CHECKSUM: checksum})  # type: ignore[arg-type]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays that :func:`write_arrays` wrote, by name.

    Raises:
        OSError: If the file does not exist or may not be read.
        ValueError: If it is damaged or another kind of file.
    """
    if path.is_dir():
        raise ValueError("it is a folder")
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                check_archive(archive, os.fstat(file.fileno()).st_size)
                arrays = {
                    info.filename.removesuffix(".npy"): _array(read_member(archive, info))
                    for info in archive.infolist()
                }
        # The errors for damaged archives, of zipfile, zlib, struct and NumPy, have no common base.
        except Exception as error:
            raise ValueError(
                f"it is not an archive of arrays, or damaged: {error_summary(error)}"
            ) from error
    checksum = arrays.pop(CHECKSUM, None)
    if checksum is None:
        raise ValueError(_NO_CHECKSUM)
    if checksum.tobytes() != _arrays_checksum(arrays):
        raise ValueError("its arrays do not match their SHA-256 checksum")
    return arrays


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raises unless a ZIP archive has plain members that expand to a bounded size.

    Args:
        archive: Open for reading.
        size: int. Size of its file, in bytes.

    Raises:
        ValueError: If a name is repeated or outside the archive, members are encrypted or overlap,
            or they expand to more than 256 MiB.
    """
    members = archive.infolist()
    if len({member.filename for member in members}) < len(members):
        raise ValueError("it has two members of the same name")
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if member.filename.startswith("/") or ".." in parts or ":" in parts[0]:
            raise ValueError(f"it has a member {member.filename!r}, outside of it")
        if member.flag_bits & 1:
            raise ValueError(f"its member {member.filename!r} is encrypted")
    if sum(member.file_size for member in members if member.compress_type) > MAX_EXPANDED_BYTES:
        raise ValueError(f"its compressed members expand to more than {MAX_EXPANDED_BYTES} bytes")
    # Compression type 0: stored without compression.
    if sum(member.file_size for member in members if not member.compress_type) > size:
        raise ValueError(f"its members are larger than its {size} bytes")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Returns the bytes of a member; see :func:`copy_member`."""
    content = io.BytesIO()
    copy_member(archive, member, content)
    return content.getvalue()


def copy_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: IO[bytes] | None = None
) -> None:
    """Reads a member, which verifies its checksum, and copies it to ``file`` unless that is None.

    Raises:
        ValueError: If it has fewer bytes than it declares; more are never read.
        zipfile.BadZipFile: If its checksum does not match.
    """
    read = 0
    with archive.open(member) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            read += len(chunk)
            if file is not None:
                file.write(chunk)
    if read != member.file_size:
        raise ValueError(f"its member {member.filename!r} is not of {member.file_size} bytes")


def _array(content: bytes) -> np.ndarray:
    """Returns an array of the ``.npy`` format, whose header must match the bytes that follow."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"an array is of the format's version {version}")
    shape, fortran_order, dtype = read[version](stream)
    if dtype.hasobject:
        raise ValueError("an array is of objects")
    values = memoryview(content)[stream.tell() :]
    if math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"an array of shape {shape} has {len(values)} bytes")
    # A copy, as the result of `frombuffer` is read-only.
    flat = np.frombuffer(values, dtype)
    return flat.reshape(shape[::-1]).T.copy("F") if fortran_order else flat.reshape(shape).copy()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for number, name in enumerate(names) if name in names[:number])
        raise ValueError(f"it has the key {duplicate!r} twice")
    return content


def _document_checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _arrays_checksum(arrays: Mapping[str, np.ndarray]) -> bytes:
    checksum = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        # As it is stored: NumPy writes bfloat16 as two bytes of type void.
        kind = np.dtype(array.dtype.str).str
        checksum.update(json.dumps([name, kind, array.shape]).encode("ascii"))
        checksum.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return checksum.digest()
