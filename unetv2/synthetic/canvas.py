"""An image under way: for every pixel a material, a brightness and a depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unetv2.synthetic.camera import FARTHEST, HALF_HEIGHT, NEAREST, Camera
from unetv2.synthetic.chance import RGB
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.textures import Bools, Floats
from unetv2.synthetic.weather import Weather

SKY = 0


@dataclass
class Patch:
    """Pixels about to be painted: a window of the canvas, and which of its pixels count.

    Args:
        u: The window's columns, ``(1, width)``.
        v: The window's rows, ``(height, 1)``.
        visible: Which pixels to paint, ``(height, width)``. Narrow it down to cut holes.
        planes: The canvas' material, shade and depth within the window.
        depth: Metres, a number or an array broadcastable to the window.
    """

    u: Floats
    v: Floats
    visible: Bools
    planes: tuple[NDArray[np.uint8], Floats, Floats]
    depth: float | Floats

    def paint(self, material: int | NDArray[np.uint8], shade: float | Floats = 1.0) -> None:
        """Sets the visible pixels.

        Args:
            material: Numbers from the canvas' palette, broadcastable to the window.
            shade: Brightness, 1 for the material's own color, broadcastable to the window.
        """
        for plane, values in zip(self.planes, (material, shade, self.depth), strict=True):
            np.copyto(plane, values, where=self.visible, casting="same_kind")


@dataclass
class Glow:
    """A light that shines into the lens: its place, its radius in ``u`` and its color."""

    u: float
    v: float
    radius: float
    rgb: RGB


@dataclass
class Canvas:
    """Holds an image's planes and finds the pixels that a thing in the world covers.

    A nearer thing hides a farther one, in whatever order they are painted; of two at the same
    depth the later one stays. Because a material belongs to one tag, the image and its mask
    cannot disagree.

    Args:
        camera: Projects the world.
        weather: Says how surfaces are lit.
        image_size: ``(height, width)`` in pixels.
        colors: Of each material, the light already on it.
        tags: Of each material.
        glows: Lights that shine into the lens.
        gloss: How much the ground mirrors, ``(rows of ground, width)`` in [0, 1]; None if dry.
    """

    camera: Camera
    weather: Weather
    image_size: tuple[int, int]
    colors: list[RGB] = field(default_factory=lambda: [(0.0, 0.0, 0.0)])
    tags: list[int] = field(default_factory=lambda: [int(Tag.SKY)])
    glows: list[Glow] = field(default_factory=list)
    gloss: Floats | None = None

    def __post_init__(self) -> None:
        """Lays out the planes, empty sky all over, and the pixels' coordinates."""
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
        """Returns a material of this tag and color.

        Args:
            tag: What the material is.
            rgb: Color, three numbers in [0, 1].
            shines: bool. The material is as bright at night as by day.

        Returns:
            The number to paint with.
        """
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
        """Returns how many rows a length takes at a depth."""
        return meters / depth * self.image_size[0] / (2 * HALF_HEIGHT)

    def columns_between(self, left: float, right: float) -> slice:
        """Returns the columns whose centers lie in ``[left, right)``."""
        return _centers_between(left, right, 1.0, self.image_size[1])

    def rows_between(self, top: float, bottom: float) -> slice:
        """Returns the rows whose centers lie in ``[top, bottom)``."""
        return _centers_between(top, bottom, HALF_HEIGHT, self.image_size[0])

    def rectangle(
        self, left: float, right: float, top: float, bottom: float, depth: float
    ) -> Patch | None:
        """Returns the pixels of an upright rectangle, None where it shows none."""
        return self._patch(self.rows_between(top, bottom), self.columns_between(left, right), depth)

    def upright(
        self, columns: slice, top: float | Floats, bottom: float | Floats, depth: float | Floats
    ) -> Patch | None:
        """Returns the pixels of an upright surface.

        Args:
            columns: The columns it takes.
            top: ``v`` of its upper edge, a number or one for each column.
            bottom: ``v`` of its lower edge, likewise.
            depth: Its depth in meters, likewise.

        Returns:
            Patch, or None where the surface shows no pixel.
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
        """Finds an upright surface that follows the road.

        Args:
            lateral: Its lateral position in meters.
            start: Depth of its near end in meters.
            end: Depth of its far end in meters.

        Returns:
            The columns it takes, and its depth in each of them.
        """
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
        """Returns the pixels of a flat figure that faces the camera, symmetric about an axis.

        Args:
            u: Its axis.
            depth: Its depth in meters.
            heights: Metres above the ground, rising.
            half_widths: Metres, one for each height.

        Returns:
            Patch, or None where the figure shows no pixel.
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
        """Casts a shadow on the ground, before anything stands on it.

        Args:
            depths: Where the shadow begins and ends, meters.
            laterals: Its left and right edges, meters.
            strength: Share of the light taken away, 0 to 1.
            round_off: bool. An ellipse fading towards its rim in place of a rectangle.
        """
        near, far = max(depths[0], NEAREST), depths[1]
        if far <= near or strength <= 0:
            return
        rows = slice(
            int(np.count_nonzero(self.ground_depth[:, 0] > far)),
            int(np.count_nonzero(self.ground_depth[:, 0] >= near)),
        )
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
    """Finds the pixels, of ``count`` over ``[-reach, reach]``, with centers in ``[low, high)``."""
    scale = 0.5 * count / reach
    first = math.ceil((max(low, -2 * reach) + reach) * scale - 0.5)
    last = math.ceil((min(high, 2 * reach) + reach) * scale - 0.5)
    first = min(max(first, 0), count)
    return slice(first, min(max(last, first), count))
