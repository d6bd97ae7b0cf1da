"""The layout of a scene: the cross-section of the road, and where objects are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from unetv2.synthetic.canvas import Canvas, Tag
from unetv2.synthetic.randomness import RGB, RandomStream
from unetv2.synthetic.road import (
    Band,
    Kind,
    Line,
    Road,
    Strip,
    Surface,
    draw_barrier,
    draw_overpass,
)
from unetv2.synthetic.scenery import (
    draw_building,
    draw_bush,
    draw_hedge,
    draw_season,
    draw_skyline,
    draw_tree,
    draw_wood,
)
from unetv2.synthetic.street_furniture import (
    Post,
    draw_post,
    draw_prop,
    draw_sign,
    draw_traffic_light,
)
from unetv2.synthetic.themes import Theme
from unetv2.synthetic.traffic import draw_pedestrian, draw_vehicle

LANE = 3.5
_FAR_OUT = 400.0
_ASPHALTS: tuple[RGB, ...] = (
    (0.34, 0.34, 0.35),
    (0.25, 0.25, 0.27),
    (0.46, 0.46, 0.46),
    (0.58, 0.57, 0.54),
    (0.4, 0.37, 0.35),
    (0.52, 0.53, 0.55),
    (0.6, 0.58, 0.54),
    (0.64, 0.64, 0.63),
)
_SIDEWALKS: tuple[RGB, ...] = (
    (0.56, 0.55, 0.53),
    (0.66, 0.62, 0.56),
    (0.42, 0.41, 0.41),
    (0.58, 0.42, 0.36),
)
_GRASSES: tuple[RGB, ...] = (
    (0.34, 0.42, 0.17),
    (0.28, 0.36, 0.18),
    (0.56, 0.5, 0.27),
    (0.46, 0.4, 0.28),
    (0.4, 0.42, 0.3),
)
_GRAVELS: tuple[RGB, ...] = ((0.55, 0.5, 0.44), (0.46, 0.4, 0.34), (0.5, 0.5, 0.49))
_WATERS: tuple[RGB, ...] = ((0.2, 0.33, 0.42), (0.3, 0.42, 0.46), (0.26, 0.36, 0.34))
_TRACKS: tuple[RGB, ...] = ((0.36, 0.32, 0.29), (0.44, 0.43, 0.42))
_YELLOW: RGB = (0.78, 0.62, 0.2)
_WHITE: RGB = (0.9, 0.9, 0.88)


@dataclass(frozen=True)
class Side:
    """One side of the road, outwards from its edge."""

    sign: int  # -1 for the left side, 1 for the right.
    edge: float  # Distance of the road's edge from its center line in meters.
    sidewalk: float  # Meters of sidewalk, 0 for none.
    shore: bool  # Whether there is water on this side.

    def at(self, beyond: float) -> float:
        """Returns the lateral position this many meters beyond the road's edge."""
        return self.sign * (self.edge + beyond)


@dataclass(frozen=True)
class Plan:
    """A road with its two sides, and the centers of the lanes of both directions."""

    road: Road
    sides: tuple[Side, Side]
    own_lanes: tuple[float, ...]
    other_lanes: tuple[float, ...]


def draw_plan(rng: RandomStream, theme: Theme) -> Plan:
    """Draws the road of a theme."""
    own, other = rng.integer(*theme.own_lanes), rng.integer(*theme.other_lanes)
    sides = (_draw_side(rng, theme, -1, other), _draw_side(rng, theme, 1, own))
    paint = rng.vary(_WHITE, 0.04)
    road = Road(
        left=sides[0].at(0),
        right=sides[1].at(0),
        asphalt=rng.vary(rng.choice(_ASPHALTS), 0.03),
        strips=_draw_strips(rng, theme, sides),
        lines=_draw_lines(rng, own, other, paint),
        paint=paint,
        bands=_draw_bands(rng, theme),
        track=rng.vary(rng.choice(_TRACKS)),
        water=rng.vary(rng.choice(_WATERS)),
        repairs=tuple(_draw_repairs(rng, sides)),
        phase=rng.uniform(0, 90),
    )
    return Plan(
        road=road,
        sides=sides,
        own_lanes=tuple(LANE * (lane + 0.5) for lane in range(own)),
        other_lanes=tuple(-LANE * (lane + 0.5) for lane in range(other)),
    )


