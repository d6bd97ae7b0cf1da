"""Numbers read from TIFFs are the numbers stored, by an independent reader, or an error says why.

tifffile writes the files and reads them again: its ``asarray`` returns the numbers as they are
stored, whatever their photometric interpretation.
"""

from __future__ import annotations

import functools
import itertools
import re

import numpy as np
import pytest
import tifffile

from unetv2.data.io.open import decode_image, decode_mask, read_header

HEIGHT, WIDTH = 17, 21
REFUSED = "must be a TIFF of one image .* Received: "
COMPRESSIONS = (None, "lzw", "zlib", "packbits", "zstd", "lzma")


def write(path, array, **options):
    """Writes a TIFF and returns its path and the values that tifffile reads."""
    tifffile.imwrite(path, array, metadata=None, **options)
    return str(path), tifffile.imread(path)


def numbers(dtype, shape=(HEIGHT, WIDTH), seed=0):
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    array = rng.integers(
        max(limits.min, -(2**31)), min(limits.max, 2**31 - 1), shape, endpoint=True
    )
    return array.astype(dtype)


def refusal(read, path):
    """Returns the error message of a refused file, or None."""
    try:
        read(path)
    except ValueError as error:
        return str(error)
    return None


def reads(path, wanted, read, what):
    """Returns whether a file is read with the expected values; otherwise it must be refused."""
    said = refusal(read, path)
    if said is not None:
        assert path in said
        assert re.search(REFUSED, said), said
        return False
    np.testing.assert_array_equal(read(path), wanted, err_msg=what)
    return True


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_gray_masks_have_the_stored_values(tmp_path, dtype, byteorder):
    array = numbers(dtype)
    settings = itertools.product(
        ("minisblack", "miniswhite"),
        COMPRESSIONS,
        (False, True),
        (None, 5, (16, 16)),
        (False, True),
    )
    for photometric, compression, predictor, parts, big in settings:
        if predictor and compression in (None, "packbits"):
            continue
        layout = {"tile": parts} if isinstance(parts, tuple) else {"rowsperstrip": parts}
        path, stored = write(
            tmp_path / "a.tif", array, photometric=photometric, compression=compression,
            predictor=bool(predictor), byteorder=byteorder, bigtiff=bool(big), **layout,
        )  # fmt: skip
        what = f"{photometric} {compression} {predictor} {parts} {big}"
        np.testing.assert_array_equal(stored, array, err_msg=what)
        assert reads(path, stored, decode_mask, what) == (not big or byteorder == "<"), what


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_white_is_the_largest_value_at_every_depth(tmp_path, dtype, byteorder, compression):
    for photometric in ("minisblack", "miniswhite"):
        path, stored = write(
            tmp_path / "a.tif", numbers(dtype), photometric=photometric, byteorder=byteorder,
            compression=compression,
        )  # fmt: skip
        shown = stored if photometric == "minisblack" else np.iinfo(dtype).max - stored
        for channels in (1, 3):
            image = decode_image(path, channels=channels)
            assert image.dtype == dtype
            np.testing.assert_array_equal(image, np.stack([shown] * channels, -1))
        for channels in (2, 4):
            image = decode_image(path, channels=channels)
            np.testing.assert_array_equal(image[..., 0], shown)
            assert (image[..., -1] == np.iinfo(dtype).max).all()


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint32", "float32"])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_images_without_a_fixed_range_are_refused(tmp_path, dtype, byteorder):
    array = np.zeros((HEIGHT, WIDTH), dtype)
    path, _ = write(tmp_path / "a.tif", array, byteorder=byteorder)
    for read in (lambda path: read_header(path, channels=3), decode_image):
        with pytest.raises(ValueError, match=f"Images must be gray, .*'{dtype}' in '.*a.tif'"):
            read(path)


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 10, 12, 14])
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_values_of_any_depth_are_exact_or_refused(tmp_path, bits, byteorder):
    array = numbers("uint16") & (2**bits - 1)
    array = array.astype(bool if bits == 1 else np.uint8 if bits <= 8 else np.uint16)
    for photometric in ("minisblack", "miniswhite"):
        path, stored = write(
            tmp_path / "a.tif", array, photometric=photometric, bitspersample=bits,
            byteorder=byteorder,
        )  # fmt: skip
        read = reads(path, stored, decode_mask, photometric)
        assert read == (bits in (1, 2, 4) or (bits == 12 and byteorder == "<")), photometric
        if read:
            shown = stored if photometric == "minisblack" else 2**bits - 1 - stored
            image = decode_image(path, channels=1)[..., 0]
            share = shown.astype(float) / (2**bits - 1)
            np.testing.assert_allclose(image / np.iinfo(image.dtype).max, share, atol=1e-4)


