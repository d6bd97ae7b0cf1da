"""Advice and suggested options of the validation."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
from checked_folders import SIZE, TABLE, check, kinds, only, regions
from conftest import png
from PIL import Image

import unetv2
from unetv2.cli import main
from unetv2.data.labels import (
    ENCODINGS,
    Labels,
    advice_for,
    are_instance_ids,
    resolve_labels,
    unlabeled_ids,
)

IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


def painted(ids, color=(1, 1, 1)):
    return regions(*ids)[..., np.newaxis] * np.array(color, np.uint8)


def boundary():
    mask = regions(0)
    mask[4:20, 4:28], mask[5:19, 5:27], mask[6:18, 6:26] = 254, 255, 1
    return mask


# Masks that can be read, of which more is to be said.
SETS = {
    "classes": [regions(0, 1, 2), regions(0, 2)],
    "ignored": [regions(0, 1, 255), regions(1, 0)],
    "one class, ignored": [regions(1, 255)],
    "boundary": [boundary(), regions(0, 1, 255)],
    "boundary of 16 bits": [regions(0, 1, 65_534, 65_535, dtype=np.uint16)],
    "far": [regions(0, 1, 2, 200)],
    "black and white": [regions(0, 255), regions(255, 0)],
    "black and white of 16 bits": [regions(0, 65_535, dtype=np.uint16)],
    "black and white as RGB": [painted((0, 1), (255, 255, 255))],
    "CARLA": [painted((0, 7, 22), (1, 0, 0)), painted((0, 7), (1, 0, 0))],
    "CARLA, ignored": [painted((0, 7, 22, 255), (1, 0, 0))],
    "blue": [painted((0, 7, 22), (0, 0, 1))],
}


def typed(text):
    """The options that the command suggests."""
    (line,) = [line for line in text.splitlines() if line.startswith("suggested:")]
    return shlex.split(line.removeprefix("suggested:"))


@pytest.mark.parametrize("name", list(SETS))
def test_suggested_options_work(write, capsys, name):
    folders = write(*SETS[name])
    report = check(folders)
    assert report.ok, str(report)
    assert report.suggested
    followed = check(folders, **report.suggested)
    allowed = {"absent_class", *(["single_class"] if name == "one class, ignored" else [])}
    assert {problem.kind for problem in followed.problems} <= allowed, str(followed)
    data = unetv2.make_dataset(*folders, image_size=(6, 8), **report.suggested)
    ignored = report.suggested_ignore_class
    found = np.unique([mask for _, masks in data for mask in masks.numpy()])
    assert {*found} <= {*range(report.suggested_n_classes), ignored}
    # The same on the command line.
    arguments = ["check", *map(str, folders), "--quiet"]
    assert main(arguments) == 0
    assert main([*arguments, *typed(capsys.readouterr().out)]) == 0


def test_negative_ids_are_suggested_to_be_ignored(write):
    folders = write(regions(0, 1))
    (folders[1] / "0.png").unlink()
    np.save(folders[1] / "0.npy", regions(0, 1, -1, -2, dtype=np.int16))
    report = check(folders)
    expected = {"n_classes": 2, "ignore_class": -1, "label_map": {-2: -1, -1: -1}}
    assert report.suggested == expected
    assert check(folders, **report.suggested).ok
    with pytest.raises(ValueError, match=r"ignore_class=-1 and label_map=\{-2: -1, -1: -1\}"):
        Labels(n_classes=2).read(str(folders[1] / "0.npy"), 10_000)


COLORS = {
    "one a file": [(255, 0, 0), (0, 255, 0), (0, 255, 255)],
    "red and white": [(255, 0, 0), (255, 255, 255)],
    "two channels alone": [(200, 0, 0), (0, 0, 200)],
    "one": [(255, 0, 0)],
    "one, dark": [(128, 0, 0)],
}


@pytest.mark.parametrize("palette", [False, True])
@pytest.mark.parametrize("name", list(COLORS))
def test_colors_are_not_suggested_as_binary_or_ignored(write, name, palette):
    folders = write(*[painted((0, 1), color) for color in COLORS[name]])
    if palette:
        for path in folders[1].iterdir():
            Image.open(path).quantize().save(path)
    report = check(folders)
    if palette and len(COLORS[name]) == 1:
        # Indices of one palette: black and the color, whichever comes first.
        assert report.suggested == {"n_classes": 2}
        return
    assert {*kinds(report)} <= {"colors_for_ids", "mixed_masks"}
    assert report.suggested == {}
    assert "binary" not in str(report)
    assert "ignore_class" not in str(report)
    assert kinds(check(folders, encoding="binary"))[0] == "not_binary"
    # The advice is a table of the colors found.
    assert "encoding='colors' with `classes`" in str(report)
    found = {color for color, _ in report.colors} | {(0, 0, 0)} | {*COLORS[name]}
    table = unetv2.ClassTable(tuple(map(str, range(len(found)))), tuple(sorted(found)))
    assert palette or {color for color, _ in report.colors} == found
    assert check(folders, encoding="colors", classes=table).ok


@pytest.mark.parametrize("color", [(255, 0, 0), (0, 255, 0)])
def test_advice_on_a_color_out_of_range_is_not_binary(write, color):
    with pytest.raises(ValueError, match=r"Received: 255 .*encoding='colors'") as caught:
        unetv2.make_dataset(*write(painted((0, 1), color)), n_classes=2, image_size=(6, 8))
    assert "binary" not in str(caught.value)
    assert "ignore_class" not in str(caught.value)


@pytest.mark.parametrize(
    ("foreign", "found", "n_classes", "advice"),
    [
        ([255], [0, 255], 2, "encoding='binary'"),
        ([255], [0, 255], 3, "Pass ignore_class=255 for unlabeled pixels."),
        ([255], [0, 1, 2, 255], 3, "Pass ignore_class=255 for unlabeled pixels."),
        ([254, 255], [0, 1, 254, 255], 2, "label_map={254: 255, 255: 255}"),
        ([254], [0, 1, 254], 2, "Raise `n_classes`"),
        ([-1], [-1, 0, 1], 2, "Pass ignore_class=-1 for unlabeled pixels."),
        ([3, 255], [0, 3, 255], 3, "Raise `n_classes`"),
        ([24_000, 26_012], [0, 7, 24_000, 26_012], 19, "number instances"),
    ],
)
def test_ids_out_of_range_get_suitable_advice(foreign, found, n_classes, advice):
    assert advice in advice_for(foreign, found, n_classes, gray=True)


@pytest.mark.parametrize(
    ("ids", "ignored", "label_map"),
    [
        ((0, 1, 2, 254, 255), 255, {254: 255, 255: 255}),
        ((0, 1, 2, 254), 255, {254: 255, 255: 255}),
        ((0, 1, 2, 255), 0, {0: 0, 255: 0}),
        ((-1, 0, 1, 2), 255, {-1: 255, 255: 255}),
    ],
)
def test_advice_on_additional_unlabeled_ids_works(tmp_path, ids, ignored, label_map):
    folders = tmp_path / "images", tmp_path / "masks"
    for folder, pixels in zip(folders, (IMAGE, regions(*ids, dtype=np.int16)), strict=True):
        folder.mkdir()
        np.save(folder / "0.npy", pixels)
    options = {"n_classes": 3, "ignore_class": ignored}
    with pytest.raises(ValueError, match="for unlabeled pixels") as caught:
        unetv2.make_dataset(*folders, **options, image_size=(6, 8))
    assert f"Pass label_map={label_map} for unlabeled pixels." in str(caught.value)
    report = check(folders, ignore_class=ignored)
    assert report.suggested == {"n_classes": 3, "label_map": label_map}
    unetv2.make_dataset(*folders, **options, label_map=label_map, image_size=(6, 8))
    assert check(folders, **options, label_map=label_map).ok


def test_cityscapes_instance_ids_are_recognized(write):
    ids = (0, 7, 11, 24_000, 24_001, 26_000, 26_012)
    report = check(write(regions(*ids, dtype=np.uint16)))
    assert only(report, "instance_ids") == "7 ids, up to 26012"
    assert "_labelIds" in str(report)
    assert report.suggested == {}
    assert are_instance_ids(ids)
    assert not are_instance_ids(range(3_000))
    assert not are_instance_ids([0, 1, 65_535])


def test_coco_instance_colors_are_recognized(write):
    # As panoptic masks: id = red + 256 green + 65536 blue, other ids in each file.
    rng = np.random.default_rng(0)
    masks = [
        rng.integers(1, 256, (64, 3), np.uint8)[np.arange(24 * 32).reshape(SIZE) // 12]
        for _ in range(5)
    ]
    report = check(write(*masks))
    assert {*kinds(report)} >= {"colors_for_ids", "instance_ids"}
    assert report.suggested == {}


def test_boundary_ids_next_to_void_are_not_antialiasing(write):
    assert "antialiased" not in kinds(check(write(boundary())))
    assert unlabeled_ids([0, 1, 254, 255]) == (255, 254)
    assert unlabeled_ids([0, 1, 253, 254, 255]) == ()


@pytest.mark.parametrize(
    "label_map", [{7: 0, 8: 1}, {7: 255, 8: 0, 0: 0}, {7: 1, 8: 0, 5: 0}], ids=str
)
def test_a_target_of_label_map_must_be_in_it(write, label_map):
    targets = {*label_map.values()} - label_map.keys()
    mask = regions(7, 8, 0, 255)
    folders = write(mask)
    options = {"n_classes": 2, "ignore_class": 255, "label_map": label_map}
    (target,) = targets & {*mask.ravel().tolist()}
    report = check(folders, **options)
    message = f"id {target}, which `label_map` maps others to, is not in it"
    assert only(report, "label_map_collision").startswith(message)
    with pytest.raises(ValueError, match=f"Received: {target} in .*Add {target}: {target} to"):
        unetv2.make_dataset(*folders, image_size=(6, 8), **options)
    options["label_map"] = {**label_map, target: target}
    assert check(folders, **options).ok
    unetv2.make_dataset(*folders, image_size=(6, 8), **options)


def test_cityscapes_train_ids_are_not_mapped_twice(write):
    # _labelTrainIds instead of _labelIds: 0 is the road there, and 255 is ignored.
    folders = write(regions(0, 1, 18, 255))
    report = check(folders, classes=unetv2.CITYSCAPES)
    assert only(report, "label_map_collision").startswith("id 255,")
    with pytest.raises(ValueError, match=r"pass label_map=\{0: 0\}"):
        unetv2.make_dataset(*folders, classes=unetv2.CITYSCAPES, image_size=(6, 8))
    followed = check(folders, classes=unetv2.CITYSCAPES, label_map={0: 0})
    assert followed.ok
    assert [row.id for row in followed.classes] == [0, 1, 18, 255]


def test_binary_masks_have_two_classes(write):
    folders = write(regions(0, 255))
    data = unetv2.make_dataset(*folders, encoding="binary", image_size=(6, 8))
    assert np.unique(next(iter(data))[1]).tolist() == [0, 1]
    assert resolve_labels(None, None, None, "binary", None).n_classes == 2
    assert check(folders, encoding="binary").labels.n_classes == 2
    for options in ({"n_classes": 3}, {"classes": TABLE}):
        for call in (unetv2.make_dataset, unetv2.check_dataset):
            with pytest.raises(ValueError, match="`encoding` .*encoding='binary' and .*=3"):
                call(*folders, encoding="binary", **options)


def test_every_encoding_refuses_wrong_masks_with_their_path(write):
    folders = write(painted((0, 1), (9, 200, 7)))
    (folders[1] / "0.png").write_bytes(png(painted((0, 1), (9, 200, 7)), 8))
    for encoding in ENCODINGS:
        options = {"classes": TABLE} if encoding == "colors" else {"n_classes": 2}
        with pytest.raises(ValueError, match="0.png"):
            unetv2.make_dataset(*folders, encoding=encoding, image_size=(6, 8), **options)
