"""The ground: lanes, verges and whatever crosses the road, as strips and bands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from unetv2.synthetic.camera import FARTHEST
from unetv2.synthetic.canvas import Canvas
from unetv2.synthetic.chance import RGB
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.textures import Floats, cloudy, smooth

_REACH = 90.0
_CELLS_PER_METRE = 20
_CELLS = int(2 * _REACH * _CELLS_PER_METRE)
_DASH = 3.0
_PERIOD = 9.0
_RAIL_OFFSETS = (0.7, 2.2)
_RAIL_WIDTH = 0.16


class Band(IntEnum):
    """What is on the ground at a depth; each has its own cross-section."""

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
    """What a strip of ground is made of."""

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
    """A road's cross-section and what crosses it.

    Args:
        left: Lateral position of its left edge in meters.
        right: Lateral position of its right edge in meters.
        asphalt: Color of the road.
        strips: What lies beside the road or on top of it, the later over the earlier.
        lines: Painted lines.
        paint: Color of what is painted across the road.
        bands: ``(near, far, Band)`` in meters, the later over the earlier.
        track: Color of the bed of a rail track.
        water: Color of a river.
        repairs: Patches of darker asphalt: ``(near, far, left, right, strength)``.
        phase: Metres by which dashes and textures are shifted.
    """

    left: float
    right: float
    asphalt: RGB
    strips: tuple[Strip, ...]
    lines: tuple[Line, ...]
    paint: RGB
    bands: tuple[tuple[float, float, Band], ...]
    track: RGB
    water: RGB
    repairs: tuple[tuple[float, float, float, float, float], ...]
    phase: float

    def occupied(self, near: float, far: float) -> bool:
        """Says whether something crosses the road between two depths."""
        return any(start < far and end > near for start, end, _ in self.bands)


def paint_road(canvas: Canvas, road: Road) -> None:
    """Paints all of the ground."""
    depth = canvas.ground_depth
    if depth.size == 0:
        return
    index = np.clip((canvas.lateral + _REACH) * _CELLS_PER_METRE, 0, _CELLS - 1).astype(np.int32)
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
    """Tabulates a brightness over the lateral positions: wheel tracks and kerbs."""
    lateral = (np.arange(_CELLS, dtype=np.float32) + 0.5) / _CELLS_PER_METRE - _REACH
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
    first, last = (round((side + _REACH) * _CELLS_PER_METRE) for side in (left, right))
    return slice(min(max(first, 0), _CELLS), min(max(last, 0), _CELLS))


def end_of(road: Road, start: float) -> float:
    """Returns the depth at which something next crosses the road beyond ``start``."""
    return min((near for near, _, _ in road.bands if near > start), default=FARTHEST)
