"""Images of any number of channels, and masks, in .npy files."""

from __future__ import annotations

import io
import pickle
import resource

import numpy as np
import pytest
import tensorflow as tf
from conftest import save
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import unetv2
from unetv2.data.decoding import decode_colors, decode_image, decode_mask, read_header
from unetv2.data.labels import Labels

IMAGES = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16]), hnp.array_shapes(min_dims=3, max_dims=3, max_side=9)
)
TABLE = unetv2.ClassTable(("sky", "road", "car"), ((0, 0, 200), (128, 64, 128), (200, 0, 0)))


def write(array, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def stored(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def folders(directory, images, masks, mask_extension="npy"):
    """Writes arrays beside masks, and returns the two folders."""
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        write(image, directory / "images" / f"{number}.npy")
        path = directory / "masks" / f"{number}.{mask_extension}"
        write(mask, path) if mask_extension == "npy" else save(mask, path)
    return directory / "images", directory / "masks"


def random_folders(directory, n=4, size=(12, 16), channels=5, dtype=np.uint8, seed=0, **options):
    rng = np.random.default_rng(seed)
    high = np.iinfo(dtype).max
    images = [rng.integers(0, high, (*size, channels), dtype, endpoint=True) for _ in range(n)]
    masks = [rng.integers(0, 3, size, dtype=np.uint8) for _ in range(n)]
    return folders(directory, images, masks, **options)


def collect(dataset):
    batches = [(images.numpy(), masks.numpy()) for images, masks in dataset]
    return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


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


def test_an_array_of_two_axes_is_one_channel(tmp_path):
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


def test_ids_below_0_and_above_65535_are_ids_and_those_beyond_32_bits_an_error(tmp_path):
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


def test_colours_and_black_and_white_are_labels_too(tmp_path):
    ids = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
    colors = write(unetv2.visualization.colorize(ids, TABLE), tmp_path / "a.npy")
    read = Labels("colors", 3, classes=TABLE).read(str(colors), 100)
    np.testing.assert_array_equal(read, ids)
    for foreground in (ids == 1, (ids == 1) * np.uint8(255)):
        path = write(foreground, tmp_path / "b.npy")
        read = Labels("binary", 2).read(str(path), 100)
        np.testing.assert_array_equal(read, ids == 1)


UINT8 = np.zeros((4, 6, 5), np.uint8)


@pytest.mark.parametrize(("array", "message"), [
    (UINT8[..., :4], r"as many channels as `channels` says. Received: channels=5 and shape "
     r"\(4, 6, 4\) in '.*a.npy'. Pass channels=4, or save the channels that you want"),
    (UINT8[..., 0], r"Received: channels=5 and shape \(4, 6\) in .* Pass channels=1"),
    (np.moveaxis(UINT8, 2, 0), r"shape \(5, 4, 6\) in .* Channels come last: save `np.moveaxis"),
    (UINT8.astype(np.float32), r"must be uint8 or uint16. Received: float32 in '.*a.npy'. Floats "
     "have no range of their own. Bring the values of all images by one rule to 0 .. 255"),
    (UINT8.astype(np.int16), "must be uint8 or uint16. Received: int16 in '.*a.npy'. Bring"),
    (UINT8.astype(bool), "must be uint8 or uint16. Received: bool in"),
    (UINT8.astype(object), "must be uint8 or uint16. Received: object in"),
    (np.zeros((4, 6), [("a", "u1")]), r"must be uint8 or uint16. Received: \[\('a', 'u1'\)\] in"),
    (np.zeros((4, 6), "M8[s]"), "must be uint8 or uint16. Received: datetime64"),
    (np.uint8(7), r"must be an array \(height, width\) or \(height, width, channels\), no side of "
     r"0. Received: \(\). Save one picture a file"),
    (UINT8[np.newaxis], r"must be an array .* Received: \(1, 4, 6, 5\). Save one picture a file"),
    (UINT8[:0], r"must be an array .* Received: \(0, 6, 5\)"),
    (UINT8[..., :0], r"must be an array .* Received: \(4, 6, 0\)"),
])  # fmt: skip
def test_an_image_that_is_not_what_it_must_be_is_named(tmp_path, array, message):
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
def test_a_mask_that_is_none_is_named(tmp_path, array, message):
    path = str(write(array, tmp_path / "a.npy"))
    for read in (decode_mask, lambda path: read_header(path, lossless=True)):
        with pytest.raises(ValueError, match=message):
            read(path)


def test_three_channels_are_colours_or_one_for_each_class_and_never_guessed(tmp_path):
    path = str(write(UINT8[..., :3], tmp_path / "a.npy"))
    message = r"Pass encoding='colors' with `classes` if it holds colours. Save `mask.argmax\("
    with pytest.raises(ValueError, match=message):
        Labels(n_classes=3).read(path, 100)
    for array in (UINT8[..., 0], UINT8, UINT8[..., :3].astype(np.uint16)):
        path = str(write(array, tmp_path / "a.npy"))
        with pytest.raises(ValueError, match=r"must be uint8 \(height, width, 3\). Received: uint"):
            decode_colors(path)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


@pytest.mark.parametrize(("content", "message"), [
    (b"", r"must be a NumPy array. Received: 0 bytes that are none \(EOF"),
    (PNG, r"must be a NumPy array. Received: 48 bytes that are none .*PNG.*Write it with "
     "`np.save`; a picture needs the extension of its format"),
    (pickle.dumps([1, 2]), "must be a NumPy array. Received: .* bytes that are none"),
    (stored(UINT8)[:60], "must be a NumPy array. Received: 60 bytes that are none .*EOF"),
    (stored(UINT8)[:-1], "must be as long as its header says, 248 bytes. Received: 247 bytes. The"),
    (stored(UINT8) + b"\0", "must be as long as its header says, 248 bytes. Received: 249 bytes"),
    (stored(UINT8).replace(b"(4, 6, 5)", b"(-4,6,-5)"), r"no side of 0. Received: \(-4, 6, -5\)"),
    (stored(UINT8).replace(b"(4, 6, 5)", b"((((((((("), "must be a NumPy array. Received: 248"),
    (b"\x93NUMPY\x09\x00" + bytes(200), r"version \(9, 0\) of the format is unknown"),
    # A header of 4 GB.
    (b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "must be a NumPy array. Received: 13 bytes"),
])  # fmt: skip
def test_a_file_that_is_no_array_is_named(tmp_path, content, message):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    for read in (read_header, lambda path: decode_image(path, channels=5), decode_mask):
        with pytest.raises(ValueError, match=rf"'.*a.npy' must .*{message}|{message}"):
            read(str(path))


def test_an_npz_is_no_array(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, UINT8)
    with pytest.raises(ValueError, match="a.npy' must be a NumPy array"):
        decode_image(str(tmp_path / "a.npy"), channels=5)


def test_an_array_under_a_pictures_name_says_how_to_call_it(tmp_path):
    (tmp_path / "a.png").write_bytes(stored(UINT8))
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match="a.png' must be a readable picture .*extension .npy"):
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


def test_an_array_that_is_too_large_is_refused_from_its_header(tmp_path):
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
    with pytest.raises(ValueError, match="as long as its header says, 405000128 bytes. Received: "):
        decode_image(str(path), channels=5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
    with pytest.raises(ValueError, match="`max_pixels`=23 pixels. Received: 4x6 pixels by its hea"):
        decode_image(str(write(UINT8, path)), channels=5, max_pixels=23)


def test_a_missing_array_stays_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        decode_image(str(tmp_path / "a.npy"), channels=5)


@given(
    channels=st.integers(1, 13), dtype=st.sampled_from([np.uint8, np.uint16]),
    cache=st.sampled_from(["memory", "folder", None]), extension=st.sampled_from(["npy", "png"]),
)  # fmt: skip
def test_arrays_arrive_as_they_are(tmp_path_factory, channels, dtype, cache, extension):
    directory = tmp_path_factory.mktemp("pairs")
    found = random_folders(
        directory, size=(6, 7), channels=channels, dtype=dtype, mask_extension=extension
    )
    dataset = unetv2.make_dataset(
        *found, n_classes=3, image_size=None, channels=channels, batch_size=3, shuffle=False,
        cache=directory / "cache" if cache == "folder" else cache,
    )  # fmt: skip
    assert dataset.element_spec[0] == tf.TensorSpec((None, None, None, channels), tf.float32)
    for _ in range(2):
        images, masks = collect(dataset)
        for number in range(4):
            image = np.load(found[0] / f"{number}.npy")
            mask = decode_mask(str(found[1] / f"{number}.{extension}"))
            expected = image.astype(np.float32) / np.iinfo(dtype).max
            np.testing.assert_allclose(images[number], expected, atol=1e-6)
            np.testing.assert_array_equal(masks[number, ..., 0], mask)


@given(
    channels=st.integers(1, 9), resize=st.sampled_from(["stretch", "pad", "crop"]),
    interpolation=st.sampled_from(["area", "nearest", "bilinear"]), height=st.integers(1, 30),
    augmentation=st.sampled_from([None, "light", "driving"]),
)  # fmt: skip
def test_batches_of_any_channels_have_the_promised_shape_and_range(
    tmp_path_factory, channels, resize, interpolation, height, augmentation
):
    found = random_folders(tmp_path_factory.mktemp("pairs"), channels=channels)
    dataset = unetv2.make_dataset(
        *found, n_classes=3, ignore_class=255, image_size=(height, 20), crop_size=(1, 9),
        resize=resize, interpolation=interpolation, channels=channels, batch_size=3,
        augmentation=augmentation,
    )  # fmt: skip
    assert dataset.element_spec[0] == tf.TensorSpec((None, 1, 9, channels), tf.float32)
    images, masks = collect(dataset)
    assert images.shape == (4, 1, 9, channels)
    assert 0 <= images.min() <= images.max() <= 1
    assert set(np.unique(masks)) <= {0, 1, 2, 255}


@pytest.mark.parametrize("options", [
    {"image_size": (24, 32)}, {"image_size": (12, 16)}, {"image_size": (6, 8)},
    {"image_size": (24, 24), "resize": "pad"}, {"image_size": (12, 12), "resize": "crop"},
    {"image_size": None, "crop_size": (12, 8), "balanced": True},
    {"image_size": (24, 32), "augmentation": unetv2.augmentation.Augmentation(
        horizontal_flip=0.5, vertical_flip=0.5)},
])  # fmt: skip
def test_image_and_mask_move_as_one_in_every_channel(tmp_path, options):
    # Blocks of 4 pixels; every channel says the id, so both must agree wherever they end up.
    blocks = np.random.default_rng(0).integers(1, 5, (4, 6, 8), dtype=np.uint8)
    ids = blocks.repeat(4, axis=1).repeat(4, axis=2)
    images = ids[..., np.newaxis] * np.arange(1, 7, dtype=np.uint8)
    found = folders(tmp_path, images, ids)
    dataset = unetv2.make_dataset(*found, ignore_class=0, channels=6, **options)
    images, masks = collect(dataset)
    np.testing.assert_array_equal(np.rint(images * 255), masks * np.arange(1, 7))


def test_eight_and_sixteen_bits_come_to_one_scale(tmp_path):
    eight = np.full((2, 3, 5), 51, np.uint8)
    found = folders(tmp_path, [eight, eight.astype(np.uint16) * 257], [eight[..., 0]] * 2)
    images, _ = collect(unetv2.make_dataset(*found, image_size=None, channels=5))
    np.testing.assert_allclose(images, 0.2, atol=1e-6)


def test_arrays_and_pictures_may_lie_in_one_folder(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    mask = picture[..., 0] % 3
    save(picture, tmp_path / "images" / "a.png")
    write(picture, tmp_path / "images" / "b.npy")
    save(mask, tmp_path / "masks" / "b.png")
    write(mask, tmp_path / "masks" / "a.npy")
    dataset = unetv2.make_dataset(
        tmp_path / "images", tmp_path / "masks", n_classes=3, image_size=None, shuffle=False
    )
    images, masks = collect(dataset)
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(masks[..., 0], [mask, mask])


def test_a_picture_and_an_array_of_one_name_are_refused(tmp_path):
    found = random_folders(tmp_path, mask_extension="png")
    save(np.zeros((12, 16, 3), np.uint8), found[0] / "1.png")
    with pytest.raises(ValueError, match="`image_dir` must hold one picture of each name, .*1.npy"):
        unetv2.make_dataset(*found, channels=5)


def test_what_the_files_lack_is_said_at_once(tmp_path):
    found = random_folders(tmp_path, n=40, size=(2, 2))
    with pytest.raises(ValueError, match="Received: channels=3 and shape .* Pass channels=5"):
        unetv2.make_dataset(*found)
    # The last one is not among those that are read at once.
    (found[0] / "39.npy").unlink()
    save(np.zeros((2, 2, 3), np.uint8), found[0] / "39.png")
    message = r"`channels` must be 1 to 4 for picture files. Received: channels=5 and '.*39.png'"
    with pytest.raises(ValueError, match=f"{message}. Store images of more channels as .npy"):
        unetv2.make_dataset(*found, channels=5)
    with pytest.raises(ValueError, match=message):
        decode_image(str(found[0] / "39.png"), channels=5)
    write(np.zeros((2, 3, 5), np.uint8), found[0] / "39.npy")
    (found[0] / "39.png").unlink()
    with pytest.raises(ValueError, match="must have the same height and width. Received: 2x3 in"):
        unetv2.make_dataset(*found, channels=5)


def test_broken_arrays_are_skipped_where_that_is_asked_for(tmp_path):
    found = random_folders(tmp_path, n=8, size=(2, 2))
    (found[0] / "3.npy").write_bytes(b"")
    write(np.zeros((2, 2, 4), np.uint8), found[0] / "5.npy")
    write(np.zeros((2, 2)), found[1] / "6.npy")
    dataset = unetv2.make_dataset(
        *found, channels=5, image_size=(2, 2), on_error="skip", max_skipped=0.5
    )
    assert collect(dataset)[0].shape == (5, 2, 2, 5)


def test_channels_must_be_a_positive_integer(tmp_path):
    found = random_folders(tmp_path)
    for channels, error in ((0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="`channels` must be a positive integer. Received: channel"):
            unetv2.make_dataset(*found, channels=channels)


def test_saturation_needs_three_channels(tmp_path):
    found = random_folders(tmp_path)
    own = unetv2.augmentation.Augmentation(saturation=0.2, noise=0.1)
    message = (
        "`augmentation` must have no `saturation` unless images have 3 channels: it needs red, "
        r"green and blue. Received: augmentation.saturation=0.2 and channels=5. Leave it out"
    )
    with pytest.raises(ValueError, match=message):
        unetv2.make_dataset(*found, channels=5, augmentation=own)


def test_a_folder_cache_may_lie_among_the_images(tmp_path):
    found = random_folders(tmp_path)
    for _ in range(2):
        dataset = unetv2.make_dataset(*found, channels=5, cache=found[0] / "cache")
        assert len(collect(dataset)[0]) == 4


def test_a_model_fits_on_five_channels(tmp_path):
    found = random_folders(tmp_path, size=(24, 32), mask_extension="png")
    dataset = unetv2.make_dataset(
        *found, n_classes=3, channels=5, batch_size=2, augmentation="driving"
    )
    model = unetv2.build_unetv2((96, 128, 5), 3, filters=2, depth=2)
    history = model.fit(dataset, validation_data=dataset, shuffle=False, verbose=0).history
    assert np.isfinite(list(history.values())).all()


def tiff(array, *, planes=False, photometric=1):
    """Writes a TIFF after its specification: more channels than Pillow writes."""
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


def test_the_writer_of_tiffs_writes_tiffs(tmp_path):
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
def test_a_tiff_of_more_than_four_channels_is_never_read_in_part(
    tmp_path, channels, planes, photometric, dtype
):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels)).astype(dtype)
    (tmp_path / "a.tif").write_bytes(tiff(image, planes=planes, photometric=photometric))
    message = rf"a.tif' must be a readable .* It is a TIFF of {channels} channels, .* as a .npy arr"
    for read in (read_header, decode_image, decode_mask):
        with pytest.raises(ValueError, match=message):
            read(str(tmp_path / "a.tif"))


def test_a_fourth_channel_that_is_no_alpha_is_not_lost_in_silence(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(image, photometric=2))
    np.testing.assert_array_equal(decode_image(str(path)), image[..., :3])
    message = "fourth channel must be alpha for channels=4. Received: another one in '.*a.tif', suc"
    for read in (read_header, decode_image):
        with pytest.raises(ValueError, match=message):
            read(str(path), channels=4)


@pytest.mark.parametrize("photometric", [1, 2])
def test_planes_of_sixteen_bits_are_refused_and_not_garbled(tmp_path, photometric):
    image = np.zeros((5, 7, 3), np.uint16)
    (tmp_path / "a.tif").write_bytes(tiff(image, planes=True, photometric=photometric))
    with pytest.raises(ValueError, match="a.tif' must be a readable .* TIFF of 3 channels"):
        decode_image(str(tmp_path / "a.tif"))
