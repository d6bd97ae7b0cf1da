"""Decides what stands where in a scene."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from unetv2.synthetic.barriers import Kind, draw_barrier, draw_overpass
from unetv2.synthetic.buildings import draw_building
from unetv2.synthetic.canvas import Canvas
from unetv2.synthetic.chance import RGB, Chance
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.people import draw_pedestrian
from unetv2.synthetic.planning import Plan, Side
from unetv2.synthetic.plants import draw_bush, draw_hedge, draw_season, draw_tree, draw_wood
from unetv2.synthetic.props import draw_prop
from unetv2.synthetic.road import Band
from unetv2.synthetic.signals import Post, draw_post, draw_sign, draw_traffic_light
from unetv2.synthetic.skyline import draw_range
from unetv2.synthetic.themes import Theme
from unetv2.synthetic.vehicles import draw_vehicle

_PROP_TAGS = (Tag.STATIC, Tag.DYNAMIC, Tag.OTHER)
_PROP_WEIGHTS = (0.36, 0.52, 0.12)
_CAR_LENGTH = 9.0


class Thing(Protocol):
    """Something that stands in a scene."""

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground, before any thing is painted."""

    def paint(self, canvas: Canvas) -> None:
        """Paints the thing."""


def draw_things(chance: Chance, theme: Theme, plan: Plan, offset: float) -> Iterator[Thing]:
    """Draws all that stands in a scene.

    Args:
        chance: Draws.
        theme: The kind of place.
        plan: The road.
        offset: Middle of the camera's lane, meters.

    Yields:
        Things, in an order that does not matter.
    """
    season = draw_season(chance)
    if chance.happens(0.85):
        yield draw_range(chance, chance.choose(theme.skyline))
    for side in plan.sides:
        yield from _draw_barriers(chance, theme, plan, side)
        if not side.shore:
            yield from _draw_buildings(chance, theme, plan, side)
            yield from _draw_greenery(chance, theme, plan, side, season)
        yield from _draw_posts(chance, theme, plan, side)
        yield from _draw_kerb_side(chance, theme, side)
    if chance.happens(theme.median):
        kind = chance.choose((Kind.GUARD_RAIL, Kind.WALL))
        yield replace(draw_barrier(chance, kind, 0.0, 0.5, 300.0), height=0.85)
    if chance.happens(theme.overpass):
        yield draw_overpass(chance, plan.road.left, plan.road.right)
    for near, far, band in plan.road.bands:
        if band is Band.CROSSWALK:
            for _ in range(chance.count(0, 2)):
                lateral = chance.between(plan.road.left, plan.road.right)
                yield draw_pedestrian(chance, lateral, chance.between(near + 0.4, far - 0.4))
    yield from _draw_traffic(chance, theme, plan, offset)


def _stretches(
    plan: Plan, start: float, end: float, *, dry: bool = False
) -> Iterator[tuple[float, float]]:
    """Yields the parts of a stretch of the road that nothing crosses.

    Args:
        plan: The road.
        start: Metres.
        end: Metres.
        dry: bool. Leaves rivers out, too.
    """
    crossings = (Band.JUNCTION, Band.TRACK_BED) + ((Band.RIVER,) if dry else ())
    for near, far, band in plan.road.bands:
        if band in crossings and near < end and far > start:
            if near > start:
                yield start, near
            start = far
    if start < end:
        yield start, end


def _draw_barriers(chance: Chance, theme: Theme, plan: Plan, side: Side) -> Iterator[Thing]:
    beyond = 0.35 + side.pavement
    likely = {Kind.GUARD_RAIL: theme.guard_rail, Kind.WALL: theme.wall, Kind.FENCE: theme.fence}
    for kind, probability in likely.items():
        if chance.happens(probability):
            start = chance.between(1.5, 12)
            end = start + chance.between(30, 300)
            barrier = draw_barrier(chance, kind, side.at(beyond), start, end)
            for near, far in _stretches(plan, start, end):
                yield replace(barrier, near=near, far=far)
            beyond += 0.9
    if chance.happens(theme.hedge):
        hedge = draw_hedge(chance, side.at(beyond + 0.3), 2, chance.between(40, 120))
        for near, far in _stretches(plan, hedge.near, hedge.far, dry=True):
            yield replace(hedge, near=near, far=far)


def _draw_buildings(chance: Chance, theme: Theme, plan: Plan, side: Side) -> Iterator[Thing]:
    if not chance.happens(theme.buildings):
        return
    setback = side.pavement + chance.between(*theme.setback)
    for start, end in _stretches(plan, chance.between(-6, 12), 170, dry=True):
        near = start + 1
        while near < end - 6:
            length = min(chance.between(8, 24), end - near)
            lateral = side.at(setback + chance.between(0, 0.8))
            yield draw_building(chance, lateral, near, length, theme.heights)
            near += length + chance.between(*theme.gaps)


