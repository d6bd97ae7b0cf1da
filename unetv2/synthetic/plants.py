"""Trees, bushes and hedges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unetv2.synthetic.canvas import Canvas, Patch
from unetv2.synthetic.chance import RGB, Chance
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.textures import Bools, Floats, cloudy

_SUMMER: tuple[RGB, ...] = ((0.2, 0.34, 0.12), (0.28, 0.4, 0.16), (0.16, 0.28, 0.14))
_AUTUMN: tuple[RGB, ...] = ((0.62, 0.42, 0.17), (0.5, 0.27, 0.16), (0.58, 0.52, 0.22))
_WINTER: tuple[RGB, ...] = ((0.36, 0.31, 0.22), (0.4, 0.39, 0.25), (0.27, 0.32, 0.2))
_SEASONS = (_SUMMER, _AUTUMN, _WINTER)
_SEASON_WEIGHTS = (6, 2.2, 1.2)
_BARK: RGB = (0.3, 0.23, 0.17)


def draw_season(chance: Chance) -> tuple[RGB, ...]:
    """Draws the colors that foliage has in a scene."""
    season = chance.choose_weighted(_SEASONS, _SEASON_WEIGHTS)
    return tuple(chance.near(rgb, 0.04) for rgb in season)


@dataclass(frozen=True)
class Tree:
    """A broad-leaved tree, a conifer, or, without a trunk, a bush.

    Args:
        lateral: Metres.
        depth: Metres.
        height: Metres.
        spread: Radius of the crown in meters.
        trunk: Metres below the crown.
        conifer: bool. The crown is a cone.
        rgb: Color of the leaves.
        phase: Shifts the textures.
    """

    lateral: float
    depth: float
    height: float
    spread: float
    trunk: float
    conifer: bool
    rgb: RGB
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground below the tree, shifted away from the sun."""
        weather = canvas.weather
        lateral = self.lateral + weather.slant * self.height * 0.6
        depths = self.depth - self.spread, self.depth + self.spread
        reach = self.spread * (1 + 0.4 * abs(weather.slant))
        laterals = lateral - reach, lateral + reach
        canvas.darken_ground(depths, laterals, 0.1 + weather.shadow, round_off=True)

    def paint(self, canvas: Canvas) -> None:
        """Paints the trunk, then the crown."""
        camera, depth = canvas.camera, self.depth
        u = camera.u_at(self.lateral, depth)
        half = 0.035 * self.height
        if self.trunk:
            heights, halves = (0.0, 0.3, self.trunk + 0.3 * self.spread), (1.4, 1.0, 0.6)
            widths = [half * share for share in halves]
            patch = canvas.outline(u, depth, heights, widths)
            if patch is not None:
                shade = 0.85 - (patch.u - u) * (0.35 * np.sign(canvas.weather.slant) * depth / half)
                patch.paint(canvas.mix(Tag.VEGETATION, _BARK), shade)
        bottom, top = camera.v_at(self.trunk, depth), camera.v_at(self.height, depth)
        reach = self.spread / depth
        patch = canvas.rectangle(u - 1.1 * reach, u + 1.1 * reach, top, bottom, depth)
        if patch is not None:
            across = (patch.u - u) * (1 / reach)
            down = (patch.v - top) * (2 / (bottom - top)) - 1
            self._crown(canvas, patch, across, down)

    def _crown(self, canvas: Canvas, patch: Patch, across: Floats, down: Floats) -> None:
        leaves = cloudy(self.phase + down * 64, self.phase * 1.7 + across * 52)
        if self.conifer:
            tiers = 0.16 * ((down * 3.5) % 1)
            patch.visible &= np.abs(across) + 0.5 * leaves < 0.26 + 0.5 * (down + 1) + tiers
        else:
            patch.visible &= across**2 + down**2 + 0.95 * (leaves - 0.5) < 0.78
        sunny = -0.16 * np.sign(canvas.weather.slant) * across - 0.22 * down
        shade = (0.55 + 0.75 * leaves) + sunny * (0.4 + canvas.weather.shadow)
        patch.paint(_two_tone(canvas, self.rgb, leaves > 0.56), shade)


