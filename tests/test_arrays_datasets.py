"""Data sets of .npy files."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from array_files import folders, random_folders, write
from conftest import save
from hypothesis import given
from hypothesis import strategies as st

import unetv2
from unetv2.data.io.open import decode_image, decode_mask


def collect(dataset):
    batches = [(images.numpy(), masks.numpy()) for images, masks in dataset]
    return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


@given(
    channels=st.integers(1, 13), dtype=st.sampled_from([np.uint8, np.uint16]),
    cache=st.sampled_from(["memory", "folder", None]), extension=st.sampled_from(["npy", "png"]),
)  # fmt: skip
def test_arrays_are_read_unchanged(tmp_path_factory, channels, dtype, cache, extension):
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
def test_batches_of_any_channels_have_the_documented_shape_and_range(
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
def test_image_and_mask_are_transformed_together_in_every_channel(tmp_path, options):
    # Blocks of 4 pixels; every channel says the id, so both must agree wherever they end up.
    blocks = np.random.default_rng(0).integers(1, 5, (4, 6, 8), dtype=np.uint8)
    ids = blocks.repeat(4, axis=1).repeat(4, axis=2)
    images = ids[..., np.newaxis] * np.arange(1, 7, dtype=np.uint8)
    found = folders(tmp_path, images, ids)
    dataset = unetv2.make_dataset(*found, ignore_class=0, channels=6, **options)
    images, masks = collect(dataset)
    np.testing.assert_array_equal(np.rint(images * 255), masks * np.arange(1, 7))


def test_8_and_16_bit_images_have_the_same_scale(tmp_path):
    eight = np.full((2, 3, 5), 51, np.uint8)
    found = folders(tmp_path, [eight, eight.astype(np.uint16) * 257], [eight[..., 0]] * 2)
    images, _ = collect(unetv2.make_dataset(*found, image_size=None, channels=5))
    np.testing.assert_allclose(images, 0.2, atol=1e-6)


def test_arrays_and_images_may_be_in_one_folder(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    mask = image[..., 0] % 3
    save(image, tmp_path / "images" / "a.png")
    write(image, tmp_path / "images" / "b.npy")
    save(mask, tmp_path / "masks" / "b.png")
    write(mask, tmp_path / "masks" / "a.npy")
    dataset = unetv2.make_dataset(
        tmp_path / "images", tmp_path / "masks", n_classes=3, image_size=None, shuffle=False
    )
    images, masks = collect(dataset)
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(masks[..., 0], [mask, mask])


def test_an_image_and_an_array_of_the_same_name_are_refused(tmp_path):
    found = random_folders(tmp_path, mask_extension="png")
    save(np.zeros((12, 16, 3), np.uint8), found[0] / "1.png")
    with pytest.raises(ValueError, match="`image_dir` must hold one image of each name, .*1.npy"):
        unetv2.make_dataset(*found, channels=5)


def test_missing_channels_are_reported_before_the_first_batch(tmp_path):
    found = random_folders(tmp_path, n=40, size=(2, 2))
    with pytest.raises(ValueError, match="Received: channels=3 and shape .* Pass channels=5"):
        unetv2.make_dataset(*found)
    # The last one is not among those that are read at once.
    (found[0] / "39.npy").unlink()
    save(np.zeros((2, 2, 3), np.uint8), found[0] / "39.png")
    message = r"`channels` must be 1 to 4 for image files. Received: channels=5 and '.*39.png'"
    with pytest.raises(ValueError, match=f"{message}. Store images with more channels as .npy"):
        unetv2.make_dataset(*found, channels=5)
    with pytest.raises(ValueError, match=message):
        decode_image(str(found[0] / "39.png"), channels=5)
    write(np.zeros((2, 3, 5), np.uint8), found[0] / "39.npy")
    (found[0] / "39.png").unlink()
    with pytest.raises(ValueError, match="must have the same height and width. Received: 2x3 in"):
        unetv2.make_dataset(*found, channels=5)


def test_invalid_arrays_are_skipped_with_on_error_skip(tmp_path):
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


def test_a_cache_folder_may_be_among_the_images(tmp_path):
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
