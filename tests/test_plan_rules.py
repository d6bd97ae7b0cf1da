"""The rules of plans, on fingerprints of typical data sets."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unetv2.data.fingerprint import ClassFingerprint, Fingerprint
from unetv2.planning import rules

SCALES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.18, 0.125)
SYMMETRIC = {"horizontal_flip": True, "vertical_flip": True, "transpose": True}
DIRECTED = {"horizontal_flip": True, "vertical_flip": False, "transpose": False}


def class_of(number, share, *, ceiling, area=400.0, thickness=20.0, regions=3.0):
    return ClassFingerprint(
        id=number, name=f"class {number}", pixel_share=share, image_share=1.0,
        regions_per_image=regions, region_area=area, thickness=thickness, ceiling=ceiling,
    )  # fmt: skip


def fingerprint(size=(360, 480), n_images=400, classes=(), symmetric=DIRECTED, **changes):
    values = {
        "n_images": n_images, "n_sampled": n_images, "sizes": {f"{size[0]}x{size[1]}": n_images},
        "min_size": size, "median_size": size,
        "aspect_ratios": (size[1] / size[0],) * 3, "channels": 3, "bits": 8,
        "value_range": (0.0, 1.0), "mean": (0.5,) * 3, "std": (0.2,) * 3, "image_suffix": "",
        "mask_suffix": "", "encoding": "ids", "n_classes": len(classes), "ignore_class": None,
        "classes": tuple(classes), "scales": SCALES, "symmetric": symmetric,
        "asymmetry": dict.fromkeys(symmetric, 0.0), "group_by": None,
        "n_groups": n_images, "near_duplicates": (),
    }  # fmt: skip
    return Fingerprint(**{**values, **changes})


# Large regions lose little when they shrink; vessels of three pixels lose much.
COARSE = (1.0, 0.99, 0.98, 0.96, 0.94, 0.9, 0.85)
THIN = (1.0, 0.94, 0.82, 0.75, 0.63, 0.5, 0.35)
STREETS = fingerprint(
    classes=[class_of(0, 0.6, ceiling=COARSE, area=40_000)]
    + [class_of(n, 0.4 / 2**n, ceiling=COARSE) for n in range(1, 8)],
)
VESSELS = fingerprint(
    (584, 565), 16, symmetric=SYMMETRIC,
    classes=[
        class_of(0, 0.9, ceiling=COARSE, area=3e5, thickness=60, regions=1),
        class_of(1, 0.1, ceiling=THIN, area=5000, thickness=3.0),
    ],
)  # fmt: skip


def chosen(data, minutes, *, speed=8e5, n_validation=4):
    def budget(sizes, filters, seconds):
        return rules.budget(
            data, sizes, filters, pixels_per_second=speed * 16 / filters, seconds=seconds,
            n_train=data.n_images - n_validation, n_validation=n_validation, batch_size=8,
        )  # fmt: skip

    return rules.choose(budget, rules.candidate_sizes(data, None, None), rules.FILTERS, minutes)


def test_thin_vessels_are_trained_at_their_own_size_in_crops():
    best, _ = chosen(VESSELS, 10)
    assert best.sizes.scale == 1
    assert best.sizes.image_size is None
    assert best.sizes.crop_size is not None


def test_large_regions_are_trained_at_a_reduced_size():
    best, _ = chosen(STREETS, 10)
    assert best.sizes.scale < 1
    assert best.sizes.image_size is not None


def test_more_time_never_reduces_the_size():
    scales = [chosen(STREETS, minutes)[0].sizes.scale for minutes in (2, 10, 60, 600)]
    assert scales == sorted(scales)


def test_a_slow_machine_trains_at_a_smaller_size():
    assert chosen(STREETS, 10, speed=1e5)[0].sizes.scale <= chosen(STREETS, 10)[0].sizes.scale


def test_without_minutes_a_time_is_proposed():
    _, minutes = chosen(VESSELS, None)
    assert 3 <= minutes <= 120


@given(
    height=st.integers(1, 6000), width=st.integers(1, 6000), minutes=st.floats(0.05, 500),
    speed=st.floats(1e3, 1e9),
)  # fmt: skip
def test_sizes_and_steps_are_valid_for_all_sizes(height, width, minutes, speed):
    data = dataclasses.replace(
        VESSELS, min_size=(height, width), median_size=(height, width),
        sizes={f"{height}x{width}": 16}, aspect_ratios=(width / height,) * 3,
    )  # fmt: skip
    best, _ = chosen(data, minutes, speed=speed)
    assert best.epochs >= 1
    assert best.steps_per_epoch >= 1
    image_size, crop_size = best.sizes.image_size, best.sizes.crop_size
    if crop_size is not None:
        assert crop_size[0] <= (image_size or data.min_size)[0]
        assert crop_size[1] <= (image_size or data.min_size)[1]
    else:
        assert image_size is not None


def test_crops_fit_into_the_smallest_image():
    data = dataclasses.replace(
        VESSELS, min_size=(150, 140), sizes={"150x140": 1, "584x565": 15},
        aspect_ratios=(0.93, 0.97, 0.97),
    )  # fmt: skip
    for sizes in rules.candidate_sizes(data, None, None):
        if sizes.image_size is None:
            assert sizes.crop_size == (150, 140)


def test_streets_are_not_flipped_vertically_and_vessels_in_all_ways():
    sizes = rules.candidate_sizes(STREETS, None, None)[0]
    streets = rules.augmentation_for(STREETS, sizes, 50)
    assert (streets.horizontal_flip, streets.vertical_flip, streets.transpose) == (0.5, 0, 0)
    vessels = rules.augmentation_for(VESSELS, rules.candidate_sizes(VESSELS, None, None)[0], 50)
    assert (vessels.horizontal_flip, vessels.vertical_flip, vessels.transpose) == (0.5, 0.5, 0.5)
    assert rules.tta_for(STREETS, sizes) == ("horizontal",)
    assert rules.tta_for(VESSELS, sizes) == ("horizontal", "vertical", "transpose")


def test_gray_images_have_no_saturation():
    gray = dataclasses.replace(VESSELS, channels=1)
    sizes = rules.candidate_sizes(gray, None, None)[0]
    assert rules.augmentation_for(gray, sizes, 50).saturation == 0


def test_images_with_rare_classes_are_repeated():
    classes_of = {f"{number:03}": [0, 1] if number % 2 else [0] for number in range(100)}
    classes_of["007"] = [0, 1, 2]
    frequencies = rules.frequencies_of(classes_of)
    # Class 2 is in 1 % of the images, less than 25 %: sqrt(25) = 5, at most 4.
    assert frequencies == {"007": 4.0}


def test_few_passes_need_little_augmentation():
    sizes = rules.candidate_sizes(STREETS, None, None)[0]
    few, many = (rules.augmentation_for(STREETS, sizes, passes) for passes in (3, 50))
    assert few.horizontal_flip == many.horizontal_flip == 0.5
    assert few.scale == (1, 1) != many.scale


def test_small_batches_and_short_trainings_use_group_normalization():
    assert rules.normalization_for(8, 2000) == "batch"
    assert rules.normalization_for(2, 2000) == "group"
    assert rules.normalization_for(8, 50) == "group"


def test_rare_small_classes_need_balanced_crops():
    data = fingerprint(
        (2000, 2000), 10,
        classes=[
            class_of(0, 0.999, ceiling=COARSE, area=4e6, regions=1),
            class_of(1, 0.001, ceiling=THIN, area=30, regions=1),
        ],
    )  # fmt: skip
    (native, *_) = rules.candidate_sizes(data, None, None)
    assert rules.needs_balanced_crops(data, native)
    (native, *_) = rules.candidate_sizes(VESSELS, None, None)
    assert not rules.needs_balanced_crops(VESSELS, native)


def test_class_weights_only_for_several_unbalanced_classes():
    assert rules.needs_class_weights(STREETS)
    assert not rules.needs_class_weights(VESSELS)


def test_the_batch_size_fits_into_the_memory():
    assert rules.fitting_batch_size((192, 192), 16, 10**10, 8) == 8
    assert 1 <= rules.fitting_batch_size((1024, 1024), 32, 10**10, 8) < 8
    assert rules.fitting_batch_size((4096, 4096), 64, 10**9, 8) == 1


def test_given_sizes_are_kept():
    (sizes,) = rules.candidate_sizes(STREETS, (96, 128), None)
    assert (sizes.image_size, sizes.crop_size) == ((96, 128), None)
    for side in (64, 256):
        for sizes in rules.candidate_sizes(VESSELS, None, (side, side)):
            assert sizes.crop_size == (side, side)
            assert min(sizes.working) >= side


@given(n=st.integers(1, 500), seed=st.integers(0, 5))
def test_some_images_are_held_out_but_never_most(n, seed):
    keys = [f"image{number:03}" for number in range(n)]
    held_out, reason = rules.hold_out(keys, None, seed=seed)
    assert set(held_out) <= set(keys)
    assert reason
    if n < 4:
        assert not held_out
    else:
        assert 1 + (n >= 10) <= len(held_out) <= max(1, min(100, n // 4))


def test_folds_hold_out_each_image_once():
    keys = [f"image{number:03}" for number in range(17)]
    folds = [rules.hold_out(keys, None, seed=0, fold=(index, 5))[0] for index in range(5)]
    assert sorted(key for fold in folds for key in fold) == keys


@pytest.mark.parametrize("n_groups", [4, 20])
def test_neighboring_images_of_a_sequence_stay_together(n_groups):
    keys = sorted(f"seq{group:02}_{frame:04}" for group in range(n_groups) for frame in range(90))
    held_out, _ = rules.hold_out(keys, r"^(seq\d+)_", seed=0)
    chosen_keys = set(held_out)
    borders = sum((a in chosen_keys) != (b in chosen_keys) for a, b in pairwise(keys))
    # At random, nearly every held-out image would have another one as a neighbor on each side.
    assert borders <= len(held_out) / 4
