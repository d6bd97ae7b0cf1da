"""Poles with lamps, traffic signs and traffic lights, and small objects beside the road."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from unetv2.synthetic.canvas import Canvas, Glow, Tag
from unetv2.synthetic.randomness import RGB, RandomStream, cloudy

_METALS: tuple[RGB, ...] = (
    (0.5, 0.51, 0.52),
    (0.2, 0.22, 0.22),
    (0.38, 0.3, 0.22),
    (0.68, 0.68, 0.66),
)
_WHITE: RGB = (0.92, 0.92, 0.9)
_RED: RGB = (0.76, 0.1, 0.1)
_BLUE: RGB = (0.1, 0.25, 0.62)
_YELLOW: RGB = (0.9, 0.72, 0.12)
_GREEN: RGB = (0.08, 0.38, 0.26)
_HOUSING: tuple[RGB, ...] = ((0.1, 0.1, 0.1), (0.82, 0.68, 0.12), (0.22, 0.25, 0.22))
_LAMPS: tuple[RGB, ...] = ((0.15, 0.9, 0.45), (1.0, 0.72, 0.1), (1.0, 0.16, 0.1))
_SODIUM: RGB = (0.95, 0.7, 0.38)
_POST = 0.09
_LOW_HEAD = 2.6


@dataclass(frozen=True)
class Post:
    """A pole: a street lamp with an arm over the road, or a mast for wires."""

    lateral: float
    depth: float
    height: float
    arm: float  # Meters over the road, or of the cross-arms to both sides.
    wires: bool  # A mast with cross-arms in place of a lamp.
    rgb: RGB

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens a streak on the ground."""
        _cast_streak(canvas, self.lateral, self.depth, self.height)

    def paint(self, canvas: Canvas) -> None:
        """Paints the shaft, the arms, and the lamp."""
        camera, depth = canvas.camera, self.depth
        u, pole = camera.u_at(self.lateral, depth), canvas.mix(Tag.POLE, self.rgb)
        thick = 1.3 if self.wires else 1.0
        _paint_shaft(canvas, self.lateral, depth, self.height, self.rgb, thick)
        if self.wires:
            for height in (self.height - 0.4, self.height - 1.1):
                _bar(canvas, u, depth, (height, height + 0.14), self.arm / 2, pole)
            return
        inward = -1 if self.lateral > 0 else 1
        middle, tip = (u + inward * share * self.arm / depth for share in (0.5, 1.0))
        _bar(canvas, middle, depth, (self.height - 0.1, self.height), self.arm / 2, pole)
        _bar(canvas, tip, depth, (self.height - 0.22, self.height - 0.02), 0.32, pole)
        if canvas.weather.night and abs(tip) < 1:
            red, green, blue = _SODIUM
            v = camera.v_at(self.height - 0.2, depth)
            canvas.glows.append(Glow(tip, v, 1.3 / depth, (0.8 * red, 0.8 * green, 0.8 * blue)))


class Board(Enum):
    """The shape of a traffic sign."""

    DISC = "disc"
    TRIANGLE = "triangle"
    OBLONG = "oblong"
    DIAMOND = "diamond"


_OUTLINES: dict[Board, tuple[tuple[float, ...], tuple[float, ...]]] = {
    Board.DISC: ((-1, -0.8, -0.4, 0, 0.4, 0.8, 1), (0.2, 0.6, 0.92, 1, 0.92, 0.6, 0.2)),
    Board.TRIANGLE: ((-0.8, 1), (1.05, 0.06)),
    Board.OBLONG: ((-1.1, 1.1), (0.85, 0.85)),
    Board.DIAMOND: ((-1.1, 0, 1.1), (0.05, 1.1, 0.05)),
}
_FACES: dict[Board, tuple[tuple[RGB, RGB], ...]] = {
    Board.DISC: ((_RED, _WHITE), (_BLUE, _BLUE), (_RED, _RED)),
    Board.TRIANGLE: ((_RED, _WHITE), (_RED, _YELLOW)),
    Board.OBLONG: ((_WHITE, _BLUE), (_WHITE, _GREEN), (_WHITE, _WHITE)),
    Board.DIAMOND: ((_WHITE, _YELLOW), ((0.1, 0.1, 0.1), _YELLOW)),
}


