"""Pedestrians and vehicles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unetv2.synthetic.canvas import Canvas, Glow, Tag
from unetv2.synthetic.randomness import RGB, Floats, RandomStream

_CLOTHES: tuple[RGB, ...] = (
    (0.7, 0.2, 0.18),
    (0.15, 0.2, 0.36),
    (0.8, 0.78, 0.74),
    (0.12, 0.12, 0.13),
    (0.3, 0.4, 0.28),
    (0.75, 0.6, 0.2),
    (0.5, 0.5, 0.52),
    (0.45, 0.35, 0.5),
)
_TROUSERS: tuple[RGB, ...] = ((0.14, 0.16, 0.24), (0.1, 0.1, 0.1), (0.4, 0.36, 0.28))
_SKIN: tuple[RGB, ...] = ((0.86, 0.67, 0.54), (0.62, 0.43, 0.32), (0.38, 0.25, 0.18))
_HAIR: tuple[RGB, ...] = ((0.1, 0.08, 0.07), (0.4, 0.28, 0.15), (0.6, 0.58, 0.55))


@dataclass(frozen=True)
class Pedestrian:
    """A pedestrian."""

    lateral: float
    depth: float
    height: float
    stride: float  # Meters between the feet, across the line of sight.
    clothes: RGB
    trousers: RGB
    skin: RGB
    hair: RGB

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground at the feet and away from the sun."""
        depths = self.depth - 0.3, self.depth + 0.3
        canvas.darken_ground(depths, (self.lateral - 0.4, self.lateral + 0.4), 0.5, round_off=True)
        edges = self.lateral, self.lateral + canvas.weather.slant * self.height
        shadow = canvas.weather.shadow
        canvas.darken_ground(depths, edges, shadow, round_off=True)

    def paint(self, canvas: Canvas) -> None:
        """Paints legs, body and head."""
        u = canvas.camera.u_at(self.lateral, self.depth)
        light = canvas.weather.facing(0)
        for side in (-1, 1):
            foot = u + side * 0.5 * self.stride / self.depth
            self._part(
                canvas, foot, (0, 0.08, 0.82), (0.1, 0.075, 0.12), self.trousers, 0.9 * light
            )
        coat = (0.74, 0.85, 1.1, 1.4, 1.49, 1.52), (0.2, 0.21, 0.23, 0.25, 0.16, 0.06)
        self._part(canvas, u, coat[0], coat[1], self.clothes, light)
        angles = np.linspace(0, np.pi, 7)
        for center, radius, rgb in ((1.64, 0.13, self.hair), (1.61, 0.108, self.skin)):
            heights = center - radius * 1.15 * np.cos(angles)
            halves = radius * np.sin(angles)
            self._part(canvas, u, tuple(heights), tuple(halves), rgb, light)

    def _part(
        self,
        canvas: Canvas,
        u: float,
        heights: tuple[float, ...],
        halves: tuple[float, ...],
        rgb: RGB,
        light: float,
    ) -> None:
        size = self.height / 1.75
        scaled = [size * height for height in heights]
        patch = canvas.outline(u, self.depth, scaled, [size * half for half in halves])
        if patch is not None:
            across = (patch.u - u) * (self.depth / (0.3 * size))
            shade = light * (1 - 0.22 * np.sign(canvas.weather.slant) * across)
            patch.paint(canvas.mix(Tag.PEDESTRIAN, rgb), shade)


def draw_pedestrian(rng: RandomStream, lateral: float, depth: float) -> Pedestrian:
    """Draws a pedestrian at a position."""
    return Pedestrian(
        lateral=lateral,
        depth=depth,
        height=rng.uniform(1.5, 1.9) if rng.happens(0.85) else rng.uniform(1.0, 1.4),
        stride=rng.uniform(0.16, 0.5),
        clothes=rng.vary(rng.choice(_CLOTHES)),
        trousers=rng.vary(rng.choice(_TROUSERS), 0.03),
        skin=rng.choice(_SKIN),
        hair=rng.choice(_HAIR),
    )


