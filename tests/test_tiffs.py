"""TIFFs of more channels than are read.

What is read is compared with an independent reader in ``test_tiffs_numbers.py``.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from unetv2.data.io.open import decode_image, decode_mask, read_header


def tiff(array, *, planes=False, photometric=1):
    """Writes a TIFF with more channels than Pillow supports."""
    height, width, channels = array.shape
    parts = np.moveaxis(array, 2, 0) if planes else array[np.newaxis]
    data = [part.tobytes() for part in parts]
    colors = 3 if photometric == 2 else 1

    def directory(offsets):
        entries = [
            (256, [width]), (257, [height]), (258, [8 * array.itemsize] * channels), (259, [1]),
            (262, [photometric]), (273, offsets), (277, [channels]), (278, [height]),
            (279, [len(part) for part in data]), (284, [2 if planes else 1]),
            (338, [0] * (channels - colors)),
        ]  # fmt: skip
        entries = [(tag, values) for tag, values in entries if values]
        fields, behind = b"", b""
        start = 8 + 2 + 12 * len(entries) + 4
        for tag, values in entries:
            packed = np.array(values, "<u2" if tag in (258, 338) else "<u4").tobytes()
            kind = 3 if tag in (258, 338) else 4
            if len(packed) > 4:
                place = np.uint32(start + len(behind)).tobytes()
                behind += packed
            else:
                place = packed.ljust(4, b"\0")
            fields += np.array([tag, kind], "<u2").tobytes()
            fields += np.uint32(len(values)).tobytes() + place
        count = np.uint16(len(entries)).tobytes()
        return b"II*\0\x08\0\0\0" + count + fields + bytes(4) + behind

    start = len(directory([0] * len(data)))
    places = np.cumsum([start, *map(len, data[:-1])]).tolist()
    return directory(places) + b"".join(data)


def test_written_tiffs_are_valid(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    for planes in (False, True):
        (tmp_path / "a.tif").write_bytes(tiff(image, planes=planes, photometric=2))
        with Image.open(tmp_path / "a.tif") as picture:
            np.testing.assert_array_equal(np.asarray(picture), image)
        np.testing.assert_array_equal(decode_image(str(tmp_path / "a.tif")), image)


@pytest.mark.parametrize("channels", [5, 6, 8, 12])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("photometric", [1, 2])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiffs_of_more_than_four_channels_are_refused(
    tmp_path, channels, planes, photometric, dtype
):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(dtype)
    (tmp_path / "a.tif").write_bytes(tiff(image, planes=planes, photometric=photometric))
    message = rf"a.tif' must be a TIFF of one image .*: {channels} channels, .* as a .npy array"
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match=message):
            read(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("planes", [False, True])
def test_channels_other_than_colors_and_alpha_are_refused(tmp_path, channels, planes):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(image, photometric=2 if channels == 4 else 1, planes=planes))
    message = rf"a.tif' must be a TIFF .*: {channels} channels, .*ExtraSamples=0.*near infrared"
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match=message):
            read(str(path))
    for wanted in (1, 2, 3, 4):
        with pytest.raises(ValueError, match=message):
            decode_image(str(path), channels=wanted)


@pytest.mark.parametrize("photometric", [1, 2])
def test_planes_of_16_bits_are_refused(tmp_path, photometric):
    image = np.zeros((5, 7, 3), np.uint16)
    (tmp_path / "a.tif").write_bytes(tiff(image, planes=True, photometric=photometric))
    with pytest.raises(ValueError, match="a.tif' must be a TIFF .*: 3 channels"):
        decode_image(str(tmp_path / "a.tif"))
