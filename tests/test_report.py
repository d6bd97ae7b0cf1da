"""The page of a report: complete, safe and self-contained."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from evaluations import evaluated, images
from report_pages import Page, interval_text, written

import unetv2
from unetv2.evaluation.report import count, percent, points, rounded

EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "report.html"


def test_every_metric_is_on_the_page(path):
    evaluation = evaluated(images(5, n_classes=4), n_classes=5, resolution="measured here")
    page = written(evaluation, path)
    for name in ("mean_iou", "pixel_accuracy", "mean_boundary_f1", "calibration_error"):
        assert percent(float(evaluation.metrics[name])) in page.text
        assert interval_text(*evaluation.intervals[name]) in page.text
    for number in range(4):
        assert percent(float(evaluation.iou_per_class[number])) in page.text
    assert "5 images with 960 labeled pixels of 5 classes, measured here." in page.text
    assert "absent from ground truth and prediction): class 4" in page.text
    assert evaluation.worst[0][0] in page.text


def test_names_cannot_become_elements_or_attributes(path):
    shown = [image._replace(name=f"{EVIL}{image.name}") for image in images(4)]
    evaluation = evaluated(
        shown,
        model=EVIL,
        resolution=EVIL,
        training={"recipe": {"name": EVIL}, "versions": {EVIL: EVIL}},
    )
    table = unetv2.ClassTable((EVIL, "b", "c", "d"), evaluation.classes.colors)
    evaluation = replace(evaluation, classes=table)
    for evaluations, options in (
        (evaluation, {}),
        (evaluation, {"names": [EVIL]}),
        ([evaluation, evaluation], {"names": [EVIL, f"{EVIL}2"]}),
    ):
        page = written(evaluations, path, **options)
        assert len(page.all("script")) == 1
        assert all(image["src"].startswith("data:image/") for image in page.all("img"))
        assert not any(key.startswith("on") for _, found in page.elements for key in found)
        assert EVIL in page.text
        labels = [found.get("aria-label", "") for found in page.all("input")]
        assert any(EVIL in label for label in labels)


def test_invalid_unicode_in_names_is_shown_escaped(path):
    shown = [image._replace(name=f"caf\udce9{image.name}") for image in images(2)]
    assert r"caf\udce90-000" in written(evaluated(shown), path).text


def test_the_page_is_self_contained(path):
    html = unetv2.write_report(evaluated(images(3)), path).read_text(encoding="utf-8")
    page = Page(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html.replace("data:", ""))
    assert not page.all("iframe")
    assert all(link["href"][0] == "#" for link in page.all("a"))
    assert [link["href"] for link in page.all("link")] == ["data:,"]


def test_only_the_script_of_the_page_runs(path):
    html = unetv2.write_report(evaluated(images(3)), path).read_text(encoding="utf-8")
    script = re.search("<script>(.*)</script>", html, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(
        meta["content"]
        for meta in Page(html).all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    )
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("n", [1, 2])
def test_ids_are_unique_and_references_exist(path, n):
    evaluations = [evaluated(images(4, error=error)) for error in (0.2, 0.6)[:n]]
    page = written(evaluations, path)
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids))
    references = [link["href"][1:] for link in page.all("a")]
    references += [label["for"] for label in page.all("label")]
    references += [s["aria-labelledby"] for s in page.all("section")]
    assert set(references) <= set(ids)
    named = {label["for"] for label in page.all("label")}
    assert all(i.get("aria-label") or i.get("id") in named for i in page.all("input"))
    assert len(page.all("h1")) == 1


def test_absent_classes_are_left_out_of_the_matrix(path):
    page = written(evaluated(images(3, n_classes=3), n_classes=5), path)
    heads = [found["data-name"] for found in page.all("th") if "data-name" in found]
    assert heads == ["class 0", "class 1", "class 2"] * 2
    assert len([found for found in page.all("td") if "data-pixels" in found]) == 9


def test_a_perfect_model_has_no_confusions(path):
    page = written(evaluated(images(3, error=0)), path)
    assert "All pixels are correct." in page.text


def test_one_image_makes_a_report_without_intervals(path):
    page = written(evaluated(images(1)), path)
    assert "1 image with" in page.text
    assert "95\u202f% confidence intervals" not in page.text


def test_scores_of_only_ignored_pixels_are_dashes(path):
    shown = list(images(2, ignore_class=9))
    for image in shown:
        image.mask[:] = 9
    page = written(evaluated(shown, ignore_class=9), path)
    assert "Mean IoU \u2013" in page.text
    assert "Worst images" not in page.text


def test_ignored_pixels_are_transparent_and_colors_are_those_of_the_table(path):
    from io import BytesIO

    from PIL import Image

    shown = next(images(1, ignore_class=9))
    evaluation = evaluated([shown], ignore_class=9)
    page = written(evaluation, path)
    (mask,) = [i["src"] for i in page.all("img") if i["class"] == "mask ground-truth"]
    decoded = Image.open(BytesIO(base64.b64decode(mask.split(",")[1]))).convert("RGBA")
    pixels = np.asarray(decoded)
    np.testing.assert_array_equal(pixels[..., 3] == 0, shown.mask == 9)
    painted = unetv2.visualization.colorize(shown.mask, evaluation.classes)
    kept = shown.mask != 9
    np.testing.assert_array_equal(pixels[kept][:, :3], painted[kept])


def test_many_classes_keep_their_colors(path):
    shown = list(images(1, n_classes=300))
    page = written(evaluated(shown, n_classes=300), path)
    assert len(page.all("img")) == 3


def test_the_page_shows_the_settings_and_the_training(path):
    training = {"recipe": {"name": "fast", "learning_rate": 0.002}, "seed": 7, "epochs": 40}
    settings = {"boundary_tolerance": 0.0075, "images": "data/rgb", "training": training}
    settings["prediction"] = {"window": [64, 64], "tta": ["horizontal"]}
    page = written(evaluated(images(2), **settings, versions={"keras": "3.14"}), path)
    for words in (
        "Boundary tolerance 0.75\u202f% of the diagonal",
        "Images data/rgb",
        "Prediction window=[64, 64], tta=['horizontal']",
        "Recipe fast",
        "Training seed 7",
        "Evaluated with keras 3.14",
    ):
        assert words in page.text
    assert (
        "Boundary tolerance 3 pixels"
        in written(evaluated(images(2), boundary_tolerance=3), path).text
    )


def test_missing_shards_are_mentioned(path):
    page = written(evaluated(images(2), shards=[[0, 3]], model="m"), path)
    assert "m is a part of the data: 1 of 3 shards." in page.text


def test_a_saved_evaluation_makes_the_same_page(path, tmp_path):
    evaluation = evaluated(images(4))
    evaluation.save(tmp_path / "saved")
    first = unetv2.write_report(evaluation, path).read_bytes()
    loaded = unetv2.Evaluation.load(tmp_path / "saved")
    assert unetv2.write_report(loaded, path).read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_number_formats():
    assert percent(0.58449) == "58.4\u202f%"
    assert percent(None) == "\u2013"
    assert points(-0.0004, sign=True) == "0.0"
    assert points(-0.0123, sign=True) == "\u22121.2"
    assert interval_text(0.1, 0.16) == "10.0 to 16.0"
    assert interval_text(0.1, 0.2) == "10 to 20"
    assert interval_text(-0.03, 0.02, sign=True) == "\u22123.0 to +2.0"
    assert count(1234567) == "1,234,567"
    assert [rounded(n) for n in (999, 17_100_000, 2_345_000_000)] == [
        "999", "17.1 million", "2.35 billion"
    ]  # fmt: skip
