"""Plans a road through a place: its lanes, its verges, and what crosses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from unetv2.synthetic.chance import RGB, Chance
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.road import Band, Line, Road, Strip, Surface
from unetv2.synthetic.themes import Theme

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
_PAVEMENTS: tuple[RGB, ...] = (
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
    """One side of the road, outwards from its edge.

    Args:
        sign: -1 for the left side, 1 for the right.
        edge: Distance of the road's edge from its center line in meters.
        pavement: Metres of pavement, 0 for none.
        shore: bool. Water begins some way off.
    """

    sign: int
    edge: float
    pavement: float
    shore: bool

    def at(self, beyond: float) -> float:
        """Returns the lateral position this many meters beyond the road's edge."""
        return self.sign * (self.edge + beyond)


@dataclass(frozen=True)
class Plan:
    """A road with its two sides, and the lanes of both directions by their middles."""

    road: Road
    sides: tuple[Side, Side]
    own_lanes: tuple[float, ...]
    other_lanes: tuple[float, ...]


def draw_plan(chance: Chance, theme: Theme) -> Plan:
    """Draws a road through a place of a kind."""
    own, other = chance.count(*theme.own_lanes), chance.count(*theme.other_lanes)
    sides = (_draw_side(chance, theme, -1, other), _draw_side(chance, theme, 1, own))
    paint = chance.near(_WHITE, 0.04)
    road = Road(
        left=sides[0].at(0),
        right=sides[1].at(0),
        asphalt=chance.near(chance.choose(_ASPHALTS), 0.03),
        strips=_draw_strips(chance, theme, sides),
        lines=_draw_lines(chance, own, other, paint),
        paint=paint,
        bands=_draw_bands(chance, theme),
        track=chance.near(chance.choose(_TRACKS)),
        water=chance.near(chance.choose(_WATERS)),
        repairs=tuple(_draw_repairs(chance, sides)),
        phase=chance.between(0, 90),
    )
    return Plan(
        road=road,
        sides=sides,
        own_lanes=tuple(LANE * (lane + 0.5) for lane in range(own)),
        other_lanes=tuple(-LANE * (lane + 0.5) for lane in range(other)),
    )


def _draw_side(chance: Chance, theme: Theme, sign: int, lanes: int) -> Side:
    return Side(
        sign=sign,
        edge=LANE * lanes + chance.between(*theme.shoulder),
        pavement=chance.between(2.8, 5.5) if chance.happens(theme.pavement) else 0.0,
        shore=chance.happens(theme.shore),
    )


def _draw_strips(chance: Chance, theme: Theme, sides: tuple[Side, Side]) -> tuple[Strip, ...]:
    strips = []

    def lay(side: Side, start: float, end: float, tag: Tag, colors: tuple[RGB, ...]) -> None:
        edges = sorted((side.at(start), side.at(end)))
        strips.append(Strip(edges[0], edges[1], Surface(tag, chance.near(chance.choose(colors)))))

    for side in sides:
        bare = chance.happens(0.03)
        lay(side, 0, _FAR_OUT, Tag.GROUND if bare else Tag.TERRAIN, _GRAVELS if bare else _GRASSES)
        if side.pavement:
            paved = side.pavement + (4 if theme.straight else 0)
            lay(side, 0, paved, Tag.SIDEWALK, _PAVEMENTS)
        if chance.happens(0.5 * theme.tracks):
            start = side.pavement + chance.between(0.5, 3)
            for offset in (0.0, 0.7, 1.9):
                width = 2.6 if offset == 0 else 0.14
                rail = _TRACKS if offset == 0 else ((0.62, 0.6, 0.58),)
                lay(side, start + offset, start + offset + width, Tag.RAIL_TRACK, rail)
        if side.shore:
            start = chance.between(40, 60)
            lay(side, start, start + chance.between(8, 20), Tag.WATER, _WATERS)
    return tuple(strips)


def _draw_repairs(
    chance: Chance, sides: tuple[Side, Side]
) -> Iterator[tuple[float, float, float, float, float]]:
    for _ in range(chance.count(0, 3)):
        near, left = chance.between(2.5, 25), chance.between(sides[0].at(0), sides[1].at(-2))
        far, right = near + chance.between(1, 14), left + chance.between(0.6, 2)
        yield near, far, left, right, chance.between(0.05, 0.16)


def _draw_lines(chance: Chance, own: int, other: int, paint: RGB) -> tuple[Line, ...]:
    width = chance.between(0.1, 0.17)
    lines = [Line(LANE * lane, width, paint, dashed=True) for lane in range(1, own)]
    lines += [Line(-LANE * lane, width, paint, dashed=True) for lane in range(1, other)]
    if chance.happens(0.9):
        lines += [Line(side * LANE * n, width, paint, False) for side, n in ((1, own), (-1, other))]
    center = chance.near(_YELLOW, 0.03) if chance.happens(0.4) else paint
    if chance.happens(0.45):
        lines += [Line(side * 0.16, width, center, dashed=False) for side in (-1, 1)]
    else:
        lines.append(Line(0.0, width, center, dashed=chance.happens(0.7)))
    return tuple(lines)


def _draw_bands(chance: Chance, theme: Theme) -> tuple[tuple[float, float, Band], ...]:
    """Draws at most one thing that crosses the road."""
    near = chance.between(15, 45)
    if chance.happens(theme.junction):
        far = near + chance.between(9, 16)
        return (
            (near - 5.6, near - 5.0, Band.STOP_LINE),
            (near - 4.2, near - 1.2, Band.CROSSWALK),
            (near, far, Band.JUNCTION),
            (far + 1.2, far + 4.2, Band.CROSSWALK),
        )
    if chance.happens(theme.tracks):
        return ((near, near + 3.6, Band.TRACK_BED),)
    if chance.happens(theme.river):
        near += chance.between(30, 70)
        return ((near, near + chance.between(6, 12), Band.RIVER),)
    return ()
