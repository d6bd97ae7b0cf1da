from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unetv2
from unetv2.classes import require_class_ids


def test_carlas_tags_are_those_of_0_9_11():
    assert len(unetv2.CARLA) == 23
    assert unetv2.CARLA.names[7] == "Road"
    assert unetv2.CARLA.names[22] == "Terrain"
    assert unetv2.CARLA.ignore_class is None


def test_camvid_has_eleven_classes_and_a_void():
    assert len(unetv2.CAMVID) == 11
    assert unetv2.CAMVID.ignore_class == 11


@pytest.mark.parametrize("table", [unetv2.CARLA, unetv2.CAMVID])
def test_names_and_colors_are_unique(table):
    assert len(set(table.names)) == len(set(table.colors)) == len(table)


def test_tables_are_validated():
    with pytest.raises(ValueError, match="`colors` must hold one color for each name. Received: 2"):
        unetv2.ClassTable(("a", "b"), ((0, 0, 0),))
    with pytest.raises(ValueError, match=r"`colors` must be \(red, green, blue\) from 0 to 255"):
        unetv2.ClassTable(("a",), ((0, 0, 256),))


@given(n_classes=st.integers(1, 300))
def test_numbered_tables_have_the_given_number_of_classes(n_classes):
    table = unetv2.ClassTable.numbered(n_classes, ignore_class=255)
    assert len(table) == n_classes
    assert table.ignore_class == 255
    assert table.names == tuple(f"class {number}" for number in range(n_classes))


def test_numbered_classes_have_colors_that_are_far_apart():
    colors = np.array(unetv2.ClassTable.numbered(23).colors)
    apart = np.abs(colors[:, None] - colors[None]).max(axis=-1)
    assert apart[~np.eye(23, dtype=bool)].min() >= 10
    assert apart[np.arange(22), np.arange(1, 23)].min() >= 100
    assert unetv2.ClassTable.numbered(5).ignore_class is None
    # A data set of 5 classes and a report of 23 draw the same class alike.
    assert unetv2.ClassTable.numbered(5).colors == unetv2.ClassTable.numbered(23).colors[:5]


def content(**changes):
    table = {"names": ["sky", "road"], "colors": [[1, 2, 3], [4, 5, 6]], "ignore_class": 9}
    return json.dumps({**table, **changes}).encode()


WRONG_FILES = {
    "a list": ("t.json", b"[1, 2]"),
    "a number": ("t.json", b"5"),
    "no UTF-8": ("t.json", b'{"names": ["\xff"], "colors": [[1, 2, 3]]}'),
    "UTF-16": ("t.json", content().decode().encode("utf-16")),
    "a key twice": ("t.json", b'{"names": ["a"], "names": ["b"], "colors": [[1, 2, 3]]}'),
    "names in a string": ("t.json", content(names="ab")),
    "a name that is a number": ("t.json", content(names=["sky", 5])),
    "a fraction": ("t.json", content(colors=[[1, 2, 3], [4, 5, 6.5]])),
    "NaN": ("t.json", content(colors=[[1, 2, 3], [4, 5, float("nan")]])),
    "true": ("t.json", content(colors=[[1, 2, 3], [4, 5, True]])),
    "an ignored fraction": ("t.json", content(ignore_class=1.5)),
    "a huge integer": ("t.json", b'{"names": [' + b"1" * 5000 + b"]}"),
    "deep nesting": ("t.json", b"[" * 100_000),
    "ids that are one": ("t.json", content(label_map={"7": 1, "07": 0})),
    "a map to a fraction": ("t.json", content(label_map={"7": 0.5})),
    "a map that is a list": ("t.json", content(label_map=[1])),
    "semicolons": ("t.csv", b"name;red;green;blue\nsky;1;2;3\n"),
    "a column twice": ("t.csv", b"name,red,red,green,blue\nsky,1,2,3,4\n"),
    "more values than columns": ("t.csv", b"name,red,green,blue\nsky,1,2,3,4\n"),
    "fewer values than columns": ("t.csv", b"name,red,green,blue\nsky,1,2\n"),
    "an open quote": ("t.csv", b'name,red,green,blue\n"sky,1,2,3\n'),
    "a NUL": ("t.csv", b"name,red,green,blue\nsky,1,2,\x00\n"),
    "a long field": ("t.csv", b"name,red,green,blue\n" + b"s" * 200_000 + b",1,2,3\n"),
    "Latin-1": ("t.csv", "name,red,green,blue\nGebäude,1,2,3\n".encode("latin-1")),
}


@pytest.mark.parametrize(("name", "data"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_invalid_class_files_are_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=rf"A class table must hold .* Received: '.*{name}' \("):
        unetv2.ClassTable.from_file(tmp_path / name)


def test_byte_order_marks_and_multiline_names_are_read(tmp_path):
    (tmp_path / "t.csv").write_bytes('\ufeffname,red,green,blue\r\n"a\nb",1,2,3\r\n'.encode())
    assert unetv2.ClassTable.from_file(tmp_path / "t.csv").names == ("a\nb",)
    (tmp_path / "t.json").write_bytes(b"\xef\xbb\xbf" + content())
    assert unetv2.ClassTable.from_file(tmp_path / "t.json").ignore_class == 9


def test_the_number_of_classes_is_bounded():
    for build in (
        lambda: unetv2.build_unetv2((8, 8, 3), 10**9, filters=2, depth=1),
        lambda: unetv2.metrics.ConfusionMatrix(10**9),
        lambda: unetv2.metrics.MeanIoU(20_000),
        lambda: unetv2.ClassTable.numbered(10**9),
        lambda: unetv2.check_dataset("images", "masks", n_classes=10**9),
    ):
        with pytest.raises(ValueError, match="`n_classes` must be at most .* Received: n_classes="):
            build()


@pytest.mark.parametrize(
    ("ids", "ignored", "invalid"),
    [
        ([0, 1, 2], None, None),
        ([], None, None),
        ([0, 255], 255, None),
        ([0, -1], -1, None),
        ([0, 255, 255], None, "Received: 255 in 2 of 3 pixels of 'a.png'. Do it."),
        ([-1, 3, 3, 9], 9, r"\[0, 3\) or `ignore_class` \(9\). Received: -1, 3 in 3 of 4 pixels"),
        (list(range(100)), None, r"Received: 3, 4, 5, 6, 7, 8, 9, 10, ... in 97 of 100 pixels"),
    ],
)
def test_ids_are_classes_or_ignored(ids, ignored, invalid):
    array = np.array(ids, np.int32)

    def check(advice):
        require_class_ids(array, 3, ignored, source="'a.png'", advice=advice)

    if invalid is None:
        check("")
        return
    for advice in ("Do it.", lambda found: "Do it." if (np.diff(found) > 0).all() else ""):
        with pytest.raises(ValueError, match=invalid):
            check(advice)


def test_ids_must_be_integers():
    with pytest.raises(ValueError, match="integer ids. Received: float32 in the mask"):
        require_class_ids(np.zeros(3, np.float32), 3, None, source="the mask", advice="")