def _draw_greenery(
    chance: Chance, theme: Theme, plan: Plan, side: Side, season: tuple[RGB, ...]
) -> Iterator[Thing]:
    verge = side.pavement + 2.2
    if chance.happens(theme.wood):
        lateral, near = side.at(verge + chance.between(3, 14)), chance.between(3, 25)
        wood = draw_wood(chance, lateral, near, near + chance.between(50, 300), season)
        for start, end in _stretches(plan, wood.near, wood.far, dry=True):
            yield replace(wood, near=start, far=end)
    if chance.happens(theme.avenue):
        depth, spacing = chance.between(7, 16), chance.between(8, 16)
        first = draw_tree(chance, side.at(verge - 0.9), depth, season, conifer=False)
        while depth < 130:
            if not plan.road.occupied(depth - 3, depth + 3):
                phase = chance.between(0, 512)
                yield replace(first, depth=depth + chance.between(-1, 1), phase=phase)
            depth += spacing
    for _ in range(chance.count(*theme.trees)):
        depth, beyond = chance.between(9, 120), chance.between(0, 4) ** 2
        if not plan.road.occupied(depth - 3, depth + 3):
            conifer = chance.happens(theme.conifers)
            yield draw_tree(chance, side.at(verge + beyond), depth, season, conifer=conifer)
    for _ in range(chance.count(*theme.bushes)):
        depth, beyond = chance.between(7, 70), chance.between(0, 9)
        if not plan.road.occupied(depth - 2, depth + 2):
            yield draw_bush(chance, side.at(verge + beyond), depth, season)


def _draw_posts(chance: Chance, theme: Theme, plan: Plan, side: Side) -> Iterator[Thing]:
    for wires, probability in ((False, theme.lamps), (True, theme.wires)):
        if not chance.happens(probability):
            continue
        lateral = side.at(side.pavement + 1.5 if wires else 0.55)
        depth, spacing = chance.between(6, 30), chance.between(18, 34)
        post: Post | None = None
        while depth < 170:
            post = draw_post(chance, lateral, depth, wires=wires, like=post)
            yield post
            depth += spacing
    for _ in range(chance.count(*theme.signs)):
        yield draw_sign(chance, side.at(0.75), chance.between(9, 42))
    for near, _, band in plan.road.bands:
        if band is Band.STOP_LINE:
            yield draw_traffic_light(chance, side.at(0.6), near + 0.8)
            yield draw_traffic_light(chance, side.at(0.6), near + 20)


def _draw_kerb_side(chance: Chance, theme: Theme, side: Side) -> Iterator[Thing]:
    """Draws pedestrians and props on the pavement, or on the verge where there is none."""
    breadth = max(side.pavement - 0.5, 1.2)
    for _ in range(chance.count(*theme.people)):
        lateral = side.at(0.4 + breadth * chance.between(0, 1))
        yield draw_pedestrian(chance, lateral, chance.between(8, 36))
    for _ in range(chance.count(*theme.props)):
        tag = chance.choose_weighted(_PROP_TAGS, _PROP_WEIGHTS)
        lateral = side.at(0.9 + breadth * chance.between(0.3, 1))
        yield draw_prop(chance, tag, lateral, chance.between(8, 40))


def _draw_traffic(chance: Chance, theme: Theme, plan: Plan, offset: float) -> Iterator[Thing]:
    taken: list[tuple[float, float]] = []
    for _ in range(chance.count(*theme.traffic)):
        oncoming = chance.happens(0.45)
        lane = chance.choose(plan.other_lanes if oncoming else plan.own_lanes)
        nearest = 13 if lane == offset else 8
        depth = nearest + 85 * chance.between(0, 1) ** 1.5
        if all(lane != used or abs(depth - at) > _CAR_LENGTH for used, at in taken):
            taken.append((lane, depth))
            yield draw_vehicle(chance, lane + chance.between(-0.3, 0.3), depth, oncoming=oncoming)
    for side in plan.sides:
        if chance.happens(theme.parked) and side.edge % 3.5 > 1.4:
            depth = chance.between(9, 22)
            for _ in range(chance.count(1, 5)):
                yield draw_vehicle(chance, side.at(-0.95), depth, oncoming=side.sign < 0)
                depth += chance.between(6, 12) + _CAR_LENGTH * chance.happens(0.3)
