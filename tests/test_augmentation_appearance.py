"""Augmentation of brightness, colors, sharpness and noise, and cut-out."""

from __future__ import annotations

import numpy as np
import pytest
from augmenting import APPEARANCE, IGNORED, apply, batch

from unetv2.data.augmentation import Augmentation


@pytest.mark.parametrize("name", list(APPEARANCE))
def test_appearance_does_not_change_masks(name):
    images, masks = batch()
    changed = apply(Augmentation(**{name: APPEARANCE[name]}, ignore_class=IGNORED), images, masks)
    assert not np.array_equal(changed[0], images)
    np.testing.assert_array_equal(changed[1], masks)


def appearance(images, **strengths):
    """Returns the images; values in the middle of the range are not clipped."""
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


def test_saturation_keeps_the_luminance_and_gray():
    images = batch(n=8)[0] * 0.2 + 0.4
    changed = appearance(images, saturation=0.5)
    weights = (0.299, 0.587, 0.114)
    np.testing.assert_allclose(changed @ weights, images @ weights, atol=1e-6)
    gray = np.broadcast_to(images[..., :1], images.shape)
    np.testing.assert_allclose(appearance(gray, saturation=0.5), gray, atol=1e-6)


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
    # One color stays so, up to the edges.
    np.testing.assert_allclose(appearance(images * 0 + 0.7, blur=3.0), 0.7, atol=1e-6)


def test_noise_has_up_to_its_standard_deviation():
    images = np.full((100, 40, 40, 3), 0.5, np.float32)
    noise = appearance(images, noise=0.08) - images
    deviations = noise.std((1, 2, 3))
    assert deviations.min() < 0.005
    assert 0.076 < deviations.max() < 0.082
    assert abs(noise.mean()) < 1e-3


def test_a_cut_out_box_is_ignored_and_takes_the_mean_color():
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
