"""Reports that compare two evaluations."""

from __future__ import annotations

import numpy as np
import pytest
from evaluations import evaluated, images
from report_pages import interval_text, written

import unetv2
from unetv2.evaluation.comparison import compare, distinct_names
from unetv2.evaluation.report import points


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "report.html"


def test_two_evaluations_of_the_same_images_are_paired(path):
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
    assert f"{points(difference, sign=True)} {interval_text(low, high, sign=True)}" in page.text
    assert any("difference better" in found.get("class", "") for found in page.all("span"))


def test_an_evaluation_compared_with_itself_has_no_differences():
    one = evaluated(images(6))
    comparison = compare(one, one)
    for name, value in comparison.differences.items():
        assert (value == 0).all()
        assert (comparison.intervals[name] == 0).all()


def test_evaluations_of_different_images_are_not_paired(path):
    first, second = evaluated(images(9)), evaluated(images(9, seed=1))
    comparison = compare(first, second)
    assert not comparison.paired
    low, high = comparison.intervals["mean_iou"]
    width = np.diff(first.intervals["mean_iou"]) + np.diff(second.intervals["mean_iou"])
    assert width / 2 < high - low < width
    assert "on different images" in written([first, second], path).text


def test_images_with_the_same_number_are_not_paired():
    first, second = (
        evaluated(image._replace(name=f"#{n}") for n, image in enumerate(images(5, seed=s)))
        for s in (0, 1)
    )
    assert first.counts.names == second.counts.names
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
def test_names_are_the_distinct_ends_of_model_paths(models, names):
    evaluations = [evaluated(images(2), model=model) for model in models]
    assert distinct_names(evaluations) == names


@pytest.mark.parametrize(
    ("n", "names", "message"),
    [
        (0, None, "`evaluations` must be one, or two to compare. Received: 0"),
        (3, None, "`evaluations` must be one, or two to compare. Received: 3"),
        (2, ["a"], "`names` must hold one name for each evaluation. Received: 1 for 2"),
    ],
)
def test_invalid_arguments_raise(path, n, names, message):
    with pytest.raises(ValueError, match=message):
        unetv2.write_report([evaluated(images(1))] * n, path, names=names)
    assert not path.exists()


def test_evaluations_of_different_classes_raise(path):
    pair = [evaluated(images(1)), evaluated(images(1), n_classes=5)]
    with pytest.raises(ValueError, match="`evaluations` must have the same classes"):
        unetv2.write_report(pair, path)
