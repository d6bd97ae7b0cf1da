"""Inference of the options of two folders."""

from __future__ import annotations

import json

import numpy as np
import pytest
from checked_folders import regions
from conftest import save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import unetv2
from unetv2.cli import main
from unetv2.data.inspection import infer_options
from unetv2.data.labels import consecutive_ids

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def infer(folders, **options):
    return unetv2.SegmentationDataset.from_folders(*folders, **options)


def painted(*colors):
    """A mask of upright bands of colors."""
    return np.array(colors, np.uint8)[regions(*range(len(colors)))]


def found(data):
    """The options that describe the labels."""
    known = data.preprocessing
    return known.encoding, data.n_classes, data.ignore_class, dict(known.label_map or ())


def ids(data):
    """All class ids of the data set, read by it."""
    return {int(number) for pair in data.pairs for number in np.unique(data.read_mask(pair))}


DETERMINED = {
    "ids": ([regions(0, 1, 2), regions(0, 2)], ("ids", 3, None, {})),
    "rare id": ([regions(0, 1)] * 5 + [regions(0, 7)], ("ids", 8, None, {})),
    "zero and one": ([regions(0, 1), regions(0)], ("ids", 2, None, {})),
    "bool": ([regions(0, 1).astype(bool)], ("ids", 2, None, {})),
    "void of 255": ([regions(0, 1, 255), regions(1, 2)], ("ids", 3, 255, {})),
    "boundary": ([regions(0, 1, 254, 255)], ("ids", 2, 255, {254: 255, 255: 255})),
    "void of 65535": ([regions(0, 1, 65_535, dtype=np.uint16)], ("ids", 2, 65_535, {})),
    "black and white": ([regions(0, 255), regions(0), regions(255)], ("binary", 2, None, {})),
    "white of 16 bits": ([regions(0, 65_535, dtype=np.uint16)], ("binary", 2, None, {})),
    "1 bit and 8 bits": ([regions(0, 1).astype(bool), regions(0, 255)], ("binary", 2, None, {})),
    "black and white as RGB": ([painted((0,) * 3, (255,) * 3)], ("binary", 2, None, {})),
    "gray values": ([regions(0, 50), regions(100, 150)], ("ids", 4, None, {50: 1, 100: 2, 150: 3})),
    "two gray values": ([regions(0, 128)], ("ids", 2, None, {128: 1})),
    "up to white": ([regions(0, 85, 170, 255)], ("ids", 4, None, {85: 1, 170: 2, 255: 3})),
    "gray values and void": ([regions(0, 20, 40, 255)], ("ids", 3, 255, {20: 1, 40: 2})),
    "in red": ([painted((0, 0, 0), (7, 0, 0), (22, 0, 0))], ("ids", 23, None, {})),
    "two colors": ([painted((0, 0, 0), (255, 0, 0))], ("colors", 2, None, {})),
    "a color each": (
        [painted((0, 0, 0), (255, 0, 0)), painted((0, 255, 0), (0, 0, 0))],
        ("colors", 3, None, {}),
    ),
    "gray and colors": (
        [painted((9, 9, 9), (9, 9, 9)), painted((255, 0, 0))],
        ("colors", 2, None, {}),
    ),
}


@pytest.mark.parametrize("name", list(DETERMINED))
def test_labels_are_inferred(write, name):
    masks, expected = DETERMINED[name]
    data = infer(write(*masks))
    assert found(data) == expected
    _, n_classes, ignored, _ = expected
    assert ids(data) <= {*range(n_classes), ignored}
    assert data.check(progress=False).ok
    assert {"encoding", "n_classes", "channels"} <= {*data.inferred}
    assert ("ignore_class" in data.inferred) == (ignored is not None)
    # All options given: the same data set, and nothing to infer.
    known = data.preprocessing
    again = infer(
        (data.source.image_dir, data.source.mask_dir),
        n_classes=data.n_classes, ignore_class=ignored, classes=data.classes,
        encoding=known.encoding, label_map=dict(known.label_map or ()), channels=known.channels,
        image_suffix="", mask_suffix="",
    )  # fmt: skip
    assert again.inferred == ()
    assert again.source.labels == data.source.labels