_PAINTS: tuple[RGB, ...] = (
    (0.82, 0.82, 0.82),
    (0.1, 0.1, 0.11),
    (0.5, 0.51, 0.53),
    (0.62, 0.1, 0.1),
    (0.12, 0.22, 0.45),
    (0.2, 0.33, 0.22),
    (0.76, 0.6, 0.14),
    (0.4, 0.42, 0.42),
    (0.55, 0.48, 0.4),
    (0.3, 0.5, 0.62),
)
_TIRE: RGB = (0.06, 0.06, 0.065)
_GLASS: RGB = (0.13, 0.16, 0.19)
_TAIL_LIGHT: RGB = (0.85, 0.08, 0.06)
_HEADLIGHT: RGB = (0.98, 0.95, 0.84)
_PLATE: RGB = (0.85, 0.84, 0.76)
_WHEEL_RADIUS = 0.33
_MIN_PIXELS = 7


@dataclass(frozen=True)
class Shape:
    """A kind of vehicle, its silhouettes as polylines."""

    length: float
    # Meters above the ground, rising, at which the end's width is given.
    end_heights: tuple[float, ...]
    end_halves: tuple[float, ...]  # Half of the end's width at these heights, meters.
    pane_heights: tuple[float, ...]  # The same for the window in the end.
    pane_halves: tuple[float, ...]  # The same for the window in the end.
    # Shares of the length from the rear, rising, at which the side's height is given.
    side: tuple[float, ...]
    side_tops: tuple[float, ...]  # Meters above the ground at these positions.
    side_pane: tuple[float, ...]  # The same for the top edge of the side windows.
    side_pane_tops: tuple[float, ...]  # The same for the top edge of the side windows.
    sill: float  # Lower edge of the side windows, meters above the ground.
    lights: float  # Meters above the ground.


_SEDAN = Shape(
    length=4.5,
    end_heights=(0.22, 0.32, 0.6, 0.92, 1.0, 1.36, 1.44),
    end_halves=(0.8, 0.89, 0.91, 0.86, 0.78, 0.62, 0.5),
    pane_heights=(0.98, 1.02, 1.34),
    pane_halves=(0.7, 0.7, 0.57),
    side=(0, 0.03, 0.16, 0.31, 0.6, 0.76, 0.97, 1),
    side_tops=(0.7, 0.96, 1.0, 1.42, 1.44, 1.0, 0.82, 0.55),
    side_pane=(0.2, 0.33, 0.59, 0.73),
    side_pane_tops=(1.0, 1.34, 1.36, 1.0),
    sill=0.98,
    lights=0.74,
)
_HATCHBACK = Shape(
    length=3.9,
    end_heights=(0.22, 0.32, 0.6, 0.95, 1.42, 1.52),
    end_halves=(0.78, 0.86, 0.87, 0.82, 0.64, 0.5),
    pane_heights=(1.0, 1.04, 1.4),
    pane_halves=(0.68, 0.68, 0.57),
    side=(0, 0.02, 0.1, 0.6, 0.78, 0.97, 1),
    side_tops=(0.7, 1.1, 1.46, 1.52, 1.02, 0.85, 0.55),
    side_pane=(0.1, 0.16, 0.58, 0.74),
    side_pane_tops=(1.05, 1.4, 1.42, 1.02),
    sill=1.0,
    lights=0.85,
)
_SUV = Shape(
    length=4.7,
    end_heights=(0.3, 0.4, 0.8, 1.1, 1.72, 1.8),
    end_halves=(0.86, 0.95, 0.96, 0.92, 0.78, 0.68),
    pane_heights=(1.14, 1.18, 1.64),
    pane_halves=(0.76, 0.76, 0.68),
    side=(0, 0.02, 0.06, 0.62, 0.75, 0.97, 1),
    side_tops=(0.8, 1.3, 1.76, 1.8, 1.16, 1.02, 0.7),
    side_pane=(0.05, 0.09, 0.61, 0.72),
    side_pane_tops=(1.2, 1.66, 1.68, 1.18),
    sill=1.16,
    lights=0.98,
)
_VAN = Shape(
    length=5.4,
    end_heights=(0.3, 0.4, 2.2, 2.35),
    end_halves=(0.9, 1.0, 0.96, 0.85),
    pane_heights=(1.3, 1.34, 1.96),
    pane_halves=(0.72, 0.74, 0.7),
    side=(0, 0.01, 0.75, 0.86, 0.97, 1),
    side_tops=(2.1, 2.32, 2.35, 1.4, 1.15, 0.7),
    side_pane=(0.64, 0.65, 0.74, 0.82),
    side_pane_tops=(1.3, 1.95, 1.95, 1.3),
    sill=1.28,
    lights=0.95,
)
_TRUCK = Shape(
    length=8.5,
    end_heights=(0.5, 0.6, 3.35, 3.4),
    end_halves=(1.1, 1.22, 1.22, 1.2),
    pane_heights=(1.6, 1.62, 1.66),
    pane_halves=(1.1, 1.1, 1.1),
    side=(0, 0.005, 0.76, 0.77, 0.79, 0.8, 0.99, 1),
    side_tops=(3.3, 3.4, 3.4, 1.2, 1.2, 2.7, 2.6, 1.2),
    side_pane=(0.84, 0.85, 0.96, 0.98),
    side_pane_tops=(1.6, 2.3, 2.3, 1.6),
    sill=1.6,
    lights=0.8,
)
_BUS = Shape(
    length=11,
    end_heights=(0.35, 0.45, 2.9, 3.1),
    end_halves=(1.15, 1.25, 1.24, 1.1),
    pane_heights=(1.5, 1.54, 2.5),
    pane_halves=(1.02, 1.08, 1.06),
    side=(0, 0.005, 0.99, 1),
    side_tops=(2.9, 3.1, 3.1, 2.8),
    side_pane=(0.03, 0.031, 0.97, 0.975),
    side_pane_tops=(1.4, 2.4, 2.4, 1.4),
    sill=1.4,
    lights=0.8,
)
_SHAPES = (_SEDAN, _HATCHBACK, _SUV, _VAN, _TRUCK, _BUS)
_SHAPE_WEIGHTS = (5.0, 4.0, 3.0, 1.4, 0.7, 0.5)


