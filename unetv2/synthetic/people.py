"""Pedestrians."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unetv2.synthetic.canvas import Canvas
from unetv2.synthetic.chance import RGB, Chance
from unetv2.synthetic.classes import Tag

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
    """Somebody on foot, walking or standing.

    Args:
        lateral: Metres.
        depth: Metres.
        height: Metres.
        stride: Metres between the feet, across the line of sight.
        clothes: Color.
        trousers: Color.
        skin: Color.
        hair: Color.
    """

    lateral: float
    depth: float
    height: float
    stride: float
    clothes: RGB
    trousers: RGB
    skin: RGB
    hair: RGB

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground at the feet and away from the sun."""
        depths = self.depth - 0.3, self.depth + 0.3
        canvas.darken_ground(depths, (self.lateral - 0.4, self.lateral + 0.4), 0.5, round_off=True)
        edges = sorted((self.lateral, self.lateral + canvas.weather.slant * self.height))
        shadow = canvas.weather.shadow
        canvas.darken_ground(depths, (edges[0], edges[1]), shadow, round_off=True)

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


def draw_pedestrian(chance: Chance, lateral: float, depth: float) -> Pedestrian:
    """Draws a pedestrian at a place."""
    return Pedestrian(
        lateral=lateral,
        depth=depth,
        height=chance.between(1.5, 1.9) if chance.happens(0.85) else chance.between(1.0, 1.4),
        stride=chance.between(0.16, 0.5),
        clothes=chance.near(chance.choose(_CLOTHES)),
        trousers=chance.near(chance.choose(_TROUSERS), 0.03),
        skin=chance.choose(_SKIN),
        hair=chance.choose(_HAIR),
    )