@dataclass(frozen=True)
class Sign:
    """A traffic sign on a post."""

    lateral: float
    depth: float
    height: float  # Of its middle, meters.
    radius: float
    board: Board  # Its shape.
    rim: RGB
    face: RGB
    metal: RGB  # Color of the post.

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens a streak on the ground."""
        _cast_streak(canvas, self.lateral, self.depth, self.height)

    def paint(self, canvas: Canvas) -> None:
        """Paints the post, then the board with its rim and a pictogram."""
        _paint_shaft(canvas, self.lateral, self.depth, self.height, self.metal, 0.5)
        u, light = canvas.camera.u_at(self.lateral, self.depth), canvas.weather.facing(0)
        for share, rgb in ((1.0, self.rim), (0.76, self.face)):
            heights, halves = _OUTLINES[self.board]
            scaled = [self.height + share * self.radius * height for height in heights]
            widths = [share * self.radius * half for half in halves]
            patch = canvas.outline(u, self.depth, scaled, widths)
            if patch is not None:
                patch.paint(canvas.mix(Tag.TRAFFIC_SIGN, rgb), light)
        dark = (0.1, 0.1, 0.1) if sum(self.face) > 1.2 else _WHITE
        middle = self.height - 0.12 * self.radius, self.height + 0.12 * self.radius
        patch = canvas.outline(u, self.depth, middle, (0.45 * self.radius,) * 2)
        if patch is not None:
            patch.paint(canvas.mix(Tag.TRAFFIC_SIGN, dark), light)


@dataclass(frozen=True)
class TrafficLight:
    """A traffic light beside the road, or above it at the end of an arm."""

    lateral: float  # Of its post, meters.
    depth: float
    height: float  # Of the housing's lower edge, meters.
    arm: float  # Meters from the post to the housing, negative to the left.
    lit: int  # Which lamp is lit: 0 green, 1 yellow, 2 red.
    housing: RGB
    metal: RGB  # Color of the post.

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens a streak on the ground."""
        _cast_streak(canvas, self.lateral, self.depth, self.height)

    def paint(self, canvas: Canvas) -> None:
        """Paints the post, the arm, the housing, and the three lamps."""
        depth = self.depth
        _paint_shaft(canvas, self.lateral, depth, self.height + 0.9, self.metal, 0.8)
        post = canvas.camera.u_at(self.lateral, depth)
        u = post + self.arm / depth
        if self.arm:
            heights = self.height + 0.7, self.height + 0.85
            metal = canvas.mix(Tag.POLE, self.metal)
            _bar(canvas, (post + u) / 2, depth, heights, abs(self.arm) / 2, metal)
            self._paint_head(canvas, post, _LOW_HEAD)
        self._paint_head(canvas, u, self.height)

    def _paint_head(self, canvas: Canvas, u: float, foot: float) -> None:
        camera, depth = canvas.camera, self.depth
        box = canvas.outline(u, depth, (foot, foot + 1.2), (0.25, 0.25))
        if box is not None:
            box.paint(canvas.mix(Tag.TRAFFIC_LIGHT, self.housing), canvas.weather.facing(0))
        for number, rgb in enumerate(_LAMPS):
            v, radius = camera.v_at(foot + 0.24 + 0.36 * number, depth), 0.15 / depth
            patch = canvas.rectangle(u - radius, u + radius, v - radius, v + radius, depth)
            if patch is None:
                continue
            patch.visible &= np.hypot(patch.u - u, patch.v - v) < radius
            lit = number == self.lit
            patch.paint(canvas.mix(Tag.TRAFFIC_LIGHT, rgb, shines=lit), 1.0 if lit else 0.22)
            if lit and patch.visible.any():
                glow = (0.35 * rgb[0], 0.35 * rgb[1], 0.35 * rgb[2])
                canvas.glows.append(Glow(u, v, 3 * radius, glow))


