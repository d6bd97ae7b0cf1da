"""Findings of the validation in .npy files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from checked_folders import SIZE, TABLE, check, only, regions
from label_files import find_pairs, read_pair
from PIL import Image

import unetv2
from unetv2.data.labels import Labels


def write_arrays(directory, images, masks):
    for name, arrays in (("images", images), ("masks", masks)):
        (directory / name).mkdir()
        for number, array in enumerate(arrays):
            np.save(directory / name / f"{number}.npy", array)
    return directory / "images", directory / "masks"


def bands(n, channels=5, dtype=np.uint8):
    shape = (*SIZE, channels)
    return [
        np.random.default_rng(number).integers(0, 200 + 9 * number, shape).astype(dtype)
        for number in range(n)
    ]


def test_arrays_have_statistics_of_each_channel(tmp_path):
    images = bands(3)
    report = check(write_arrays(tmp_path, images, [regions(0, 1, 2)] * 3), channels=5)
    assert report.problems == ()
    pixels = np.concatenate(images).reshape(-1, 5) / 255
    np.testing.assert_allclose(report.mean, pixels.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(report.std, pixels.std(axis=0), rtol=1e-4)
    assert report.image_formats == {"NPY uint8 x 5": 3}
    assert report.mask_formats == {"NPY uint8": 3}
    assert report.image_sizes == {"24x32": 3}
    assert json.loads(report.to_json())["mean"] == list(report.mean)
    assert str(report).count(f"{report.mean[4]:.3f}") >= 1


def test_sixteen_bit_arrays_are_scaled_by_their_range(tmp_path):
    images = [image.astype(np.uint16) * 257 for image in bands(2)]
    report = check(write_arrays(tmp_path, images, [regions(0, 1)] * 2), channels=5)
    pixels = np.concatenate(images).reshape(-1, 5) / 65535
    np.testing.assert_allclose(report.mean, pixels.mean(axis=0), rtol=1e-5)
    assert report.image_formats == {"NPY uint16 x 5": 2}


def test_problems_of_arrays_are_reported_and_the_rest_is_checked(tmp_path):
    images = [*bands(6), bands(1)[0]]
    images[1] = images[1][..., :4]
    images[2] = images[2].astype(np.float32)
    images[3][:] = 7
    masks = [regions(0, 1)] * 4 + [regions(0, 1).astype(float), np.zeros((*SIZE, 3), np.uint8)]
    folders = write_arrays(tmp_path, images, [*masks, regions(0, 9)])
    (folders[0] / "0.npy").rename(folders[0] / "7.npy")
    (folders[1] / "0.npy").rename(folders[1] / "7.npy")
    (folders[0] / "8.npy").write_bytes(b"")
    np.save(folders[1] / "8.npy", regions(0, 1))
    report = check(folders, channels=5, n_classes=3, split=(1, 0, 0))
    found = [(problem.kind, problem.path.rsplit("/", 1)[1][:1]) for problem in report.problems
             if problem.path]  # fmt: skip
    assert found == [
        ("unreadable_image", "1"), ("unreadable_image", "2"), ("unreadable_image", "8"),
        ("unreadable_mask", "4"), ("unreadable_mask", "5"), ("out_of_range", "6"),
        ("contradiction", "7"), ("duplicate", "7"), ("blank_image", "3"),
    ]  # fmt: skip
    messages = [problem.message for problem in report.problems]
    assert "Pass channels=4" in messages[0]
    assert "must be uint8 or uint16. Received: float32 in '2.npy'" in messages[1]
    assert "'8.npy' must be a NumPy array. Received: 0 bytes" in messages[2]
    assert "must be of integers or bool" in messages[3]
    assert "Pass encoding='colors' with `classes`" in messages[4]


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (2, np.uint16), (5, np.uint16)])
def test_arrays_are_drawn_by_three_channels_or_one(tmp_path, channels, dtype):
    images = bands(2, channels, dtype)
    scale = 256 if dtype == np.uint16 else 1
    images = [image * dtype(scale) for image in images]
    output = tmp_path / "report"
    folders = write_arrays(tmp_path, images, [regions(0, 7)] * 2)
    check(folders, channels=channels, n_classes=3, output=output)
    with Image.open(next((output / "worst").glob("*_0.png"))) as picture:
        drawn = np.asarray(picture)[:, : SIZE[1]]
    shown = [0, 1, 2] if channels == 5 else [0, 0, 0]
    np.testing.assert_array_equal(drawn, images[0][..., shown] // scale)


def test_masks_of_colors_in_arrays_are_read_and_drawn(tmp_path):
    colors = unetv2.visualization.colorize(regions(0, 1, 2), TABLE)
    wrong = np.where(colors == 200, 7, colors).astype(np.uint8)
    folders = write_arrays(tmp_path, bands(2, 3), [colors, wrong])
    report = check(folders, encoding="colors", classes=TABLE, output=tmp_path / "report")
    assert only(report, "unknown_colors").startswith("colors outside the table: (0, 0, 7)")
    assert len(list((tmp_path / "report" / "worst").iterdir())) == 1


@pytest.mark.parametrize(
    "options", [{"n_classes": 3, "ignore_class": -1}, {"encoding": "colors", "classes": TABLE}]
)
def test_a_masks_array_has_an_error_exactly_where_reading_raises(tmp_path, options):
    masks = [
        regions(0, 1),
        regions(0, 1)[..., None],
        regions(0, -1, dtype=np.int64),
        regions(0, 1).astype(bool),
        regions(0, 5, dtype=np.uint32),
        regions(0, 2**40, dtype=np.int64),
        regions(0, 1).astype(np.float32),
        np.eye(3, dtype=np.uint8)[regions(0, 1, 2)],
        np.eye(5, dtype=np.uint8)[regions(0, 1, 2)],
        unetv2.visualization.colorize(regions(0, 1, 2), TABLE),
        unetv2.visualization.colorize(regions(0, 1, 2), TABLE).astype(np.int16),
    ]
    folders = write_arrays(tmp_path, bands(len(masks)), masks)
    labels = Labels(**options)
    refused = set()
    for pair in find_pairs(*folders):
        try:
            read_pair(pair, labels, channels=5)
        except ValueError:
            refused.add(pair.mask)
    problems = check(folders, channels=5, **options).problems
    assert {problem.mask for problem in problems if problem.severity == "error"} == refused
    assert 0 < len(refused) < len(masks)
