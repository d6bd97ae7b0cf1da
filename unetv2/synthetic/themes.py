"""Themes: a city, a suburb, a highway and a country road, with the frequency of objects in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unetv2.synthetic.scenery import SkylineKind

Range = tuple[float, float]
Count = tuple[int, int]


@dataclass(frozen=True)
class Theme:
    """A type of environment.

    Probabilities apply to each side of the road.
    """

    weight: float  # Probability of this theme.
    straight: bool  # Roads hardly bend or climb.
    own_lanes: Count  # Minimum and maximum number of lanes in the own direction.
    other_lanes: Count  # The same for the oncoming traffic.
    shoulder: Range  # Meters between the outermost lane and the road's edge.
    sidewalk: float  # Probability of a sidewalk.
    buildings: float  # Probability of a row of buildings.
    heights: Range  # Meters to the buildings' eaves.
    gaps: Range  # Meters between buildings.
    setback: Range  # Meters from the sidewalk to the buildings.
    trees: Count  # Number of trees on a side.
    conifers: float  # Probability that a tree is a conifer.
    avenue: float  # Probability of a row of equal trees.
    wood: float  # Probability of the edge of a wood.
    bushes: Count  # Number of bushes on a side.
    guard_rail: float
    wall: float
    fence: float
    hedge: float
    median: float  # Probability of a low wall between the directions.
    lamps: float  # Probability of a row of street lamps.
    wires: float  # Probability of a row of masts.
    junction: float  # Probability of a junction with a crosswalk.
    tracks: float  # Probability of a railroad crossing.
    river: float  # Probability that the road crosses a river.
    shore: float  # Probability that the road follows a shore.
    overpass: float  # Probability of a bridge across the road.
    signs: Count  # Number of traffic signs on a side.
    traffic: Count  # Number of vehicles.
    parked: float  # Probability of a row of parked vehicles.
    people: Count  # Number of pedestrians on a side.
    props: Count  # Number of props on a side.
    skyline: tuple[SkylineKind, ...]  # Kinds of skylines.


# A city, a suburb, a highway and a country road.
_COLUMNS: dict[str, tuple[Any, Any, Any, Any]] = {
    "weight": (0.19, 0.2, 0.4, 0.21),
    "straight": (True, False, False, False),
    "own_lanes": ((2, 3), (1, 2), (2, 4), (1, 1)),
    "other_lanes": ((1, 3), (1, 2), (2, 4), (1, 2)),
    "shoulder": ((0.4, 2.4), (0.8, 2.6), (1.2, 3), (1.0, 2.6)),
    "sidewalk": (1.0, 0.95, 0.26, 0.04),
    "buildings": (0.88, 0.6, 0.06, 0.12),
    "heights": ((8, 30), (4, 8.5), (6, 26), (4, 7)),
    "gaps": ((0, 5), (3, 14), (8, 30), (12, 40)),
    "setback": ((0, 3), (3, 9), (8, 20), (6, 16)),
    "trees": ((0, 4), (2, 6), (0, 5), (3, 8)),
    "conifers": (0.0, 0.2, 0.4, 0.35),
    "avenue": (0.4, 0.3, 0.12, 0.2),
    "wood": (0.03, 0.3, 0.5, 0.5),
    "bushes": ((0, 2), (1, 5), (0, 5), (1, 6)),
    "guard_rail": (0.05, 0.15, 0.95, 0.55),
    "wall": (0.12, 0.12, 0.32, 0.12),
    "fence": (0.15, 0.42, 0.04, 0.3),
    "hedge": (0.06, 0.2, 0.0, 0.1),
    "median": (0.05, 0.0, 0.4, 0.0),
    "lamps": (0.9, 0.75, 0.5, 0.1),
    "wires": (0.05, 0.3, 0.05, 0.4),
    "junction": (0.7, 0.45, 0.0, 0.05),
    "tracks": (0.1, 0.14, 0.0, 0.26),
    "river": (0.0, 0.04, 0.13, 0.15),
    "shore": (0.0, 0.0, 0.03, 0.04),
    "overpass": (0.04, 0.02, 0.22, 0.03),
    "signs": ((0, 2), (0, 2), (0, 1), (0, 1)),
    "traffic": ((3, 8), (1, 5), (2, 7), (0, 3)),
    "parked": (0.3, 0.2, 0.0, 0.0),
    "people": ((1, 6), (0, 4), (0, 0), (0, 1)),
    "props": ((2, 6), (1, 5), (0, 1), (0, 2)),
    "skyline": (
        (SkylineKind.TOWN,),
        (SkylineKind.WOODS, SkylineKind.TOWN, SkylineKind.HILLS),
        (SkylineKind.WOODS, SkylineKind.HILLS, SkylineKind.HILLS, SkylineKind.TOWN),
        (SkylineKind.WOODS, SkylineKind.WOODS, SkylineKind.HILLS),
    ),
}
THEMES = tuple(
    Theme(**dict(zip(_COLUMNS, values, strict=True)))
    for values in zip(*_COLUMNS.values(), strict=True)
)
