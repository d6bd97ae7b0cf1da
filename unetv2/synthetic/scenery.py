"""Buildings, plants, and the skyline."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from unetv2.synthetic.canvas import FARTHEST, Canvas, Patch, Tag
from unetv2.synthetic.randomness import RGB, Bools, Floats, RandomStream, cloudy, cloudy_tile


class SkylineKind(Enum):
    """A kind of skyline."""

    WOODS = "woods"
    HILLS = "hills"
    TOWN = "town"


_TAGS = {
    SkylineKind.WOODS: Tag.VEGETATION,
    SkylineKind.HILLS: Tag.TERRAIN,
    SkylineKind.TOWN: Tag.BUILDING,
}
_HEIGHTS = {
    SkylineKind.WOODS: (4.0, 18.0),
    SkylineKind.HILLS: (4.0, 26.0),
    SkylineKind.TOWN: (8.0, 42.0),
}
_COLORS: dict[SkylineKind, tuple[RGB, ...]] = {
    SkylineKind.WOODS: ((0.2, 0.3, 0.16), (0.34, 0.3, 0.16), (0.16, 0.24, 0.18)),
    SkylineKind.HILLS: ((0.34, 0.4, 0.26), (0.46, 0.42, 0.3), (0.36, 0.38, 0.4)),
    SkylineKind.TOWN: ((0.5, 0.5, 0.52), (0.58, 0.5, 0.44), (0.4, 0.44, 0.5)),
}
_BLOCKS = 26


@dataclass(frozen=True)
class Skyline:
    """A silhouette across the whole image."""

    kind: SkylineKind
    depth: float
    heights: tuple[float, ...]  # One for each block from left to right.
    rgb: RGB
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Does nothing: the shadow is out of sight."""

    def paint(self, canvas: Canvas) -> None:
        """Paints the silhouette, its foot hidden by the ground."""
        u, camera = canvas.u, canvas.camera
        ground = camera.v_at(0.0, self.depth)
        top = ground - self._profile(u) / self.depth
        foot = max(ground, 0.0) + 0.15
        patch = canvas.upright(slice(0, u.size), top, foot, self.depth)
        if patch is None:
            return
        texture = cloudy(
            patch.v * 420 + self.phase, u * (150 if self.kind is SkylineKind.HILLS else 420)
        )
        material = canvas.mix(_TAGS[self.kind], self.rgb)
        if self.kind is SkylineKind.TOWN:
            shade = 0.8 + 0.25 * self._block_noise(u) + 0.1 * texture
        else:
            shade = 0.7 + 0.5 * texture
        patch.paint(material, shade)
        if self.kind is SkylineKind.TOWN:
            windows = ((patch.v * 110) % 1 < 0.5) & ((u * 90) % 1 < 0.55)
            patch.visible &= windows & (texture > 0.45)
            lit = canvas.weather.night
            rgb = (0.95, 0.8, 0.5) if lit else (0.34, 0.38, 0.44)
            patch.paint(canvas.mix(Tag.BUILDING, rgb, shines=lit), 0.55 if lit else 0.95)

    def _profile(self, u: Floats) -> Floats:
        """Returns the silhouette's height in meters at every column."""
        position = (u + 1) * (0.5 * (_BLOCKS - 1))
        heights: Floats = np.array(self.heights, np.float32)
        if self.kind is SkylineKind.TOWN:
            blocks: Floats = heights[np.rint(position).astype(int)]
            return blocks
        rolling: Floats = np.interp(position, np.arange(_BLOCKS), heights)
        if self.kind is SkylineKind.WOODS:
            rolling = rolling * (0.75 + 0.5 * cloudy(u * 0 + self.phase, u * 230))
        return rolling

    def _block_noise(self, u: Floats) -> Floats:
        blocks = np.rint((u + 1) * (0.5 * (_BLOCKS - 1)))
        return cloudy(blocks * 0 + self.phase, blocks * 61)