def draw_post(
    rng: RandomStream, lateral: float, depth: float, *, wires: bool, like: Post | None
) -> Post:
    """Draws a pole at a position, of the same kind as ``like`` if that is given."""
    if like is not None:
        return Post(lateral, depth, like.height, like.arm, like.wires, like.rgb)
    rgb = rng.vary(rng.choice(_METALS), 0.03)
    return Post(lateral, depth, rng.uniform(6, 9.5), rng.uniform(1.2, 2.6), wires, rgb)


def draw_sign(rng: RandomStream, lateral: float, depth: float) -> Sign:
    """Draws a traffic sign at a position."""
    board = rng.choice(tuple(Board))
    rim, face = rng.choice(_FACES[board])
    return Sign(
        lateral=lateral,
        depth=depth,
        height=rng.uniform(2.1, 2.9),
        radius=rng.uniform(0.3, 0.44),
        board=board,
        rim=rim,
        face=face,
        metal=rng.vary(rng.choice(_METALS), 0.03),
    )


def draw_traffic_light(rng: RandomStream, lateral: float, depth: float) -> TrafficLight:
    """Draws a traffic light at a position, its arm reaching over the road."""
    arm = rng.uniform(2.5, 5) if rng.happens(0.5) else 0.0
    return TrafficLight(
        lateral=lateral,
        depth=depth,
        height=rng.uniform(4.6, 5.4) if arm else rng.uniform(2.4, 3.2),
        arm=-arm if lateral > 0 else arm,
        lit=rng.integer(0, 2),
        housing=rng.choice(_HOUSING),
        metal=rng.vary(rng.choice(_METALS), 0.03),
    )


def _paint_shaft(
    canvas: Canvas, lateral: float, depth: float, height: float, rgb: RGB, thickness: float
) -> None:
    u, half = canvas.camera.u_at(lateral, depth), thickness * _POST
    patch = canvas.outline(
        u, depth, (0, 0.4, 0.41, height), (1.6 * half, 1.6 * half, half, 0.7 * half)
    )
    if patch is not None:
        across = (patch.u - u) * (depth / half)
        patch.paint(canvas.mix(Tag.POLE, rgb), 0.85 - 0.3 * np.sign(canvas.weather.slant) * across)


def _bar(
    canvas: Canvas, u: float, depth: float, heights: tuple[float, float], half: float, material: int
) -> None:
    top, bottom = (canvas.camera.v_at(height, depth) for height in heights[::-1])
    patch = canvas.rectangle(u - half / depth, u + half / depth, top, bottom, depth)
    if patch is not None:
        patch.paint(material, 0.85)


def _cast_streak(canvas: Canvas, lateral: float, depth: float, height: float) -> None:
    edges = lateral, lateral + canvas.weather.slant * height
    depths = depth - 0.14, depth + 0.14
    canvas.darken_ground(depths, edges, canvas.weather.shadow)


@dataclass(frozen=True)
class Model:
    """A kind of prop."""

    tag: Tag
    heights: tuple[float, ...]  # Increasing, in meters above the ground.
    halves: tuple[float, ...]  # Half of the widths at these heights.
    length: float  # Meters along the road.
    colors: tuple[RGB, ...]  # One of which the prop has.
    band: tuple[float, float]  # Lower and upper height in meters of a band in another color.
    band_rgb: RGB  # Its color.


_GRAY: RGB = (0.5, 0.5, 0.5)
_ORANGE: RGB = (0.92, 0.4, 0.1)
_CREAM: RGB = (0.88, 0.85, 0.76)
_DARK: RGB = (0.16, 0.18, 0.18)
_BROWN: RGB = (0.42, 0.29, 0.18)
_PROP_GREEN: RGB = (0.18, 0.34, 0.22)
_PROP_BLUE: RGB = (0.16, 0.28, 0.5)
_PROP_RED: RGB = (0.66, 0.14, 0.12)

