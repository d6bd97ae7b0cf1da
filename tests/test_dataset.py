from __future__ import annotations

import inspect
import itertools
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import save
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import unetv2


def collect(dataset):
    batches = [(images.numpy(), masks.numpy()) for images, masks in dataset]
    return [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


@pytest.fixture
def numbered(tmp_path):
    """30 pairs of one pixel, whose values are the number of the pair."""
    for number in range(30):
        pixel = np.full((1, 1), number, np.uint8)
        save(np.stack([pixel] * 3, -1), tmp_path / "images" / f"{number}.png")
        save(pixel, tmp_path / "masks" / f"{number}.png")
    return tmp_path / "images", tmp_path / "masks"


def numbers(dataset):
    images, masks = collect(dataset)
    np.testing.assert_array_equal(np.rint(images[..., :1] * 255), masks)
    return masks.ravel().tolist()


@settings(max_examples=10)
@given(
    n=st.integers(1, 7),
    batch_size=st.integers(1, 9),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    shuffle=st.booleans(),
)
def test_batches_have_the_documented_shapes_dtypes_and_ranges(
    tmp_path_factory, write_pairs, n, batch_size, height, width, shuffle
):
    folders = write_pairs(n, directory=tmp_path_factory.mktemp("pairs"))
    dataset = unetv2.make_dataset(
        *folders, n_classes=3, image_size=(height, width), batch_size=batch_size, shuffle=shuffle
    )
    image_spec, mask_spec = dataset.element_spec
    assert image_spec == tf.TensorSpec((None, height, width, 3), tf.float32)
    assert mask_spec == tf.TensorSpec((None, height, width, 1), tf.int32)
    sizes = [len(masks) for _, masks in dataset]
    assert sizes == [batch_size] * (n // batch_size) + [n % batch_size] * (n % batch_size > 0)
    assert len(dataset) == len(sizes)
    images, masks = collect(dataset)
    assert 0 <= images.min() <= images.max() <= 1
    assert set(np.unique(masks)) <= {0, 1, 2}


def test_default_sizes_are_those_of_the_reference(write_pairs):
    (image, mask), *others = unetv2.make_dataset(*write_pairs(33))
    assert image.shape == (32, 96, 128, 3)
    assert mask.shape == (32, 96, 128, 1)
    assert len(others) == 1


def test_pixels_are_unchanged_at_the_same_size(write_pairs):
    images_dir, masks_dir = write_pairs(3, size=(6, 7))
    images, masks = collect(
        unetv2.make_dataset(images_dir, masks_dir, image_size=(6, 7), shuffle=False)
    )
    for number in range(3):
        image = np.asarray(Image.open(images_dir / f"{number:04d}.png"))
        mask = np.asarray(Image.open(masks_dir / f"{number:04d}.png"))
        np.testing.assert_allclose(images[number], image / 255, atol=1e-7)
        np.testing.assert_array_equal(masks[number, ..., 0], mask)


@pytest.mark.parametrize("cache", ["memory", None])
def test_each_epoch_has_every_pair_once_in_another_order(numbered, cache):
    dataset = unetv2.make_dataset(*numbered, image_size=(1, 1), batch_size=4, cache=cache)
    epochs = [numbers(dataset) for _ in range(3)]
    assert all(sorted(epoch) == list(range(30)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_orders_depend_on_the_seed_and_not_on_the_global_seed(numbered):
    def orders(seed, global_seed):
        tf.random.set_seed(global_seed)
        dataset = unetv2.make_dataset(*numbered, image_size=(1, 1), seed=seed)
        return [numbers(dataset) for _ in range(2)]

    assert orders(1, 5) == orders(1, 6) != orders(2, 5)


def test_validation_and_test_are_not_shuffled(numbered):
    for subset, shuffled in (("train", True), ("validation", False), ("test", False)):
        dataset = unetv2.make_dataset(
            *numbered, image_size=(1, 1), subset=subset, split=(0.4, 0.3, 0.3)
        )
        assert (numbers(dataset) != numbers(dataset)) == shuffled


def test_subsets_are_disjoint_and_complete(numbered):
    found = [
        numbers(unetv2.make_dataset(*numbered, image_size=(1, 1), subset=subset))
        for subset in ("train", "validation", "test")
    ]
    assert sorted(itertools.chain(*found)) == list(range(30))


def test_files_are_read_once_with_a_cache_and_in_every_epoch_without(numbered):
    kept = unetv2.make_dataset(*numbered, image_size=(1, 1))
    read = unetv2.make_dataset(*numbered, image_size=(1, 1), cache=None)
    assert sorted(numbers(kept)) == sorted(numbers(read)) == list(range(30))
    for path in numbered[0].iterdir():
        path.unlink()
    assert sorted(numbers(kept)) == list(range(30))
    with pytest.raises(tf.errors.OpError, match="No such file"):
        numbers(read)


def test_an_interrupted_first_epoch_keeps_the_cache_complete(numbered):
    dataset = unetv2.make_dataset(*numbered, image_size=(1, 1), batch_size=2)
    for _ in dataset.take(1):
        pass
    assert sorted(numbers(dataset)) == list(range(30))


def test_ignore_class_is_unchanged(tmp_path):
    save(np.zeros((2, 2, 3), np.uint8), tmp_path / "i" / "a.png")
    save(np.array([[0, 255], [1, 255]], np.uint8), tmp_path / "m" / "a.png")
    folders = (tmp_path / "i", tmp_path / "m")
    dataset = unetv2.make_dataset(*folders, n_classes=2, ignore_class=255, image_size=(2, 2))
    assert collect(dataset)[1].ravel().tolist() == [0, 255, 1, 255]
    with pytest.raises(ValueError, match=r"Mask ids must be in \[0, 2\). Received: 255"):
        unetv2.make_dataset(*folders, n_classes=2, image_size=(2, 2))


def test_errors_of_the_first_pairs_are_raised_immediately(write_pairs):
    images, masks = write_pairs(5, n_classes=4)
    with pytest.raises(ValueError, match=r"Mask ids must be in \[0, 3\). Received: 3 in .*masks"):
        unetv2.make_dataset(images, masks, n_classes=3)
    (images / "0004.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"0004.png' must be a readable image"):
        unetv2.make_dataset(images, masks)
    save(np.zeros((3, 3, 3), np.uint8), images / "0004.png")
    with pytest.raises(ValueError, match="must have the same height and width.*0004.png"):
        unetv2.make_dataset(images, masks)
    (images / "0004.png").unlink()
    with pytest.raises(ValueError, match="Every image needs a mask .*1 mask without an image"):
        unetv2.make_dataset(images, masks)


def test_headers_beyond_the_first_pairs_are_checked_immediately(write_pairs):
    images, masks = write_pairs(40, size=(2, 2))
    (masks / "0039.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"0039.png' must be a readable image"):
        unetv2.make_dataset(images, masks)


def test_a_later_error_names_the_file(write_pairs):
    images, masks = write_pairs(40, size=(2, 2), n_classes=2)
    save(np.full((2, 2), 77, np.uint8), masks / "0039.png")
    dataset = unetv2.make_dataset(images, masks, n_classes=2)
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"Mask ids must be in \[0, 2\). Received: 77 .*0039"
    ):
        collect(dataset)


@pytest.mark.parametrize("image_size", [(0, 8), (8, -1), (8,), (8, 8, 3), 8])
def test_image_size_must_be_two_positive_integers(write_pairs, image_size):
    with pytest.raises(ValueError, match="`image_size` must be .* Received: image_size="):
        unetv2.make_dataset(*write_pairs(), image_size=image_size)


def test_numbers_and_choices_are_checked(write_pairs):
    folders = write_pairs()
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer. Received"):
        unetv2.make_dataset(*folders, batch_size=0)
    with pytest.raises(TypeError, match="`image_size` must be two positive integers. Received"):
        unetv2.make_dataset(*folders, image_size=(8.5, 8))
    with pytest.raises(ValueError, match="`n_classes` must be an integer of at least 2"):
        unetv2.make_dataset(*folders, n_classes=1)
    with pytest.raises(ValueError, match="`on_error` must be one of 'raise', 'skip'. Received"):
        unetv2.make_dataset(*folders, on_error="ignore")
    with pytest.raises(ValueError, match="`subset` must be one of"):
        unetv2.make_dataset(*folders, subset="training")


def test_a_model_fits_on_a_data_set(write_pairs):
    dataset = unetv2.make_dataset(*write_pairs(), n_classes=3, image_size=(9, 13), batch_size=3)
    model = unetv2.build_unetv2((9, 13, 3), 3, filters=2, depth=2)
    history = model.fit(dataset, validation_data=dataset, shuffle=False, verbose=0).history
    assert np.isfinite(list(history.values())).all()


def test_every_option_is_keyword_only():
    parameters = list(inspect.signature(unetv2.make_dataset).parameters.values())
    assert [parameter.name for parameter in parameters[:2]] == ["image_dir", "mask_dir"]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters[2:])


CUT_OFF = """
import sys, unetv2
dataset = unetv2.make_dataset(*sys.argv[1:], batch_size=2, cache=None, repeat=True)
iterator = iter(dataset)
next(iterator)
"""


def test_a_process_exits_during_an_iteration(write_pairs):
    command = [sys.executable, "-c", CUT_OFF, *map(str, write_pairs(20, size=(200, 300)))]
    # The time limit only turns a hang into a failure.
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
