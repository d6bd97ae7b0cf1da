"""Validation of duplicate images."""

from __future__ import annotations

import numpy as np
from checked_folders import SIZE, check, kinds, only, regions

import unetv2
from unetv2.data.pairs import split_pairs


def names_in(subset, n=40):
    """Names of pairs that are in a subset."""
    keys = [unetv2.data.pairs.Pair(f"frame{number}", "", "") for number in range(n)]
    return [pair.key for pair in split_pairs(keys, subset)]


def test_one_image_twice_is_a_warning_and_in_two_subsets_an_error(write):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    train, validation = names_in("train"), names_in("validation")
    folders = write(*[regions(0, 1)] * 2, images=[image] * 2, names=train[:2])
    report = check(folders)
    assert only(report, "duplicate").startswith("the same pixels as ")
    assert report.ok
    write(*[regions(0, 1)] * 2, images=[image] * 2, names=[train[0], validation[0]])
    report = check(folders)
    assert kinds(report) == ["leakage", "duplicate"]
    assert not report.ok
    assert "in train" in report.problems[0].message
    assert "in validation" in report.problems[0].message


def test_leakage_follows_groups_and_split(write):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    names = [names_in("train")[0], names_in("validation")[0]]
    folders = write(*[regions(0, 1)] * 2, images=[image] * 2, names=names)
    assert kinds(check(folders)) == ["leakage"]
    assert kinds(check(folders, group_by="frame")) == ["duplicate"]
    assert kinds(check(folders, split=(0, 0, 1))) == ["duplicate"]


def test_one_image_with_two_masks_is_a_contradiction(write):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    as_rgb = np.repeat(regions(0, 1)[..., None], 3, axis=2)
    masks = [regions(0, 1), as_rgb, regions(1, 0)]
    report = check(write(*masks, images=[image] * 3), split=(1, 0, 0))
    # The second mask is stored otherwise, but says the same.
    assert kinds(report) == ["contradiction", "duplicate", "duplicate"]
    assert report.problems[0].path.endswith("2.png")
