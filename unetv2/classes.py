"""Class tables: what the ids in a mask mean, and how they are drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassTable:
    """Names and colours of the classes of a data set.

    Args:
        names: One name for each id, from 0 up.
        colors: One ``(red, green, blue)`` for each id, 0 to 255.
        ignore_class: int or None. Id of the pixels that have no label.

    Raises:
        ValueError: If there is not one colour for each name, or a colour is none.

    Example:
        >>> table = unetv2.ClassTable(("background", "cell"), ((0, 0, 0), (255, 0, 0)))
        >>> len(table), table.names[1]
        (2, 'cell')
    """

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    ignore_class: int | None = None

    def __post_init__(self) -> None:
        """Checks the table."""
        if len(self.names) != len(self.colors):
            raise ValueError(
                "`colors` must hold one colour for each name. "
                f"Received: {len(self.names)} names and {len(self.colors)} colors."
            )
        for color in self.colors:
            if len(color) != 3 or not all(0 <= value <= 255 for value in color):
                raise ValueError(
                    "`colors` must be (red, green, blue) from 0 to 255. "
                    f"Received: {color!r} in colors."
                )

    def __len__(self) -> int:
        """Returns the number of classes, without the ignored one."""
        return len(self.names)


def _table(
    *classes: tuple[str, tuple[int, int, int]], ignore_class: int | None = None
) -> ClassTable:
    names, colors = zip(*classes, strict=True)
    return ClassTable(names, colors, ignore_class)


# CARLA 0.9.11's tags and colours, https://carla.readthedocs.io/en/0.9.11/ref_sensors/
# (0.9.12 changed the tags).
CARLA = _table(
    ("Unlabeled", (0, 0, 0)),
    ("Building", (70, 70, 70)),
    ("Fence", (100, 40, 40)),
    ("Other", (55, 90, 80)),
    ("Pedestrian", (220, 20, 60)),
    ("Pole", (153, 153, 153)),
    ("RoadLine", (157, 234, 50)),
    ("Road", (128, 64, 128)),
    ("SideWalk", (244, 35, 232)),
    ("Vegetation", (107, 142, 35)),
    ("Vehicles", (0, 0, 142)),
    ("Wall", (102, 102, 156)),
    ("TrafficSign", (220, 220, 0)),
    ("Sky", (70, 130, 180)),
    ("Ground", (81, 0, 81)),
    ("Bridge", (150, 100, 100)),
    ("RailTrack", (230, 150, 140)),
    ("GuardRail", (180, 165, 180)),
    ("TrafficLight", (250, 170, 30)),
    ("Static", (110, 190, 160)),
    ("Dynamic", (170, 120, 50)),
    ("Water", (45, 60, 150)),
    ("Terrain", (145, 170, 100)),
)
"""The 23 classes of CARLA 0.9.11."""

# Brostow, Fauqueur, Cipolla, "Semantic object classes in video", 2009, in the grouping of the
# SegNet tutorial.
CAMVID = _table(
    ("Sky", (128, 128, 128)),
    ("Building", (128, 0, 0)),
    ("Pole", (192, 192, 128)),
    ("Road", (128, 64, 128)),
    ("Pavement", (0, 0, 192)),
    ("Tree", (128, 128, 0)),
    ("SignSymbol", (192, 128, 128)),
    ("Fence", (64, 64, 128)),
    ("Car", (64, 0, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Bicyclist", (0, 128, 192)),
    ignore_class=11,
)
"""The 11 classes of CamVid."""
