"""Errors of invalid .npy files."""

from __future__ import annotations

import pickle
import resource

import numpy as np
import pytest
from array_files import UINT8, stored, write

from unetv2.data.io.open import decode_colors, decode_image, decode_mask, read_header
from unetv2.data.labels import Labels


@pytest.mark.parametrize(("array", "message"), [
    (UINT8[..., :4], r"`channels` channels. Received: channels=5 and shape "
     r"\(4, 6, 4\) in '.*a.npy'. Pass channels=4"),
    (UINT8[..., 0], r"Received: channels=5 and shape \(4, 6\) in .* Pass channels=1"),
    (np.moveaxis(UINT8, 2, 0), r"shape \(5, 4, 6\) in .* Channels come last: save `np.moveaxis"),
    (UINT8.astype(np.float32), r"must be uint8 or uint16. Received: float32 in '.*a.npy'. Floats "
     "have no .* range. .* to 0 .. 255"),
    (UINT8.astype(np.int16), "must be uint8 or uint16. Received: int16 in '.*a.npy'. Scale"),
    (UINT8.astype(bool), "must be uint8 or uint16. Received: bool in"),
    (UINT8.astype(object), "must be uint8 or uint16. Received: object in"),
    (np.zeros((4, 6), [("a", "u1")]), r"must be uint8 or uint16. Received: \[\('a', 'u1'\)\] in"),
    (np.zeros((4, 6), "M8[s]"), "must be uint8 or uint16. Received: datetime64"),
    (np.uint8(7), r"must be an array \(height, width\) or \(height, width, channels\), no side of "
     r"0. Received: \(\). Save one image"),
    (UINT8[np.newaxis], r"must be an array .* Received: \(1, 4, 6, 5\). Save one image"),
    (UINT8[:0], r"must be an array .* Received: \(0, 6, 5\)"),
    (UINT8[..., :0], r"must be an array .* Received: \(4, 6, 0\)"),
])  # fmt: skip
def test_invalid_image_arrays_are_refused(tmp_path, array, message):
    path = str(write(array, tmp_path / "a.npy"))
    for read in (read_header, decode_image):
        with pytest.raises(ValueError, match=message):
            read(path, channels=5)


@pytest.mark.parametrize(("array", "message"), [
    (UINT8[..., 0].astype(float), "must be of integers or bool, an id for each pixel. Received: "
     r"float64 in '.*a.npy'. Save `mask.astype\(np.uint8\)` if all its values are ids, `mask > 0"),
    (UINT8, r"must be \(height, width\) or \(height, width, 1\), .* Received: shape \(4, 6, 5\) in "
     r"'.*a.npy'. Save `mask.argmax\(axis=-1\)` if it holds a channel for each class"),
    (UINT8[..., :3].astype(int), r"Received: shape \(4, 6, 3\) in '.*a.npy'. Save `mask.argmax"),
    (UINT8[..., 0].astype(object), "must be of integers or bool, .* Received: object in"),
    (UINT8[:0, :, 0], r"must be an array .* Received: \(0, 6\)"),
])  # fmt: skip
def test_invalid_mask_arrays_are_refused(tmp_path, array, message):
    path = str(write(array, tmp_path / "a.npy"))
    for read in (decode_mask, lambda path: read_header(path, lossless=True)):
        with pytest.raises(ValueError, match=message):
            read(path)