def _draw_side(rng: RandomStream, theme: Theme, sign: int, lanes: int) -> Side:
    return Side(
        sign=sign,
        edge=LANE * lanes + rng.uniform(*theme.shoulder),
        sidewalk=rng.uniform(2.8, 5.5) if rng.happens(theme.sidewalk) else 0.0,
        shore=rng.happens(theme.shore),
    )


def _draw_strips(rng: RandomStream, theme: Theme, sides: tuple[Side, Side]) -> tuple[Strip, ...]:
    strips = []

    def lay(side: Side, start: float, end: float, tag: Tag, colors: tuple[RGB, ...]) -> None:
        left, right = sorted((side.at(start), side.at(end)))
        strips.append(Strip(left, right, Surface(tag, rng.vary(rng.choice(colors)))))

    for side in sides:
        bare = rng.happens(0.03)
        lay(side, 0, _FAR_OUT, Tag.GROUND if bare else Tag.TERRAIN, _GRAVELS if bare else _GRASSES)
        if side.sidewalk:
            paved = side.sidewalk + (4 if theme.straight else 0)
            lay(side, 0, paved, Tag.SIDEWALK, _SIDEWALKS)
        if rng.happens(0.5 * theme.tracks):
            start = side.sidewalk + rng.uniform(0.5, 3)
            for offset in (0.0, 0.7, 1.9):
                width = 2.6 if offset == 0 else 0.14
                rail = _TRACKS if offset == 0 else ((0.62, 0.6, 0.58),)
                lay(side, start + offset, start + offset + width, Tag.RAIL_TRACK, rail)
        if side.shore:
            start = rng.uniform(40, 60)
            lay(side, start, start + rng.uniform(8, 20), Tag.WATER, _WATERS)
    return tuple(strips)


def _draw_repairs(
    rng: RandomStream, sides: tuple[Side, Side]
) -> Iterator[tuple[float, float, float, float, float]]:
    for _ in range(rng.integer(0, 3)):
        near, left = rng.uniform(2.5, 25), rng.uniform(sides[0].at(0), sides[1].at(-2))
        far, right = near + rng.uniform(1, 14), left + rng.uniform(0.6, 2)
        yield near, far, left, right, rng.uniform(0.05, 0.16)


def _draw_lines(rng: RandomStream, own: int, other: int, paint: RGB) -> tuple[Line, ...]:
    width = rng.uniform(0.1, 0.17)
    lines = [Line(LANE * lane, width, paint, dashed=True) for lane in range(1, own)]
    lines += [Line(-LANE * lane, width, paint, dashed=True) for lane in range(1, other)]
    if rng.happens(0.9):
        lines += [Line(side * LANE * n, width, paint, False) for side, n in ((1, own), (-1, other))]
    center = rng.vary(_YELLOW, 0.03) if rng.happens(0.4) else paint
    if rng.happens(0.45):
        lines += [Line(side * 0.16, width, center, dashed=False) for side in (-1, 1)]
    else:
        lines.append(Line(0.0, width, center, dashed=rng.happens(0.7)))
    return tuple(lines)


def _draw_bands(rng: RandomStream, theme: Theme) -> tuple[tuple[float, float, Band], ...]:
    """Draws at most one junction, track or river."""
    near = rng.uniform(15, 45)
    if rng.happens(theme.junction):
        far = near + rng.uniform(9, 16)
        return (
            (near - 5.6, near - 5.0, Band.STOP_LINE),
            (near - 4.2, near - 1.2, Band.CROSSWALK),
            (near, far, Band.JUNCTION),
            (far + 1.2, far + 4.2, Band.CROSSWALK),
        )
    if rng.happens(theme.tracks):
        return ((near, near + 3.6, Band.TRACK_BED),)
    if rng.happens(theme.river):
        near += rng.uniform(30, 70)
        return ((near, near + rng.uniform(6, 12), Band.RIVER),)
    return ()