def draw_skyline(rng: RandomStream, kind: SkylineKind) -> Skyline:
    """Draws a silhouette."""
    low, high = _HEIGHTS[kind]
    high = rng.uniform(1.3 * low, high)
    heights = [rng.uniform(low, high) for _ in range(_BLOCKS)]
    if kind is SkylineKind.HILLS:
        heights = list(np.convolve(heights, np.ones(7) / 7, mode="same"))
    if kind is SkylineKind.TOWN:
        heights = [height if rng.happens(0.8) else 0.3 * height for height in heights]
    return Skyline(
        kind=kind,
        depth=rng.uniform(0.55, 0.95) * FARTHEST,
        heights=tuple(float(height) for height in heights),
        rgb=rng.vary(rng.choice(_COLORS[kind])),
        phase=rng.uniform(0, 512),
    )


_WALLS: tuple[RGB, ...] = (
    (0.62, 0.36, 0.28),
    (0.72, 0.65, 0.54),
    (0.56, 0.56, 0.56),
    (0.78, 0.76, 0.72),
    (0.45, 0.43, 0.42),
    (0.5, 0.56, 0.62),
    (0.75, 0.6, 0.42),
    (0.66, 0.7, 0.6),
)
_ROOFS: tuple[RGB, ...] = ((0.55, 0.28, 0.2), (0.33, 0.32, 0.34), (0.42, 0.34, 0.28))
_GLASS: tuple[RGB, ...] = ((0.2, 0.25, 0.32), (0.4, 0.5, 0.6), (0.16, 0.17, 0.19))
_LAMPLIGHT: tuple[RGB, ...] = ((0.98, 0.82, 0.5), (0.93, 0.9, 0.76))
_SHOP_HEIGHT = 3.4
_MIN_STORY = 2.6


