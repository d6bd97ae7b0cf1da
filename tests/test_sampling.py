from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
import tensorflow as tf
from conftest import save
from hypothesis import given
from hypothesis import strategies as st
from test_dataset import collect

import unetv2
from unetv2.data.pipeline import epochs, random_crop


def take(dataset, n):
    return [(int(number), int(draw)) for number, draw in dataset.take(n)]


def test_orders_and_draws_depend_on_seed_and_epoch():
    def two_epochs(seed):
        dataset = epochs(20, seed=seed, shuffle=True, repeat=False)
        return take(dataset, 20), take(dataset, 20)

    assert two_epochs(3) == two_epochs(3) != two_epochs(4)
    first, second = two_epochs(3)
    assert sorted(number for number, _ in first) == list(range(20))
    assert [draw for _, draw in first] != [draw for _, draw in second]


def test_repeat_yields_the_same_epochs_forever():
    once = epochs(5, seed=1, shuffle=True, repeat=False)
    endless = epochs(5, seed=1, shuffle=True, repeat=True)
    assert take(endless, 15) == list(itertools.chain(*(take(once, 5) for _ in range(3))))
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert once.cardinality() == 5


@given(
    height=st.integers(1, 20), width=st.integers(1, 20), draw=st.integers(0, 999),
    balanced=st.booleans(), data=st.data(),
)  # fmt: skip
def test_image_and_mask_have_the_same_crop(height, width, draw, balanced, data):
    size = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
    ids = np.random.default_rng(0).integers(0, 4, (height, width, 1))
    image = np.concatenate([ids, np.arange(height * width).reshape(height, width, 1)], -1)
    options = {"draw": draw, "balanced": balanced, "ignore_class": 3}
    cut_image, cut_mask = random_crop(image, ids, size, **options)
    assert cut_mask.shape == (*size, 1)
    np.testing.assert_array_equal(cut_image[..., :1], cut_mask)
    again, _ = random_crop(image, ids, size, **options)
    np.testing.assert_array_equal(cut_image, again)


def test_every_crop_is_possible():
    image = np.arange(12).reshape(3, 4, 1)
    options = {"balanced": False, "ignore_class": None}
    parts = [random_crop(image, image, (2, 2), draw=draw, **options)[0] for draw in range(200)]
    assert {int(part[0, 0, 0]) for part in parts} == {0, 1, 2, 4, 5, 6}


def test_balanced_crops_contain_rare_classes_as_often_as_others():
    mask = np.zeros((60, 80, 1), np.uint8)
    mask[30, 50] = 1
    mask[:5] = 255

    def share(balanced):
        options = {"balanced": balanced, "ignore_class": 255}
        crops = [random_crop(mask, mask, (8, 8), draw=draw, **options)[1] for draw in range(400)]
        return np.mean([(crop == 1).any() for crop in crops])

    # One of two classes is drawn first: half of the crops hold the single pixel, and a few more.
    assert 0.4 < share(balanced=True) < 0.6
    assert share(balanced=False) < 0.05


def test_crops_have_the_files_resolution_and_differ_by_epoch(tmp_path):
    rng = np.random.default_rng(0)
    for number, size in enumerate([(20, 30), (40, 25)]):
        save(rng.integers(0, 256, (*size, 3), dtype=np.uint8), tmp_path / f"i/{number}.png")
        save(rng.integers(0, 3, size, dtype=np.uint8), tmp_path / f"m/{number}.png")
    options = {"image_size": None, "crop_size": (16, 24), "shuffle": False}
    dataset = unetv2.make_dataset(tmp_path / "i", tmp_path / "m", **options)
    first, second = collect(dataset), collect(dataset)
    assert first[0].shape == (2, 16, 24, 3)
    assert not np.array_equal(first[0], second[0])
    again = unetv2.make_dataset(tmp_path / "i", tmp_path / "m", **options)
    np.testing.assert_array_equal(first[0], collect(again)[0])
    with pytest.raises(ValueError, match="`crop_size` must fit into every"):
        collect(unetv2.make_dataset(
            tmp_path / "i", tmp_path / "m", image_size=None, crop_size=(16, 28)
        ))  # fmt: skip


def test_crop_size_must_fit(write_pairs):
    with pytest.raises(ValueError, match="`crop_size` must fit into `image_size`. Received: crop"):
        unetv2.make_dataset(*write_pairs(), image_size=(8, 8), crop_size=(8, 9))
    with pytest.raises(ValueError, match="`crop_size` must be two positive integers. Received"):
        unetv2.make_dataset(*write_pairs(), crop_size=(0, 9))


def test_repeat_fills_every_batch(write_pairs):
    dataset = unetv2.make_dataset(*write_pairs(5), image_size=(2, 2), batch_size=4, repeat=True)
    assert [len(masks) for _, masks in dataset.take(5)] == [4] * 5


