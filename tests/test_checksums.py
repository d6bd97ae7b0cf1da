"""Documents and arrays with checksums are read as they were written, or raise."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from evaluations import evaluated, images
from hypothesis import given
from hypothesis import strategies as st
from raising import refusal

import unetv2
from unetv2 import checksums
from unetv2.checksums import add_checksum, read_arrays, read_json, verify_checksum, write_arrays

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DOCUMENT = {"name": "cells \udcff", "sizes": (3, 4.5, None), "map": {"7": 1, "8": 2}, "nan": 1e300}
ARRAYS = {
    "ids": np.arange(12, dtype=np.uint16).reshape(3, 4),
    "shares": np.linspace(0, 1, 7),
    "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "none": np.zeros((0, 3), np.float32),
    "one": np.float64(3),
}


@given(st.dictionaries(st.text().filter(lambda name: name != "sha256"), VALUES, max_size=4))
def test_a_document_is_read_as_it_was_written(content):
    text = json.dumps(add_checksum(content), indent=2)
    assert json.dumps(verify_checksum(read_json(text))) == json.dumps(
        json.loads(json.dumps(content))
    )


def test_any_changed_byte_of_a_document_raises_or_has_no_effect():
    text = json.dumps(add_checksum(DOCUMENT), indent=2).encode()
    expected = verify_checksum(read_json(text))
    for where in range(len(text)):
        for bit in range(8):
            changed = bytearray(text)
            changed[where] ^= 1 << bit
            try:
                found = verify_checksum(read_json(bytes(changed)))
            except ValueError:
                continue
            assert found == expected, changed


def test_a_document_without_its_checksum_raises():
    with pytest.raises(ValueError, match="it has no checksum `sha256`"):
        verify_checksum(json.loads(json.dumps(DOCUMENT)))
    with pytest.raises(ValueError, match="not a JSON object, but of the type list"):
        verify_checksum([1])


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_read_as_they_were_written(tmp_path, compressed):
    path = tmp_path / "arrays.npz"
    with path.open("wb") as file:
        write_arrays(file, ARRAYS, compressed=compressed)
    found = read_arrays(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
    with np.load(path) as others:
        np.testing.assert_array_equal(others["ids"], ARRAYS["ids"])


@pytest.mark.parametrize("compressed", [False, True])
def test_any_changed_byte_of_arrays_raises_or_has_no_effect(tmp_path, compressed):
    whole = io.BytesIO()
    write_arrays(whole, ARRAYS, compressed=compressed)
    content, path = whole.getvalue(), tmp_path / "arrays.npz"
    n = len(content)
    changes = [
        *(content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :] for at in range(0, n, 3)),
        *(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(1, n, 6)),
        *(content[:at] for at in range(0, n, 99)),
    ]  # fmt: skip
    refused = 0
    for changed in changes:
        path.write_bytes(changed)
        try:
            found = read_arrays(path)
        except ValueError:
            refused += 1
            continue
        assert found.keys() == ARRAYS.keys()
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
    # The rest are times, versions and other metadata of the archive.
    assert refused > len(changes) / 2


def archive(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def npy(shape, dtype="<f4", values=b""):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return header.getvalue() + values


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ([("a.npy", npy((10**12,)))], r"an array of shape \(1000000000000,\) has 0 bytes"),
        ([("a.npy", npy((-1, -4), values=bytes(16)))], "damaged: "),
        ([("a.npy", npy((1,), "|O", bytes(8)))], "an array is of objects"),
        ([("a.npy", b"\x93NUMPY\x09\x00" + bytes(99))], r"version \(9, 0\)"),
        ([("../a.npy", npy((0,)))], "outside of it"),
        ([("a.npy", npy((0,)))], "it has no checksum"),
        ([], "it has no checksum"),
    ],
)
def test_an_array_with_a_wrong_header_raises(tmp_path, members, found):
    with pytest.raises(ValueError, match=found):
        read_arrays(archive(tmp_path / "arrays.npz", members))


def test_archives_that_expand_too_much_raise_before_expansion(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "MAX_EXPANDED_BYTES", 10_000)
    path = archive(tmp_path / "a.npz", [("a.npy", npy((0,)) + bytes(20_000))], zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="members expand to more than 10000 bytes"):
        read_arrays(path)


def test_large_arrays_are_stored_without_compression(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "_MAX_COMPRESSED_BYTES", 1000)
    monkeypatch.setattr(checksums, "MAX_EXPANDED_BYTES", 2000)
    with (tmp_path / "a.npz").open("wb") as file:
        write_arrays(file, {"a": np.zeros(500)}, compressed=True)
    assert read_arrays(tmp_path / "a.npz")["a"].shape == (500,)


@pytest.mark.slow
def test_any_damage_to_an_evaluation_raises_with_its_path(tmp_path):
    evaluation = evaluated(list(images(4)))
    evaluation.save(tmp_path)
    path = tmp_path / "evaluation.npz"
    content = path.read_bytes()
    for where in range(0, len(content), 97):
        changed = bytearray(content)
        changed[where] ^= 0x55
        path.write_bytes(changed)
        message = refusal(lambda: unetv2.Evaluation.load(tmp_path))
        if message:
            # A change of the archive's metadata changes the checksum in evaluation.json.
            assert (
                f"'{path}' must be an evaluation" in message
                or f"'{path}' must belong to" in message
            )
        else:
            assert unetv2.Evaluation.load(tmp_path).as_dict() == evaluation.as_dict()


def test_an_evaluation_of_other_shapes_raises(tmp_path):
    evaluated(list(images(4))).save(tmp_path)
    path = tmp_path / "evaluation.npz"
    arrays = read_arrays(path)
    for name, changed in {
        "confusion": arrays["confusion"][:2],
        "pixels": arrays["pixels"].astype(np.float64),
        "boundaries": arrays["boundaries"][:, :3],
    }.items():
        with path.open("wb") as file:
            write_arrays(file, {**arrays, name: changed})
        with pytest.raises(ValueError, match=rf"evaluation.npz' must be .* Received: `{name}` of"):
            unetv2.Evaluation.load(tmp_path)