@dataclass(frozen=True)
class Building:
    """A block beside the road, one wall along it."""

    lateral: float  # Position of that wall; negative to the left of the road.
    near: float
    far: float
    breadth: float  # Meters away from the road.
    height: float  # Meters up to the eaves.
    rise: float  # Meters from the eaves to the ridge of a hipped roof, 0 for a flat one.
    floor: float  # Meters of one story.
    bay: float  # Meters from window to window.
    pane: tuple[float, float]  # Width and height of a window, as shares of bay and story.
    shop: bool  # The ground floor is a shop window.
    wall: RGB
    roof: RGB
    glass: RGB  # Color by day.
    lamplight: RGB  # Color of lit windows.
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground on the side away from the sun."""
        length = canvas.weather.slant * self.height
        if self.lateral * length < 0:
            edges = self.lateral, self.lateral + length
            shadow = canvas.weather.shadow
            canvas.darken_ground((self.near, self.far), edges, shadow)

    def paint(self, canvas: Canvas) -> None:
        """Paints the wall along the road, then the front."""
        side = 1 if self.lateral > 0 else -1
        camera, weather = canvas.camera, canvas.weather
        columns, depth = canvas.ribbon(self.lateral, self.near, self.far)
        if depth.size:
            along = depth - self.near
            slope = np.minimum(along, self.far - depth) * (2 / self.breadth)
            top = camera.v_at(0.0, depth) - (self.height + self.rise * slope.clip(0, 1)) / depth
            patch = canvas.upright(columns, top, camera.v_at(0.0, depth), depth)
            if patch is not None:
                self._face(canvas, patch, depth, along, weather.facing(-side))
        edges = [camera.u_at(self.lateral + side * out, self.near) for out in (0, self.breadth)]
        columns = canvas.columns_between(min(edges), max(edges))
        if columns.stop > columns.start and self.near > 1.5:
            along = np.abs(canvas.u[columns] - edges[0]) * self.near
            slope = 1 - np.abs(along * (2 / self.breadth) - 1)
            top = camera.v_at(0.0, self.near) - (self.height + self.rise * slope) / self.near
            patch = canvas.upright(columns, top, camera.v_at(0.0, self.near), self.near)
            if patch is not None:
                self._face(canvas, patch, self.near, along, weather.facing(0))

    def _face(
        self, canvas: Canvas, patch: Patch, depth: float | Floats, along: Floats, light: float
    ) -> None:
        """Paints one wall: roof, windows, shop, and the plaster between them."""
        height = canvas.camera.height_at(patch.v, depth)
        shade = light * (0.9 + 0.2 * cloudy(height * 9 + self.phase, along * 9))
        shade *= np.clip(0.78 + height * 0.11, 0, 1)
        material = np.full(shade.shape, canvas.mix(Tag.BUILDING, self.wall), np.uint8)
        if canvas.pixels(self.floor, float(np.min(depth))) > 4:
            self._add_windows(canvas, material, shade, height, along)
        cornice = (height > self.height - 0.5) & (height <= self.height)
        shade *= 1 - 0.22 * cornice
        if self.rise:
            roof = height > self.height
            np.copyto(material, canvas.mix(Tag.BUILDING, self.roof), where=roof)
            shade -= 0.16 * (roof & ((height * 3) % 1 < 0.3))
        patch.paint(material, shade)

    def _add_windows(
        self,
        canvas: Canvas,
        material: np.typing.NDArray[np.uint8],
        shade: Floats,
        height: Floats,
        along: Floats,
    ) -> None:
        story, bay = height * (1 / self.floor), along * (1 / self.bay)
        story_number, bay_number = story.astype(np.int32), bay.astype(np.int32)
        up, across = story - story_number, bay - bay_number
        wide, tall = self.pane
        pane = (up > 0.25) & (up < 0.25 + tall) & (np.abs(across - 0.5) < wide / 2)
        pane &= height < self.height - 0.4
        if self.shop:
            pane &= height > _SHOP_HEIGHT
            pane |= (height > 0.4) & (height < _SHOP_HEIGHT - 0.7) & (np.abs(across - 0.5) < 0.44)
            shade *= 1 - 0.25 * (np.abs(height - _SHOP_HEIGHT + 0.3) < 0.3)
        frame = (np.abs(across - 0.5) < wide / 2 + 0.05) & (np.abs(up - 0.22) < 0.03)
        shade += 0.2 * frame
        pane &= np.abs(across - 0.5) > 0.025
        glass = canvas.mix(Tag.BUILDING, self.glass)
        rooms = cloudy_tile()[(story_number * 37 + int(self.phase)) & 511, bay_number * 53 & 511]
        material[pane] = glass
        shade += pane * (0.5 * rooms - 0.2 + 0.12 * (up - 0.5))
        if canvas.weather.night:
            lit = pane & (rooms > 0.55)
            material[lit] = canvas.mix(Tag.BUILDING, self.lamplight, shines=True)
            shade[lit] = 0.55 + 0.45 * np.broadcast_to(rooms, lit.shape)[lit]


def draw_building(
    rng: RandomStream, lateral: float, near: float, length: float, heights: tuple[float, float]
) -> Building:
    """Draws a building, from the minimum and maximum height of its eaves."""
    height = rng.uniform(*heights)
    cottage = height < 8 and rng.happens(0.8)
    return Building(
        lateral=lateral,
        near=near,
        far=near + length,
        breadth=rng.uniform(8, 16),
        height=height,
        rise=rng.uniform(2, 4) if cottage else 0.0,
        floor=_MIN_STORY + rng.uniform(0.2, 1.2),
        bay=rng.uniform(1.6, 3.6),
        pane=(rng.uniform(0.35, 0.85), rng.uniform(0.4, 0.62)),
        shop=not cottage and rng.happens(0.6),
        wall=rng.vary(rng.choice(_WALLS)),
        roof=rng.vary(rng.choice(_ROOFS)),
        glass=rng.vary(rng.choice(_GLASS), 0.03),
        lamplight=rng.choice(_LAMPLIGHT),
        phase=rng.uniform(0, 512),
    )


_SUMMER: tuple[RGB, ...] = ((0.2, 0.34, 0.12), (0.28, 0.4, 0.16), (0.16, 0.28, 0.14))
_AUTUMN: tuple[RGB, ...] = ((0.62, 0.42, 0.17), (0.5, 0.27, 0.16), (0.58, 0.52, 0.22))
_WINTER: tuple[RGB, ...] = ((0.36, 0.31, 0.22), (0.4, 0.39, 0.25), (0.27, 0.32, 0.2))
_SEASONS = (_SUMMER, _AUTUMN, _WINTER)
_SEASON_WEIGHTS = (6, 2.2, 1.2)
_BARK: RGB = (0.3, 0.23, 0.17)


def draw_season(rng: RandomStream) -> tuple[RGB, ...]:
    """Draws the colors that foliage has in a scene."""
    season = rng.weighted_choice(_SEASONS, _SEASON_WEIGHTS)
    return tuple(rng.vary(rgb, 0.04) for rgb in season)


@dataclass(frozen=True)
class Tree:
    """A broad-leaved tree, a conifer, or, without a trunk, a bush."""

    lateral: float
    depth: float
    height: float
    spread: float  # Radius of the crown in meters.
    trunk: float  # Meters below the crown.
    conifer: bool  # The crown is a cone.
    rgb: RGB  # Color of the leaves.
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
    """A row of plants along the road: a trimmed hedge, or the edge of a wood."""

    lateral: float
    near: float
    far: float
    height: float
    ragged: float  # Variation of the height, as a fraction of it.
    rgb: RGB  # Color of the leaves.
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground at its foot and away from the sun."""
        length = 0.8 * canvas.weather.slant * self.height
        edges = self.lateral - 0.5 * np.sign(length), self.lateral + length
        strength = 0.2 + 0.6 * canvas.weather.shadow
        canvas.darken_ground((self.near, self.far), edges, strength)

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


