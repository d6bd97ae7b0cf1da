"""Augmentation: random numbers, shapes and data sets."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from augmenting import APPEARANCE, GEOMETRY, IGNORED, apply, assert_equal, batch, everything
from hypothesis import given, settings
from hypothesis import strategies as st

from unetv2.data.augmentation import Augmentation


def test_the_same_seed_gives_the_same_images_and_another_seed_others():
    images, masks = batch()
    first = apply(everything(), images, masks, seed=3)
    assert_equal(apply(everything(), images, masks, seed=3), first)
    assert_equal(apply(everything(), images, masks, seed=tf.constant(3, tf.int32)), first)
    assert_equal(apply(everything(), images, masks, seed=tf.constant((3, 0), tf.int64)), first)
    assert_equal(apply(everything(), images, masks, seed=(tf.constant(3, tf.int32), 0)), first)
    for other in (4, (3, 1), (0, 3), -3, 2**40):
        assert not np.array_equal(apply(everything(), images, masks, seed=other)[0], first[0])


def test_images_of_a_batch_are_transformed_differently():
    image, mask = batch(n=1)
    images, masks = apply(everything(), image.repeat(6, 0), mask.repeat(6, 0))
    for number in range(1, 6):
        assert not np.array_equal(images[0], images[number])
        assert not np.array_equal(masks[0], masks[number])


def test_an_image_does_not_depend_on_the_rest_of_its_batch():
    images, masks = batch(n=6)
    whole = apply(everything(), images, masks)
    images[3:] = 0
    part = apply(everything(), images[:4], masks[:4])
    np.testing.assert_allclose(part[0][:3], whole[0][:3], atol=1e-6)
    np.testing.assert_array_equal(part[1], whole[1][:4])


@pytest.mark.parametrize("name", list(APPEARANCE))
def test_a_strength_changes_only_its_own_effect(name):
    images, masks = batch(channels=3)
    moved = apply(Augmentation(**GEOMETRY), images, masks)
    more = apply(Augmentation(**GEOMETRY, **{name: APPEARANCE[name]}), images, masks)
    assert not np.array_equal(more[0], moved[0])
    np.testing.assert_array_equal(more[1], moved[1])


def test_a_disabled_augmentation_changes_nothing():
    images, masks = batch()
    assert_equal(apply(Augmentation(), images, masks), (images, masks))
    assert_equal(apply(Augmentation(ignore_class=IGNORED), images, masks), (images, masks))


@settings(max_examples=12)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    n=st.integers(1, 3),
    channels=st.sampled_from([1, 2, 3, 4, 7]),
    ignore_class=st.sampled_from([None, IGNORED]),
)
def test_shape_dtype_and_range_are_kept_at_any_size(size, n, channels, ignore_class):
    images, masks = batch(n, size, channels)
    moved_images, moved_masks = apply(everything(ignore_class=ignore_class), images, masks)
    assert (moved_images.shape, moved_images.dtype) == (images.shape, np.float32)
    assert (moved_masks.shape, moved_masks.dtype) == (masks.shape, np.int32)
    assert moved_images.min() >= 0
    assert moved_images.max() <= 1
    assert set(np.unique(moved_masks)) <= {*np.unique(masks), ignore_class}


def augmented_batches(parallel_calls):
    images, masks = batch(n=24)
    batches = tf.data.Dataset.from_tensor_slices((images, masks)).batch(5).enumerate()

    def augment(number, pair):
        return everything()(*pair, seed=tf.stack([number, 7]))

    return [
        (images.numpy(), masks.numpy())
        for images, masks in batches.map(augment, num_parallel_calls=parallel_calls)
    ]


def test_a_data_sets_images_do_not_depend_on_its_threads():
    alone = augmented_batches(None)
    assert [len(images) for images, _ in alone] == [5, 5, 5, 5, 4]
    for parallel_calls in (2, 4, 4, tf.data.AUTOTUNE):
        for first, second in zip(alone, augmented_batches(parallel_calls), strict=True):
            assert_equal(first, second)


def test_a_data_set_equals_direct_calls():
    first = augmented_batches(None)[0]
    images, masks = batch(n=24)
    called = apply(everything(), images[:5], masks[:5], seed=(0, 7))
    np.testing.assert_allclose(called[0], first[0], atol=1e-6)
    np.testing.assert_array_equal(called[1], first[1])


def test_unknown_sizes_are_traced():
    signature = [
        tf.TensorSpec((None, None, None, 3), tf.float32),
        tf.TensorSpec((None, None, None, 1), tf.int32),
        tf.TensorSpec((), tf.int64),
    ]
    traced = tf.function(everything(ignore_class=IGNORED), input_signature=signature)
    for n, size in ((1, (1, 1)), (3, (17, 9)), (2, (30, 41))):
        images, masks = batch(n, size)
        result = traced(images, masks, 5)
        called = apply(everything(ignore_class=IGNORED), images, masks, 5)
        np.testing.assert_allclose(result[0], called[0], atol=1e-6)
        np.testing.assert_array_equal(result[1], called[1])


def test_static_shapes_are_kept():
    shapes = [None, 24, 32, 3], [None, 24, 32, 1]
    specs = [
        tf.TensorSpec(shape, dtype)
        for shape, dtype in zip(shapes, (tf.float32, tf.int32), strict=True)
    ]
    traced = tf.function(functools.partial(everything(), seed=0)).get_concrete_function(*specs)
    assert [part.shape.as_list() for part in traced.outputs] == list(shapes)
