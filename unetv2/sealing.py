"""Content with a digest over all of it: whatever was changed afterwards is refused.

JSON documents carry the SHA-256 of their canonical content, archives of arrays that of all names,
types, shapes and values. The digest finds damage; it is no signature.
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

from unetv2.text import one_line

SEAL = "sha256"

# What the compressed members of an archive may expand to, and what is written so: more is stored
# as it is, so that a small file never takes much memory.
MOST_EXPANDED = 2**28
LFS_POINTER = b"version https://git-lfs"
_MOST_COMPRESSED = 2**27
_LONGEST_REASON = 300
_AT_ONCE = 2**20
_WITHOUT = f"it has no digest `{SEAL}`: an earlier version wrote it, or it is damaged"


def reason(error: Exception) -> str:
    """Returns what an error says, in one line of bounded length, or its type if it says nothing."""
    text = one_line(error) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def read_json(text: str | bytes) -> Any:
    """Returns the content of a JSON document.

    Args:
        text: str, or bytes in UTF-8, with or without a byte order mark.

    Raises:
        ValueError: If it is no JSON, nested too deeply, or an object has a key twice.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a document with its digest, under the key ``"sha256"``.

    Args:
        content: Of types that JSON knows.
    """
    # As it will be read again: tuples become lists, keys strings.
    plain = json.loads(json.dumps(content))
    return {**plain, SEAL: _digest(plain)}


def unsealed(document: Any) -> dict[str, Any]:
    """Returns the content of a document, without its digest.

    Args:
        document: What :func:`read_json` returned.

    Raises:
        ValueError: If it is no object, or its content is not the one that was sealed.
    """
    if not isinstance(document, dict):
        raise ValueError(f"it is no JSON object, but of the type {type(document).__name__}")
    if SEAL not in document:
        raise ValueError(_WITHOUT)
    content = {name: value for name, value in document.items() if name != SEAL}
    if document[SEAL] != _digest(content):
        raise ValueError("its content is not what was written, by its SHA-256")
    return content


def write_arrays(file: Any, arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> None:
    """Writes arrays with their digest, as ``numpy.savez`` does.

    Args:
        file: Open for writing.
        arrays: By name, none of them of objects.
        compressed: bool. Whether they are compressed, if they have 128 MiB at most.
    """
    total = sum(array.nbytes for array in arrays.values())
    write = np.savez_compressed if compressed and total <= _MOST_COMPRESSED else np.savez
    seal = np.frombuffer(_digest_of_arrays(arrays), np.uint8)
    # NumPy's types take every keyword for its own `allow_pickle`.
    write(file, **{**arrays, SEAL: seal})  # type: ignore[arg-type]


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads what :func:`write_arrays` wrote.

    Args:
        path: The file.

    Returns:
        dict. The arrays by name.

    Raises:
        OSError: If there is no such file, or it may not be read.
        ValueError: If it is damaged, or something else.
    """
    if path.is_dir():
        raise ValueError("it is a folder")
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                require_bounded(archive, os.fstat(file.fileno()).st_size)
                arrays = {
                    info.filename.removesuffix(".npy"): _array(read_member(archive, info))
                    for info in archive.infolist()
                }
        # What a damaged archive raises, in zipfile, zlib, struct and NumPy, has no common base.
        except Exception as error:
            raise ValueError(f"it is no archive of arrays, or damaged: {reason(error)}") from error
    seal = arrays.pop(SEAL, None)
    if seal is None:
        raise ValueError(_WITHOUT)
    if seal.tobytes() != _digest_of_arrays(arrays):
        raise ValueError("its arrays are not what was written, by their SHA-256")
    return arrays


def require_bounded(archive: zipfile.ZipFile, size: int) -> None:
    """Raises unless a ZIP archive is of plain members that expand to a bounded size.

    Args:
        archive: Open for reading.
        size: int. Of its file, in bytes.

    Raises:
        ValueError: If a name is there twice or leads out of it, members are encrypted or overlap,
            or they expand to more than 256 MiB.
    """
    members = archive.infolist()
    if len({member.filename for member in members}) < len(members):
        raise ValueError("it holds a name twice")
    for member in members:
        parts = member.filename.replace("\\", "/").split("/")
        if member.filename.startswith("/") or ".." in parts or ":" in parts[0]:
            raise ValueError(f"it holds the name {member.filename!r}, outside of it")
        if member.flag_bits & 1:
            raise ValueError(f"its member {member.filename!r} is encrypted")
    if sum(one.file_size for one in members if one.compress_type) > MOST_EXPANDED:
        raise ValueError(f"its compressed members expand to more than {MOST_EXPANDED} bytes")
    # Those that are stored as they are, of the compression type 0.
    if sum(one.file_size for one in members if not one.compress_type) > size:
        raise ValueError(f"its members are larger than its {size} bytes")


def read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """Returns what a member holds; see :func:`verify_member`."""
    content = io.BytesIO()
    verify_member(archive, member, content)
    return content.getvalue()


def verify_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, copy: IO[bytes] | None = None
) -> None:
    """Reads a member to its end, and never more than it declares.

    Args:
        archive: Open for reading.
        member: Of it.
        copy: Gets what the member holds, or None.

    Raises:
        ValueError: If it has fewer bytes than it declares.
        zipfile.BadZipFile: If its checksum is another.
    """
    read = 0
    with archive.open(member) as stream:
        # At the end its checksum is compared.
        while part := stream.read(_AT_ONCE):
            read += len(part)
            if copy is not None:
                copy.write(part)
    if read != member.file_size:
        raise ValueError(f"its member {member.filename!r} is not of {member.file_size} bytes")


def _array(content: bytes) -> np.ndarray:
    """Returns an array of the ``.npy`` format, whose header must fit what follows it."""
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
    # A copy, as what `frombuffer` returns cannot be written to.
    flat = np.frombuffer(values, dtype)
    return flat.reshape(shape[::-1]).T.copy("F") if fortran_order else flat.reshape(shape).copy()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise ValueError(f"it has the key {twice!r} twice")
    return found


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _digest_of_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        # As the file keeps it: bfloat16 becomes two bytes without a meaning.
        kind = np.dtype(array.dtype.str).str
        digest.update(json.dumps([name, kind, array.shape]).encode("ascii"))
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.digest()
