from __future__ import annotations

import io

import numpy as np
import pytest
from conftest import png, save
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from label_files import check_headers
from label_files import read_pair as read_prepared
from PIL import Image

from unetv2.data.io.open import decode_image
from unetv2.data.labels import Labels
from unetv2.data.pairs import Pair
from unetv2.data.preprocess import Geometry, resize_image
from unetv2.synthetic import driving_scene

IDS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))


def read_pair(pair, size, **options):
    """Reads a pair; the options are those of Labels and Preprocessing."""
    names = Labels.__dataclass_fields__
    labels = Labels(**{name: value for name, value in options.items() if name in names})
    others = {name: value for name, value in options.items() if name not in names}
    return read_prepared(pair, labels, image_size=size, **others)


def write_pair(directory, image, mask, image_name="i/a.png", mask_name="m/a.png"):
    for array, name in ((image, image_name), (mask, mask_name)):
        if isinstance(array, bytes):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_bytes(array)
        else:
            save(array, directory / name)
    return Pair("a", str(directory / image_name), str(directory / mask_name))


def gray(size, value=128):
    return np.full((*size, 3), value, dtype=np.uint8)


def encodings(ids):
    """Masks in all supported formats, as an array or a file's bytes."""
    zero = np.zeros_like(ids)
    opaque = np.full_like(ids, 255)
    yield "one channel", ids
    yield "gray with alpha", np.stack([ids, opaque], -1)
    yield "16 bits", ids.astype(np.uint16)
    yield "CARLA's RGBA", np.stack([ids, zero, zero, opaque], -1)
    yield "red", np.stack([ids, zero, zero], -1)
    yield "blue", np.stack([zero, zero, ids], -1)
    yield "gray as RGB", np.stack([ids] * 3, -1)
    yield "RGB of 16 bits", png(np.stack([ids] * 3, -1), 16)
    for bits in (1, 2, 4, 8, 16):
        if ids.max() < 2**bits:
            yield f"{bits} bits", png(ids, bits)
            yield f"{bits} bits, interlaced", png(ids, bits, interlaced=True)


@given(ids=IDS)
@pytest.mark.parametrize("extension", ["bmp", "gif", "tif", "tiff", "webp", "PNG"])
def test_every_lossless_format_reads_back_equal(tmp_path, ids, extension):
    image, mask = tmp_path / "i" / f"a.{extension}", tmp_path / "m" / f"a.{extension}"
    options = {"lossless": True} if extension == "webp" else {}
    colors = np.stack([ids] * 3, -1)
    save(colors, image, **options)
    save(colors if extension == "webp" else ids, mask, **options)
    pixels, found = read_pair(Pair("a", str(image), str(mask)), ids.shape, n_classes=256)
    np.testing.assert_array_equal(found[..., 0], ids)
    np.testing.assert_array_equal(pixels, colors)


@given(ids=IDS)
def test_every_lossless_encoding_of_ids_reads_back_equal(tmp_path, ids):
    for name, stored in encodings(ids):
        pair = write_pair(tmp_path, gray(ids.shape), stored)
        for n_classes in (None, 256):
            _, mask = read_pair(pair, ids.shape, n_classes=n_classes)
            np.testing.assert_array_equal(mask[..., 0], ids, err_msg=name)


@given(ids=IDS)
def test_palette_indices_are_ids_for_any_colors(tmp_path, ids):
    mask = Image.fromarray(ids).convert("P")
    mask.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    (tmp_path / "m").mkdir(exist_ok=True)
    indices = np.asarray(mask)
    mask.save(tmp_path / "m" / "a.png")
    save(gray(ids.shape), tmp_path / "i" / "a.png")
    pair = Pair("a", str(tmp_path / "i" / "a.png"), str(tmp_path / "m" / "a.png"))
    np.testing.assert_array_equal(read_pair(pair, ids.shape)[1][..., 0], indices)


def test_ids_above_255_survive(tmp_path):
    ids = np.array([[0, 300], [65535, 256]], np.uint16)
    pair = write_pair(tmp_path, gray(ids.shape), ids)
    np.testing.assert_array_equal(read_pair(pair, ids.shape)[1][..., 0], ids)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1", "I;16"])
