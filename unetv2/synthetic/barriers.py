"""What runs along the road: guard rails, walls and fences; and bridges across it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from unetv2.synthetic.canvas import Canvas
from unetv2.synthetic.chance import RGB, Chance
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.textures import Floats, cloudy

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
    """Which barrier it is."""

    GUARD_RAIL = "guard rail"
    WALL = "wall"
    FENCE = "fence"


@dataclass(frozen=True)
class Barrier:
    """An upright strip along the road.

    Args:
        kind: Which barrier it is.
        lateral: Metres.
        near: Depth of its near end in meters.
        far: Depth of its far end in meters.
        height: Metres.
        spacing: Metres from post to post, or from joint to joint.
        rgb: Color.
        phase: Shifts the textures.
    """

    kind: Kind
    lateral: float
    near: float
    far: float
    height: float
    spacing: float
    rgb: RGB
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens a strip of the ground on the side away from the sun."""
        length = canvas.weather.slant * self.height
        edges = sorted((self.lateral - 0.1 * np.sign(length), self.lateral + length))
        strength = canvas.weather.shadow * (0.5 if self.kind is Kind.GUARD_RAIL else 0.9)
        canvas.darken_ground((self.near, self.far), (edges[0], edges[1]), strength)

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


def draw_barrier(chance: Chance, kind: Kind, lateral: float, near: float, far: float) -> Barrier:
    """Draws a barrier of a kind at a place."""
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
        height=chance.between(*heights),
        spacing=spacing,
        rgb=chance.near(chance.choose(colors)),
        phase=chance.between(0, 512),
    )


def draw_overpass(chance: Chance, left: float, right: float) -> Overpass:
    """Draws a bridge across a road between two edges, meters."""
    return Overpass(
        depth=chance.between(38, 120),
        clearance=chance.between(4.8, 6),
        girder=chance.between(1.4, 2.2),
        length=chance.between(8, 16),
        piers=(left - chance.between(1, 3), right + chance.between(1, 3)),
        rgb=chance.near(chance.choose(_BRIDGES)),
    )