@pytest.mark.parametrize("bits", [1, 4])
def test_single_planes_are_read(tmp_path, bits):
    array = numbers("uint8") & (2**bits - 1)
    array = array.astype(bool) if bits == 1 else array
    write(tmp_path / "a.tif", array, bitspersample=bits)
    # PlanarConfiguration, which has no meaning here, and which tifffile does not write.
    for planes in (1, 2):
        content = bytearray((tmp_path / "a.tif").read_bytes())
        entry = content.index(b"\x1c\x01\x03\x00") if b"\x1c\x01\x03\x00" in content else None
        if entry is None:
            entry = content.index(b"\x31\x01\x02\x00")  # Software, of no meaning either.
            content[entry : entry + 8] = b"\x1c\x01\x03\x00\x01\x00\x00\x00"
        content[entry + 8 : entry + 12] = bytes([planes, 0, 0, 0])
        (tmp_path / "b.tif").write_bytes(content)
        np.testing.assert_array_equal(decode_mask(str(tmp_path / "b.tif")), array)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "separated"])
def test_channels_are_exact_or_refused(tmp_path, channels, dtype, photometric):
    colors = {"minisblack": 1, "rgb": 3, "separated": 4}[photometric]
    if channels < colors:
        pytest.skip("a TIFF has at least the channels of its color space")
    kinds = ("unspecified", "assocalpha", "unassalpha") if channels > colors else (None,)
    settings = itertools.product(kinds, ("contig", "separate"), (None, "lzw"), "<>")
    for kind, planes, compression, byteorder in settings:
        array = numbers(dtype, (HEIGHT, WIDTH, channels))
        if planes == "separate":
            array = np.moveaxis(array, 2, 0)
        options = {} if kind is None else {"extrasamples": [kind] * (channels - colors)}
        if channels > 1:
            options["planarconfig"] = planes
        elif planes == "separate":
            array = array[0]
        else:
            array = array[..., 0]
        path, stored = write(
            tmp_path / "a.tif", array, photometric=photometric, compression=compression,
            byteorder=byteorder, **options,
        )  # fmt: skip
        if channels > 1 and planes == "separate":
            stored = np.moveaxis(stored, 0, 2)
        what = f"{kind} {planes} {compression} {byteorder}"
        alpha = channels == colors + 1 and kind != "unspecified"
        readable = dtype == "uint8" and (channels == colors or alpha)
        # Gray and alpha in planes are the only ones that Pillow does not know.
        readable &= not (photometric == "minisblack" and alpha and planes == "separate")

        image = functools.partial(decode_image, channels=min(channels, 4))
        for read in (image, decode_mask):
            said = refusal(read, path)
            if said is not None:
                assert path in said
                assert not readable or photometric == "separated", said
                continue
            # Inks are converted, in images alone.
            assert photometric != "separated" or read is image
            wanted = stored[..., :colors] if alpha and read is decode_mask else stored
            if photometric != "separated":
                found = read(path)
                np.testing.assert_array_equal(found, wanted.reshape(found.shape), err_msg=what)


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_palettes_are_colors_in_images_and_indices_in_masks(tmp_path, compression):
    palette = numbers("uint8", (3, 256))
    path, stored = write(
        tmp_path / "a.tif", numbers("uint8"), photometric="palette", compression=compression,
        colormap=palette.astype(np.uint16) * 257,
    )  # fmt: skip
    np.testing.assert_array_equal(decode_mask(path), stored)
    np.testing.assert_array_equal(decode_image(path), np.moveaxis(palette[:, stored], 0, 2))


@pytest.mark.parametrize("dtype", ["float16", "float64", "complex64", "uint64", "int64"])
def test_other_dtypes_are_refused_by_name(tmp_path, dtype):
    path, _ = write(tmp_path / "a.tif", np.zeros((HEIGHT, WIDTH), dtype))
    bits = 8 * np.dtype(dtype).itemsize
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match=rf"a.tif' {REFUSED}1 channel of {bits} bits"):
            read(path)


