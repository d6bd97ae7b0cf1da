"""Decoding: orientation, reduced sizes, color models and limits."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest
from conftest import png, save
from PIL import Image

from unetv2.data.io.open import decode_image, decode_mask, read_header

ORIENTATION = 0x0112
# What turns the upright image into what is stored under each orientation.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


def gradient(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 200 / height, columns * 200 / width, 0 * rows + 40], -1).astype("uint8")


@pytest.mark.parametrize("orientation", STORED)
def test_phone_images_are_rotated_upright(tmp_path, orientation):
    upright = gradient(24, 40)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    path = str(save(stored, tmp_path / "a.jpg", exif=exif, quality=98, subsampling=0))
    assert read_header(path).size == (24, 40)
    for at_least in (None, (24, 40)):
        pixels = decode_image(path, at_least=at_least)
        assert pixels.shape == (24, 40, 3)
        assert np.abs(pixels.astype(int) - upright).max() <= 8


def test_gray_and_cmyk_jpegs_become_rgb(tmp_path):
    image = Image.fromarray(gradient(16, 16))
    for mode in ("L", "CMYK"):
        path = tmp_path / f"{mode}.jpg"
        image.convert(mode).save(path, quality=98)
        expected = np.asarray(image.convert(mode).convert("RGB"))
        assert np.abs(decode_image(str(path)).astype(int) - expected).max() <= 12


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colored", [False, True])
def test_channels_are_converted_at_both_depths(tmp_path, channels, bits, colored):
    factor = 257 if bits == 16 else 1
    gray = np.arange(20, dtype=np.uint16).reshape(4, 5) * 10 * factor
    (tmp_path / "a.png").write_bytes(png(np.stack([gray] * 3, -1) if colored else gray, bits))
    pixels = decode_image(str(tmp_path / "a.png"), channels=channels)
    assert pixels.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert pixels.shape == (4, 5, channels)
    has_alpha = channels in (2, 4)
    color = pixels[..., :-1] if has_alpha else pixels
    np.testing.assert_array_equal(color, np.broadcast_to(gray[..., None], color.shape))
    if has_alpha:
        assert (pixels[..., -1] == np.iinfo(pixels.dtype).max).all()


def test_a_palette_with_transparency_becomes_rgb_without_a_warning(tmp_path):
    image = Image.new("P", (4, 3), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png", transparency=bytes([0, 128]))
    assert decode_image(str(tmp_path / "a.png"))[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize(("size", "target", "decoded"), [
    ((160, 240), (20, 30), (20, 30)),
    ((160, 240), (30, 30), (40, 60)),
    ((160, 240), (81, 120), (160, 240)),
    # Not divisible by 8 or 4: the last rows of a reduced image would count for more.
    ((162, 240), (20, 30), (81, 120)),
])  # fmt: skip
def test_large_jpegs_are_decoded_at_a_reduced_scale_that_shifts_nothing(
    tmp_path, size, target, decoded
):
    path = str(save(gradient(*size), tmp_path / "a.jpg", quality=98))
    pixels = decode_image(path, at_least=target)
    assert pixels.shape[:2] == decoded
    factor = size[0] // decoded[0]
    blocks = gradient(*size).reshape(decoded[0], factor, decoded[1], factor, 3).mean((1, 3))
    assert np.abs(pixels - blocks).max() <= 6


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path):
    bomb = bytearray(png(np.zeros((1, 1), np.uint8), 8))
    bomb[16:24] = (50_000).to_bytes(4, "big") * 2
    import zlib

    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match=r"bomb.png' must have at most `max_pixels`=89478485"):
            read(str(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_max_pixels_may_be_raised(tmp_path):
    path = str(save(gradient(10, 10), tmp_path / "a.png"))
    assert decode_image(path, max_pixels=100).shape == (10, 10, 3)
    with pytest.raises(
        ValueError, match="must have at most `max_pixels`=99 pixels. Received: 10x10"
    ):
        decode_image(path, max_pixels=99)


def test_a_wrong_extension_does_not_matter(tmp_path):
    (tmp_path / "a.png").write_bytes(save(gradient(8, 8), tmp_path / "b.bmp").read_bytes())
    np.testing.assert_array_equal(decode_image(str(tmp_path / "a.png")), gradient(8, 8))
    (tmp_path / "c.png").write_bytes(save(gradient(8, 8), tmp_path / "d.jpg").read_bytes())
    with pytest.raises(ValueError, match="Masks must be stored losslessly: JPEG changes"):
        decode_mask(str(tmp_path / "c.png"))


def test_lossy_masks_are_refused(tmp_path):
    save(gradient(8, 8), tmp_path / "a.webp", lossless=False)
    with pytest.raises(ValueError, match="Masks must be stored losslessly: lossy WebP changes"):
        decode_mask(str(tmp_path / "a.webp"))
    save(gradient(8, 8), tmp_path / "a.tif", compression="jpeg")
    with pytest.raises(ValueError, match="Masks must be stored losslessly: TIFF with jpeg"):
        decode_mask(str(tmp_path / "a.tif"))


def test_images_without_a_known_range_are_refused(tmp_path):
    save(np.zeros((4, 4), np.float32), tmp_path / "a.tif")
    with pytest.raises(ValueError, match="Images must be gray, RGB or CMYK, of up to 16 bits"):
        decode_image(str(tmp_path / "a.tif"))
    with pytest.raises(ValueError, match="Masks must be gray, palette, RGB or RGBA. .*mode 'F'"):
        decode_mask(str(tmp_path / "a.tif"))


@pytest.mark.parametrize("orientation", STORED)
def test_16_bit_images_and_masks_are_rotated_upright(tmp_path, orientation):
    upright = np.arange(6, dtype=np.uint16).reshape(2, 3) * 1000
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED[orientation](upright))
    path = str(save(stored, tmp_path / "a.png", exif=exif))
    assert read_header(path).size == (2, 3)
    np.testing.assert_array_equal(decode_image(path, channels=1)[..., 0], upright)
    np.testing.assert_array_equal(decode_mask(path), upright)
    path = str(save((stored // 1000).astype(np.uint8), tmp_path / "b.png", exif=exif))
    np.testing.assert_array_equal(decode_mask(path), upright // 1000)


@pytest.mark.parametrize("orientation", STORED)
def test_rotated_tiffs_have_the_size_of_their_header(tmp_path, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED[orientation](gradient(8, 12)))
    path = str(save(stored, tmp_path / "a.tif", exif=exif, compression="tiff_lzw"))
    assert read_header(path).size == (8, 12)
    np.testing.assert_array_equal(decode_image(path), gradient(8, 12))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "packbits"])
@pytest.mark.parametrize("orientation", STORED)
def test_masks_in_rotated_tiffs_are_rotated_upright(tmp_path, orientation, compression):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    upright = np.arange(15, dtype=np.uint16).reshape(3, 5)
    for number, values in enumerate((upright.astype(np.uint8), upright * 1000)):
        stored = np.ascontiguousarray(STORED[orientation](values))
        path = str(save(stored, tmp_path / f"{number}.tif", exif=exif, compression=compression))
        assert read_header(path).size == (3, 5)
        np.testing.assert_array_equal(decode_mask(path), values)
        np.testing.assert_array_equal(decode_image(path, channels=1)[..., 0], values)


def test_paths_may_be_invalid_utf_8(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    Image.fromarray(gradient(4, 4)).save(path)
    np.testing.assert_array_equal(decode_image(path), gradient(4, 4))