def draw_hedge(rng: RandomStream, lateral: float, near: float, far: float) -> Thicket:
    """Draws a trimmed hedge at a position."""
    height, rgb = rng.uniform(0.8, 1.7), rng.vary(rng.choice(_SUMMER), 0.03)
    return Thicket(lateral, near, far, height, 0.14, rgb, rng.uniform(0, 512))


def draw_wood(
    rng: RandomStream, lateral: float, near: float, far: float, season: tuple[RGB, ...]
) -> Thicket:
    """Draws the edge of a wood at a position."""
    height, rgb = rng.uniform(5, 13), rng.vary(rng.choice(season), 0.03)
    ragged = rng.uniform(0.4, 0.75)
    return Thicket(lateral, near, far, height, ragged, rgb, rng.uniform(0, 512))


def draw_tree(
    rng: RandomStream, lateral: float, depth: float, season: tuple[RGB, ...], *, conifer: bool
) -> Tree:
    """Draws a tree at a position."""
    height = rng.uniform(4.5, 11)
    evergreen = conifer or rng.happens(0.1)
    rgb = rng.choice(_SUMMER) if evergreen else rng.choice(season)
    return Tree(
        lateral=lateral,
        depth=depth,
        height=height,
        spread=height * (rng.uniform(0.2, 0.28) if evergreen else rng.uniform(0.28, 0.42)),
        trunk=0.12 * height if evergreen else height * rng.uniform(0.2, 0.32),
        conifer=evergreen,
        rgb=rng.vary(rgb, 0.03),
        phase=rng.uniform(0, 512),
    )


def draw_bush(rng: RandomStream, lateral: float, depth: float, season: tuple[RGB, ...]) -> Tree:
    """Draws a bush at a position."""
    height = rng.uniform(0.7, 2.2)
    return Tree(
        lateral=lateral,
        depth=depth,
        height=height,
        spread=height * rng.uniform(0.6, 1.1),
        trunk=0.0,
        conifer=False,
        rgb=rng.vary(rng.choice(season), 0.03),
        phase=rng.uniform(0, 512),
    )


def _two_tone(canvas: Canvas, rgb: RGB, bright: Bools) -> np.typing.NDArray[np.uint8]:
    dark = (0.72 * rgb[0], 0.78 * rgb[1], 0.82 * rgb[2])
    tones = canvas.mix(Tag.VEGETATION, dark), canvas.mix(Tag.VEGETATION, rgb)
    return np.array(tones, np.uint8).take(bright)
