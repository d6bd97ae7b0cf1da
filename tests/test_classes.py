from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import unetv2


def test_carlas_tags_are_those_of_0_9_11():
    assert len(unetv2.CARLA) == 23
    assert unetv2.CARLA.names[7] == "Road"
    assert unetv2.CARLA.names[22] == "Terrain"
    assert unetv2.CARLA.ignore_class is None


def test_camvid_has_eleven_classes_and_a_void():
    assert len(unetv2.CAMVID) == 11
    assert unetv2.CAMVID.ignore_class == 11


@pytest.mark.parametrize("table", [unetv2.CARLA, unetv2.CAMVID])
def test_names_and_colours_are_unique(table):
    assert len(set(table.names)) == len(set(table.colors)) == len(table)


def test_a_table_is_checked():
    with pytest.raises(
        ValueError, match="`colors` must hold one colour for each name. Received: 2"
    ):
        unetv2.ClassTable(("a", "b"), ((0, 0, 0),))
    with pytest.raises(ValueError, match=r"`colors` must be \(red, green, blue\) from 0 to 255"):
        unetv2.ClassTable(("a",), ((0, 0, 256),))


@given(n_classes=st.integers(1, 300))
def test_a_numbered_table_has_as_many_classes_as_asked_for(n_classes):
    table = unetv2.ClassTable.numbered(n_classes, ignore_class=255)
    assert len(table) == n_classes
    assert table.ignore_class == 255
    assert table.names == tuple(f"class {number}" for number in range(n_classes))


def test_numbered_classes_have_colours_that_are_far_apart():
    colors = np.array(unetv2.ClassTable.numbered(23).colors)
    apart = np.abs(colors[:, None] - colors[None]).max(axis=-1)
    assert apart[~np.eye(23, dtype=bool)].min() >= 10
    assert apart[np.arange(22), np.arange(1, 23)].min() >= 100
    assert unetv2.ClassTable.numbered(5).ignore_class is None
    # A data set of 5 classes and a report of 23 draw the same class alike.
    assert unetv2.ClassTable.numbered(5).colors == unetv2.ClassTable.numbered(23).colors[:5]
