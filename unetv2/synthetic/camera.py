"""Where the camera looks, and how the road runs before it.

World coordinates are metres: ``lateral`` to the right of the road's centre line and following its
bends, ``depth`` ahead of the camera, ``height`` above the ground. The picture's are ``u`` from -1
at the left edge to 1 at the right and ``v`` from -0.75 at the top to 0.75 at the bottom, whatever
its size: a 4:3 picture with a focal length of 1, a horizontal field of view of 90 degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unetv2.synthetic.canvas import (
    SKY,
    Canvas,
    Chance,
    Floats,
    Glow,
    cloudy,
    grain_tile,
    repeat_to,
    smooth,
    streak_tile,
)

HALF_HEIGHT = 0.75
NEAREST = 0.7
FARTHEST = 420.0

Number = TypeVar("Number", float, Floats)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on a road that bends and climbs like parabolas.

    Args:
        height: Metres above the road.
        horizon: ``v`` of the level horizon.
        offset: Lateral position on the road in metres.
        heading: ``u`` where a straight road vanishes.
        bend: Curvature of the road to the right, per metre.
        climb: Curvature of the road upwards, per metre.
    """

    height: float
    horizon: float
    offset: float
    heading: float
    bend: float
    climb: float

    def u_at(self, lateral: float, depth: float) -> float:
        """Projects a lateral position at a depth to ``u``."""
        return (lateral - self.offset) / depth + self.heading + 0.5 * self.bend * depth

    def v_at(self, height: float, depth: Number) -> Number:
        """Projects a height above the ground at a depth to ``v``."""
        return self.horizon + (self.height - height) / depth - 0.5 * self.climb * depth

    def height_at(self, v: Floats, depth: float | Floats) -> Floats:
        """Inverts `v_at`: the height above the ground of what is seen at ``v``."""
        return self.height - (v - self.horizon + 0.5 * self.climb * depth) * depth

    def lateral_at(self, u: Floats, depth: float | Floats) -> Floats:
        """Inverts `u_at`: the lateral position of what is seen at ``u``."""
        return self.offset + (u - self.heading - 0.5 * self.bend * depth) * depth

    def ground_depth(self, v: Floats) -> Floats:
        """Returns the depth of the ground seen at ``v``, infinite above the ground's edge."""
        return _nearest_root(v - self.horizon, self.climb, self.height)

    def ribbon_depth(self, u: Floats, lateral: float) -> Floats:
        """Returns where the line of sight at ``u`` meets an upright surface along the road.

        Args:
            u: Columns, any shape.
            lateral: The surface's lateral position in metres.

        Returns:
            Depths in metres, infinite where the two never meet.
        """
        distance = lateral - self.offset
        side = math.copysign(1.0, distance)
        return _nearest_root(side * (u - self.heading), -side * self.bend, abs(distance))

    def ribbon_end(self, lateral: float, depth: float) -> float:
        """Returns the depth up to which a surface along the road does not hide itself."""
        distance = lateral - self.offset
        if distance * self.bend <= 0:
            return depth
        return min(depth, math.sqrt(2 * distance / self.bend))


def draw_camera(chance: Chance, *, offset: float, straight: bool) -> Camera:
    """Draws a dash camera's pose and the road's course.

    Args:
        chance: Draws.
        offset: Lateral position of the camera in metres.
        straight: bool. Keeps the road nearly straight and level, as streets in a city are.

    Returns:
        Camera.
    """
    scale = 0.3 if straight else 1.0
    return Camera(
        height=chance.between(1.25, 1.75),
        horizon=chance.between(-0.09, 0.05),
        offset=offset + chance.between(-0.35, 0.35),
        heading=chance.between(-0.09, 0.09),
        bend=scale * chance.between(-1, 1) ** 3 * 6e-3,
        climb=scale * chance.between(-4.5e-4, 4.5e-4),
    )


def _nearest_root(slope: Floats, curve: float, distance: float) -> Floats:
    """Solves ``curve / 2 * z**2 + slope * z = distance`` for the smallest positive ``z``."""
    discriminant = slope * slope + 2 * curve * distance
    reach = slope + np.sqrt(np.maximum(discriminant, 0))
    met = (discriminant >= 0) & (reach > 1e-6)
    return np.where(met, 2 * distance / np.where(met, reach, 1), np.inf)


_CHANNELS = 3
_KNEE = 0.8


