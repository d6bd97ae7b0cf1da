from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import unetv2
from unetv2.data.labels import Labels

TABLES = [unetv2.CARLA, unetv2.CAMVID, unetv2.CITYSCAPES, unetv2.PASCAL_VOC]
LIMIT = 10_000


def read(labels, array, tmp_path, **options):
    return labels.read(str(save(np.asarray(array), tmp_path / "m.png", **options)), LIMIT)


@given(seed=st.integers(0, 99), table=st.sampled_from(TABLES))
def test_colors_of_a_table_read_back_as_its_ids(tmp_path, seed, table):
    ids = np.random.default_rng(seed).integers(0, len(table), (6, 7))
    ids[0, 0] = table.ignore_class or 0
    labels = Labels("colors", len(table), table.ignore_class, classes=table)
    colors = unetv2.visualization.colorize(ids, table)
    if table.ignore_class is not None:
        colors[0, 0] = table.ignore_color
    np.testing.assert_array_equal(read(labels, colors, tmp_path), ids)


def test_a_palette_of_the_tables_colors_reads_as_its_ids_in_any_order(tmp_path):
    table = unetv2.PASCAL_VOC
    mask = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    mask.putpalette([value for number in (5, 3, 20) for value in table.colors[number]])
    mask.save(tmp_path / "m.png")
    found = Labels("colors", 21, 255, classes=table).read(str(tmp_path / "m.png"), LIMIT)
    # convert("P") of gray keeps the values as indices into the palette above.
    indices = np.asarray(Image.open(tmp_path / "m.png"))
    np.testing.assert_array_equal(found, np.array([5, 3, 20])[indices])


def test_unknown_colors_are_reported_with_their_counts(tmp_path):
    colors = unetv2.visualization.colorize(np.full((4, 5), 7), unetv2.CARLA)
    colors[1, 1:4] = (1, 2, 3)
    colors[2, 2] = (9, 9, 9)
    message = (
        r"A mask's colors must be those of `classes`. Received: \(1, 2, 3\) in 3 pixels, "
        r"\(9, 9, 9\) in 1 pixel of 20 in '.*m.png'"
    )
    with pytest.raises(ValueError, match=message):
        read(Labels("colors", 23, classes=unetv2.CARLA), colors, tmp_path)


@pytest.mark.parametrize("foreground", [1, 255])
def test_black_and_white_is_background_and_foreground(tmp_path, foreground):
    mask = np.array([[0, foreground], [foreground, 0]], np.uint8)
    for stored in (mask, np.stack([mask] * 3, -1), mask.astype(bool)):
        np.testing.assert_array_equal(read(Labels("binary", 2), stored, tmp_path), mask > 0)


def test_gray_between_black_and_white_is_refused(tmp_path):
    with pytest.raises(ValueError, match="A binary mask must hold 0 and 255, or 0 and 1. .*0, 128"):
        read(Labels("binary", 2), np.array([[0, 128, 255]], np.uint8), tmp_path)


def test_a_label_map_changes_only_its_ids(tmp_path):
    labels = Labels(n_classes=3, ignore_class=255, label_map={7: 0, 0: 255, 9: 2})
    found = read(labels, np.array([[7, 0], [9, 1]], np.uint8), tmp_path)
    assert found.tolist() == [[0, 255], [2, 1]]


def test_a_label_map_may_swap_ids(tmp_path):
    found = read(Labels(label_map={0: 1, 1: 0}), np.array([[0, 1]], np.uint8), tmp_path)
    assert found.tolist() == [[1, 0]]


def test_ignore_class_may_be_negative(tmp_path):
    labels = Labels(n_classes=2, ignore_class=-1, label_map={255: -1})
    found = read(labels, np.array([[0, 255]], np.uint8), tmp_path)
    assert found.tolist() == [[0, -1]]


def test_cityscapes_files_give_train_ids(tmp_path):
    table = unetv2.CITYSCAPES
    labels = Labels("ids", 19, 255, table.label_map, table)
    file_ids = np.arange(34, dtype=np.uint8).reshape(2, 17)
    found = read(labels, file_ids, tmp_path)
    assert found.ravel()[[7, 8, 11, 26, 33]].tolist() == [0, 1, 2, 13, 18]
    assert found.ravel()[[0, 5, 9, 29]].tolist() == [255] * 4
    assert sorted(set(found.ravel().tolist())) == [*range(19), 255]


def test_masks_of_0_and_255_get_advice_on_both_meanings(tmp_path):
    with pytest.raises(ValueError, match="Received: 255 in 1 of 2 pixels.*encoding='binary'"):
        read(Labels(n_classes=2), np.array([[0, 255]], np.uint8), tmp_path)