@dataclass(frozen=True)
class Vehicle:
    """A vehicle driving along the road or parked beside it."""

    shape: Shape  # Its kind.
    lateral: float  # Of its middle, meters.
    depth: float  # Of its near end, meters.
    oncoming: bool  # Its front is at the near end.
    rgb: RGB  # Color of the body.

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground below and beside the vehicle."""
        half, far = max(self.shape.end_halves), self.depth + self.shape.length
        under = self.lateral - 1.15 * half, self.lateral + 1.15 * half
        canvas.darken_ground((self.depth - 0.5, far), under, 0.8, round_off=True)
        canvas.darken_ground((self.depth - 0.05, far), (under[0] + 0.2, under[1] - 0.2), 0.55)
        length = canvas.weather.slant * 1.2
        cast = self.lateral, self.lateral + np.sign(length) * half + length
        canvas.darken_ground((self.depth, far), cast, canvas.weather.shadow)

    def paint(self, canvas: Canvas) -> None:
        """Paints the visible side, then the near end."""
        if canvas.pixels(self.shape.end_heights[-1], self.depth) >= _MIN_PIXELS:
            self._paint_side(canvas)
        self._paint_end(canvas)

    def _paint_side(self, canvas: Canvas) -> None:
        shape, camera = self.shape, canvas.camera
        side = -1 if self.lateral > camera.offset else 1
        plane = self.lateral + side * 0.93 * max(shape.end_halves)
        if (plane - camera.offset) * side > 0:
            return
        columns, depth = canvas.ribbon(plane, self.depth, self.depth + shape.length)
        if not depth.size:
            return
        light = canvas.weather.facing(side)
        along = (depth - self.depth) * (1 / shape.length)
        if self.oncoming:
            along = 1 - along
        body = canvas.mix(Tag.VEHICLES, self.rgb)
        ground, bottom = camera.v_at(0.0, depth), shape.end_heights[0]
        tops = np.interp(along, shape.side, shape.side_tops)
        patch = canvas.upright(columns, ground - tops / depth, ground - bottom / depth, depth)
        if patch is not None:
            height = camera.height_at(patch.v, depth)
            shade = np.interp(height, (0.3, 0.75, 0.8, 1.2), (0.55, 0.85, 1.02, 0.95))
            doors = np.abs((along * 100) % 24 - 12) < 0.5
            patch.paint(body, shade * (light * (1 - 0.3 * doors)))
        tops = np.interp(along, shape.side_pane, shape.side_pane_tops, left=0, right=0)
        patch = canvas.upright(columns, ground - tops / depth, ground - shape.sill / depth, depth)
        if patch is not None:
            patch.visible &= np.abs((along * 100) % 24 - 12) > 1.2
            patch.paint(canvas.mix(Tag.VEHICLES, _GLASS), 0.9 + 0.5 * (along % 0.3))
        wheel = ground - 2 * _WHEEL_RADIUS / depth
        patch = canvas.upright(columns, wheel, ground, depth)
        if patch is not None:
            hub = np.minimum(np.abs(along - 0.18), np.abs(along - 0.81)) * shape.length
            radius = np.hypot(hub, camera.height_at(patch.v, depth) - _WHEEL_RADIUS)
            patch.visible &= radius < _WHEEL_RADIUS
            rim = radius < 0.55 * _WHEEL_RADIUS
            patch.paint(canvas.mix(Tag.VEHICLES, _TIRE), 1 + 6 * rim)

    def _paint_end(self, canvas: Canvas) -> None:
        shape, camera, depth = self.shape, canvas.camera, self.depth
        u, light = camera.u_at(self.lateral, depth), canvas.weather.facing(0)
        half = max(shape.end_halves)
        for side in (-1, 1):
            tire = canvas.outline(u + side * 0.74 * half / depth, depth, (0, 0.5), (0.11, 0.11))
            if tire is not None:
                tire.paint(canvas.mix(Tag.VEHICLES, _TIRE))
        patch = canvas.outline(u, depth, shape.end_heights, shape.end_halves)
        if patch is not None:
            height: Floats = camera.height_at(patch.v, depth)
            stops = (0.3, 0.5, 0.52, 0.9, 0.98, shape.end_heights[-1])
            shade = np.interp(height, stops, (0.4, 0.5, 0.85, 1.0, 0.9, 1.05))
            rounding = 1 - 0.25 * ((patch.u - u) * (depth / half)) ** 4
            patch.paint(canvas.mix(Tag.VEHICLES, self.rgb), (light * shade) * rounding)
        patch = canvas.outline(u, depth, shape.pane_heights, shape.pane_halves)
        if patch is not None:
            gleam = 0.8 + 0.9 * np.clip(0.5 + (patch.u - u) * depth - patch.v * 2, 0, 1)
            patch.paint(canvas.mix(Tag.VEHICLES, _GLASS), gleam)
        if canvas.pixels(1.0, depth) >= _MIN_PIXELS:
            self._paint_lights(canvas, u, half)

    def _paint_lights(self, canvas: Canvas, u: float, half: float) -> None:
        depth, night = self.depth, canvas.weather.night
        rgb = _HEADLIGHT if self.oncoming else _TAIL_LIGHT
        lamp = canvas.mix(Tag.VEHICLES, rgb, shines=night)
        height = self.shape.lights - (0.1 if self.oncoming else 0)
        for side in (-1, 1):
            center = u + side * 0.76 * half / depth
            patch = canvas.outline(center, depth, (height - 0.09, height + 0.09), (0.15, 0.15))
            if patch is None:
                continue
            patch.paint(lamp, 1.0 if night else 0.85)
            if night and patch.visible.mean() > 0.5:
                radius = (0.9 if self.oncoming else 0.5) / depth
                strength = 0.8 if self.oncoming else 0.35
                glow = (strength * rgb[0], strength * rgb[1], strength * rgb[2])
                canvas.glows.append(Glow(center, canvas.camera.v_at(height, depth), radius, glow))
        patch = canvas.outline(u, depth, (0.42, 0.54), (0.26, 0.26))
        if patch is not None:
            patch.paint(canvas.mix(Tag.VEHICLES, _PLATE), 0.9)


def draw_vehicle(rng: RandomStream, lateral: float, depth: float, *, oncoming: bool) -> Vehicle:
    """Draws a vehicle at a position."""
    return Vehicle(
        shape=rng.weighted_choice(_SHAPES, _SHAPE_WEIGHTS),
        lateral=lateral,
        depth=depth,
        oncoming=oncoming,
        rgb=rng.vary(rng.choice(_PAINTS), 0.04),
    )