_PROP_TAGS = (Tag.STATIC, Tag.DYNAMIC, Tag.OTHER)
_PROP_WEIGHTS = (0.36, 0.52, 0.12)
_CAR_LENGTH = 9.0


class SceneObject(Protocol):
    """An object in a scene."""

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground, before objects are painted."""

    def paint(self, canvas: Canvas) -> None:
        """Paints the object."""


def draw_objects(
    rng: RandomStream, theme: Theme, plan: Plan, offset: float
) -> Iterator[SceneObject]:
    """Draws all objects in a scene; ``offset`` is the center of the camera's lane in meters."""
    season = draw_season(rng)
    if rng.happens(0.85):
        yield draw_skyline(rng, rng.choice(theme.skyline))
    for side in plan.sides:
        yield from _draw_barriers(rng, theme, plan, side)
        if not side.shore:
            yield from _draw_buildings(rng, theme, plan, side)
            yield from _draw_greenery(rng, theme, plan, side, season)
        yield from _draw_posts(rng, theme, plan, side)
        yield from _draw_sidewalk(rng, theme, side)
    if rng.happens(theme.median):
        kind = rng.choice((Kind.GUARD_RAIL, Kind.WALL))
        yield replace(draw_barrier(rng, kind, 0.0, 0.5, 300.0), height=0.85)
    if rng.happens(theme.overpass):
        yield draw_overpass(rng, plan.road.left, plan.road.right)
    for near, far, band in plan.road.bands:
        if band is Band.CROSSWALK:
            for _ in range(rng.integer(0, 2)):
                lateral = rng.uniform(plan.road.left, plan.road.right)
                yield draw_pedestrian(rng, lateral, rng.uniform(near + 0.4, far - 0.4))
    yield from _draw_traffic(rng, theme, plan, offset)


def _stretches(
    plan: Plan, start: float, end: float, *, dry: bool = False
) -> Iterator[tuple[float, float]]:
    """Yields the parts of a stretch of the road that nothing crosses, no river if ``dry``."""
    crossings = (Band.JUNCTION, Band.TRACK_BED) + ((Band.RIVER,) if dry else ())
    for near, far, band in plan.road.bands:
        if band in crossings and near < end and far > start:
            if near > start:
                yield start, near
            start = far
    if start < end:
        yield start, end


def _draw_barriers(
    rng: RandomStream, theme: Theme, plan: Plan, side: Side
) -> Iterator[SceneObject]:
    beyond = 0.35 + side.sidewalk
    likely = {Kind.GUARD_RAIL: theme.guard_rail, Kind.WALL: theme.wall, Kind.FENCE: theme.fence}
    for kind, probability in likely.items():
        if rng.happens(probability):
            start = rng.uniform(1.5, 12)
            end = start + rng.uniform(30, 300)
            barrier = draw_barrier(rng, kind, side.at(beyond), start, end)
            for near, far in _stretches(plan, start, end):
                yield replace(barrier, near=near, far=far)
            beyond += 0.9
    if rng.happens(theme.hedge):
        hedge = draw_hedge(rng, side.at(beyond + 0.3), 2, rng.uniform(40, 120))
        for near, far in _stretches(plan, hedge.near, hedge.far, dry=True):
            yield replace(hedge, near=near, far=far)


def _draw_buildings(
    rng: RandomStream, theme: Theme, plan: Plan, side: Side
) -> Iterator[SceneObject]:
    if not rng.happens(theme.buildings):
        return
    setback = side.sidewalk + rng.uniform(*theme.setback)
    for start, end in _stretches(plan, rng.uniform(-6, 12), 170, dry=True):
        near = start + 1
        while near < end - 6:
            length = min(rng.uniform(8, 24), end - near)
            lateral = side.at(setback + rng.uniform(0, 0.8))
            yield draw_building(rng, lateral, near, length, theme.heights)
            near += length + rng.uniform(*theme.gaps)