@pytest.fixture
def broken_pairs(write_pairs):
    """50 pairs with an invalid one at the start and one at the end."""
    images, masks = write_pairs(50, size=(4, 4))
    (images / "0003.png").write_bytes(b"broken")
    save(np.full((4, 4), 77, np.uint8), masks / "0045.png")
    return images, masks


def test_broken_pairs_are_skipped_and_logged_once(broken_pairs, caplog):
    with caplog.at_level(logging.WARNING, logger="unetv2"):
        dataset = unetv2.make_dataset(
            *broken_pairs, n_classes=3, image_size=(4, 4), on_error="skip", cache=None
        )
        assert [len(collect(dataset)[1]) for _ in range(2)] == [48, 48]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "Skipped 1 of 50 pairs: " in messages[0]
    assert "0003.png" in messages[0]
    assert "0045.png" in messages[1]


def test_more_than_max_skipped_is_an_error(broken_pairs):
    dataset = unetv2.make_dataset(
        *broken_pairs, n_classes=3, image_size=(4, 4), on_error="skip", max_skipped=0.03
    )
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"At most `max_skipped`=0.03 of the pairs may be skipped. Received: 2 of 50",
    ):
        collect(dataset)


def test_sixteen_bit_images_are_scaled_by_their_range(tmp_path):
    pixels = np.array([[0, 1, 65535], [32768, 257, 300]], np.uint16)
    save(pixels, tmp_path / "i" / "a.png")
    save(np.full((2, 3, 3), 128, np.uint8), tmp_path / "i" / "b.png")
    for name in "ab":
        save(np.zeros((2, 3), np.uint8), tmp_path / "m" / f"{name}.png")
    images, _ = collect(unetv2.make_dataset(
        tmp_path / "i", tmp_path / "m", image_size=(2, 3), channels=1, shuffle=False
    ))  # fmt: skip
    np.testing.assert_allclose(images[0, ..., 0], pixels / 65535, atol=1e-7)
    np.testing.assert_allclose(images[1], 128 / 255, atol=1e-7)


def test_padding_needs_an_ignore_class(write_pairs):
    with pytest.raises(ValueError, match="`ignore_class` must be an id where images are padded"):
        unetv2.make_dataset(*write_pairs(), resize="pad")
    _, masks = collect(
        unetv2.make_dataset(*write_pairs(), image_size=(16, 16), resize="pad", ignore_class=255)
    )
    assert (masks[:, :2] == 255).all()
    assert (masks[:, 2:14] < 3).all()


def test_a_class_table_provides_defaults(tmp_path):
    table = unetv2.CAMVID
    ids = np.array([[0, 10, 3]])
    colors = unetv2.visualization.colorize(ids, table)
    save(colors, tmp_path / "i" / "a.png")
    save(colors, tmp_path / "m" / "a.png")
    options = {"classes": table, "image_size": (1, 3)}
    _, masks = collect(
        unetv2.make_dataset(tmp_path / "i", tmp_path / "m", encoding="colors", **options)
    )
    assert masks.ravel().tolist() == [0, 10, 3]
    with pytest.raises(ValueError, match="`n_classes` must be the number of `classes`. Received"):
        unetv2.make_dataset(tmp_path / "i", tmp_path / "m", n_classes=12, **options)


@pytest.fixture
def images_of_two_sizes(tmp_path):
    for number, size in enumerate([(20, 24), (20, 24), (10, 24), (20, 24)]):
        save(np.zeros((*size, 3), np.uint8), tmp_path / f"i/{number}.png")
        save(np.zeros(size, np.uint8), tmp_path / f"m/{number}.png")
    return tmp_path / "i", tmp_path / "m"


def test_an_image_of_another_size_is_an_error_or_skipped(images_of_two_sizes):
    folders = images_of_two_sizes
    for options, message in (
        ({"crop_size": (16, 16)}, "`crop_size` must fit into every image.*10x24 in '.*2.png'"),
        ({"batch_size": 2}, "Images in a batch must be of one size.*10x24 in '.*2.png'"),
    ):
        with pytest.raises(ValueError, match=message):
            unetv2.make_dataset(*folders, image_size=None, **options)
        dataset = unetv2.make_dataset(
            *folders, image_size=None, on_error="skip", max_skipped=0.5, **options
        )
        assert len(collect(dataset)[1]) == 3
    one_by_one = unetv2.make_dataset(*folders, image_size=None, batch_size=1)
    assert sorted(mask.shape[1] for _, mask in one_by_one) == [10, 20, 20, 20]


def test_options_without_effect_are_errors(write_pairs):
    folders = write_pairs(2)
    with pytest.raises(ValueError, match="`balanced` must come with a `crop_size`"):
        unetv2.make_dataset(*folders, balanced=True)
    with pytest.raises(ValueError, match="`label_map` must come with encoding='ids'"):
        unetv2.make_dataset(*folders, encoding="binary", label_map={0: 1})
