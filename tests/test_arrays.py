"""Images of any number of channels, and masks, in .npy files."""

from __future__ import annotations

import numpy as np
import pytest
from array_files import stored, write
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import unetv2
from unetv2.data.io.open import decode_image, decode_mask, read_header
from unetv2.data.labels import Labels

IMAGES = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16]), hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)
)
TABLE = unetv2.ClassTable(("sky", "road", "car"), ((0, 0, 200), (128, 64, 128), (200, 0, 0)))


@given(image=IMAGES)
def test_an_image_of_any_number_of_channels_reads_back_equal(tmp_path, image):
    path = str(write(image, tmp_path / "a.npy"))
    pixels = decode_image(path, channels=image.shape[2])
    assert pixels.dtype == image.dtype
    np.testing.assert_array_equal(pixels, image)
    header = read_header(path, channels=image.shape[2])
    assert (header.format, header.size) == ("NPY", image.shape[:2])
    assert header.bits == 8 * image.dtype.itemsize
    assert header.mode == f"{image.dtype.name} x {image.shape[2]}"


@given(image=IMAGES, order=st.sampled_from("CF"), endian=st.sampled_from("<>"))
def test_byte_order_and_memory_order_change_nothing(tmp_path, image, order, endian):
    saved = np.asarray(image, image.dtype.newbyteorder(endian), order=order)
    pixels = decode_image(str(write(saved, tmp_path / "a.npy")), channels=image.shape[2])
    np.testing.assert_array_equal(pixels, image)
    assert pixels.dtype == image.dtype
    assert pixels.dtype.isnative
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_is_read(tmp_path, version):
    image = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, image, version)
    np.testing.assert_array_equal(decode_image(str(tmp_path / "a.npy"), channels=4), image)


def test_an_array_of_two_axes_has_one_channel(tmp_path):
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    (tmp_path / "a.NPY").write_bytes(stored(image))
    pixels = decode_image(str(tmp_path / "a.NPY"), channels=1)
    np.testing.assert_array_equal(pixels, image[..., np.newaxis])


@given(
    ids=hnp.arrays(
        hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.boolean_dtypes(),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements={"min_value": 0, "max_value": 100},
    ),
    axis=st.booleans(),
)
def test_masks_of_every_integer_dtype_read_back_equal(tmp_path, ids, axis):
    path = str(write(ids[..., np.newaxis] if axis else ids, tmp_path / "a.npy"))
    assert read_header(path, lossless=True).size == ids.shape
    values = decode_mask(path)
    assert values.dtype in (np.uint8, np.uint16, np.int32)
    np.testing.assert_array_equal(values, ids)
    read = Labels(n_classes=101).read(path, 100)
    np.testing.assert_array_equal(read, ids)


def test_ids_of_32_bits_are_read_and_larger_ids_are_errors(tmp_path):
    path = tmp_path / "a.npy"
    ids = np.array([[-1, 70_000]])
    np.testing.assert_array_equal(decode_mask(str(write(ids, path))), ids)
    labels = Labels(n_classes=2, ignore_class=-1)
    with pytest.raises(ValueError, match=r"Mask ids must be in \[0, 2\) or .* Received: 70000 in"):
        labels.read(str(path), 100)
    # As int32 this would be 0.
    with pytest.raises(
        ValueError, match=r"Mask ids must be in \[-2147483648, .*Received: 0 to 4294967296 in '.*a."
    ):
        decode_mask(str(write(np.array([[0, 2**32]]), path)))


def test_arrays_may_store_colors_or_binary_masks(tmp_path):
    ids = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    colors = write(unetv2.visualization.colorize(ids, TABLE), tmp_path / "a.npy")
    read = Labels("colors", 3, classes=TABLE).read(str(colors), 100)
    np.testing.assert_array_equal(read, ids)
    for foreground in (ids == 1, (ids == 1) * np.uint8(255)):
        path = write(foreground, tmp_path / "b.npy")
        read = Labels("binary", 2).read(str(path), 100)
        np.testing.assert_array_equal(read, ids == 1)