_STATIC = (
    # Trash can.
    Model(Tag.STATIC, (0, 0.1, 0.95, 1.1), (0.3, 0.34, 0.36, 0.2), 0.6,
          (_PROP_GREEN, _DARK, _GRAY), (0.8, 0.9), _CREAM),
    # Bench.
    Model(Tag.STATIC, (0, 0.42, 0.43, 0.9), (0.75, 0.75, 0.85, 0.85), 0.6,
          (_BROWN, _GRAY, _DARK), (0.5, 0.58), _DARK),
    # Planter.
    Model(Tag.STATIC, (0, 0.08, 0.6, 0.7), (0.85, 0.9, 0.95, 1.0), 1.2,
          (_GRAY, _BROWN, _CREAM), (0.55, 0.7), _PROP_GREEN),
    # Construction barrier.
    Model(Tag.STATIC, (0, 0.95, 1.0), (1.0, 1.0, 1.0), 0.3,
          (_ORANGE, _CREAM, _PROP_RED), (0.35, 0.6), _CREAM),
    # Bus shelter.
    Model(Tag.STATIC, (0, 2.3, 2.35, 2.55), (1.4, 1.4, 1.6, 1.6), 3.0,
          (_GRAY, _PROP_BLUE, _PROP_GREEN), (0.5, 2.1), (0.45, 0.5, 0.53)),
)  # fmt: skip
_DYNAMIC = (
    # Traffic cone.
    Model(Tag.DYNAMIC, (0, 0.06, 0.07, 0.75), (0.24, 0.24, 0.17, 0.03), 0.4,
          (_ORANGE,), (0.32, 0.5), _CREAM),
    # Wheeled trash bin.
    Model(Tag.DYNAMIC, (0, 0.1, 0.95, 1.05), (0.24, 0.27, 0.33, 0.35), 0.6,
          (_PROP_GREEN, _PROP_BLUE, _DARK, _BROWN), (0.92, 0.96), _DARK),
    # Cardboard box.
    Model(Tag.DYNAMIC, (0, 0.6), (0.4, 0.4), 0.6,
          ((0.62, 0.48, 0.32),), (0.27, 0.33), _CREAM),
    # Cart.
    Model(Tag.DYNAMIC, (0, 0.2, 0.9, 1.0), (0.3, 0.35, 0.4, 0.4), 0.9,
          (_GRAY, _PROP_RED), (0.5, 0.55), _DARK),
)  # fmt: skip
_OTHER = (
    # Mailbox.
    Model(Tag.OTHER, (0, 0.3, 0.31, 1.2, 1.35), (0.1, 0.1, 0.27, 0.27, 0.15), 0.5,
          (_PROP_RED, _PROP_BLUE, (0.9, 0.72, 0.12)), (0.9, 0.98), _DARK),
    # Kiosk.
    Model(Tag.OTHER, (0, 2.2, 2.25, 2.7), (0.9, 0.9, 1.15, 0.5), 2.0,
          (_PROP_GREEN, _PROP_RED, _CREAM, _PROP_BLUE), (1.0, 1.9), (0.3, 0.32, 0.34)),
    # Switch cabinet.
    Model(Tag.OTHER, (0, 1.5, 1.6), (0.5, 0.5, 0.45), 0.5,
          (_GRAY, _CREAM), (0.7, 0.74), _DARK),
)  # fmt: skip


@dataclass(frozen=True)
class Prop:
    """A small object beside the road."""

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
        edges = self.lateral, self.lateral + np.sign(length) * half + length
        canvas.darken_ground((self.depth, far), edges, canvas.weather.shadow)

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


def draw_prop(rng: RandomStream, tag: Tag, lateral: float, depth: float) -> Prop:
    """Draws a prop that counts as ``tag``: `Tag.STATIC`, `Tag.DYNAMIC` or `Tag.OTHER`."""
    model = rng.choice({Tag.STATIC: _STATIC, Tag.DYNAMIC: _DYNAMIC, Tag.OTHER: _OTHER}[tag])
    rgb = rng.vary(rng.choice(model.colors), 0.03)
    return Prop(model, lateral, depth, rgb, rng.uniform(0, 512))
