"""Small things beside the road: benches and bins, cones and boxes, kiosks and letter boxes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from unetv2.synthetic.canvas import RGB, Canvas, Chance, Floats, cloudy
from unetv2.synthetic.scene import Tag


@dataclass(frozen=True)
class Model:
    """A kind of prop.

    Args:
        tag: What it counts as.
        heights: Metres above the ground, rising, at which the width is given.
        halves: Half of the width at these heights, metres.
        length: Metres along the road.
        colours: One of which the prop has.
        band: Lower and upper height in metres of a band in another colour.
        band_rgb: Its colour.
    """

    tag: Tag
    heights: tuple[float, ...]
    halves: tuple[float, ...]
    length: float
    colours: tuple[RGB, ...]
    band: tuple[float, float]
    band_rgb: RGB


_GREY: RGB = (0.5, 0.5, 0.5)
_ORANGE: RGB = (0.92, 0.4, 0.1)
_CREAM: RGB = (0.88, 0.85, 0.76)
_DARK: RGB = (0.16, 0.18, 0.18)
_BROWN: RGB = (0.42, 0.29, 0.18)
_GREEN: RGB = (0.18, 0.34, 0.22)
_BLUE: RGB = (0.16, 0.28, 0.5)
_RED: RGB = (0.66, 0.14, 0.12)

_STATIC = (
    Model(
        Tag.STATIC,
        (0, 0.1, 0.95, 1.1),
        (0.3, 0.34, 0.36, 0.2),
        0.6,
        (_GREEN, _DARK, _GREY),
        (0.8, 0.9),
        _CREAM,
    ),  # Litter bin.
    Model(
        Tag.STATIC,
        (0, 0.42, 0.43, 0.9),
        (0.75, 0.75, 0.85, 0.85),
        0.6,
        (_BROWN, _GREY, _DARK),
        (0.5, 0.58),
        _DARK,
    ),  # Bench.
    Model(
        Tag.STATIC,
        (0, 0.08, 0.6, 0.7),
        (0.85, 0.9, 0.95, 1.0),
        1.2,
        (_GREY, _BROWN, _CREAM),
        (0.55, 0.7),
        _GREEN,
    ),  # Planter.
    Model(
        Tag.STATIC,
        (0, 0.95, 1.0),
        (1.0, 1.0, 1.0),
        0.3,
        (_ORANGE, _CREAM, _RED),
        (0.35, 0.6),
        _CREAM,
    ),  # Road works' barrier.
    Model(
        Tag.STATIC,
        (0, 2.3, 2.35, 2.55),
        (1.4, 1.4, 1.6, 1.6),
        3.0,
        (_GREY, _BLUE, _GREEN),
        (0.5, 2.1),
        (0.45, 0.5, 0.53),
    ),  # Bus shelter.
)
_DYNAMIC = (
    Model(
        Tag.DYNAMIC,
        (0, 0.06, 0.07, 0.75),
        (0.24, 0.24, 0.17, 0.03),
        0.4,
        (_ORANGE,),
        (0.32, 0.5),
        _CREAM,
    ),  # Traffic cone.
    Model(
        Tag.DYNAMIC,
        (0, 0.1, 0.95, 1.05),
        (0.24, 0.27, 0.33, 0.35),
        0.6,
        (_GREEN, _BLUE, _DARK, _BROWN),
        (0.92, 0.96),
        _DARK,
    ),  # Bin on wheels.
    Model(
        Tag.DYNAMIC, (0, 0.6), (0.4, 0.4), 0.6, ((0.62, 0.48, 0.32),), (0.27, 0.33), _CREAM
    ),  # Cardboard box.
    Model(
        Tag.DYNAMIC,
        (0, 0.2, 0.9, 1.0),
        (0.3, 0.35, 0.4, 0.4),
        0.9,
        (_GREY, _RED),
        (0.5, 0.55),
        _DARK,
    ),  # Trolley.
)
_OTHER = (
    Model(Tag.OTHER, (0, 0.3, 0.31, 1.2, 1.35), (0.1, 0.1, 0.27, 0.27, 0.15), 0.5,
          (_RED, _BLUE, (0.9, 0.72, 0.12)), (0.9, 0.98), _DARK),  # Letter box.
    Model(Tag.OTHER, (0, 2.2, 2.25, 2.7), (0.9, 0.9, 1.15, 0.5), 2.0,
          (_GREEN, _RED, _CREAM, _BLUE), (1.0, 1.9), (0.3, 0.32, 0.34)),  # Kiosk.
    Model(Tag.OTHER, (0, 1.5, 1.6), (0.5, 0.5, 0.45), 0.5,
          (_GREY, _CREAM), (0.7, 0.74), _DARK),  # Switch cabinet.
)  # fmt: skip


@dataclass(frozen=True)
class Prop:
    """A small thing that stands somewhere."""

    model: Model
    lateral: float
    depth: float
    rgb: RGB
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground about its foot and away from the sun."""
        half, far = max(self.model.halves), self.depth + self.model.length
        foot = self.lateral - 1.4 * half, self.lateral + 1.4 * half
        canvas.darken_ground((self.depth - 0.3, far + 0.2), foot, 0.6, round_off=True)
        length = canvas.weather.slant * self.model.heights[-1]
        edges = sorted((self.lateral, self.lateral + np.sign(length) * half + length))
        canvas.darken_ground((self.depth, far), (edges[0], edges[1]), canvas.weather.shadow)

    def paint(self, canvas: Canvas) -> None:
        """Paints the side along the road, then the front with its band."""
        model, camera, depth = self.model, canvas.camera, self.depth
        material = canvas.mix(model.tag, self.rgb)
        side = -1 if self.lateral > camera.offset else 1
        plane = self.lateral + side * 0.95 * max(model.halves)
        if canvas.pixels(model.heights[-1], depth) > 8 and (plane - camera.offset) * side < 0:
            columns, depths = canvas.ribbon(plane, depth, depth + model.length)
            if depths.size:
                top, ground = camera.v_at(model.heights[-1], depths), camera.v_at(0.0, depths)
                patch = canvas.upright(columns, top, ground, depths)
                if patch is not None:
                    patch.paint(material, 0.8 * canvas.weather.facing(side))
        u, light = camera.u_at(self.lateral, depth), canvas.weather.facing(0)
        patch = canvas.outline(u, depth, model.heights, model.halves)
        if patch is None:
            return
        height = camera.height_at(patch.v, depth)
        shade = light * (0.88 + 0.24 * cloudy(height * 40 + self.phase, patch.u * (40 * depth)))
        low, high = model.band
        in_band = (height >= low) & (height < high)
        materials = np.array((material, canvas.mix(model.tag, model.band_rgb)), np.uint8)
        patch.paint(materials.take(in_band), shade)