@pytest.mark.parametrize("name", list(DETERMINED))
def test_the_report_does_not_contradict_the_inference(write, name):
    masks, (encoding, n_classes, ignored, label_map) = DETERMINED[name]
    folders = write(*masks)
    suggested = unetv2.check_dataset(*folders, progress=False).suggested
    if encoding == "colors" or not suggested:
        return
    assert suggested.get("encoding", "ids") == encoding
    assert suggested["n_classes"] == n_classes
    assert suggested.get("ignore_class") == ignored
    assert suggested.get("label_map", {}) == label_map


# Arguments that a message lists.
AMBIGUOUS = {
    "binary and ids": ([regions(0, 255), regions(0, 1)], "ignore_class=255"),
    "void or a class": ([regions(0, 128, 255)], "label_map={128: 1, 255: 2}"),
    "far": ([regions(0, 1, 2, 200)], "ignore_class=200"),
    "gaps": ([regions(0, 1, 130, 131)], "label_map={130: 2, 131: 3}"),
    "instances": ([regions(0, 24_001, 26_003, dtype=np.uint16)], "number instances"),
    "numbered instances": ([regions(*range(n)) for n in (3, 5, 9, 32)], "number instances"),
    "a gray image": ([np.arange(24 * 32).reshape(24, 32) % 251], "gray values of images"),
    "one class": ([regions(0), regions(0)], "a single class"),
}


@pytest.mark.parametrize("name", list(AMBIGUOUS))
def test_ambiguous_ids_are_refused_with_the_choices(write, name):
    masks, advice = AMBIGUOUS[name]
    folders = write(*[mask.astype(np.uint16 if mask.max() > 255 else np.uint8) for mask in masks])
    with pytest.raises(ValueError, match=r"`(n_classes|ignore_class)` .* Received: ") as caught:
        infer(folders)
    assert advice in str(caught.value)
    assert ".png" in str(caught.value)
    # A choice is accepted.
    assert infer(folders, n_classes=30_000).n_classes == 30_000


def smoothed(mask):
    image = Image.fromarray(mask)
    return np.asarray(image.resize((64, 48), Image.Resampling.BILINEAR))


def test_smoothed_masks_are_refused(write):
    binary = smoothed((NOISE[..., 0] > 128) * np.uint8(255))
    with pytest.raises(ValueError, match=r"`n_classes` .* smoothed edges"):
        infer(write(binary, images=[np.resize(NOISE, (48, 64, 3))]))


def test_smoothed_colors_are_refused(write):
    colors = smoothed(painted(*[(0, 0, 0), (255, 0, 60), (0, 255, 0)] * 4))
    with pytest.raises(
        ValueError, match=r"`classes` .* Received: .*\d+ colors, with smoothed edges"
    ):
        infer(write(colors, images=[np.resize(NOISE, (48, 64, 3))]))


def test_too_many_colors_are_refused(write):
    with pytest.raises(ValueError, match="`classes` .* more than 64 colors, too many for classes"):
        infer(write(NOISE))


def test_lossy_masks_are_refused(write):
    images, masks = write(regions(0, 1))
    save(NOISE, masks / "0.jpg")
    (masks / "0.png").unlink()
    with pytest.raises(ValueError, match="losslessly: JPEG .*0.jpg"):
        infer((images, masks))


def test_colors_make_a_table_in_a_fixed_order(write):
    first, second, third = (200, 30, 30), (0, 0, 0), (30, 60, 200)
    data = infer(write(painted(first, second), painted(third, second)))
    assert data.classes.colors == (second, third, first)
    assert data.classes.names == ("#000000", "#1e3cc8", "#c81e1e")
    np.testing.assert_array_equal(data.read_mask(data.pairs[0]), regions(2, 0))


