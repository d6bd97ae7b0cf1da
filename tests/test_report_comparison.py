"""Whose evaluations a report shows, and how two are compared."""

from __future__ import annotations

import numpy as np
import pytest
from evaluations import evaluated, images
from report_pages import written

import unetv2
from unetv2.evaluation.report.html import between, points
from unetv2.evaluation.report.subject import Subject, compare


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "report.html"


def test_two_evaluations_are_compared_with_the_same_images_drawn(path):
    first = evaluated(images(12, error=0.5), model="runs/old/model.keras")
    second = evaluated(images(12, error=0.2), model="runs/new/model.keras")
    page = written([first, second], path)
    comparison = compare(first, second)
    assert comparison.paired
    assert page.all("h1") == [{}]
    assert "new compared with old" in page.text
    difference = comparison.differences["mean_iou"]
    assert difference == second.mean_iou - first.mean_iou
    low, high = comparison.intervals["mean_iou"]
    assert 0 < low < difference < high
    assert f"{points(difference, sign=True)} {between(low, high, sign=True)}" in page.text
    assert any("difference better" in found.get("class", "") for found in page.all("span"))


def test_an_evaluation_does_not_differ_from_itself():
    one = evaluated(images(6))
    comparison = compare(one, one)
    for name, value in comparison.differences.items():
        assert (value == 0).all()
        assert (comparison.intervals[name] == 0).all()


def test_other_images_are_compared_without_pairing(path):
    first, second = evaluated(images(9)), evaluated(images(9, seed=1))
    comparison = compare(first, second)
    assert not comparison.paired
    low, high = comparison.intervals["mean_iou"]
    width = np.diff(first.intervals["mean_iou"]) + np.diff(second.intervals["mean_iou"])
    assert width / 2 < high - low < width
    assert "which were measured on other images" in written([first, second], path).text


def test_equal_numbers_of_other_images_are_no_pairs():
    first, second = (
        evaluated(image._replace(name=f"#{n}") for n, image in enumerate(images(5, seed=s)))
        for s in (0, 1)
    )
    assert first.rows.names == second.rows.names
    assert not compare(first, second).paired


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (["runs/carseg/model.keras"], ("carseg",)),
        (["model.keras"], ("model.keras",)),
        (["runs/carseg.keras"], ("carseg.keras",)),
        (["unetv2", "unetv2"], ("unetv2, first", "unetv2, second")),
        (["a/x/model.keras", "b/x/model.keras"], ("a/x", "b/x")),
        (["a/x/model.keras", "a/y/model.keras"], ("x", "y")),
        (["/model.keras", "/a/model.keras"], ("/", "a")),
    ],
)
def test_evaluations_are_named_by_what_tells_their_models_apart(models, names):
    evaluations = [evaluated(images(2), model=model) for model in models]
    assert Subject.of(evaluations, None).names == names


@pytest.mark.parametrize(
    ("n", "names", "message"),
    [
        (0, None, "`evaluations` must be one, or two to compare. Received: 0"),
        (3, None, "`evaluations` must be one, or two to compare. Received: 3"),
        (2, ["a"], "`names` must hold one name for each evaluation. Received: 1 for 2"),
    ],
)
def test_what_cannot_be_shown_is_refused(path, n, names, message):
    with pytest.raises(ValueError, match=message):
        unetv2.write_report([evaluated(images(1))] * n, path, names=names)
    assert not path.exists()


def test_evaluations_of_other_classes_are_refused(path):
    pair = [evaluated(images(1)), evaluated(images(1), n_classes=5)]
    with pytest.raises(ValueError, match="`evaluations` must have the same classes"):
        unetv2.write_report(pair, path)
