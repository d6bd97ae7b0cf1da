"""Unicode forms of names, unsupported formats, and nested folders."""

from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import save
from label_files import find_pairs
from test_pairs import touch

import unetv2
from unetv2.data.dataset import check_dataset
from unetv2.data.naming import propose
from unetv2.data.pairs import split_pairs
from unetv2.data.sources.folders import match_images


def form(name, text):
    return unicodedata.normalize(name, text)


def problems(*folders, **options):
    return check_dataset(*folders, progress=False, **options).problems


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_names_are_equal_in_every_unicode_form(tmp_path, forms):
    image, mask = (form(one, "Größe/café_") for one in forms)
    for side, name, suffix in (("i", image, form(forms[1], "ä")), ("m", mask, "")):
        path = tmp_path / side / f"{name}{suffix}.png"
        touch(path.parent, path.name)
    (pair,) = find_pairs(tmp_path / "i", tmp_path / "m", image_suffix="ä")
    assert pair.key == form("NFC", "Größe/café_")
    assert Path(pair.image).exists()
    assert Path(pair.mask).exists()


def test_the_split_does_not_depend_on_the_unicode_form(tmp_path):
    keys = []
    for one in ("NFC", "NFD"):
        names = [form(one, f"café{number}.png") for number in range(40)]
        folders = [touch(tmp_path / one / side, *names) for side in "im"]
        keys.append([pair.key for pair in split_pairs(find_pairs(*folders), "train")])
    assert keys[0] == keys[1]


def test_the_same_name_in_two_unicode_forms_is_an_error(tmp_path):
    names = {form(one, "café.png") for one in ("NFC", "NFD")}
    images = touch(tmp_path / "i", *names)
    if len(list(images.iterdir())) < 2:
        pytest.skip("the file system normalizes Unicode names")
    masks = touch(tmp_path / "m", "café.png")
    with pytest.raises(ValueError, match="`image_dir` .*Unicode's form only"):
        find_pairs(images, masks)


@pytest.fixture
def unread(tmp_path):
    """Pairs with images, masks or both in unsupported formats."""
    for side, names in (
        ("i", ("a.png", "b.ppm", "c.jp2", "d.png", "notes.txt", "README.md", "e.HEIC", "f.heic")),
        ("m", ("a.png", "b.pgm", "c.png", "d.json")),
    ):
        touch(tmp_path / side, *(name for name in names if not name.endswith(".png")))
        for name in names:
            if name.endswith(".png"):
                save(np.zeros((4, 4), np.uint8), tmp_path / side / name)
    return tmp_path / "i", tmp_path / "m"


def test_files_of_unsupported_formats_are_reported(unread):
    found = {(problem.kind, problem.message) for problem in problems(*unread, n_classes=2)}
    count = "4 files (2 .heic, 1 .jp2, 1 .ppm) among the images, such as '"
    assert any(kind == "unsupported_files" and message.startswith(count) for kind, message in found)
    count = "2 files (1 .json, 1 .pgm) among the masks, such as '"
    assert any(kind == "unsupported_files" and message.startswith(count) for kind, message in found)
    assert ("missing_image", "the format of its image 'c.jp2' is not supported") in found
    assert ("missing_mask", "the format of its mask 'd.json' is not supported") in found


def test_partners_in_unsupported_formats_are_reported(unread):
    with pytest.raises(ValueError, match=r"without a mask.*'d\.png'.*'c\.jp2', 'd\.json'.*PNG"):
        find_pairs(*unread)


def test_ignored_files_are_logged(unread, caplog):
    for side, name in ((0, "d.png"), (1, "c.png")):
        (unread[side] / name).unlink()
    with caplog.at_level(logging.WARNING, "unetv2"):
        assert [pair.key for pair in find_pairs(*unread)] == ["a"]
    assert len(caplog.messages) == 2
    assert "4 files (2 .heic, 1 .jp2, 1 .ppm)" in caplog.messages[0]
    assert "2 files (1 .json, 1 .pgm)" in caplog.messages[1]


def test_a_folder_of_unsupported_formats_is_an_error_that_lists_them(tmp_path):
    images = touch(tmp_path / "i", "a.heic", "b.heic", "c")
    masks = touch(tmp_path / "m", "a.png")
    message = r"`image_dir` .*, but 3 files \(2 .heic, 1 without extension\)"
    with pytest.raises(ValueError, match=message):
        find_pairs(images, masks)