@pytest.mark.parametrize("name", ["CAMVID", "CARLA", "CITYSCAPES", "PASCAL_VOC"])
def test_built_in_tables_are_recognized_by_their_colors(write, name):
    table = getattr(unetv2, name)
    data = infer(write(painted(*table.colors[:8]), painted(*table.colors[8:16])))
    assert data.classes == table
    assert data.n_classes == len(table)


def test_few_colors_of_a_table_do_not_make_it(write):
    data = infer(write(painted((0, 0, 0), unetv2.PASCAL_VOC.colors[15])))
    assert data.n_classes == 2


def test_a_palette_of_a_built_in_table_names_the_classes(write):
    images, masks = write(regions(0, 15, 255), regions(0, 1))
    for path in masks.iterdir():
        image = Image.open(path)
        image.load()
        indexed = Image.fromarray(np.asarray(image), "L").convert("P")
        indexed.putdata(list(np.asarray(image).ravel()))
        palette = [*unetv2.PASCAL_VOC.colors, *[(0, 0, 0)] * 234, (224, 224, 192)]
        indexed.putpalette([part for color in palette for part in color])
        indexed.save(path)
    data = infer((images, masks))
    assert (data.preprocessing.encoding, data.classes) == ("ids", unetv2.PASCAL_VOC)
    assert ids(data) == {0, 1, 15, 255}


def test_different_palettes_are_read_as_colors(write):
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images, masks = write(*[painted((0, 0, 0), color, colors[0]) for color in colors[1:]])
    for path in masks.iterdir():
        Image.open(path).quantize().save(path)
    data = infer((images, masks))
    assert data.preprocessing.encoding == "colors"
    assert ids(data) == {0, 1, 2, 3}


def test_arrays_of_colors_are_inferred(write):
    images, masks = write(regions(0))
    (masks / "0.png").unlink()
    np.save(masks / "0.npy", painted((0, 0, 0), (0, 128, 0)))
    assert found(infer((images, masks))) == ("colors", 2, None, {})


GRAY = np.repeat(NOISE[..., :1], 3, axis=2)


@pytest.mark.parametrize(
    ("images", "channels"),
    [
        ([NOISE, NOISE], 3),
        ([GRAY, GRAY], 1),
        ([GRAY[..., 0], GRAY[..., 0]], 1),
        ([GRAY, NOISE], 3),
        ([GRAY[..., 0].astype(np.uint16)] * 2, 1),
    ],
)
def test_channels_are_1_where_all_images_are_gray(write, images, channels):
    data = infer(write(regions(0, 1), regions(0, 2), images=images))
    assert data.preprocessing.channels == channels
    assert next(iter(data.batches(cache=None)))[0].shape[-1] == channels


@pytest.mark.parametrize("shape", [(24, 32, 5), (24, 32)])
def test_arrays_keep_their_channels(write, shape):
    images, masks = write(regions(0, 1))
    (images / "0.png").unlink()
    np.save(images / "0.npy", np.zeros(shape, np.uint8))
    assert infer((images, masks)).preprocessing.channels == (*shape, 1)[2]


NAMES = {
    "equal": (["a", "b"], ["a", "b"], ("", "")),
    "suffix of masks": (["a", "b"], ["a_mask", "b_mask"], ("", "_mask")),
    "two suffixes": (["21_training", "22_training"], ["21_manual1", "22_manual1"],
                     ("_training", "_manual1")),
    "subfolders": (["x/a_im", "y/a_im"], ["x/a_gt", "y/a_gt"], ("_im", "_gt")),
}  # fmt: skip


def named(tmp_path, images, masks, place=("images", "masks")):
    for folder, names, array in ((place[0], images, NOISE), (place[1], masks, regions(0, 1))):
        for name in names:
            save(array, tmp_path / folder / f"{name}.png")
    return tmp_path / place[0], tmp_path / place[1]


