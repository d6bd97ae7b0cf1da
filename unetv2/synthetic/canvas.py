"""The camera, and the canvas: a material, a brightness and a depth for each pixel.

World coordinates are in meters: ``lateral`` to the right of the center line of the road, following
its bends; ``depth`` ahead of the camera; ``height`` above the ground. Image coordinates are ``u``
from -1 at the left edge to 1 at the right one, and ``v`` from -0.75 at the top to 0.75 at the
bottom, whatever the size: a 4:3 image with a focal length of 1, a horizontal field of view of 90
degrees. In all classes of scenes, lengths are in meters, colors are RGB in [0, 1], and ``phase``
shifts the textures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from unetv2.synthetic.randomness import RGB, Bools, Floats, RandomStream
from unetv2.synthetic.weather import Weather


class Tag(IntEnum):
    """The semantic tags of CARLA 0.9.11."""

    UNLABELED = 0
    BUILDING = 1
    FENCE = 2
    OTHER = 3
    PEDESTRIAN = 4
    POLE = 5
    ROAD_LINE = 6
    ROAD = 7
    SIDEWALK = 8
    VEGETATION = 9
    VEHICLES = 10
    WALL = 11
    TRAFFIC_SIGN = 12
    SKY = 13
    GROUND = 14
    BRIDGE = 15
    RAIL_TRACK = 16
    GUARD_RAIL = 17
    TRAFFIC_LIGHT = 18
    STATIC = 19
    DYNAMIC = 20
    WATER = 21
    TERRAIN = 22


HALF_HEIGHT = 0.75
NEAREST = 0.7
FARTHEST = 420.0

Number = TypeVar("Number", float, Floats)


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on a road that bends and climbs as a parabola."""

    height: float  # Meters above the road.
    horizon: float  # ``v`` of the level horizon.
    offset: float  # Lateral position on the road in meters.
    heading: float  # ``u`` where a straight road vanishes.
    bend: float  # Curvature of the road to the right, per meter.
    climb: float  # Curvature of the road upwards, per meter.

    def u_at(self, lateral: float, depth: float) -> float:
        """Projects a lateral position at a depth to ``u``."""
        return (lateral - self.offset) / depth + self.heading + 0.5 * self.bend * depth

    def v_at(self, height: float, depth: Number) -> Number:
        """Projects a height above the ground at a depth to ``v``."""
        return self.horizon + (self.height - height) / depth - 0.5 * self.climb * depth

    def height_at(self, v: Floats, depth: float | Floats) -> Floats:
        """Returns the height above the ground at ``v``, the inverse of `v_at`."""
        return self.height - (v - self.horizon + 0.5 * self.climb * depth) * depth

    def lateral_at(self, u: Floats, depth: float | Floats) -> Floats:
        """Returns the lateral position at ``u``, the inverse of `u_at`."""
        return self.offset + (u - self.heading - 0.5 * self.bend * depth) * depth

    def ground_depth(self, v: Floats) -> Floats:
        """Returns the depth of the ground at ``v``, infinite above its edge."""
        return _nearest_root(v - self.horizon, self.climb, self.height)

    def ribbon_depth(self, u: Floats, lateral: float) -> Floats:
        """Returns the depth of an upright surface along the road at ``u``.

        Args:
            u: Columns, any shape.
            lateral: The surface's lateral position in meters.

        Returns:
            Depths in meters, infinite where the surface is not visible.
        """
        distance = lateral - self.offset
        side = math.copysign(1.0, distance)
        return _nearest_root(side * (u - self.heading), -side * self.bend, abs(distance))

    def ribbon_end(self, lateral: float, depth: float) -> float:
        """Returns the depth up to which a surface along the road does not occlude itself."""
        distance = lateral - self.offset
        if distance * self.bend <= 0:
            return depth
        return min(depth, math.sqrt(2 * distance / self.bend))


def draw_camera(rng: RandomStream, *, offset: float, straight: bool) -> Camera:
    """Draws the pose of a dash camera and the bends of the road, fewer if ``straight``."""
    scale = 0.3 if straight else 1.0
    return Camera(
        height=rng.uniform(1.25, 1.75),
        horizon=rng.uniform(-0.09, 0.05),
        offset=offset + rng.uniform(-0.35, 0.35),
        heading=rng.uniform(-0.09, 0.09),
        bend=scale * rng.uniform(-1, 1) ** 3 * 6e-3,
        climb=scale * rng.uniform(-4.5e-4, 4.5e-4),
    )


def _nearest_root(slope: Floats, curve: float, distance: float) -> Floats:
    """Solves ``curve / 2 * z**2 + slope * z = distance`` for the smallest positive ``z``."""
    discriminant = slope * slope + 2 * curve * distance
    reach = slope + np.sqrt(np.maximum(discriminant, 0))
    met = (discriminant >= 0) & (reach > 1e-6)
    return np.where(met, 2 * distance / np.where(met, reach, 1), np.inf)


