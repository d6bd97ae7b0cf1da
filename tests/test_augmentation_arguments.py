"""Presets and invalid arguments of augmentation."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf
from augmenting import apply, batch

from unetv2.data.augmentation import PRESETS, Augmentation, driving, get, light


def test_saturation_is_disabled_in_presets_and_an_error_elsewhere_without_three_channels():
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


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_found_by_name(name):
    preset = {"light": light, "driving": driving}[name]
    assert get(name) == preset()
    assert get(name, ignore_class=11) == preset(ignore_class=11)
    assert preset(ignore_class=11).ignore_class == 11
    assert preset().vertical_flip == 0
    images, masks = batch()
    assert not np.array_equal(apply(preset(), images, masks)[0], images)


def test_get_accepts_augmentations_and_none():
    own = Augmentation(rotation=3)
    assert get(None) is None
    assert get(None, ignore_class=3) is None
    assert get(own) is own
    assert get(own, ignore_class=9) == dataclasses.replace(own, ignore_class=9)
    labeled = dataclasses.replace(own, ignore_class=9)
    assert get(labeled) is labeled
    assert get(labeled, ignore_class=9) is labeled
    with pytest.raises(
        ValueError,
        match=r"`augmentation` must have the data's `ignore_class`, 8. Received: "
        r"augmentation.ignore_class=9. Leave it out",
    ):
        get(labeled, ignore_class=8)


@pytest.mark.parametrize("value", ["heavy", 3, ["light"]])
def test_unknown_names_are_errors_that_list_the_presets(value):
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
def test_invalid_seeds_are_refused(seed, error, received):
    message = "`seed` must be an integer or a pair of integers. Received: seed of .*" + received
    with pytest.raises(error, match=message):
        Augmentation()(*batch(), seed)


def test_the_representation_lists_enabled_transforms():
    assert repr(Augmentation()) == "Augmentation()"
    gray = get("driving", 255, channels=1)
    assert "saturation" not in repr(gray)
    assert repr(get("light")) == (
        "Augmentation(horizontal_flip=0.5, scale=(0.9, 1.2), brightness=0.1, contrast=0.1)"
    )
    for augmentation in (gray, get("light", 0), driving(ignore_class=-1), Augmentation(cutout=1)):
        assert eval(repr(augmentation)) == augmentation