@pytest.mark.parametrize("name", list(NAMES))
def test_suffixes_are_inferred_where_they_pair_everything(tmp_path, name):
    images, masks, suffixes = NAMES[name]
    data = infer(named(tmp_path, images, masks))
    known = data.preprocessing
    assert (known.image_suffix, known.mask_suffix) == suffixes
    assert data.n_images == len(images)
    assert {"image_suffix", "mask_suffix"} <= {*data.inferred}
    given = infer((tmp_path / "images", tmp_path / "masks"), mask_suffix=suffixes[1])
    assert given.pairs == data.pairs
    assert "mask_suffix" not in given.inferred


def test_images_and_masks_in_one_folder_are_told_apart(tmp_path):
    folders = named(tmp_path, ["a", "b"], ["a_mask", "b_mask"], ("all", "all"))
    data = infer(folders)
    assert [pair.mask[-10:] for pair in data.pairs] == ["a_mask.png", "b_mask.png"]
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match="mask_suffix='_b'"):
        infer(named(tmp_path / "other", ["a", "c"], ["a_b", "c_b"], ("all", "all")))


@pytest.mark.parametrize(
    ("images", "masks", "message"),
    [
        (["img_a", "img_b"], ["mask_a", "mask_b"], "Remove the beginning of the names"),
        (["a", "b", "c"], ["a_m", "b_m"], "3 images without a mask"),
        (["a", "b"], ["a_m", "b_m", "a_i", "b_i"], "one of mask_suffix='_i', mask_suffix='_m'"),
    ],
)
def test_other_names_are_refused_with_advice(tmp_path, images, masks, message):
    with pytest.raises(ValueError, match=message):
        _ = infer(named(tmp_path, images, masks)).pairs


def test_a_missing_mask_is_reported_by_pairs_and_check(write):
    images, masks = write(regions(0, 255), regions(0, 255), regions(0, 255))
    (masks / "1.png").unlink()
    data = infer((images, masks))
    assert data.preprocessing.encoding == "binary"
    with pytest.raises(ValueError, match="1 image without a mask"):
        _ = data.pairs
    assert "1 image without a mask" in str(data)
    assert data.check(progress=False).problems[0].kind == "missing_mask"


def test_unreadable_masks_do_not_matter_if_others_are_readable(write):
    images, masks = write(regions(0, 255), regions(0, 255))
    (masks / "1.png").write_bytes(b"")
    assert infer((images, masks)).preprocessing.encoding == "binary"
    (masks / "0.png").write_bytes(b"")
    with pytest.raises(ValueError, match="must be a readable image"):
        infer((images, masks))


def test_the_order_of_the_files_does_not_matter(write):
    masks = [painted((0, 0, 0), (255, 0, 0)), painted((0, 0, 9), (0, 0, 0)), painted((0, 90, 0))]
    first = infer(write(*masks, names="abc"))
    assert infer(write(*masks, names="cab")).classes == first.classes


TABLES = {
    "classes.csv": "name,red,green,blue\nsky,0,0,0\nroad,255,0,0\ncar,0,255,0\n",
    "classes.json": json.dumps(
        {"names": ["sky", "road", "car"], "colors": [[0, 0, 0], [255, 0, 0], [0, 255, 0]]}
    ),
    "_classes.csv": "Pixel Value, Class\n0, sky\n2, car\n1, road\n",
    "class_dict.csv": "name,r,g,b\nsky,0,0,0\nroad,255,0,0\ncar,0,255,0\n",
    "labels.txt": "sky\nroad\n\ncar\n",
    "codes.txt": "sky\nroad\ncar",
    "labelmap.txt": "# label:color_rgb:parts:actions\nsky:0,0,0::\nroad:255,0,0::\ncar:0,255,0::\n",
}