def test_predicting_a_folder_logs_ignored_files(tmp_path, caplog):
    images = touch(tmp_path / "i", "b.jp2")
    save(np.zeros((16, 16, 3), np.uint8), images / "a.png")
    model = unetv2.build_unetv2((16, 16, 3), 2, filters=1, depth=2)
    with caplog.at_level(logging.WARNING, "unetv2"):
        found = unetv2.predict_directory(model, images, tmp_path / "o", progress=False)
    assert len(found.written) == 1
    assert any("1 file (1 .jp2)" in message for message in caplog.messages)


@pytest.mark.parametrize("deep", ["masks", "labels/masks"])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_subfolder_of_the_other_folder_is_listed_separately(tmp_path, deep, swapped):
    outer = touch(tmp_path / "data", "a.png", "b.png")
    touch(outer / "more", "a.png")
    inner = touch(outer / deep, "a.png", "b.png")
    touch(inner / "more", "a.png")
    folders = (inner, outer) if swapped else (outer, inner)
    assert [pair.key for pair in find_pairs(*folders)] == ["a", "b", "more/a"]
    (tmp_path / "link").symlink_to(inner, target_is_directory=True)
    folders = [tmp_path / "link" if folder == inner else folder for folder in folders]
    assert len(find_pairs(*folders)) == 3


NUMBERS = [f"{number:02}" for number in range(21, 41)]
FRAMES = [f"aachen/aachen_{number:06}_000019" for number in range(20)]
SUFFIXES = {
    "DRIVE": ([f"{n}_training" for n in NUMBERS], [f"{n}_manual1" for n in NUMBERS]),
    "ISIC": ([f"ISIC_{n}" for n in NUMBERS], [f"ISIC_{n}_segmentation" for n in NUMBERS]),
    "Cityscapes": (
        [f"{name}_leftImg8bit" for name in FRAMES],
        [f"{name}_gtFine_{kind}" for name in FRAMES for kind in ("color", "labelIds")],
    ),
    "words": (["cat", "dog"], ["cat-mask", "dog-mask"]),
    "a letter shared": ([f"{n}_test" for n in NUMBERS], [f"{n}_truth" for n in NUMBERS]),
    "a space": (NUMBERS, [f"{n} " for n in NUMBERS]),
    "nearly all": ([*NUMBERS, "other"], [f"{n}_mask" for n in NUMBERS[:-1]]),
    "one": (["5"], ["5_L"]),
    "accents": (["é1", "é2"], [form("NFD", "é1_é"), form("NFD", "é2_é")]),
}


def write(tmp_path, images, masks):
    for side, names in (("i", images), ("m", masks)):
        for name in names:
            path = tmp_path / side / f"{name}.png"
            touch(path.parent, path.name)
    return tmp_path / "i", tmp_path / "m"


def keys(names):
    return dict.fromkeys(form("NFC", name) for name in names).keys()


@pytest.mark.parametrize("name", list(SUFFIXES))
def test_suffixes_that_pair_nearly_all_are_proposed(tmp_path, name):
    folders = write(tmp_path, *SUFFIXES[name])
    proposal = propose(*map(keys, SUFFIXES[name]))
    assert proposal.kind == "suffix"
    for mask_suffix in proposal.masks:
        options = {"image_suffix": proposal.image, "mask_suffix": mask_suffix}
        found = match_images(*folders, **options)
        assert len(found.pairs) == proposal.pairs >= 0.9 * len(found.images_alone + found.pairs)
        with pytest.raises(ValueError, match="Every image needs a mask") as error:
            find_pairs(*folders)
        for argument, value in options.items():
            assert (f"{argument}={value!r}" in str(error.value)) == bool(value)
    first = problems(*folders)[0]
    assert first.kind == "no_pairs"
    assert f"mask_suffix={proposal.masks[0]!r}" in first.message


@pytest.mark.parametrize("suffix", ["_image", "-image"])
def test_suffixes_are_proposed_for_a_common_folder(tmp_path, suffix):
    names = [f"{n}{end}.png" for n in NUMBERS for end in (suffix, "_mask")]
    both = touch(tmp_path / "both", *names)
    message = f"two of '{suffix}', '_mask', that of the images as `image_suffix`"
    with pytest.raises(ValueError, match=message):
        find_pairs(both, both)
    assert len(find_pairs(both, both, image_suffix=suffix, mask_suffix="_mask")) == 20