@dataclass(frozen=True)
class Thicket:
    """A row of plants along the road: a trimmed hedge, or the edge of a wood.

    Args:
        lateral: Metres.
        near: Depth of its near end in meters.
        far: Depth of its far end in meters.
        height: Metres.
        ragged: How much the height varies, as a share of it.
        rgb: Color of the leaves.
        phase: Shifts the textures.
    """

    lateral: float
    near: float
    far: float
    height: float
    ragged: float
    rgb: RGB
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground at its foot and away from the sun."""
        length = 0.8 * canvas.weather.slant * self.height
        edges = sorted((self.lateral - 0.5 * np.sign(length), self.lateral + length))
        strength = 0.2 + 0.6 * canvas.weather.shadow
        canvas.darken_ground((self.near, self.far), (edges[0], edges[1]), strength)

    def paint(self, canvas: Canvas) -> None:
        """Paints the side along the road."""
        columns, depth = canvas.ribbon(self.lateral, self.near, self.far)
        if not depth.size:
            return
        camera, phase = canvas.camera, self.phase
        patch = canvas.upright(
            columns, camera.v_at(self.height, depth), camera.v_at(0.0, depth), depth
        )
        if patch is None:
            return
        height = camera.height_at(patch.v, depth)
        scale = 30 / (1 + 0.25 * self.height)
        leaves = cloudy(height * scale + phase, depth * scale)
        crowns = cloudy(depth * 0 + phase, depth * (1.1 * scale))
        # A wood's end is a tree's outline, not a cut.
        inside = np.minimum(depth - self.near, self.far - depth) * (1.4 / self.height)
        edge = np.sqrt(np.clip(inside + 0.15, 0, 1)) - self.ragged * (0.55 * crowns + 0.45 * leaves)
        patch.visible &= height < self.height * edge
        side = -1 if self.lateral > camera.offset else 1
        shade = (0.42 + 0.62 * leaves + 0.18 * crowns) * canvas.weather.facing(side)
        shade *= 0.5 + 0.5 * np.clip(height * (1.6 / self.height), 0, 1)
        patch.paint(_two_tone(canvas, self.rgb, leaves > 0.56), shade)


def draw_hedge(chance: Chance, lateral: float, near: float, far: float) -> Thicket:
    """Draws a trimmed hedge at a place."""
    height, rgb = chance.between(0.8, 1.7), chance.near(chance.choose(_SUMMER), 0.03)
    return Thicket(lateral, near, far, height, 0.14, rgb, chance.between(0, 512))


def draw_wood(
    chance: Chance, lateral: float, near: float, far: float, season: tuple[RGB, ...]
) -> Thicket:
    """Draws the edge of a wood at a place."""
    height, rgb = chance.between(5, 13), chance.near(chance.choose(season), 0.03)
    ragged = chance.between(0.4, 0.75)
    return Thicket(lateral, near, far, height, ragged, rgb, chance.between(0, 512))


def draw_tree(
    chance: Chance, lateral: float, depth: float, season: tuple[RGB, ...], *, conifer: bool
) -> Tree:
    """Draws a tree at a place."""
    height = chance.between(4.5, 11)
    evergreen = conifer or chance.happens(0.1)
    rgb = chance.choose(_SUMMER) if evergreen else chance.choose(season)
    return Tree(
        lateral=lateral,
        depth=depth,
        height=height,
        spread=height * (chance.between(0.2, 0.28) if evergreen else chance.between(0.28, 0.42)),
        trunk=0.12 * height if evergreen else height * chance.between(0.2, 0.32),
        conifer=evergreen,
        rgb=chance.near(rgb, 0.03),
        phase=chance.between(0, 512),
    )


def draw_bush(chance: Chance, lateral: float, depth: float, season: tuple[RGB, ...]) -> Tree:
    """Draws a bush at a place."""
    height = chance.between(0.7, 2.2)
    return Tree(
        lateral=lateral,
        depth=depth,
        height=height,
        spread=height * chance.between(0.6, 1.1),
        trunk=0.0,
        conifer=False,
        rgb=chance.near(chance.choose(season), 0.03),
        phase=chance.between(0, 512),
    )


def _two_tone(canvas: Canvas, rgb: RGB, bright: Bools) -> np.typing.NDArray[np.uint8]:
    dark = (0.72 * rgb[0], 0.78 * rgb[1], 0.82 * rgb[2])
    tones = canvas.mix(Tag.VEGETATION, dark), canvas.mix(Tag.VEGETATION, rgb)
    return np.array(tones, np.uint8).take(bright)
