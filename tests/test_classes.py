from __future__ import annotations

import pytest

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