@pytest.mark.parametrize("side", ["image_suffix", "mask_suffix"])
def test_both_sides_of_a_suffix_are_proposed_for_a_common_folder(tmp_path, side):
    both = touch(tmp_path / "both", *(f"{n}{end}.png" for n in NUMBERS for end in ("", "_b")))
    with pytest.raises(ValueError, match=f"{side}='_b' if") as error:
        find_pairs(both, both)
    assert "pairs 20 images" in str(error.value)
    assert len(find_pairs(both, both, **{side: "_b"})) == 20


def test_a_different_suffix_is_proposed(tmp_path):
    folders = write(tmp_path, NUMBERS, [f"{n}_mask" for n in NUMBERS])
    with pytest.raises(ValueError, match="names end with '_label'.*Pass mask_suffix='_mask'"):
        find_pairs(*folders, mask_suffix="_label")
    folders = write(tmp_path / "b", NUMBERS, [f"{n}_gt_ids" for n in NUMBERS])
    with pytest.raises(ValueError, match="Pass mask_suffix='_gt_ids'"):
        find_pairs(*folders, mask_suffix="_ids")
    with pytest.raises(ValueError, match="Pass mask_suffix='_gt_ids'"):
        find_pairs(*folders, mask_suffix="s")


def test_exchanged_folders_are_detected_by_their_suffixes(tmp_path):
    images, masks = write(tmp_path, *SUFFIXES["DRIVE"])
    options = {"image_suffix": "_training", "mask_suffix": "_manual1"}
    assert len(find_pairs(images, masks, **options)) == 20
    with pytest.raises(ValueError, match="`image_dir` .*exchanged"):
        find_pairs(masks, images, **options)


RENAMES = {
    "prefixes": ([f"img_{n}" for n in NUMBERS], [f"mask_{n}" for n in NUMBERS]),
    "a prefix": ([f"a/{n}" for n in NUMBERS], [f"a/mask_{n}" for n in NUMBERS]),
    "a word within": ([f"{n}_img_{n}" for n in NUMBERS], [f"{n}_mask_{n}" for n in NUMBERS]),
    "two words": ([f"img_{n}_left" for n in NUMBERS], [f"mask_{n}_ids" for n in NUMBERS]),
    "folders": ([f"{n}/rgb/0" for n in NUMBERS], [f"{n}/masks/0" for n in NUMBERS]),
    "case": ([f"Frame{n}" for n in NUMBERS], [f"frame{n}" for n in NUMBERS]),
}


@pytest.mark.parametrize("name", list(RENAMES))
def test_other_differences_that_pair_all_are_proposed(tmp_path, name):
    images, masks = RENAMES[name]
    proposal = propose(*map(keys, RENAMES[name]))
    with pytest.raises(ValueError, match="which pairs 20 images") as error:
        find_pairs(*write(tmp_path / "before", images, masks))
    assert proposal.advice() in str(error.value)
    if proposal.kind == "prefix":
        images = [Path(x).with_name(Path(x).name.removeprefix(proposal.image)) for x in images]
        masks = [Path(x).with_name(Path(x).name.removeprefix(proposal.masks[0])) for x in masks]
    elif proposal.kind == "case":
        images, masks = ([x.lower() for x in names] for names in (images, masks))
    else:
        assert (proposal.image, proposal.masks[0]) in zip(images, masks, strict=True)
        return
    assert len(find_pairs(*write(tmp_path / "after", images, masks))) == 20


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (range(101, 110), range(201, 210)),
        ([f"a_{n}" for n in range(101, 110)], [f"b_{n}" for n in range(201, 210)]),
        ([f"video{n}_1" for n in NUMBERS], [f"video{n}_2" for n in NUMBERS]),
        (["cat", "dog"], ["tree", "car"]),
        ([], ["a"]),
    ],
)
def test_other_frames_are_never_proposed_as_partners(images, masks):
    assert propose(keys(map(str, images)), keys(map(str, masks))) is None


def test_nothing_is_proposed_if_most_files_have_partners(tmp_path):
    folders = write(tmp_path, [*NUMBERS, "a"], [*NUMBERS, "a_mask"])
    assert match_images(*folders).advice == ""


def test_a_name_may_be_any_bytes(tmp_path):
    name = os.fsdecode(b"\xff\xc3\xa9")
    try:
        folders = write(tmp_path, [name], [name])
    except (OSError, ValueError):
        pytest.skip("the file system does not accept this name")
    assert [pair.key for pair in find_pairs(*folders)] == [name]
