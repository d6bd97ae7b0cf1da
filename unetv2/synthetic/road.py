"""The ground with the road, the barriers along it, and bridges across it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np
from numpy.typing import NDArray

from unetv2.synthetic.canvas import Canvas, Tag
from unetv2.synthetic.randomness import RGB, Floats, RandomStream, cloudy, smooth

_REACH = 90.0
_CELLS_PER_METER = 20
_CELLS = int(2 * _REACH * _CELLS_PER_METER)
_DASH = 3.0
_PERIOD = 9.0
_RAIL_OFFSETS = (0.7, 2.2)
_RAIL_WIDTH = 0.16


class Band(IntEnum):
    """A kind of cross-section of the ground."""

    PLAIN = 0
    DASH = 1
    JUNCTION = 2
    CROSSWALK = 3
    STOP_LINE = 4
    TRACK_BED = 5
    RAIL = 6
    RIVER = 7


@dataclass(frozen=True)
class Surface:
    """Tag and color of a strip."""

    tag: Tag
    rgb: RGB


@dataclass(frozen=True)
class Strip:
    """A surface between two lateral positions, along the whole road."""

    left: float
    right: float
    surface: Surface


@dataclass(frozen=True)
class Line:
    """A painted line along the road."""

    lateral: float
    width: float
    rgb: RGB
    dashed: bool


@dataclass(frozen=True)
class Road:
    """The cross-section of a road, and the bands that cross it."""

    left: float  # Lateral position of its left edge in meters.
    right: float  # Lateral position of its right edge in meters.
    asphalt: RGB  # Color of the road.
    strips: tuple[Strip, ...]  # Strips beside or on the road, later ones over earlier ones.
    lines: tuple[Line, ...]  # Painted lines.
    paint: RGB  # Color of stop lines and crosswalks.
    # ``(near, far, Band)`` in meters, later ones over earlier ones.
    bands: tuple[tuple[float, float, Band], ...]
    track: RGB  # Color of the bed of a railroad track.
    water: RGB  # Color of a river.
    # Patches of darker asphalt: ``(near, far, left, right, strength)``.
    repairs: tuple[tuple[float, float, float, float, float], ...]
    phase: float  # Meters by which dashes and textures are shifted.

    def occupied(self, near: float, far: float) -> bool:
        """Returns whether something crosses the road between two depths."""
        return any(start < far and end > near for start, end, _ in self.bands)


def paint_road(canvas: Canvas, road: Road) -> None:
    """Paints all of the ground."""
    depth = canvas.ground_depth
    if depth.size == 0:
        return
    index = np.clip((canvas.lateral + _REACH) * _CELLS_PER_METER, 0, _CELLS - 1).astype(np.int32)
    sections = _cross_sections(canvas, road)
    material = sections.reshape(-1).take(index + _bands_at(depth, road) * _CELLS)

    fine = cloudy((depth + road.phase) * 26, canvas.lateral * 26)
    coarse = smooth((depth + road.phase) * 2.5, canvas.lateral * 4 + 200)
    shade = (fine - 0.5) * (0.26 / (1 + depth * 0.06))
    shade += 0.9 + 0.22 * coarse
    shade *= _wear(road).take(index)

    top = canvas.ground_top
    canvas.material[top:] = material
    canvas.shade[top:] = shade
    canvas.depth[top:] = depth
    for near, far, left, right, strength in road.repairs:
        canvas.darken_ground((near, far), (left, right), strength)
    if canvas.weather.wet:
        puddles = np.clip(2.2 * coarse - 0.5, 0.15, 1)
        canvas.gloss = canvas.weather.wet * puddles * (depth / (depth + 9))


def _bands_at(depth: Floats, road: Road) -> NDArray[np.int32]:
    dashes = (depth + road.phase) % _PERIOD < _DASH
    bands: NDArray[np.int32] = np.where(dashes, Band.DASH, Band.PLAIN).astype(np.int32)
    for near, far, band in road.bands:
        bands[(depth >= near) & (depth < far)] = band
        if band is Band.TRACK_BED:
            for offset in _RAIL_OFFSETS:
                start = near + offset * (far - near) / sum(_RAIL_OFFSETS)
                width = max(_RAIL_WIDTH, 0.01 * near)
                bands[(depth >= start) & (depth < start + width)] = Band.RAIL
    return bands


def _cross_sections(canvas: Canvas, road: Road) -> NDArray[np.uint8]:
    """Tabulates the material at every band and lateral position, ``(bands, cells)``."""
    table = np.empty((len(Band), _CELLS), np.uint8)
    asphalt = canvas.mix(Tag.ROAD, road.asphalt)
    paint = canvas.mix(Tag.ROAD_LINE, road.paint)
    water = canvas.mix(Tag.WATER, road.water)
    table[:] = asphalt
    for strip in road.strips:
        table[:, _cells(strip.left, strip.right)] = canvas.mix(strip.surface.tag, strip.surface.rgb)
    river = table[Band.RIVER]
    river[_cells(-_REACH, road.left - 3)] = water
    river[_cells(road.right + 3, _REACH)] = water
    table[Band.JUNCTION] = asphalt
    for line in road.lines:
        cells = _cells(line.lateral - line.width / 2, line.lateral + line.width / 2)
        rows = [Band.DASH] if line.dashed else [Band.PLAIN, Band.DASH, Band.RIVER]
        table[rows, cells] = canvas.mix(Tag.ROAD_LINE, line.rgb)
    table[Band.CROSSWALK, _cells(road.left, road.right)] = asphalt
    table[Band.STOP_LINE, _cells(0.15, road.right - 0.3)] = paint
    for left in np.arange(road.left + 0.3, road.right - 0.5, 1.0):
        table[Band.CROSSWALK, _cells(left, left + 0.5)] = paint
    table[Band.TRACK_BED] = canvas.mix(Tag.RAIL_TRACK, road.track)
    table[Band.RAIL] = canvas.mix(Tag.RAIL_TRACK, (0.62, 0.6, 0.58))
    return table


def _wear(road: Road) -> Floats:
    """Tabulates a brightness over the lateral positions: wheel tracks and curbs."""
    lateral = (np.arange(_CELLS, dtype=np.float32) + 0.5) / _CELLS_PER_METER - _REACH
    wear = np.ones(_CELLS, np.float32)
    driven = (lateral > road.left) & (lateral < road.right)
    wear[driven] -= 0.07 * np.cos(lateral[driven] * (4 * np.pi / 3.5)) + 0.02
    for strip in road.strips:
        if strip.surface.tag is Tag.SIDEWALK:
            wear[_cells(strip.left, strip.right)] = 1.04
            for edge in (strip.left, strip.right):
                wear[_cells(edge - 0.1, edge + 0.1)] = 0.72
    return wear


def _cells(left: float, right: float) -> slice:
    first, last = (round((side + _REACH) * _CELLS_PER_METER) for side in (left, right))
    return slice(min(max(first, 0), _CELLS), min(max(last, 0), _CELLS))


_BEAM = 0.45
_STEEL: tuple[RGB, ...] = ((0.62, 0.64, 0.66), (0.5, 0.5, 0.5), (0.7, 0.7, 0.68))
_MASONRY: tuple[RGB, ...] = (
    (0.62, 0.61, 0.58),
    (0.48, 0.48, 0.48),
    (0.55, 0.36, 0.28),
    (0.7, 0.66, 0.56),
    (0.4, 0.46, _BEAM),
)
_FENCES: tuple[RGB, ...] = (
    (0.45, 0.32, 0.2),
    (0.84, 0.83, 0.8),
    (0.25, 0.27, 0.26),
    (0.3, 0.4, 0.3),
)
_BRIDGES: tuple[RGB, ...] = ((0.6, 0.59, 0.56), (0.45, 0.5, 0.48), (_BEAM, 0.32, 0.28))


class Kind(Enum):
    """The kind of a barrier."""

    GUARD_RAIL = "guard rail"
    WALL = "wall"
    FENCE = "fence"


@dataclass(frozen=True)
class Barrier:
    """An upright strip along the road."""

    kind: Kind
    lateral: float
    near: float
    far: float
    height: float
    spacing: float  # Meters between posts or joints.
    rgb: RGB
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens a strip of the ground on the side away from the sun."""
        length = canvas.weather.slant * self.height
        edges = self.lateral - 0.1 * np.sign(length), self.lateral + length
        strength = canvas.weather.shadow * (0.5 if self.kind is Kind.GUARD_RAIL else 0.9)
        canvas.darken_ground((self.near, self.far), edges, strength)

    def paint(self, canvas: Canvas) -> None:
        """Paints the side along the road."""
        columns, depth = canvas.ribbon(self.lateral, self.near, self.far)
        if not depth.size:
            return
        light = canvas.weather.facing(-1 if self.lateral > canvas.camera.offset else 1)
        painters = {
            Kind.GUARD_RAIL: self._paint_guard_rail,
            Kind.WALL: self._paint_wall,
            Kind.FENCE: self._paint_fence,
        }
        painters[self.kind](canvas, columns, depth, light)

    def _paint_guard_rail(
        self, canvas: Canvas, columns: slice, depth: Floats, light: float
    ) -> None:
        camera, top = canvas.camera, self.height
        steel = canvas.mix(Tag.GUARD_RAIL, self.rgb)
        posts = canvas.upright(
            columns, camera.v_at(top - 0.1, depth), camera.v_at(0.0, depth), depth
        )
        if posts is not None:
            posts.visible &= (depth + self.phase) % self.spacing < 0.16
            posts.paint(steel, 0.7 * light)
        beam = canvas.upright(
            columns, camera.v_at(top, depth), camera.v_at(top - _BEAM, depth), depth
        )
        if beam is not None:
            rise = camera.height_at(beam.v, depth) - (top - _BEAM)
            shade = 0.92 + 0.22 * np.sin(rise * (4 * np.pi / _BEAM) - 1.0)
            joints = (depth + self.phase) % self.spacing < 0.05
            beam.paint(steel, shade * (light * (1 - 0.25 * joints)))

    def _paint_wall(self, canvas: Canvas, columns: slice, depth: Floats, light: float) -> None:
        camera = canvas.camera
        patch = canvas.upright(
            columns, camera.v_at(self.height, depth), camera.v_at(0.0, depth), depth
        )
        if patch is None:
            return
        height = camera.height_at(patch.v, depth)
        along = depth + self.phase
        shade = 0.82 + 0.3 * cloudy(height * 14 + self.phase, along * 7)
        shade *= light * (1 - 0.25 * (along % self.spacing < 0.09))
        shade *= 0.8 + 0.2 * np.clip(height * 1.5, 0, 1)
        shade += 0.12 * (height > self.height - 0.16)
        patch.paint(canvas.mix(Tag.WALL, self.rgb), shade)

    def _paint_fence(self, canvas: Canvas, columns: slice, depth: Floats, light: float) -> None:
        camera = canvas.camera
        patch = canvas.upright(
            columns, camera.v_at(self.height, depth), camera.v_at(0.0, depth), depth
        )
        if patch is None:
            return
        height = camera.height_at(patch.v, depth)
        along = depth + self.phase
        pickets = along % (self.spacing / 8) < self.spacing / 14
        rails = np.abs(np.abs(height - 0.52 * self.height) - 0.3 * self.height) < 0.06
        patch.visible &= pickets | rails
        shade = light * (0.85 + 0.3 * cloudy(height * 5, along * 40))
        patch.paint(canvas.mix(Tag.FENCE, self.rgb), shade)