SKY = 0


@dataclass
class Patch:
    """Pixels to paint: a window of the canvas, and a mask of the pixels in it."""

    u: Floats  # The window's columns, ``(1, width)``.
    v: Floats  # The window's rows, ``(height, 1)``.
    visible: Bools  # Mask of the pixels to paint, ``(height, width)``; may be changed.
    # The canvas' material, shade and depth within the window.
    planes: tuple[NDArray[np.uint8], Floats, Floats]
    depth: float | Floats  # Meters, a number or an array broadcastable to the window.

    def paint(self, material: int | NDArray[np.uint8], shade: float | Floats = 1.0) -> None:
        """Sets the visible pixels.

        Args:
            material: Indices of materials of the canvas, broadcastable to the window.
            shade: Brightness, 1 for the material's own color, broadcastable to the window.
        """
        for plane, values in zip(self.planes, (material, shade, self.depth), strict=True):
            np.copyto(plane, values, where=self.visible, casting="same_kind")


@dataclass
class Glow:
    """Glare of a light: its position, its radius in ``u`` and its color."""

    u: float
    v: float
    radius: float
    rgb: RGB


@dataclass
class Canvas:
    """Planes of an image, and projections of objects to their pixels.

    Nearer objects hide farther ones, in any order of painting; at equal depths the later one stays.
    Each material has one tag, so the image and its mask always match.
    """

    camera: Camera  # Projects the world.
    weather: Weather  # Determines the light on surfaces.
    image_size: tuple[int, int]  # ``(height, width)`` in pixels.
    # Of each material, multiplied by the light.
    colors: list[RGB] = field(default_factory=lambda: [(0.0, 0.0, 0.0)])
    tags: list[int] = field(default_factory=lambda: [int(Tag.SKY)])  # Of each material.
    glows: list[Glow] = field(default_factory=list)  # Glare of lights.
    # Reflectance of the ground, ``(rows of ground, width)`` in [0, 1]; None if dry.
    gloss: Floats | None = None

    def __post_init__(self) -> None:
        """Creates the planes, with the sky everywhere, and the coordinates of the pixels."""
        height, width = self.image_size
        self.u: Floats = ((2 * np.arange(width) + 1) / width - 1).astype(np.float32)
        self.v: Floats = (HALF_HEIGHT * ((2 * np.arange(height) + 1) / height - 1)).astype(
            np.float32
        )
        self.material: NDArray[np.uint8] = np.full(self.image_size, SKY, np.uint8)
        self.shade: Floats = np.ones(self.image_size, np.float32)
        self.depth: Floats = np.full(self.image_size, np.inf, np.float32)
        self._known: dict[tuple[Tag, RGB, bool], int] = {}

        depths = self.camera.ground_depth(self.v).astype(np.float32)
        self.ground_top = int(np.count_nonzero(depths >= FARTHEST))
        self.ground_depth: Floats = depths[self.ground_top :, None]
        self.lateral: Floats = self.camera.lateral_at(self.u, self.ground_depth)

    def mix(self, tag: Tag, rgb: RGB, *, shines: bool = False) -> int:
        """Returns the index of a material; if it ``shines``, it is as bright at night as by day."""
        key = (tag, rgb, shines)
        if key not in self._known:
            self._known[key] = len(self.tags)
            light = (1.0, 1.0, 1.0) if shines else self.weather.light
            self.tags.append(int(tag))
            self.colors.append((rgb[0] * light[0], rgb[1] * light[1], rgb[2] * light[2]))
        return self._known[key]

    def mask(self) -> NDArray[np.uint8]:
        """Returns the tag of every pixel, ``(height, width)`` uint8."""
        return np.array(self.tags, np.uint8).take(self.material)

    def pixels(self, meters: float, depth: float) -> float:
        """Returns the number of rows of a length at a depth."""
        return meters / depth * self.image_size[0] / (2 * HALF_HEIGHT)

    def columns_between(self, left: float, right: float) -> slice:
        """Returns the columns whose centers are in ``[left, right)``."""
        return _centers_between(left, right, 1.0, self.image_size[1])

    def rows_between(self, top: float, bottom: float) -> slice:
        """Returns the rows whose centers are in ``[top, bottom)``."""
        return _centers_between(top, bottom, HALF_HEIGHT, self.image_size[0])

    def rectangle(
        self, left: float, right: float, top: float, bottom: float, depth: float
    ) -> Patch | None:
        """Returns the pixels of an upright rectangle, or None if there are none."""
        return self._patch(self.rows_between(top, bottom), self.columns_between(left, right), depth)

    def upright(
        self, columns: slice, top: float | Floats, bottom: float | Floats, depth: float | Floats
    ) -> Patch | None:
        """Returns the pixels of an upright surface.

        Args:
            columns: Its columns.
            top: ``v`` of its upper edge, a number or one per column.
            bottom: ``v`` of its lower edge, likewise.
            depth: In meters, likewise.

        Returns:
            Patch, or None if there are no pixels.
        """
        if columns.stop <= columns.start:
            return None
        rows = self.rows_between(float(np.min(top)), float(np.max(bottom)))
        patch = self._patch(rows, columns, depth)
        if patch is not None:
            patch.visible &= patch.v >= top
            patch.visible &= patch.v < bottom
        return patch

    def ribbon(self, lateral: float, start: float, end: float) -> tuple[slice, Floats]:
        """Returns the columns of an upright surface along the road, and its depth in each."""
        start = max(start, NEAREST)
        end = self.camera.ribbon_end(lateral, end)
        if end <= start:
            return slice(0, 0), self.u[:0]
        edges = self.camera.u_at(lateral, start), self.camera.u_at(lateral, end)
        columns = self.columns_between(min(edges), max(edges))
        depth = self.camera.ribbon_depth(self.u[columns], lateral)
        return columns, np.clip(depth, start, end)

    def outline(
        self, u: float, depth: float, heights: Sequence[float], half_widths: Sequence[float]
    ) -> Patch | None:
        """Returns the pixels of a flat shape that faces the camera, symmetric about ``u``.

        Args:
            u: Its axis.
            depth: In meters.
            heights: Meters above the ground, increasing.
            half_widths: Meters, one for each height.

        Returns:
            Patch, or None if there are no pixels.
        """
        top = self.camera.v_at(heights[-1], depth)
        bottom = self.camera.v_at(heights[0], depth)
        reach = max(half_widths) / depth
        columns = self.columns_between(u - reach, u + reach)
        patch = self._patch(self.rows_between(top, bottom), columns, depth)
        if patch is not None:
            height = self.camera.height_at(patch.v, depth)
            half = np.interp(height, heights, half_widths) / depth
            patch.visible &= np.abs(patch.u - u) < half
        return patch

    def darken_ground(
        self,
        depths: tuple[float, float],
        laterals: tuple[float, float],
        strength: float,
        *,
        round_off: bool = False,
    ) -> None:
        """Darkens a part of the ground, before objects are painted.

        Args:
            depths: Near and far end of the shadow, in meters.
            laterals: Its two edges, in meters.
            strength: Fraction of the light that is lost, 0 to 1.
            round_off: bool. Whether it is a soft ellipse instead of a rectangle.
        """
        near, far = max(depths[0], NEAREST), depths[1]
        if far <= near or strength <= 0:
            return
        rows = slice(
            int(np.count_nonzero(self.ground_depth[:, 0] > far)),
            int(np.count_nonzero(self.ground_depth[:, 0] >= near)),
        )
        laterals = (min(laterals), max(laterals))
        edges = [self.camera.u_at(side, at) for side in laterals for at in (near, far)]
        columns = self.columns_between(min(edges), max(edges))
        lateral = self.lateral[rows, columns]
        if lateral.size == 0:
            return
        shade = self.shade[self.ground_top :][rows, columns]
        middle, half = 0.5 * (laterals[0] + laterals[1]), 0.5 * (laterals[1] - laterals[0])
        across = np.abs(lateral - middle) * (1 / half)
        if round_off:
            center, reach = 0.5 * (depths[0] + depths[1]), 0.5 * (depths[1] - depths[0])
            along = (self.ground_depth[rows] - center) / reach
            inside = np.clip(1.6 * (1 - across * across - along * along), 0, 1)
        else:
            inside = np.clip((1 - across) * 12, 0, 1)
        shade *= 1 - strength * inside

    def _patch(self, rows: slice, columns: slice, depth: float | Floats) -> Patch | None:
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        window = (rows, columns)
        planes = self.material[window], self.shade[window], self.depth[window]
        visible = planes[2] >= depth
        return Patch(self.u[None, columns], self.v[rows, None], visible, planes, depth)


def _centers_between(low: float, high: float, reach: float, count: int) -> slice:
    """Returns the pixels, of ``count`` in ``[-reach, reach]``, with centers in ``[low, high)``."""
    scale = 0.5 * count / reach
    first = math.ceil((max(low, -2 * reach) + reach) * scale - 0.5)
    last = math.ceil((min(high, 2 * reach) + reach) * scale - 0.5)
    first = min(max(first, 0), count)
    return slice(first, min(max(last, first), count))
