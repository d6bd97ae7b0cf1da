"""Kinds of places, and how frequent objects are in each."""

from __future__ import annotations

from dataclasses import dataclass

from unetv2.synthetic.scenery import SkylineKind

Range = tuple[float, float]
Count = tuple[int, int]


@dataclass(frozen=True)
class Theme:
    """A kind of place.

    Probabilities apply to each side of the road.

    Args:
        weight: How often this kind of place is drawn.
        straight: bool. Roads hardly bend or climb.
        own_lanes: Minimum and maximum number of lanes in the own direction.
        other_lanes: The same for the oncoming traffic.
        shoulder: Meters between the outermost lane and the road's edge.
        sidewalk: Probability of a sidewalk.
        buildings: Probability of a row of buildings.
        heights: Meters to the buildings' eaves.
        gaps: Meters between buildings.
        setback: Meters from the sidewalk to the buildings.
        trees: Number of trees on a side.
        conifers: Probability that a tree is one.
        avenue: Probability of a row of equal trees.
        wood: Probability of the edge of a wood.
        bushes: Number of bushes on a side.
        guard_rail: Probability.
        wall: Probability.
        fence: Probability.
        hedge: Probability.
        median: Probability of a low wall between the directions.
        lamps: Probability of a row of street lamps.
        wires: Probability of a row of masts.
        junction: Probability of a junction with a crosswalk.
        tracks: Probability of a railroad crossing.
        river: Probability that the road crosses a river.
        shore: Probability that the road follows a shore.
        overpass: Probability of a bridge across the road.
        signs: Number of traffic signs on a side.
        traffic: Number of vehicles.
        parked: Probability of a row of parked vehicles.
        people: Number of pedestrians on a side.
        props: Number of props on a side.
        skyline: Kinds of skylines.
    """

    weight: float
    straight: bool
    own_lanes: Count
    other_lanes: Count
    shoulder: Range
    sidewalk: float
    buildings: float
    heights: Range
    gaps: Range
    setback: Range
    trees: Count
    conifers: float
    avenue: float
    wood: float
    bushes: Count
    guard_rail: float
    wall: float
    fence: float
    hedge: float
    median: float
    lamps: float
    wires: float
    junction: float
    tracks: float
    river: float
    shore: float
    overpass: float
    signs: Count
    traffic: Count
    parked: float
    people: Count
    props: Count
    skyline: tuple[SkylineKind, ...]


CITY = Theme(
    weight=0.19,
    straight=True,
    own_lanes=(2, 3),
    other_lanes=(1, 3),
    shoulder=(0.4, 2.4),
    sidewalk=1.0,
    buildings=0.88,
    heights=(8, 30),
    gaps=(0, 5),
    setback=(0, 3),
    trees=(0, 4),
    conifers=0.0,
    avenue=0.4,
    wood=0.03,
    bushes=(0, 2),
    guard_rail=0.05,
    wall=0.12,
    fence=0.15,
    hedge=0.06,
    median=0.05,
    lamps=0.9,
    wires=0.05,
    junction=0.7,
    tracks=0.1,
    river=0.0,
    shore=0.0,
    overpass=0.04,
    signs=(0, 2),
    traffic=(3, 8),
    parked=0.3,
    people=(1, 6),
    props=(2, 6),
    skyline=(SkylineKind.TOWN,),
)
SUBURB = Theme(
    weight=0.2,
    straight=False,
    own_lanes=(1, 2),
    other_lanes=(1, 2),
    shoulder=(0.8, 2.6),
    sidewalk=0.95,
    buildings=0.6,
    heights=(4, 8.5),
    gaps=(3, 14),
    setback=(3, 9),
    trees=(2, 6),
    conifers=0.2,
    avenue=0.3,
    wood=0.3,
    bushes=(1, 5),
    guard_rail=0.15,
    wall=0.12,
    fence=0.42,
    hedge=0.2,
    median=0.0,
    lamps=0.75,
    wires=0.3,
    junction=0.45,
    tracks=0.14,
    river=0.04,
    shore=0.0,
    overpass=0.02,
    signs=(0, 2),
    traffic=(1, 5),
    parked=0.2,
    people=(0, 4),
    props=(1, 5),
    skyline=(SkylineKind.WOODS, SkylineKind.TOWN, SkylineKind.HILLS),
)
HIGHWAY = Theme(
    weight=0.4,
    straight=False,
    own_lanes=(2, 4),
    other_lanes=(2, 4),
    shoulder=(1.2, 3),
    sidewalk=0.26,
    buildings=0.06,
    heights=(6, 26),
    gaps=(8, 30),
    setback=(8, 20),
    trees=(0, 5),
    conifers=0.4,
    avenue=0.12,
    wood=0.5,
    bushes=(0, 5),
    guard_rail=0.95,
    wall=0.32,
    fence=0.04,
    hedge=0.0,
    median=0.4,
    lamps=0.5,
    wires=0.05,
    junction=0.0,
    tracks=0.0,
    river=0.13,
    shore=0.03,
    overpass=0.22,
    signs=(0, 1),
    traffic=(2, 7),
    parked=0.0,
    people=(0, 0),
    props=(0, 1),
    skyline=(SkylineKind.WOODS, SkylineKind.HILLS, SkylineKind.HILLS, SkylineKind.TOWN),
)
COUNTRY = Theme(
    weight=0.21,
    straight=False,
    own_lanes=(1, 1),
    other_lanes=(1, 2),
    shoulder=(1.0, 2.6),
    sidewalk=0.04,
    buildings=0.12,
    heights=(4, 7),
    gaps=(12, 40),
    setback=(6, 16),
    trees=(3, 8),
    conifers=0.35,
    avenue=0.2,
    wood=0.5,
    bushes=(1, 6),
    guard_rail=0.55,
    wall=0.12,
    fence=0.3,
    hedge=0.1,
    median=0.0,
    lamps=0.1,
    wires=0.4,
    junction=0.05,
    tracks=0.26,
    river=0.15,
    shore=0.04,
    overpass=0.03,
    signs=(0, 1),
    traffic=(0, 3),
    parked=0.0,
    people=(0, 1),
    props=(0, 2),
    skyline=(SkylineKind.WOODS, SkylineKind.WOODS, SkylineKind.HILLS),
)
THEMES = (CITY, SUBURB, HIGHWAY, COUNTRY)
