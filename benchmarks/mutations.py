"""Random changes of the bytes of a file, as by faulty disks and networks or by attackers."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_PNG = b"\x89PNG\r\n\x1a\n"
_EXTREME = (
    0,
    1,
    2**7,
    2**8 - 1,
    2**15,
    2**16 - 1,
    2**24,
    2**31 - 1,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
_NUMBERS = (
    b"-1",
    b"0",
    b"1e400",
    b"NaN",
    b"true",
    b"null",
    b'"7"',
    b"[]",
    b"1.5",
    b"1000000000000",
)


class Mutant(NamedTuple):
    """A changed file.

    Attributes:
        content: bytes. What it holds.
        change: str. What was changed.
        forged: bool. Whether the format's own checksums were made to fit: it is another valid file
            then, as far as the format goes.
    """

    content: bytes
    change: str
    forged: bool = False


def mutant(content: bytes, random: np.random.Generator) -> Mutant:
    """Returns a changed copy of a file.

    Args:
        content: bytes. What the file holds.
        random: Decides what is changed.
    """
    changes: list[Callable[[bytes, np.random.Generator], Mutant]] = [*_CHANGES]
    if content.startswith(_PNG):
        changes += [_png_chunk] * 3
    if content.startswith(b"PK"):
        changes += [_zip_member] * 3
    if content.lstrip()[:1] in (b"{", b"[") or content.startswith(b"name,"):
        changes += [_number] * 3
    return changes[int(random.integers(len(changes)))](content, random)


def _place(content: bytes, random: np.random.Generator) -> int:
    """Returns a place, every other time in the first or last 128 bytes, where headers are."""
    n = max(1, len(content))
    where = int(random.integers(n))
    return (where, where % 128 % n, -1 - where % 128 % n, where)[int(random.integers(4))] % n


def _bits(content: bytes, random: np.random.Generator) -> Mutant:
    changed = bytearray(content)
    places = [_place(content, random) for _ in range(int(random.integers(1, 4)))]
    for place in places:
        changed[place] ^= 1 << int(random.integers(8))
    return Mutant(bytes(changed), f"bits at {places}")


def _byte(content: bytes, random: np.random.Generator) -> Mutant:
    changed = bytearray(content)
    place = _place(content, random)
    changed[place] = int(random.integers(256))
    return Mutant(bytes(changed), f"byte at {place}")


def _cut(content: bytes, random: np.random.Generator) -> Mutant:
    place = _place(content, random)
    return Mutant(content[:place], f"cut at {place}")


def _removed(content: bytes, random: np.random.Generator) -> Mutant:
    place, length = _place(content, random), int(random.integers(1, 65))
    return Mutant(content[:place] + content[place + length :], f"{length} removed at {place}")


def _inserted(content: bytes, random: np.random.Generator) -> Mutant:
    place, length = _place(content, random), int(random.integers(1, 65))
    return Mutant(
        content[:place] + random.bytes(length) + content[place:], f"{length} inserted at {place}"
    )


def _repeated(content: bytes, random: np.random.Generator) -> Mutant:
    place, length = _place(content, random), int(random.integers(1, 257))
    part = content[place : place + length]
    return Mutant(content[:place] + part + content[place:], f"{length} repeated at {place}")


def _zeroed(content: bytes, random: np.random.Generator) -> Mutant:
    place, length = _place(content, random), int(random.integers(1, 257))
    part = content[place : place + length]
    return Mutant(
        content[:place] + bytes(len(part)) + content[place + length :], f"{length} zero at {place}"
    )


def _size(content: bytes, random: np.random.Generator) -> Mutant:
    """Replaces what may be a size by an extreme integer."""
    code = "BHIQ"[int(random.integers(4))]
    order = "<>"[int(random.integers(2))]
    width = struct.calcsize(f"={code}")
    value = _EXTREME[int(random.integers(len(_EXTREME)))] % 2 ** (8 * width)
    place = _place(content, random)
    written = struct.pack(f"{order}{code}", value)
    return Mutant(
        content[:place] + written + content[place + width :], f"{value} as {order}{code} at {place}"
    )


def _png_chunk(content: bytes, random: np.random.Generator) -> Mutant:
    """Changes, repeats or removes a PNG chunk, and corrects the checksum."""
    chunks, place = [], len(_PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        chunks.append((kind, content[place + 8 : place + 8 + length]))
        place += 12 + length
    number = int(random.integers(len(chunks)))
    kind, held = chunks[number]
    choice = int(random.integers(4))
    if choice == 0:
        chunks.insert(number, (kind, held))
    elif choice == 1:
        del chunks[number]
    else:
        chunks[number] = (kind, (_size if choice == 2 else _byte)(held or b"\0", random).content)
    written = b"".join(
        struct.pack(">I", len(held)) + kind + held + struct.pack(">I", zlib.crc32(kind + held))
        for kind, held in chunks
    )
    return Mutant(_PNG + written, f"chunk {number} {kind!r}, way {choice}", forged=True)


def _zip_member(content: bytes, random: np.random.Generator) -> Mutant:
    """Changes a member of a ZIP archive and its checksum, or removes it."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
        members = old.infolist()
        chosen = int(random.integers(len(members)))
        left_out = random.random() < 0.1
        packed = zipfile.ZIP_DEFLATED if random.random() < 0.3 else zipfile.ZIP_STORED
        for number, member in enumerate(members):
            held = old.read(member)
            if number == chosen:
                if left_out:
                    continue
                change = _CHANGES[int(random.integers(len(_CHANGES)))]
                held = change(held or b"\0", random).content
            new.writestr(member.filename, held, packed)
    name = members[chosen].filename
    return Mutant(changed.getvalue(), f"member '{name}'{' left out' * left_out}", forged=True)


def _number(content: bytes, random: np.random.Generator) -> Mutant:
    """Replaces a number in a text."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    if not found:
        return _byte(content, random)
    chosen = found[int(random.integers(len(found)))]
    value = _NUMBERS[int(random.integers(len(_NUMBERS)))]
    return Mutant(
        content[: chosen.start()] + value + content[chosen.end() :],
        f"{value!r} for {chosen[0]!r} at {chosen.start()}",
    )


_CHANGES = (_bits, _bits, _byte, _cut, _removed, _inserted, _repeated, _zeroed, _size, _size)