def draw_prop(chance: Chance, tag: Tag, lateral: float, depth: float) -> Prop:
    """Draws a prop that counts as ``tag``: `Tag.STATIC`, `Tag.DYNAMIC` or `Tag.OTHER`."""
    model = chance.choose({Tag.STATIC: _STATIC, Tag.DYNAMIC: _DYNAMIC, Tag.OTHER: _OTHER}[tag])
    rgb = chance.near(chance.choose(model.colours), 0.03)
    return Prop(model, lateral, depth, rgb, chance.between(0, 512))


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
        near: Depth of its near end in metres.
        far: Depth of its far end in metres.
        height: Metres.
        spacing: Metres from post to post, or from joint to joint.
        rgb: Colour.
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
    heights, spacing, colours = {
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
        rgb=chance.near(chance.choose(colours)),
        phase=chance.between(0, 512),
    )


def draw_overpass(chance: Chance, left: float, right: float) -> Overpass:
    """Draws a bridge across a road between two edges, metres."""
    return Overpass(
        depth=chance.between(38, 120),
        clearance=chance.between(4.8, 6),
        girder=chance.between(1.4, 2.2),
        length=chance.between(8, 16),
        piers=(left - chance.between(1, 3), right + chance.between(1, 3)),
        rgb=chance.near(chance.choose(_BRIDGES)),
    )