@pytest.mark.parametrize("folder", ["", "masks"])
@pytest.mark.parametrize("name", list(TABLES))
def test_a_class_table_beside_the_folders_is_used_where_it_fits(write, tmp_path, name, folder):
    folders = write(regions(0, 1), regions(0, 1, 2))
    (tmp_path / folder / name).write_text(TABLES[name], encoding="utf-8")
    data = infer(folders)
    assert data.classes.names == ("sky", "road", "car")
    assert "classes" in data.inferred
    assert "sky, road, car (inferred)" in str(data)


@pytest.mark.parametrize("name", list(TABLES))
def test_a_table_of_colors_is_used_for_masks_of_its_colors(write, tmp_path, name, caplog):
    folders = write(painted((0, 0, 0), (255, 0, 0)), painted((0, 255, 0), (0, 0, 0)))
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    data = infer(folders)
    has_colors = name not in ("_classes.csv", "labels.txt", "codes.txt")
    assert (data.classes.names == ("sky", "road", "car")) == has_colors
    assert (name in caplog.text) == (not has_colors)


@pytest.mark.parametrize("text", ["", "name,red\na,x\n", "\x00\xff", "value,other\n0,a\n"])
@pytest.mark.parametrize("name", ["classes.csv", "labels.txt", "classes.json"])
def test_a_table_that_does_not_fit_is_logged(write, tmp_path, caplog, text, name):
    folders = write(regions(0, 1, 5))
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    assert found(infer(folders)) == ("ids", 6, None, {})
    assert f"{name}' is not used as a class table" in caplog.text


def test_given_options_are_kept(write):
    folders = write(regions(0, 255), regions(0, 1))
    data = infer(folders, ignore_class=255)
    assert found(data) == ("ids", 2, 255, {})
    assert "ignore_class" not in data.inferred
    assert found(infer(folders, encoding="ids", n_classes=256)) == ("ids", 256, None, {})
    assert found(infer(folders, label_map={255: 1})) == ("ids", 2, None, {255: 1})
    table = unetv2.ClassTable(("a", "b"), ((0, 0, 0), (1, 1, 1)), ignore_class=255)
    data = infer(folders, classes=table)
    assert (data.classes, data.ignore_class) == (table, 255)
    assert not {"classes", "n_classes", "ignore_class"} & {*data.inferred}
    table = unetv2.ClassTable(("a", "b"), ((0, 0, 0), (1, 1, 1)))
    data = infer(write(regions(0, 255), regions(0, 1, 255)), classes=table)
    assert found(data) == ("ids", 2, 255, {})
    assert {"encoding", "ignore_class"} < {*data.inferred}
    given = infer((data.source.image_dir, data.source.mask_dir), classes=table, ignore_class=255)
    assert "ignore_class" not in given.inferred


def test_given_encodings_are_kept(write):
    folders = write(painted((0, 0, 0), (0, 3, 2)), painted((1, 1, 1), (0, 0, 0)))
    data = infer(folders, encoding="max_channel")
    assert (found(data), ids(data)) == (("max_channel", 4, None, {}), {0, 1, 3})
    assert found(infer(folders, encoding="colors")) == ("colors", 3, None, {})
    folders = write(*[painted((0, 0, 0), (255, 0, 0))] * 2)
    with pytest.raises(ValueError, match="`n_classes` .* 0, 255 with large gaps"):
        infer(folders, encoding="ids")
    with pytest.raises(ValueError, match="`classes` must be a class table"):
        infer(write(regions(0, 1), regions(0, 1)), encoding="colors")
    assert found(infer(folders, encoding="binary")) == ("binary", 2, None, {})