def develop(canvas: Canvas, chance: Chance) -> NDArray[np.uint8]:
    """Lights a canvas, fills the air with haze, and records it.

    Args:
        canvas: What is painted.
        chance: Draws the clouds' place, and where the noise begins.

    Returns:
        The picture, ``(height, width, 3)`` uint8, RGB.
    """
    weather = canvas.weather
    drift = (chance.between(0, 512), chance.between(0, 512))
    starts = [(chance.count(0, 255), chance.count(0, 255)) for _ in range(_CHANNELS + 1)]

    shade = canvas.shade * _headlights(canvas) if weather.night else canvas.shade
    haze = 1 - np.exp(canvas.depth * np.float32(-1 / weather.visibility))
    sky_rows = canvas.ground_top
    is_sky = canvas.material[:sky_rows] == SKY
    clouds, sunshine = _clouds(canvas, drift), _sunshine(canvas)
    elevation = np.clip((canvas.camera.horizon - canvas.v[:sky_rows, None]) / 0.8, 0, 1) ** 0.65
    palette = np.array(canvas.colours, np.float32).T
    grain = repeat_to(grain_tile(), canvas.image_size, starts[-1]) * (0.8 * weather.grain)
    if weather.rain:
        grain += repeat_to(streak_tile(), canvas.image_size, starts[0]) * (255 * weather.rain)
    vignette = _vignette(canvas)

    picture = np.empty((*canvas.image_size, _CHANNELS), np.uint8)
    for channel in range(_CHANNELS):
        low, high = weather.low_sky[channel], weather.zenith[channel]
        plane = palette[channel].take(canvas.material)
        plane *= shade
        plane += (low - plane) * haze
        sky = low + (high - low) * elevation
        sky = sky + (weather.cloud[channel] - sky) * clouds
        sky += weather.sun_rgb[channel] * sunshine
        np.copyto(plane[:sky_rows], sky, where=is_sky)
        if canvas.gloss is not None:
            _mirror(canvas, plane, canvas.gloss)
        for glow in canvas.glows:
            _add_glow(canvas, plane, glow, channel)
        _compress_highlights(plane)
        plane *= vignette
        plane = _soften(plane)
        plane += grain
        plane += repeat_to(grain_tile(), canvas.image_size, starts[channel]) * (0.6 * weather.grain)
        np.clip(plane, 0, 255, out=plane)
        picture[..., channel] = plane
    return picture


def _headlights(canvas: Canvas) -> Floats:
    """Returns how much brighter the own headlights make every pixel."""
    across = np.exp(-(((canvas.u - canvas.camera.heading) / 0.55) ** 2))
    level = np.clip(1.3 - np.abs(canvas.v[:, None] - canvas.camera.horizon - 0.12) * 2.2, 0, 1)
    reach = np.exp(canvas.depth * np.float32(-1 / 26))
    brighter: Floats = 1 + (1.9 * level * across) * reach
    return brighter


def _clouds(canvas: Canvas, drift: tuple[float, float]) -> Floats:
    """Returns how much of the sky clouds hide, above the ground's edge."""
    cover = canvas.weather.cover
    height = np.maximum(canvas.camera.horizon - canvas.v[: canvas.ground_top, None], 0) + 0.12
    down, right = drift[0] + 52 / height, drift[1] + canvas.u * (44 / height)
    density = smooth(down, right)
    density += 0.35 * cloudy(2.7 * down, 2.7 * right)
    density -= 1.175 - cover
    hidden: Floats = np.clip(density * 2.6, 0, 0.95) * np.clip(height * 4 - 0.45, 0.1, 1)
    return hidden


def _sunshine(canvas: Canvas) -> Floats:
    """Returns the glow about the sun, above the ground's edge: wide and narrow together."""
    (u, v), rows = canvas.weather.sun, canvas.v[: canvas.ground_top, None]
    glow: Floats = np.zeros((1, 1), np.float32)
    for share, radius in ((0.65, 0.7), (0.9, 0.12)):
        across = np.exp(-(((canvas.u - u) / radius) ** 2))
        glow = glow + share * np.exp(-(((rows - v) / radius) ** 2)) * across
    return glow


def _mirror(canvas: Canvas, plane: Floats, gloss: Floats) -> None:
    """Blends the upper half into the wet ground, upside down."""
    height, top = canvas.image_size[0], canvas.ground_top
    level = (canvas.camera.horizon / HALF_HEIGHT + 1) / 2 * height - 0.5
    sources = np.clip(np.rint(2 * level - np.arange(top, height)), 0, top - 1 if top else 0)
    ground = plane[top:]
    seen = canvas.depth[top:] == canvas.ground_depth
    ground += (0.85 * plane[sources.astype(int)] - ground) * (gloss * seen)


def _add_glow(canvas: Canvas, plane: Floats, glow: Glow, channel: int) -> None:
    reach = 2 * glow.radius
    rows = canvas.rows_between(glow.v - reach, glow.v + reach)
    columns = canvas.columns_between(glow.u - reach, glow.u + reach)
    across = np.exp(-(((canvas.u[columns] - glow.u) / glow.radius) ** 2) * 2)
    down = np.exp(-(((canvas.v[rows, None] - glow.v) / glow.radius) ** 2) * 2)
    plane[rows, columns] += (glow.rgb[channel] * across) * down


def _compress_highlights(plane: Floats) -> None:
    """Bends the tone curve above the knee, so that what is overexposed keeps some texture."""
    over = np.maximum(plane - np.float32(_KNEE), 0)
    plane -= over * over / (over + np.float32(0.4))


def _vignette(canvas: Canvas) -> Floats:
    """Returns the lens' fall-off of light, scaled to the sensor's range."""
    falloff: Floats = 255 * (1 - 0.08 * canvas.u**2) * (1 - 0.1 * canvas.v[:, None] ** 2)
    return falloff


def _soften(plane: Floats) -> Floats:
    """Blurs by half a pixel, as a lens does, with the kernel ``(1, 3, 1) / 5`` each way."""
    for axis in (0, 1):
        if plane.shape[axis] >= 3:
            plane = np.moveaxis(plane, axis, 0)
            inner = 3 * plane[1:-1]
            inner += plane[:-2]
            inner += plane[2:]
            inner *= 1 / 5
            plane[1:-1] = inner
            plane = np.moveaxis(plane, 0, axis)
    return plane