@dataclass(frozen=True)
class Overpass:
    """A bridge that carries another road across this one, on two piers."""

    depth: float
    clearance: float
    girder: float
    length: float
    piers: tuple[float, float]
    rgb: RGB

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground below it."""
        depths = self.depth, self.depth + self.length
        canvas.darken_ground(depths, (-90, 90), 0.2 + 0.8 * canvas.weather.shadow)

    def paint(self, canvas: Canvas) -> None:
        """Paints the deck's underside, the girder with its parapet, and the piers."""
        camera, back = canvas.camera, self.depth + self.length
        concrete = canvas.mix(Tag.BRIDGE, self.rgb)
        top = self.clearance + self.girder
        under = camera.v_at(self.clearance, self.depth), camera.v_at(self.clearance, back)
        for lateral in self.piers:
            u, half = camera.u_at(lateral, self.depth + 2), 0.6 / self.depth
            patch = canvas.rectangle(
                u - half, u + half, under[0], camera.v_at(0.0, self.depth + 2), self.depth + 2
            )
            if patch is not None:
                rounding = 1 - 0.35 * ((patch.u - u) / half) ** 2
                patch.paint(concrete, 0.72 * rounding)
        patch = canvas.rectangle(-1, 1, min(under), max(under), self.depth + 1)
        if patch is not None:
            patch.paint(concrete, 0.4)
        patch = canvas.rectangle(-1, 1, camera.v_at(top, self.depth), under[0], self.depth)
        if patch is not None:
            rise = camera.height_at(patch.v, self.depth) - self.clearance
            shade = np.where(rise < 0.55 * self.girder, 0.78, 0.98)
            stains = cloudy(rise * 30, patch.u * (12 * self.depth))
            patch.paint(concrete, canvas.weather.facing(0) * (shade + 0.2 * stains - 0.1))


def draw_barrier(rng: RandomStream, kind: Kind, lateral: float, near: float, far: float) -> Barrier:
    """Draws a barrier of a kind at a position."""
    heights, spacing, colors = {
        Kind.GUARD_RAIL: ((0.72, 0.9), 4.0, _STEEL),
        Kind.WALL: ((0.85, 2.6), 4.0, _MASONRY),
        Kind.FENCE: ((1.1, 2.1), 2.4, _FENCES),
    }[kind]
    return Barrier(
        kind=kind,
        lateral=lateral,
        near=near,
        far=far,
        height=rng.uniform(*heights),
        spacing=spacing,
        rgb=rng.vary(rng.choice(colors)),
        phase=rng.uniform(0, 512),
    )


def draw_overpass(rng: RandomStream, left: float, right: float) -> Overpass:
    """Draws a bridge across a road between two edges, meters."""
    return Overpass(
        depth=rng.uniform(38, 120),
        clearance=rng.uniform(4.8, 6),
        girder=rng.uniform(1.4, 2.2),
        length=rng.uniform(8, 16),
        piers=(left - rng.uniform(1, 3), right + rng.uniform(1, 3)),
        rgb=rng.vary(rng.choice(_BRIDGES)),
    )