def _draw_greenery(
    rng: RandomStream, theme: Theme, plan: Plan, side: Side, season: tuple[RGB, ...]
) -> Iterator[SceneObject]:
    verge = side.sidewalk + 2.2
    if rng.happens(theme.wood):
        lateral, near = side.at(verge + rng.uniform(3, 14)), rng.uniform(3, 25)
        wood = draw_wood(rng, lateral, near, near + rng.uniform(50, 300), season)
        for start, end in _stretches(plan, wood.near, wood.far, dry=True):
            yield replace(wood, near=start, far=end)
    if rng.happens(theme.avenue):
        depth, spacing = rng.uniform(7, 16), rng.uniform(8, 16)
        first = draw_tree(rng, side.at(verge - 0.9), depth, season, conifer=False)
        while depth < 130:
            if not plan.road.occupied(depth - 3, depth + 3):
                phase = rng.uniform(0, 512)
                yield replace(first, depth=depth + rng.uniform(-1, 1), phase=phase)
            depth += spacing
    for _ in range(rng.integer(*theme.trees)):
        depth, beyond = rng.uniform(9, 120), rng.uniform(0, 4) ** 2
        if not plan.road.occupied(depth - 3, depth + 3):
            conifer = rng.happens(theme.conifers)
            yield draw_tree(rng, side.at(verge + beyond), depth, season, conifer=conifer)
    for _ in range(rng.integer(*theme.bushes)):
        depth, beyond = rng.uniform(7, 70), rng.uniform(0, 9)
        if not plan.road.occupied(depth - 2, depth + 2):
            yield draw_bush(rng, side.at(verge + beyond), depth, season)


def _draw_posts(rng: RandomStream, theme: Theme, plan: Plan, side: Side) -> Iterator[SceneObject]:
    for wires, probability in ((False, theme.lamps), (True, theme.wires)):
        if not rng.happens(probability):
            continue
        lateral = side.at(side.sidewalk + 1.5 if wires else 0.55)
        depth, spacing = rng.uniform(6, 30), rng.uniform(18, 34)
        post: Post | None = None
        while depth < 170:
            post = draw_post(rng, lateral, depth, wires=wires, like=post)
            yield post
            depth += spacing
    for _ in range(rng.integer(*theme.signs)):
        yield draw_sign(rng, side.at(0.75), rng.uniform(9, 42))
    for near, _, band in plan.road.bands:
        if band is Band.STOP_LINE:
            yield draw_traffic_light(rng, side.at(0.6), near + 0.8)
            yield draw_traffic_light(rng, side.at(0.6), near + 20)


def _draw_sidewalk(rng: RandomStream, theme: Theme, side: Side) -> Iterator[SceneObject]:
    """Draws pedestrians and props on the sidewalk, or beside the road if there is none."""
    breadth = max(side.sidewalk - 0.5, 1.2)
    for _ in range(rng.integer(*theme.people)):
        lateral = side.at(0.4 + breadth * rng.uniform(0, 1))
        yield draw_pedestrian(rng, lateral, rng.uniform(8, 36))
    for _ in range(rng.integer(*theme.props)):
        tag = rng.weighted_choice(_PROP_TAGS, _PROP_WEIGHTS)
        lateral = side.at(0.9 + breadth * rng.uniform(0.3, 1))
        yield draw_prop(rng, tag, lateral, rng.uniform(8, 40))


def _draw_traffic(
    rng: RandomStream, theme: Theme, plan: Plan, offset: float
) -> Iterator[SceneObject]:
    taken: list[tuple[float, float]] = []
    for _ in range(rng.integer(*theme.traffic)):
        oncoming = rng.happens(0.45)
        lane = rng.choice(plan.other_lanes if oncoming else plan.own_lanes)
        nearest = 13 if lane == offset else 8
        depth = nearest + 85 * rng.uniform(0, 1) ** 1.5
        if all(lane != used or abs(depth - at) > _CAR_LENGTH for used, at in taken):
            taken.append((lane, depth))
            yield draw_vehicle(rng, lane + rng.uniform(-0.3, 0.3), depth, oncoming=oncoming)
    for side in plan.sides:
        if rng.happens(theme.parked) and side.edge % 3.5 > 1.4:
            depth = rng.uniform(9, 22)
            for _ in range(rng.integer(1, 5)):
                yield draw_vehicle(rng, side.at(-0.95), depth, oncoming=side.sign < 0)
                depth += rng.uniform(6, 12) + _CAR_LENGTH * rng.happens(0.3)
