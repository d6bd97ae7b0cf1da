"""Small things beside the road: benches and bins, cones and boxes, kiosks and letter boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unetv2.synthetic.canvas import Canvas
from unetv2.synthetic.chance import RGB, Chance
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.textures import cloudy


@dataclass(frozen=True)
class Model:
    """A kind of prop.

    Args:
        tag: What it counts as.
        heights: Metres above the ground, rising, at which the width is given.
        halves: Half of the width at these heights, meters.
        length: Metres along the road.
        colors: One of which the prop has.
        band: Lower and upper height in meters of a band in another color.
        band_rgb: Its color.
    """

    tag: Tag
    heights: tuple[float, ...]
    halves: tuple[float, ...]
    length: float
    colors: tuple[RGB, ...]
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
    rgb = chance.near(chance.choose(model.colors), 0.03)
    return Prop(model, lateral, depth, rgb, chance.between(0, 512))
