from __future__ import annotations

import math
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import unetv2

# Two images of 2x4 pixels. Class 0 has 6 pixels, all in the first; class 1 has 2 there and 4 in
# the second, class 3 has 4 in the second, class 2 none.
MASKS = np.array([[[0, 0, 0, 0], [0, 0, 1, 1]], [[1, 1, 1, 1], [3, 3, 3, 3]]], np.int32)


def batches(masks=MASKS, batch_size=1):
    masks = np.asarray(masks)[..., np.newaxis]
    images = np.zeros((*masks.shape[:3], 3), np.float32)
    return tf.data.Dataset.from_tensor_slices((images, masks)).batch(batch_size)


def test_median_frequency_is_the_median_over_a_classs_own():
    # Shares in the pixels of the images with the class: 6 / 8, 6 / 16, 4 / 8; median 0.5.
    expected = [0.5 / 0.75, 0.5 / 0.375, 0, 0.5 / 0.5]
    found = unetv2.class_weights(batches(), 4, method="median_frequency")
    assert found == pytest.approx(expected)


def test_its_square_root_is_the_default():
    expected = [math.sqrt(2 / 3), math.sqrt(4 / 3), 0, 1]
    assert unetv2.class_weights(batches(), 4) == pytest.approx(expected)
    named = unetv2.class_weights(batches(), 4, method="sqrt_median_frequency")
    assert named == pytest.approx(expected)


def test_effective_number_weighs_by_what_more_pixels_add():
    # N = 16, beta = 15 / 16; (1 - beta) / (1 - beta ** n) for 6, 6 and 4 pixels, to the mean 1.
    raw = [(1 / 16) / (1 - (15 / 16) ** n) for n in (6, 6, 4)]
    mean = sum(raw) / 3
    expected = [raw[0] / mean, raw[1] / mean, 0, raw[2] / mean]
    found = unetv2.class_weights(batches(), 4, method="effective_number")
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("method", unetv2.training.class_weights.METHODS)
def test_a_class_without_a_pixel_weighs_nothing(method):
    assert unetv2.class_weights(batches(), 6, method=method)[2::2] == [0, 0]


@pytest.mark.parametrize("method", unetv2.training.class_weights.METHODS)
def test_ignored_pixels_change_nothing(method):
    ignored = np.full((2, 3, 4), 255)
    padded = np.concatenate([MASKS, ignored], axis=1)
    found = unetv2.class_weights(batches(padded), 4, ignore_class=255, method=method)
    assert found == pytest.approx(unetv2.class_weights(batches(), 4, method=method))


@given(
    masks=st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=5),
    batch_size=st.integers(1, 4),
)
def test_neither_batches_nor_the_order_matter(masks, batch_size):
    masks = np.array(masks, np.uint8).reshape(-1, 2, 3)
    for method in unetv2.training.class_weights.METHODS:
        found = unetv2.class_weights(batches(masks, batch_size), 4, method=method)
        other = unetv2.class_weights(batches(masks[::-1]), 4, method=method)
        assert found == pytest.approx(other)
        assert all(weight >= 0 and math.isfinite(weight) for weight in found)
        assert {number for number, weight in enumerate(found) if weight} == set(masks.flat)


def test_a_data_set_of_ours_tells_its_classes(write_pairs):
    images, masks = write_pairs(n=3, n_classes=4)
    data = unetv2.make_dataset(
        images, masks, n_classes=3, ignore_class=3, image_size=None, batch_size=2
    )
    found = unetv2.class_weights(data)
    assert len(found) == 3
    plain = data.map(lambda image, mask: (image, mask))
    assert found == pytest.approx(unetv2.class_weights(plain, 3, ignore_class=3))


def test_foreign_ids_are_an_error():
    message = (
        "Mask ids must be in [0, 3). Received: 3 in 4 of 8 pixels of a "
        "mask. Raise `n_classes`, or pass the id of unlabeled pixels as `ignore_class`."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        unetv2.class_weights(batches(), 3)
    with pytest.raises(ValueError, match="Received: -1 in 1 of 2 pixels of a mask"):
        unetv2.class_weights(batches([[[-1, 0]]]), 3)


def test_masks_must_hold_integers():
    with pytest.raises(ValueError, match="Masks must hold integer ids. Received: float64 in"):
        unetv2.class_weights(batches(MASKS / 1.0), 4)


def test_an_endless_data_set_is_an_error(write_pairs):
    data = unetv2.make_dataset(*write_pairs(), n_classes=3, image_size=None, repeat=True)
    with pytest.raises(ValueError, match="`dataset` must end, to be counted. Received: a data set"):
        unetv2.class_weights(data)
    with pytest.raises(ValueError, match="`dataset` must end, to be counted. Received: an endless"):
        unetv2.class_weights(batches().repeat(), 4)


def test_what_cannot_be_weighed_is_an_error():
    with pytest.raises(ValueError, match="`n_classes` must be known to weigh classes. Received: n"):
        unetv2.class_weights(batches())
    with pytest.raises(ValueError, match="`n_classes` must be an integer of at least 2. Received"):
        unetv2.class_weights(batches(), 0)
    with pytest.raises(ValueError, match="`dataset` must hold a labeled pixel. Received: none."):
        unetv2.class_weights(batches([[[7, 7]]]), 4, ignore_class=7)
    with pytest.raises(ValueError, match="`dataset` must hold a labeled pixel. Received: none."):
        unetv2.class_weights(batches().take(0), 4)
    with pytest.raises(ValueError, match="`method` must be one of 'median_frequency', 'sqrt_med"):
        unetv2.class_weights(batches(), 4, method="inverse")