def test_images_of_every_mode_are_converted_to_rgb(tmp_path, mode):
    size = (6, 5)
    if mode == "I;16":
        image = Image.fromarray(np.full(size, 128 * 257, np.uint16))
    elif mode == "1":
        image = Image.fromarray(gray(size, 255)).convert("1")
    elif mode == "P":
        image = Image.new("P", size[::-1], 7)
        image.putpalette([0] * 21 + [128] * 3)
    else:
        image = Image.fromarray(gray(size)).convert(mode)
    (tmp_path / "i").mkdir()
    image.save(tmp_path / "i" / "a.png")
    save(np.zeros(size, np.uint8), tmp_path / "m" / "a.png")
    pair = Pair("a", str(tmp_path / "i" / "a.png"), str(tmp_path / "m" / "a.png"))
    pixels, _ = read_pair(pair, size)
    expected = {"1": 255, "I;16": 128 * 257}.get(mode, 128)
    assert pixels.dtype == (np.uint16 if mode == "I;16" else np.uint8)
    np.testing.assert_array_equal(pixels, np.full((*size, 3), expected))


def test_jpeg_images_are_read(tmp_path):
    pair = write_pair(tmp_path, gray((8, 8), 90), np.zeros((8, 8), np.uint8), "i/a.jpg")
    check_headers(pair)
    assert abs(read_pair(pair, (8, 8))[0].astype(int) - 90).max() <= 1


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    target=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_resizing_adds_no_ids(tmp_path, size, target):
    rng = np.random.default_rng(0)
    ids = rng.choice(np.array([0, 7, 200], np.uint8), size)
    image, mask = read_pair(write_pair(tmp_path, gray(size), ids), target)
    assert image.shape == (*target, 3)
    assert mask.shape == (*target, 1)
    assert set(np.unique(mask)) <= set(np.unique(ids))


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_image_and_mask_shrink_by_the_same_geometry(tmp_path, factor):
    # Blocks of one color: every output pixel lies on one block, so both must name it.
    blocks = np.random.default_rng(0).integers(0, 256, (6, 8), dtype=np.uint8)
    ids = blocks.repeat(factor, 0).repeat(factor, 1)
    image, mask = read_pair(write_pair(tmp_path, np.stack([ids] * 3, -1), ids), (6, 8))
    np.testing.assert_array_equal(mask[..., 0], blocks)
    np.testing.assert_array_equal(image[..., 0], blocks)


@pytest.mark.parametrize("target", [(24, 32), (11, 17), (20, 16), (60, 80), (100, 48)])
def test_no_shift_between_image_and_mask_at_any_ratio(tmp_path, target):
    # A bright disk, painted in the image where the mask is 1, has the same middle in both: to
    # rounding for one disk, so on the mean over many. Half a pixel would show.
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:60, :80]

    def middle(weights):
        total = weights.sum()
        return [np.sum(grid * weights) / total for grid in np.mgrid[: target[0], : target[1]]]

    shifts = []
    for row, column in rng.uniform((20, 20), (40, 60), (60, 2)):
        ids = (((rows - row) ** 2 + (columns - column) ** 2) < 15**2).astype(np.uint8)
        pair = write_pair(tmp_path, np.stack([ids * 255] * 3, -1), ids)
        image, mask = read_pair(pair, target)
        shifts.append(np.subtract(middle(image[..., 0].astype(float)), middle(mask[..., 0])))
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0, atol=0.05)


def test_shrinking_an_image_averages_areas(tmp_path):
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, :2] = [[[0], [40]], [[80], [120]]]
    pixels, _ = read_pair(write_pair(tmp_path, image, image[..., 0]), (2, 2), n_classes=256)
    # The mean of 0, 40, 80 and 120.
    assert pixels[0, 0].tolist() == [60, 60, 60]


def test_ids_out_of_range_are_reported_with_their_path(tmp_path):
    ids = np.array([[0, 4, 9, 9], [1, 255, 2, 3]], np.uint8)
    pair = write_pair(tmp_path, gray(ids.shape), ids)
    message = (
        r"Mask ids must be in \[0, 4\) or `ignore_class` \(255\). Received: 4, 9 in 3 of 8 "
        r"pixels of '.*m/a.png'"
    )
    with pytest.raises(ValueError, match=message):
        # Also those that no pixel of the resized mask would have.
        read_pair(pair, (1, 1), n_classes=4, ignore_class=255)
    read_pair(pair, (2, 4), n_classes=10, ignore_class=255)


