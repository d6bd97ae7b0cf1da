"""Findings of the validation in the ids and colors of masks."""

from __future__ import annotations

import numpy as np
import pytest
from checked_folders import SIZE, TABLE, check, kinds, only, regions
from label_files import find_pairs, read_pair
from PIL import Image

import unetv2
from unetv2.data.labels import Labels


def test_ids_are_counted_in_pixels_and_images(write):
    report = check(write(regions(0, 1), regions(0, 2, 2, 2)), classes=TABLE)
    # Of 24 rows: 16 + 8 columns of 0, 16 of 1, 24 of 2.
    assert [(row.id, row.name, row.pixels, row.images) for row in report.classes] == [
        (0, "sky", 576, 2),
        (1, "road", 384, 1),
        (2, "car", 576, 1),
    ]
    assert [row.share for row in report.classes] == [0.375, 0.25, 0.375]


def test_weights_are_the_median_frequency_over_the_classs_own(write):
    report = check(write(regions(0, 1), regions(0, 2, 2, 2)), n_classes=3)
    # Frequencies where they occur: 0: 576/1536 = 3/8; 1: 1/2; 2: 3/4. The median is 1/2.
    assert report.class_weights == pytest.approx({0: 4 / 3, 1: 1.0, 2: 2 / 3})
    assert report.classes[0].root_weight == pytest.approx((4 / 3) ** 0.5)


def test_ids_out_of_range_are_errors_with_file_and_count(write):
    folders = write(regions(0, 1), regions(0, 1, 1, 7), regions(2, 1))
    report = check(folders, n_classes=3)
    assert only(report, "out_of_range") == "ids outside [0, 3): 7 in 192 pixels"
    assert report.problems[0].path == str(folders[1] / "1.png")
    assert check(folders, n_classes=3, label_map={7: 0, 0: 0}).ok
    assert check(folders, n_classes=3, ignore_class=7).ok


def test_colors_instead_of_ids_are_errors_and_are_counted(write):
    colors = unetv2.visualization.colorize(regions(0, 1, 1, 2), TABLE)
    report = check(write(colors, regions(0, 1)))
    message = only(report, "colors_for_ids")
    assert message.startswith("colors, not ids: (128, 64, 128) in 384 pixels")
    assert dict(report.colors) == {(128, 64, 128): 384, (0, 0, 200): 192, (200, 0, 0): 192}
    assert "(128, 64, 128)     384" in str(report)
    assert [row.id for row in report.classes] == [0, 1]


def test_pure_red_green_and_blue_are_colors(write):
    colors = np.eye(3, dtype=np.uint8)[regions(0, 1, 2)] * 255
    assert only(check(write(colors)), "colors_for_ids")


def test_max_channel_reads_the_largest_channel(write):
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[..., 0], mask[..., 1] = 2, regions(0, 1)
    mask[:, :5, 0] = 1
    folders = write(mask)
    # Which has to be said, as different colors then share an id.
    assert kinds(check(folders, n_classes=3)) == ["colors_for_ids"]
    report = check(folders, n_classes=3, encoding="max_channel")
    assert report.ok
    assert [row.id for row in report.classes] == [1, 2]


@pytest.mark.parametrize("notation", ["red", "gray"])
def test_ids_in_the_red_channel_or_gray_stored_as_rgb_are_ids(write, notation):
    masks = [np.zeros((*SIZE, 3), np.uint8) for _ in range(2)]
    for mask, ids in zip(masks, (regions(0, 1, 2), regions(0, 2)), strict=True):
        mask[..., : 1 if notation == "red" else 3] = ids[..., None]
    report = check(write(*masks))
    assert report.problems == ()
    assert [row.id for row in report.classes] == [0, 1, 2]


def test_colors_outside_the_table_are_errors_with_their_counts(write):
    colors = unetv2.visualization.colorize(regions(0, 1, 1, 2), TABLE)
    good = colors.copy()
    colors[3, :4] = (1, 2, 3)
    report = check(write(colors, good), encoding="colors", classes=TABLE)
    message = only(report, "unknown_colors")
    assert message == "colors outside the table: (1, 2, 3) in 4 pixels"
    assert report.colors == (((1, 2, 3), 4),)
    assert [row.pixels for row in report.classes] == [2 * 192 - 4, 2 * 384, 2 * 192]


