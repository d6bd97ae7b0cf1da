from __future__ import annotations

import dataclasses
import functools
import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from unetv2.augmentation import PRESETS, Augmentation, driving, get, light

GEOMETRY = {
    "horizontal_flip": 0.5,
    "vertical_flip": 0.5,
    "scale": (0.6, 1.8),
    "rotation": 30,
    "translation": 0.1,
}
APPEARANCE = {
    "brightness": 0.5,
    "contrast": 0.5,
    "saturation": 0.5,
    "blur": 2.0,
    "noise": 0.1,
}
N_CLASSES = 5
IGNORED = 255


def everything(**changes):
    return Augmentation(**{**GEOMETRY, **APPEARANCE, "cutout": 0.3, **changes})


def batch(n=4, size=(24, 32), channels=3, seed=0):
    """Random images and masks."""
    rng = np.random.default_rng(seed)
    images = rng.random((n, *size, channels), dtype=np.float32)
    masks = rng.integers(0, N_CLASSES, (n, *size, 1), dtype=np.int32)
    return images, masks


def blobs(n, size=(96, 128), seed=0):
    """Masks of a few large regions: each pixel belongs to the nearest of 12 points."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.mgrid[: size[0], : size[1]], -1)[None, :, :, None]
    points = rng.uniform((0, 0), size, (n, 1, 1, 12, 2))
    ids = rng.integers(0, N_CLASSES, (n, 12))
    nearest = np.argmin(((grid - points) ** 2).sum(-1), -1)
    return np.stack([row[place] for row, place in zip(ids, nearest, strict=True)])[
        ..., None
    ].astype(np.int32)


def apply(augmentation, images, masks, seed=0):
    return tuple(part.numpy() for part in augmentation(images, masks, seed))


def assert_equal(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("ignore_class", [None, IGNORED])
def test_image_and_mask_move_together(ignore_class):
    # One channel for each class, 1 where the mask has it: interpolated, the largest channel
    # still names the nearest pixel's class, but for a few pixels where regions meet.
    masks = blobs(32)
    images = np.eye(N_CLASSES, dtype=np.float32)[masks[..., 0]]
    augmentation = Augmentation(**GEOMETRY, ignore_class=ignore_class)
    images, masks = apply(augmentation, images, masks)
    inside = masks[..., 0] != IGNORED
    agreement = np.mean((images.argmax(-1) == masks[..., 0])[inside])
    # 0.9971 when this was written.
    assert agreement > 0.995


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(24, 32), (23, 31), (1, 5), (1, 1)])
@pytest.mark.parametrize(
    ("flips", "axes"),
    [
        ({"horizontal_flip": 1}, [2]),
        ({"vertical_flip": 1}, [1]),
        ({"horizontal_flip": 1, "vertical_flip": 1}, [1, 2]),
    ],
)
@pytest.mark.parametrize("ignore_class", [None, IGNORED])
def test_flips_are_exact(channels, size, flips, axes, ignore_class):
    images, masks = batch(size=size, channels=channels)
    augmentation = Augmentation(**flips, ignore_class=ignore_class)
    assert_equal(apply(augmentation, images, masks), (np.flip(images, axes), np.flip(masks, axes)))


def test_half_of_the_pictures_are_flipped_and_the_others_exactly_stay():
    images, masks = batch(n=400, size=(3, 4))
    moved_images, moved_masks = apply(Augmentation(horizontal_flip=0.5), images, masks)
    flipped = 0
    for image, mask, moved_image, moved_mask in zip(
        images, masks, moved_images, moved_masks, strict=True
    ):
        if np.array_equal(moved_image, image):
            np.testing.assert_array_equal(moved_mask, mask)
        else:
            assert_equal((moved_image, moved_mask), (image[:, ::-1], mask[:, ::-1]))
            flipped += 1
    # Five standard deviations of a fair coin.
    assert abs(flipped - 200) < 50


@pytest.mark.parametrize(
    "geometry",
    [
        {"scale": (0.6, 1.0)},
        {"scale": (1.0, 1.7)},
        {"rotation": 20},
        {"translation": 0.1},
        {"horizontal_flip": 0.5, "vertical_flip": 0.5, "scale": (0.8, 1.2), "rotation": 20},
    ],
    ids=str,
)
def test_no_shift_between_image_and_mask(geometry):
    # A bright disk, painted in the image where the mask is 1, has the same middle in both: to
    # rounding for one disk, so on the mean over many. Half a pixel would show.
    size = (60, 80)
    rows, columns = np.mgrid[: size[0], : size[1]]
    middles = np.random.default_rng(0).uniform((26, 36), (34, 44), (256, 2))
    masks = np.stack(
        [(rows - row) ** 2 + (columns - column) ** 2 < 10**2 for row, column in middles]
    )[..., None].astype(np.int32)
    images, masks = apply(Augmentation(**geometry), masks.astype(np.float32), masks)
    shifts = [
        middle_of(image[..., 0]) - middle_of(mask[..., 0].astype(float))
        for image, mask in zip(images, masks, strict=True)
    ]
    np.testing.assert_allclose(np.mean(shifts, axis=0), 0, atol=0.03)


def middle_of(weights):
    grids = np.mgrid[: len(weights), : len(weights[0])]
    return (grids * weights).sum((1, 2)) / weights.sum()


@pytest.mark.parametrize("ignore_class", [None, IGNORED, -1])
@pytest.mark.parametrize("seed", range(3))
def test_ids_never_change(ignore_class, seed):
    images, masks = batch(n=8, seed=seed)
    masks = np.array([0, 3, 7, 200, 65535], np.int32)[masks]
    moved = apply(everything(ignore_class=ignore_class), images, masks, seed)[1]
    for before, after in zip(masks, moved, strict=True):
        assert set(np.unique(after)) <= {*np.unique(before), ignore_class}


def test_what_rotates_in_is_ignored():
    images, masks = batch(n=16, size=(33, 33))
    moved = apply(Augmentation(rotation=45, ignore_class=IGNORED), images, masks)[1]
    corners = moved[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert np.mean(corners == IGNORED) > 0.9
    assert not np.any(moved[:, 12:21, 12:21] == IGNORED)


def test_what_zooms_in_is_ignored_and_the_picture_stays_whole():
    images, masks = batch(n=16, size=(40, 40))
    moved = apply(Augmentation(scale=(0.5, 0.5), ignore_class=IGNORED), images, masks)[1]
    # Half as high and wide, so a quarter; a row or column less or more by rounding.
    inside = np.sum(moved != IGNORED, axis=(1, 2, 3))
    assert np.all((inside >= 19 * 19) & (inside <= 21 * 21))


@pytest.mark.parametrize(("scale", "step"), [((2, 2), 0.5), ((0.5, 0.5), 2.0)])
def test_scale_is_the_zoom_factor(scale, step):
    # Along a ramp of one level a pixel, zooming in by 2 leaves half a level a pixel.
    ramp = np.broadcast_to(np.arange(64, dtype=np.float32) / 63, (8, 64, 64))[..., None]
    moved = apply(Augmentation(scale=scale), ramp, np.zeros((8, 64, 64, 1), np.int32))[0]
    steps = np.abs(np.diff(moved[..., 0], axis=2)) * 63
    assert np.isclose(np.median(steps), step, atol=1e-3)


def test_rotation_is_the_largest_angle_in_degrees():
    # The direction in which a ramp rises turns with it.
    ramp = np.broadcast_to(np.arange(65, dtype=np.float32) / 64, (64, 65, 65))[..., None]
    moved = apply(Augmentation(rotation=30), ramp, np.zeros((64, 65, 65, 1), np.int32))[0]
    rows, columns = (np.diff(moved[:, 32:34, 32:34, 0], axis=axis).mean((1, 2)) for axis in (1, 2))
    angles = np.degrees(np.arctan2(rows, columns))
    np.testing.assert_allclose(np.hypot(rows, columns), 1 / 64, rtol=1e-3)
    assert -30 <= angles.min() < -25
    assert 25 < angles.max() <= 30


def test_translation_is_a_share_of_the_size():
    masks = np.zeros((64, 50, 80, 1), np.int32)
    images = np.zeros((64, 50, 80, 1), np.float32)
    moved = apply(Augmentation(translation=0.2, ignore_class=IGNORED), images, masks)[1][..., 0]
    rows = np.all(moved == IGNORED, axis=2).sum(1)
    columns = np.all(moved == IGNORED, axis=1).sum(1)
    assert 8 <= rows.max() <= 10
    assert 13 <= columns.max() <= 16


def test_the_same_seed_gives_the_same_pictures_and_another_seed_others():
    images, masks = batch()
    first = apply(everything(), images, masks, seed=3)
    assert_equal(apply(everything(), images, masks, seed=3), first)
    assert_equal(apply(everything(), images, masks, seed=tf.constant(3, tf.int32)), first)
    assert_equal(apply(everything(), images, masks, seed=tf.constant((3, 0), tf.int64)), first)
    assert_equal(apply(everything(), images, masks, seed=(tf.constant(3, tf.int32), 0)), first)
    for other in (4, (3, 1), (0, 3), -3, 2**40):
        assert not np.array_equal(apply(everything(), images, masks, seed=other)[0], first[0])


def test_pictures_of_a_batch_get_draws_of_their_own():
    image, mask = batch(n=1)
    images, masks = apply(everything(), image.repeat(6, 0), mask.repeat(6, 0))
    for number in range(1, 6):
        assert not np.array_equal(images[0], images[number])
        assert not np.array_equal(masks[0], masks[number])


def test_a_picture_does_not_depend_on_the_rest_of_its_batch():
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


def test_nothing_changes_when_all_is_off():
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
def test_shape_dtype_and_range_stay_at_any_size(size, n, channels, ignore_class):
    images, masks = batch(n, size, channels)
    moved_images, moved_masks = apply(everything(ignore_class=ignore_class), images, masks)
    assert (moved_images.shape, moved_images.dtype) == (images.shape, np.float32)
    assert (moved_masks.shape, moved_masks.dtype) == (masks.shape, np.int32)
    assert moved_images.min() >= 0
    assert moved_images.max() <= 1
    assert set(np.unique(moved_masks)) <= {*np.unique(masks), ignore_class}


@pytest.mark.parametrize("name", list(APPEARANCE))
def test_what_changes_the_light_leaves_the_mask_alone(name):
    images, masks = batch()
    changed = apply(Augmentation(**{name: APPEARANCE[name]}, ignore_class=IGNORED), images, masks)
    assert not np.array_equal(changed[0], images)
    np.testing.assert_array_equal(changed[1], masks)


def appearance(images, **strengths):
    """Returns the images only; nothing is clipped in the middle of the range."""
    masks = np.zeros((*images.shape[:3], 1), np.int32)
    return apply(Augmentation(**strengths), images, masks)[0]


def test_brightness_multiplies():
    images = np.full((200, 2, 2, 3), 0.5, np.float32)
    factors = appearance(images, brightness=0.2)[:, 0, 0, 0] / 0.5
    assert 0.8 <= factors.min() < 0.81
    assert 1.19 < factors.max() <= 1.2


def test_contrast_keeps_the_mean():
    images = batch(n=64)[0] * 0.2 + 0.4
    changed = appearance(images, contrast=0.5)
    np.testing.assert_allclose(changed.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-6)
    factors = changed.std((1, 2, 3)) / images.std((1, 2, 3))
    assert 0.5 <= factors.min() < 0.6
    assert 1.4 < factors.max() <= 1.5


def test_saturation_keeps_the_luminance_and_grey():
    images = batch(n=8)[0] * 0.2 + 0.4
    changed = appearance(images, saturation=0.5)
    weights = (0.299, 0.587, 0.114)
    np.testing.assert_allclose(changed @ weights, images @ weights, atol=1e-6)
    grey = np.broadcast_to(images[..., :1], images.shape)
    np.testing.assert_allclose(appearance(grey, saturation=0.5), grey, atol=1e-6)


def test_a_preset_leaves_out_what_the_channels_cannot_have_and_an_own_one_is_an_error():
    assert get("driving", channels=3) == get("driving") == driving()
    assert get("driving", channels=5) == dataclasses.replace(driving(), saturation=0)
    assert get("light", channels=5) == light()
    own = Augmentation(noise=0.1)
    assert get(own, channels=5) is own
    message = (
        "`augmentation` must have no `saturation` unless images have 3 channels: it needs red, "
        r"green and blue. Received: augmentation.saturation=0.3 and channels=1. Leave it out: "
        r"`dataclasses.replace\(augmentation, saturation=0\)`"
    )
    with pytest.raises(ValueError, match=message):
        get(driving(), channels=1)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_saturation_does_nothing_without_three_channels(channels):
    images = batch(channels=channels)[0]
    np.testing.assert_array_equal(appearance(images, saturation=0.5), images)


def test_blur_spreads_a_point_by_up_to_its_sigma():
    images = np.zeros((100, 33, 33, 1), np.float32)
    images[:, 16, 16] = 1
    blurred = appearance(images, blur=3.0)[..., 0]
    np.testing.assert_allclose(blurred.sum((1, 2)), 1, atol=1e-3)
    places = np.arange(33) - 16
    for axis in (1, 2):
        sigmas = np.sqrt((blurred.sum(axis) * places**2).sum(1))
        assert sigmas.min() < 0.3
        assert 2.8 < sigmas.max() <= 3
    # One colour stays so, up to the edges.
    np.testing.assert_allclose(appearance(images * 0 + 0.7, blur=3.0), 0.7, atol=1e-6)


def test_noise_has_up_to_its_standard_deviation():
    images = np.full((100, 40, 40, 3), 0.5, np.float32)
    noise = appearance(images, noise=0.08) - images
    deviations = noise.std((1, 2, 3))
    assert deviations.min() < 0.005
    assert 0.076 < deviations.max() < 0.082
    assert abs(noise.mean()) < 1e-3


def test_a_cut_out_box_is_ignored_and_takes_the_mean_colour():
    images, masks = batch(n=64, size=(40, 60))
    cut_images, cut_masks = apply(Augmentation(cutout=0.25, ignore_class=IGNORED), images, masks)
    heights, widths = [], []
    for image, mask, cut_image, cut_mask in zip(images, masks, cut_images, cut_masks, strict=True):
        box = cut_mask[..., 0] == IGNORED
        np.testing.assert_array_equal(cut_mask[~box], mask[~box])
        np.testing.assert_array_equal(cut_image[~box], image[~box])
        expected = np.broadcast_to(image.mean((0, 1)), cut_image[box].shape)
        np.testing.assert_allclose(cut_image[box], expected, atol=1e-5)
        heights.append(box.any(1).sum())
        widths.append(box.any(0).sum())
        assert box.sum() == heights[-1] * widths[-1]
    # A quarter of 40 and 60, less where the box hangs over the edge.
    assert (max(heights), max(widths)) == (10, 15)


def test_a_cut_out_box_keeps_its_ids_without_an_ignored_class():
    images, masks = batch()
    changed = apply(Augmentation(cutout=0.5), images, masks)
    assert not np.array_equal(changed[0], images)
    np.testing.assert_array_equal(changed[1], masks)


def augmented_batches(parallel_calls):
    images, masks = batch(n=24)
    pictures = tf.data.Dataset.from_tensor_slices((images, masks)).batch(5).enumerate()

    def augment(number, pair):
        return everything()(*pair, seed=tf.stack([number, 7]))

    return [
        (images.numpy(), masks.numpy())
        for images, masks in pictures.map(augment, num_parallel_calls=parallel_calls)
    ]


def test_a_data_sets_pictures_do_not_depend_on_its_threads():
    alone = augmented_batches(None)
    assert [len(images) for images, _ in alone] == [5, 5, 5, 5, 4]
    for parallel_calls in (2, 4, 4, tf.data.AUTOTUNE):
        for first, second in zip(alone, augmented_batches(parallel_calls), strict=True):
            assert_equal(first, second)


def test_a_data_set_gives_what_a_call_gives():
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


def test_known_shapes_stay_known():
    shapes = [None, 24, 32, 3], [None, 24, 32, 1]
    specs = [
        tf.TensorSpec(shape, dtype)
        for shape, dtype in zip(shapes, (tf.float32, tf.int32), strict=True)
    ]
    traced = tf.function(functools.partial(everything(), seed=0)).get_concrete_function(*specs)
    assert [part.shape.as_list() for part in traced.outputs] == list(shapes)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_by_name(name):
    preset = {"light": light, "driving": driving}[name]
    assert get(name) == preset()
    assert get(name, ignore_class=11) == preset(ignore_class=11)
    assert preset(ignore_class=11).ignore_class == 11
    assert preset().vertical_flip == 0
    images, masks = batch()
    assert not np.array_equal(apply(preset(), images, masks)[0], images)


def test_get_takes_augmentations_and_none():
    own = Augmentation(rotation=3)
    assert get(None) is None
    assert get(None, ignore_class=3) is None
    assert get(own) is own
    assert get(own, ignore_class=9) == dataclasses.replace(own, ignore_class=9)
    labelled = dataclasses.replace(own, ignore_class=9)
    assert get(labelled) is labelled
    assert get(labelled, ignore_class=9) is labelled
    with pytest.raises(
        ValueError,
        match=r"`augmentation` must have the data's `ignore_class`, 8. Received: "
        r"augmentation.ignore_class=9. Leave it out",
    ):
        get(labelled, ignore_class=8)


@pytest.mark.parametrize("value", ["heavy", 3, ["light"]])
def test_unknown_names_are_answered_with_those_there_are(value):
    message = (
        "`augmentation` must be one of 'light', 'driving', an `Augmentation` or None. "
        f"Received: augmentation={value!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        get(value)


def test_strengths_are_kept_as_plain_numbers():
    augmentation = Augmentation(
        rotation=np.int64(3), scale=[1, np.float32(2)], ignore_class=np.uint8(4)
    )
    assert dataclasses.astuple(augmentation) == dataclasses.astuple(
        Augmentation(rotation=3.0, scale=(1.0, 2.0), ignore_class=4)
    )
    assert type(augmentation.rotation) is type(augmentation.scale[1]) is float
    assert hash(augmentation) == hash(Augmentation(rotation=3, scale=(1, 2), ignore_class=4))


@pytest.mark.parametrize(
    ("name", "value", "error", "rule"),
    [
        ("horizontal_flip", 1.5, ValueError, "a number in [0, 1]"),
        ("vertical_flip", -0.1, ValueError, "a number in [0, 1]"),
        ("rotation", -3, ValueError, "a number in [0, 180]"),
        ("rotation", float("nan"), ValueError, "a number in [0, 180]"),
        ("rotation", "3", TypeError, "a number in [0, 180]"),
        ("translation", 2, ValueError, "a number in [0, 1]"),
        ("brightness", 1.1, ValueError, "a number in [0, 1]"),
        ("contrast", None, TypeError, "a number in [0, 1]"),
        ("saturation", True, TypeError, "a number in [0, 1]"),
        ("blur", 101, ValueError, "a number in [0, 100]"),
        ("noise", 25, ValueError, "a number in [0, 1]"),
        ("cutout", float("inf"), ValueError, "a number in [0, 1]"),
        ("scale", (1.2, 0.8), ValueError, "two numbers in [0.1, 10], the smaller one first"),
        ("scale", (0, 1), ValueError, "two numbers in [0.1, 10], the smaller one first"),
        ("scale", (1,), ValueError, "two numbers in [0.1, 10], the smaller one first"),
        ("scale", 1.5, TypeError, "two numbers in [0.1, 10], the smaller one first"),
        ("scale", "12", TypeError, "two numbers in [0.1, 10], the smaller one first"),
        ("ignore_class", -2, ValueError, "an integer in [-1, 65535] or None"),
        ("ignore_class", 1.0, TypeError, "an integer in [-1, 65535] or None"),
        ("ignore_class", True, TypeError, "an integer in [-1, 65535] or None"),
    ],
)
def test_strengths_out_of_range_are_refused(name, value, error, rule):
    message = re.escape(f"`{name}` must be {rule}. Received: {name}={value!r}. ") + r"\w+ .*\.$"
    with pytest.raises(error, match=message):
        Augmentation(**{name: value})


def test_batches_of_other_dtypes_are_refused():
    images, masks = batch()
    for wrong in ((images * 255).astype(np.uint8), masks), (images, masks.astype(np.int64)):
        names = [part.dtype.name for part in wrong]
        message = (
            "`images` must be float32 and `masks` int32. "
            f"Received: images of {names[0]} and masks of {names[1]}. Cast them"
        )
        with pytest.raises(TypeError, match=message):
            Augmentation()(*wrong, 0)


def test_batches_of_other_shapes_are_refused():
    images, masks = batch()
    message = r"`images` must be of shape .* Received: images of \(.*\) and masks of \(.*\). Add"
    for wrong in (
        (images[0], masks[0]),
        (images, masks[..., 0]),
        (images, masks[:, :-1]),
        (images, masks[:2]),
        (images, masks.repeat(2, -1)),
    ):
        with pytest.raises(ValueError, match=message):
            Augmentation()(*wrong, 0)


@pytest.mark.parametrize(
    ("seed", "error", "received"),
    [
        (0.5, TypeError, "0.5"),
        (None, TypeError, "None"),
        ("12", TypeError, "'12'"),
        ((1, 0.5), TypeError, "0.5"),
        ((), ValueError, r"shape \(0,\)"),
        (np.float32(1), TypeError, "dtype float32"),
        (tf.constant(1.0), TypeError, "dtype float32"),
        ((1, 2, 3), ValueError, r"shape \(3,\)"),
        ([[1, 2]], ValueError, r"shape \(1, 2\)"),
    ],
)
def test_seeds_that_are_none_are_refused(seed, error, received):
    message = "`seed` must be an integer or a pair of integers. Received: seed of .*" + received
    with pytest.raises(error, match=message):
        Augmentation()(*batch(), seed)