def test_conflicting_options_are_refused():
    with pytest.raises(ValueError, match="`encoding` must be one of 'ids', 'colors', 'binary'"):
        Labels("rgb")
    with pytest.raises(ValueError, match="`classes` must be a class table where masks hold colors"):
        Labels("colors")
    with pytest.raises(TypeError, match="`label_map` must map ids to ids, integers both"):
        Labels(label_map={"road": 1})


def test_tables_are_read_from_json_and_csv(tmp_path):
    (tmp_path / "t.csv").write_text("name,red,green,blue\nsky,1,2,3\nroad,4,5,6\n")
    (tmp_path / "t.json").write_text(
        json.dumps({
            "names": ["sky", "road"], "colors": [[1, 2, 3], [4, 5, 6]],
            "ignore_class": 9, "ignore_color": [0, 0, 0], "label_map": {"7": 1},
        })
    )  # fmt: skip
    from_csv = unetv2.ClassTable.from_file(tmp_path / "t.csv")
    assert from_csv == unetv2.ClassTable(("sky", "road"), ((1, 2, 3), (4, 5, 6)))
    from_json = unetv2.ClassTable.from_file(tmp_path / "t.json")
    assert from_json == unetv2.ClassTable(
        ("sky", "road"), ((1, 2, 3), (4, 5, 6)), 9, (0, 0, 0), {7: 1}
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", "name,red\nsky,1\n"),
        ("t.csv", ""),
        ("t.json", "{"),
        ("t.json", '{"names": ["a"]}'),
        ("t.json", '{"names": ["a"], "colors": [[1, 2, 3]], "colors": 1}'),
    ],
)
def test_errors_of_class_files_contain_the_path(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=f"A class table must hold `names` and `colors`.*{name}"):
        unetv2.ClassTable.from_file(tmp_path / name)


def test_class_files_must_be_json_or_csv(tmp_path):
    with pytest.raises(ValueError, match="A class table must be a .json or .csv file"):
        unetv2.ClassTable.from_file(tmp_path / "t.txt")
    with pytest.raises(FileNotFoundError):
        unetv2.ClassTable.from_file(tmp_path / "t.csv")


def test_vocs_colors_are_the_development_kits():
    assert unetv2.PASCAL_VOC.colors[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert unetv2.PASCAL_VOC.colors[20] == (0, 64, 128)
    assert unetv2.PASCAL_VOC.ignore_color == (224, 224, 192)


def test_tables_are_immutable():
    with pytest.raises(TypeError):
        unetv2.CITYSCAPES.label_map[0] = 1


@pytest.mark.parametrize("order", [((1, 1, 1), (0, 0, 0)), ((0, 0, 0), (255, 255, 255))])
def test_gray_gifs_are_read_by_their_colors(tmp_path, order):
    mask = Image.new("P", (2, 1), 0)
    mask.putpalette([value for color in order for value in color])
    mask.putpixel((1, 0), 1)
    mask.save(tmp_path / "m.gif")
    table = unetv2.ClassTable(("dark", "bright"), tuple(sorted(order)))
    found = Labels("colors", 2, classes=table).read(str(tmp_path / "m.gif"), LIMIT)
    assert found.tolist() == [[sorted(order).index(order[0]), sorted(order).index(order[1])]]


def test_colors_must_be_unique():
    for table in (
        unetv2.ClassTable(("a", "b"), ((1, 2, 3), (1, 2, 3))),
        unetv2.ClassTable(("a", "b"), ((0, 0, 0), (1, 2, 3)), 255, (0, 0, 0)),
    ):
        with pytest.raises(ValueError, match="`classes` must have a color of its own for each"):
            Labels("colors", 2, classes=table)


def test_ignore_class_overrides_that_of_the_table(tmp_path):
    labels = Labels("colors", 11, 200, classes=unetv2.CAMVID)
    assert read(labels, np.zeros((1, 1, 3), np.uint8), tmp_path).tolist() == [[200]]


def test_ids_may_come_from_numpy(tmp_path):
    labels = Labels(label_map={np.int64(0): np.int64(1)}, ignore_class=np.int64(3))
    assert read(labels, np.array([[0]], np.uint8), tmp_path).tolist() == [[1]]


def test_ignore_class_is_an_integer():
    for ignore_class in ("255", 2.5, True):
        with pytest.raises(TypeError, match="`ignore_class` must be an integer or None. Received"):
            Labels(ignore_class=ignore_class)
        with pytest.raises(TypeError, match="`ignore_class` must be an integer or None. Received"):
            unetv2.build_unetv2((8, 8, 3), 2, ignore_class=ignore_class)