def test_palette_masks_are_read_by_their_colors(write):
    folders = write(regions(0, 1))
    mask = Image.fromarray(regions(0, 1, 2)).convert("P")
    # Index 0 is the car, 1 the sky, 2 the road.
    mask.putpalette([value for number in (2, 0, 1) for value in TABLE.colors[number]])
    mask.save(folders[1] / "0.png")
    report = check(folders, encoding="colors", classes=TABLE)
    found = Labels("colors", 3, classes=TABLE).read(str(folders[1] / "0.png"), 10_000)
    assert [row.pixels for row in report.classes] == np.bincount(found.ravel()).tolist()


def test_black_and_white_masks_read_as_ids_are_reported(write):
    folders = write(regions(0, 255), regions(255, 0))
    report = check(folders)
    assert only(report, "binary_masks") == "all ids are 0 or 255"
    assert "encoding='binary'" in str(report)
    assert (report.suggested_n_classes, report.suggested_ignore_class) == (2, None)
    read = check(folders, encoding="binary")
    assert read.problems == ()
    assert [row.id for row in read.classes] == [0, 1]


def test_gray_in_a_binary_mask_is_an_error(write):
    report = check(write(regions(0, 0, 128, 255)), encoding="binary")
    message = only(report, "not_binary")
    assert message.startswith("other values than 0 and 255: 0 in 384 pixels")


def test_masks_of_a_single_class_are_reported(write):
    folders = write(regions(0), regions(1), regions(255), regions(0, 255), regions(0, 1))
    report = check(folders, n_classes=3, ignore_class=255, classes=TABLE)
    found = {(problem.kind, problem.message) for problem in report.problems}
    assert found == {
        ("empty_mask", "only id 0 (sky)"),
        ("empty_mask", "every pixel is ignored"),
        ("single_class", "only id 1 (road)"),
        ("absent_class", "no pixel of car"),
    }
    assert report.ok


@pytest.mark.parametrize(
    ("ids", "options", "ignored", "n_classes"),
    [
        ((0, 1, 2, 255), {}, 255, 3),
        ((0, 1, 33, 255), {}, 255, 34),
        ((0, 1, 2, 200), {}, 200, 3),
        ((0, 7, 22), {}, None, 23),
        ((0, 1, 254, 255), {}, 255, 2),
        ((0, 1, 253, 254, 255), {}, None, 256),
        ((1, 255), {}, 255, 2),
        ((0, 1, 2, 254, 255), {"n_classes": 3}, 255, 3),
        ((0, 1, 2, 9), {"n_classes": 3, "encoding": "max_channel"}, None, 10),
        ((0, 1, 2, 3), {"n_classes": 3}, 3, 3),
        ((0, 1, 2, 9), {"n_classes": 3}, None, 10),
        ((0, 1, 2, 9, 255), {"n_classes": 10}, 255, 10),
        ((0, 1, 2, 7, 9), {"n_classes": 3}, None, 10),
        ((0, 1, 2, 255), {"ignore_class": 255}, None, 3),
        ((0, 1, 255), {"classes": TABLE}, 255, 3),
    ],
)
def test_ignored_id_and_number_of_classes_are_suggested(write, ids, options, ignored, n_classes):
    report = check(write(regions(*ids)), **options)
    assert (report.suggested_ignore_class, report.suggested_n_classes) == (ignored, n_classes)


@pytest.mark.parametrize("options", [{}, {"n_classes": 3}, {"encoding": "binary"}])
def test_a_mask_has_an_error_exactly_where_reading_raises(write, options):
    folders = write(
        regions(0, 1),
        regions(0, 255),
        regions(0, 1, 7),
        regions(0, 1).astype(bool),
        regions(0, 300, dtype=np.uint16),
        unetv2.visualization.colorize(regions(0, 1, 2), TABLE),
        np.repeat(regions(0, 1)[..., None], 3, axis=2),
        regions(0, 1, size=(24, 30)),
    )
    pairs = find_pairs(*folders)
    labels = Labels(**options).with_format_of([pair.mask for pair in pairs], 10_000)
    refused = set()
    for pair in pairs:
        try:
            read_pair(pair, labels)
        except ValueError:
            refused.add(pair.mask)
    problems = check(folders, **options).problems
    assert {problem.mask for problem in problems if problem.severity == "error"} == refused