def test_three_channels_in_a_mask_are_refused_as_ambiguous(tmp_path):
    path = str(write(UINT8[..., :3], tmp_path / "a.npy"))
    message = r"Pass encoding='colors' with `classes` if it holds colors. Save `mask.argmax\("
    with pytest.raises(ValueError, match=message):
        Labels(n_classes=3).read(path, 100)
    for array in (UINT8[..., 0], UINT8, UINT8[..., :3].astype(np.uint16)):
        path = str(write(array, tmp_path / "a.npy"))
        with pytest.raises(ValueError, match=r"must be uint8 \(height, width, 3\). Received: uint"):
            decode_colors(path)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(("content", "message"), [
    (b"", r"must be a NumPy array. Received: 0 bytes .*\(EOF"),
    (PNG, r"must be a NumPy array. Received: 48 bytes .*PNG.*Write it with "
     "`np.save`; an image needs the extension of its format"),
    (pickle.dumps([1, 2]), "must be a NumPy array. Received: .* bytes "),
    (stored(UINT8)[:60], "must be a NumPy array. Received: 60 bytes .*EOF"),
    (stored(UINT8)[:-1], "header, 248 bytes. Received: 247 bytes. The"),
    (stored(UINT8) + b"\0", "header, 248 bytes. Received: 249 bytes"),
    (stored(UINT8).replace(b"(4, 6, 5)", b"(-4,6,-5)"), r"no side of 0. Received: \(-4, 6, -5\)"),
    (stored(UINT8).replace(b"(4, 6, 5)", b"((((((((("), "must be a NumPy array. Received: 248"),
    (b"\x93NUMPY\x09\x00" + bytes(200), r"version \(9, 0\) of the format is unknown"),
    # A header of 4 GB.
    (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "must be a NumPy array. Received: 13 bytes"),
])  # fmt: skip
def test_files_that_are_not_arrays_are_refused(tmp_path, content, message):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    for read in (read_header, lambda path: decode_image(path, channels=5), decode_mask):
        with pytest.raises(ValueError, match=rf"'.*a.npy' must .*{message}|{message}"):
            read(str(path))


def test_npz_files_are_refused(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, UINT8)
    with pytest.raises(ValueError, match="a.npy' must be a NumPy array"):
        decode_image(str(tmp_path / "a.npy"), channels=5)


def test_an_array_with_an_image_extension_gets_advice_on_its_extension(tmp_path):
    (tmp_path / "a.png").write_bytes(stored(UINT8))
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match="a.png' must be a readable image .*extension .npy"):
            read(str(tmp_path / "a.png"))


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    path = str(write(np.array([[Trap()] * 3] * 2, object), tmp_path / "a.npy"))
    with pytest.raises(ValueError, match="must be uint8 or uint16. Received: object"):
        decode_image(path, channels=1)
    with pytest.raises(ValueError, match="must be of integers or bool"):
        decode_mask(path)


def test_a_flipped_byte_of_the_header_gives_an_error_or_an_array(tmp_path):
    whole = stored(UINT8 + 3)
    errors = 0
    for position in range(128):
        for flip in (0x01, 0x15, 0x80):
            broken = bytearray(whole)
            broken[position] ^= flip
            (tmp_path / "a.npy").write_bytes(bytes(broken))
            try:
                pixels = decode_image(str(tmp_path / "a.npy"), channels=5)
            except ValueError as error:
                errors += "a.npy" in str(error)
            else:
                assert pixels.shape[2] == 5
    assert errors > 128


def test_too_large_arrays_are_refused_by_their_header(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(stored(UINT8).replace(b"(4, 6, 5), }  ", b"(40000,40000,5)}"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_header, lambda path: decode_image(path, channels=5), decode_mask):
        with pytest.raises(
            ValueError, match="a.npy' must have at most `max_pixels`=89478485 pixel"
        ):
            read(str(path))
    # Within the limit, but the numbers are not there.
    path.write_bytes(stored(UINT8).replace(b"(4, 6, 5), }  ", b"(9000, 9000, 5)}"))
    with pytest.raises(ValueError, match="header, 405000128 bytes. Received: "):
        decode_image(str(path), channels=5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    with pytest.raises(ValueError, match="`max_pixels`=23 pixels. Received: 4x6 pixels by its hea"):
        decode_image(str(write(UINT8, path)), channels=5, max_pixels=23)


def test_a_missing_array_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        decode_image(str(tmp_path / "a.npy"), channels=5)


def test_an_array_larger_than_the_memory_is_refused(tmp_path):
    path, shape = tmp_path / "a.npy", (2**22, 2**21)
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        try:
            file.truncate(file.tell() + 2**43)
        except OSError:
            pytest.skip("the file system has no sparse files of 8 TiB")
    for read in (decode_mask, lambda path, **options: decode_image(path, channels=1, **options)):
        with pytest.raises(ValueError, match=r"a.npy' must fit into memory. Received: 8796093022"):
            read(str(path), max_pixels=2**44)
