"""Geometric transforms of augmentation."""

from __future__ import annotations

import numpy as np
import pytest
from augmenting import GEOMETRY, IGNORED, N_CLASSES, apply, assert_equal, batch, everything

from unetv2.data.augmentation import Augmentation


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


@pytest.mark.parametrize("ignore_class", [None, IGNORED])
def test_square_images_are_transposed_exactly_and_others_unchanged(ignore_class):
    augmentation = Augmentation(transpose=1, ignore_class=ignore_class)
    images, masks = batch(size=(7, 7), channels=3)
    transposed = images.swapaxes(1, 2), masks.swapaxes(1, 2)
    assert_equal(apply(augmentation, images, masks), transposed)
    images, masks = batch(size=(7, 8), channels=3)
    assert_equal(apply(augmentation, images, masks), (images, masks))


def test_flips_and_transpose_draw_all_symmetries_of_a_square():
    image = np.arange(9, dtype=np.float32).reshape(3, 3, 1) / 9
    images = np.repeat(image[np.newaxis], 800, axis=0)
    masks = np.zeros(images.shape, np.int32)
    augmentation = Augmentation(horizontal_flip=0.5, vertical_flip=0.5, transpose=0.5)
    transformed, _ = apply(augmentation, images, masks)
    _, counts = np.unique(transformed.reshape(800, -1).round(3), axis=0, return_counts=True)
    # Each 100 times; the standard deviation is 9.4.
    assert len(counts) == 8
    assert np.all(np.abs(counts - 100) < 47)


def test_half_of_the_images_are_flipped_and_the_others_unchanged():
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


def test_pixels_from_outside_are_ignored_after_a_rotation():
    images, masks = batch(n=16, size=(33, 33))
    moved = apply(Augmentation(rotation=45, ignore_class=IGNORED), images, masks)[1]
    corners = moved[:, [0, 0, -1, -1], [0, -1, 0, -1], 0]
    assert np.mean(corners == IGNORED) > 0.9
    assert not np.any(moved[:, 12:21, 12:21] == IGNORED)


def test_pixels_from_outside_are_ignored_after_zooming_out():
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


def test_rotation_is_the_maximum_angle_in_degrees():
    # The direction in which a ramp rises turns with it.
    ramp = np.broadcast_to(np.arange(65, dtype=np.float32) / 64, (64, 65, 65))[..., None]
    moved = apply(Augmentation(rotation=30), ramp, np.zeros((64, 65, 65, 1), np.int32))[0]
    rows, columns = (np.diff(moved[:, 32:34, 32:34, 0], axis=axis).mean((1, 2)) for axis in (1, 2))
    angles = np.degrees(np.arctan2(rows, columns))
    np.testing.assert_allclose(np.hypot(rows, columns), 1 / 64, rtol=1e-3)
    assert -30 <= angles.min() < -25
    assert 25 < angles.max() <= 30


def test_translation_is_a_fraction_of_the_size():
    masks = np.zeros((64, 50, 80, 1), np.int32)
    images = np.zeros((64, 50, 80, 1), np.float32)
    moved = apply(Augmentation(translation=0.2, ignore_class=IGNORED), images, masks)[1][..., 0]
    rows = np.all(moved == IGNORED, axis=2).sum(1)
    columns = np.all(moved == IGNORED, axis=1).sum(1)
    assert 8 <= rows.max() <= 10
    assert 13 <= columns.max() <= 16