@pytest.mark.parametrize("compression", ["jpeg2000", "lerc"])
def test_unsupported_compressions_are_refused_by_number(tmp_path, compression):
    path, _ = write(tmp_path / "a.tif", numbers("uint8"), compression=compression)
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match=rf"a.tif' {REFUSED}Compression=\d+"):
            read(path)


def test_ids_above_31_bits_are_refused(tmp_path):
    path, _ = write(tmp_path / "a.tif", np.full((HEIGHT, WIDTH), 2**32 - 1, np.uint32))
    with pytest.raises(
        ValueError, match="Mask ids must be in .* Received: 4294967295 in '.*a.tif'"
    ):
        decode_mask(path)


@pytest.mark.parametrize("big", [False, True])
def test_several_pages_are_refused(tmp_path, big):
    pages = numbers("uint8", (5, HEIGHT, WIDTH))
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack", bigtiff=big)
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match=f"a.tif' {REFUSED}5 pages. Split it"):
            read(str(tmp_path / "a.tif"))


def test_thumbnails_and_transparency_masks_are_not_counted_as_pages(tmp_path):
    image = numbers("uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(image, photometric="minisblack")
        file.write(image[::2, ::2], photometric="minisblack", subfiletype=1)
        file.write(image > 9, photometric=4, subfiletype=4)
    for read in (decode_mask, lambda path: decode_image(path, channels=1)[..., 0]):
        np.testing.assert_array_equal(read(str(tmp_path / "a.tif")), image)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_reversed_bit_order_is_read(tmp_path, bits):
    # FillOrder=2, which tifffile does not write: its tag Software is made one.
    array = numbers("uint8") > 99 if bits == 1 else numbers(f"uint{bits}")
    path, _ = write(tmp_path / "a.tif", array)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    entry = content.index(b"\x31\x01\x02\x00")
    content[entry : entry + 12] = b"\x0a\x01\x03\x00\x01\x00\x00\x00\x02\x00\x00\x00"
    rows = (np.packbits(array, axis=1) if bits == 1 else array).tobytes()
    place = content.index(rows)
    reverse = np.packbits(np.unpackbits(np.frombuffer(rows, np.uint8)), bitorder="little")
    content[place : place + len(rows)] = reverse.tobytes()
    (tmp_path / "a.tif").write_bytes(content)
    np.testing.assert_array_equal(decode_mask(path), array)


def test_tiffs_with_missing_strips_are_refused(tmp_path):
    path, _ = write(tmp_path / "a.tif", numbers("uint8"), rowsperstrip=2)
    content = (tmp_path / "a.tif").read_bytes()
    entry = content.index(b"\x11\x01")
    for count in (3, 0):
        damaged = content[: entry + 4] + bytes([count, 0, 0, 0]) + content[entry + 8 :]
        (tmp_path / "a.tif").write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"a.tif' must be a readable .*\d of 9 strips or tiles"
        ):
            decode_mask(path)


@pytest.mark.parametrize("layout", [{"rowsperstrip": 4}, {"tile": (16, 16)}])
def test_deflated_tiffs_with_wrong_checksums_are_refused(tmp_path, layout):
    path, stored = write(tmp_path / "a.tif", numbers("uint8"), compression="zlib", **layout)
    np.testing.assert_array_equal(decode_mask(path), stored)
    content = (tmp_path / "a.tif").read_bytes()
    with tifffile.TiffFile(path) as file:
        parts = list(zip(file.pages[0].dataoffsets, file.pages[0].databytecounts, strict=True))
    for offset, length in parts:
        for place in (offset + length // 2, offset + length - 1):
            damaged = bytearray(content)
            damaged[place] ^= 1
            (tmp_path / "a.tif").write_bytes(damaged)
            for read in (decode_mask, decode_image):
                with pytest.raises(ValueError, match="'.*a.tif' must be a readable image"):
                    read(path)


def test_tags_that_reference_the_same_bytes_are_refused(tmp_path):
    # A hundred tags of the file's whole length each.
    path, _ = write(
        tmp_path / "a.tif", numbers("uint8"),
        extratags=[(65000 + number, 7, 5, b"12345", True) for number in range(100)],
    )  # fmt: skip
    content = bytearray((tmp_path / "a.tif").read_bytes())
    for number in range(100):
        entry = content.index((65000 + number).to_bytes(2, "little") + b"\x07\x00\x05")
        content[entry + 4 : entry + 12] = len(content).to_bytes(4, "little") + bytes(4)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.tif' must be a readable .* bytes of TIFF tags in a"):
        read_header(path)