@pytest.mark.parametrize("extension", ["gif", "bmp", "tif", "webp", "npy"])
@pytest.mark.parametrize("values", [(0, 255), (0, 1, 2)])
def test_files_of_all_kinds_are_read(write, extension, values):
    images, masks = write(regions(*values))
    path = masks / f"0.{extension}"
    mask = regions(*values)
    if extension == "npy":
        np.save(path, mask)
    elif extension == "webp":
        save(np.stack([mask] * 3, axis=2), path, lossless=True)
    else:
        save(mask, path)
    (masks / "0.png").unlink()
    data = infer((images, masks))
    assert (data.preprocessing.encoding, data.n_classes) == (
        "binary" if 255 in values else "ids",
        len(values),
    )
    assert ids(data) == {*range(len(values))}


def test_a_class_table_of_the_given_number_is_used(write, tmp_path):
    folders = write(regions(0, 1))
    (tmp_path / "labels.txt").write_text("a\nb\nc")
    assert infer(folders, n_classes=3).classes.names == ("a", "b", "c")
    assert infer(folders, n_classes=4).classes is None


def test_given_tables_determine_the_encoding(write):
    table = unetv2.ClassTable(("a", "b"), ((0, 0, 0), (200, 0, 0)))
    assert infer(write(regions(0, 255)), classes=table).preprocessing.encoding == "binary"
    assert infer(write(regions(0, 1)), classes=table).preprocessing.encoding == "ids"
    folders = write(painted((0, 0, 0), (200, 0, 0)))
    assert infer(folders, classes=table).preprocessing.encoding == "colors"
    with pytest.raises(ValueError, match="`n_classes` must be the number of `classes`"):
        infer(folders, n_classes=3)


def test_wrong_folders_are_refused(tmp_path, write):
    images, masks = write(regions(0, 1))
    with pytest.raises(FileNotFoundError, match="`mask_dir`"):
        infer((images, tmp_path / "nowhere"))
    with pytest.raises(NotADirectoryError, match="`image_dir`"):
        infer((images / "0.png", masks))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="`image_dir` must hold images"):
        infer((tmp_path / "empty", masks))
    with pytest.raises(ValueError, match="exchanged"):
        infer((masks, images))


def test_make_dataset_infers_nothing(write):
    folders = write(regions(0, 255))
    with pytest.raises(ValueError, match="encoding='binary'"):
        unetv2.make_dataset(*folders, n_classes=2)


def test_the_description_shows_what_was_inferred(write):
    text = str(infer(write(regions(0, 50)), channels=3))
    assert "1 image\n" in text
    assert "label_map     50: 1 (inferred)" in text
    assert "channels      3\n" in text


@given(st.lists(st.integers(0, 300), min_size=1, max_size=40, unique=True))
def test_numbers_from_0_keep_the_order(numbers):
    label_map = consecutive_ids(numbers)
    mapped = [label_map.get(number, number) for number in sorted(numbers)]
    assert mapped == sorted(numbers) or mapped == list(range(len(numbers)))


def test_check_uses_inferred_options(write, capsys):
    folders = [str(folder) for folder in write(regions(0, 255))]
    assert main(["check", *folders, "--quiet"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("inferred: --encoding binary --n-classes 2\n")
    assert "0 warnings" in out
    assert main(["check", *folders, "--quiet", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["inferred"] == {"encoding": "binary", "n_classes": 2}


def test_check_reports_what_cannot_be_inferred(write, capsys):
    folders = [str(folder) for folder in write(NOISE)]
    assert main(["check", *folders, "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert "error: colors_for_ids (1)" in out
    assert "Options were not inferred. `--classes` must be given" in err


def test_no_mask_is_read_where_labels_are_given(write):
    images, masks = write(regions(0, 1))
    (masks / "0.png").write_bytes(b"")
    options = dict.fromkeys(
        ("ignore_class", "classes", "label_map", "channels", "image_suffix", "mask_suffix")
    )
    result = infer_options(
        str(images), str(masks), n_classes=2, encoding="ids", max_pixels=10**6, **options
    )
    assert result.inferred == ("image_suffix", "mask_suffix", "channels")