def test_colors_are_refused_as_ids(tmp_path):
    colors = np.zeros((3, 4, 3), np.uint8)
    colors[1, 2] = (128, 64, 0)
    pair = write_pair(tmp_path, gray((3, 4)), colors)
    with pytest.raises(
        ValueError, match=r"Masks must hold class ids. .*\(128, 64, 0\) at row 1, column 2 of"
    ):
        read_pair(pair, (3, 4))
    # `n_classes` is no wish for the largest channel: different colors would give one id.
    with pytest.raises(ValueError, match=r"Masks must hold class ids. .*encoding='max_channel'"):
        read_pair(pair, (3, 4), n_classes=200)
    with pytest.raises(ValueError, match=r"Mask ids must be in \[0, 23\). Received: 128"):
        read_pair(pair, (3, 4), n_classes=23, encoding="max_channel")
    assert read_pair(pair, (3, 4), encoding="max_channel")[1].max() == 128


def test_jpeg_masks_are_refused(tmp_path):
    pair = write_pair(tmp_path, gray((8, 8)), np.zeros((8, 8), np.uint8), mask_name="m/a.jpg")
    for read in (check_headers, lambda pair: read_pair(pair, (8, 8))):
        with pytest.raises(ValueError, match="Masks must be stored losslessly: JPEG .*a.jpg"):
            read(pair)


def test_image_and_mask_must_have_the_same_size(tmp_path):
    pair = write_pair(tmp_path, gray((8, 8)), np.zeros((8, 9), np.uint8))
    message = "must have the same height and width. Received: 8x8 in '.*i/a.png' and 8x9 in '.*m/"
    for read in (check_headers, lambda pair: read_pair(pair, (8, 8))):
        with pytest.raises(ValueError, match=message):
            read(pair)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"GIF89a" * 2])
def test_invalid_images_are_reported_with_their_path(tmp_path, content):
    pair = write_pair(tmp_path, content, np.zeros((8, 8), np.uint8))
    message = rf"'.*i/a.png' must be a readable image .*Received: {len(content)} bytes"
    for read in (check_headers, lambda pair: read_pair(pair, (8, 8))):
        with pytest.raises(ValueError, match=message):
            read(pair)


@pytest.mark.parametrize("name", ["i/a.png", "i/a.jpg"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_images_are_reported_with_their_path(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    pair = write_pair(tmp_path, noise, np.zeros((64, 64), np.uint8), name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ValueError, match=f"{name}' must be a readable image"):
        read_pair(pair, (8, 8))


def test_a_flipped_byte_gives_an_error_or_the_right_ids(tmp_path):
    ids = np.random.default_rng(0).integers(0, 5, (16, 16), dtype=np.uint8)
    pair = write_pair(tmp_path, gray((16, 16)), ids)
    whole = (tmp_path / "m/a.png").read_bytes()
    errors = 0
    for position in range(len(whole)):
        broken = bytearray(whole)
        broken[position] ^= 0x55
        (tmp_path / "m/a.png").write_bytes(bytes(broken))
        try:
            mask = read_pair(pair, (16, 16), n_classes=5)[1]
        except ValueError as error:
            errors += "a.png" in str(error)
        else:
            np.testing.assert_array_equal(mask[..., 0], ids)
    assert errors > len(whole) / 2


def test_a_missing_file_raises_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_pair(Pair("a", str(tmp_path / "a.png"), str(tmp_path / "b.png")), (8, 8))


@pytest.mark.parametrize("interpolation", ["area", "bilinear", "lanczos3"])
@pytest.mark.parametrize("size", [(60, 80), (75, 90), (96, 128)])
def test_a_jpeg_that_is_decoded_smaller_is_resized_as_in_full(tmp_path, interpolation, size):
    # Hard edges, finer than what they are resized to.
    image = driving_scene(3, image_size=(480, 640))[0][..., :3]
    encoded = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(
        encoded, format="JPEG", quality=95, subsampling=0
    )
    pair = write_pair(tmp_path, encoded.getvalue(), np.zeros((480, 640), np.uint8), "i/a.jpg")
    found, _ = read_pair(pair, size, interpolation=interpolation)
    expected = resize_image(decode_image(pair.image), Geometry(size, size), interpolation)
    off = np.abs(found.astype(int) - expected)
    if interpolation == "area":
        assert off.mean() < 0.5
        assert off.max() <= 12
    else:
        assert not off.any()
