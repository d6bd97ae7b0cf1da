"""What rises beyond the road's end: woods, hills and a town."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from unetv2.synthetic.camera import FARTHEST
from unetv2.synthetic.canvas import Canvas
from unetv2.synthetic.chance import RGB, Chance
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.textures import Floats, cloudy


class Far(Enum):
    """What a range consists of."""

    WOODS = "woods"
    HILLS = "hills"
    TOWN = "town"


_TAGS = {Far.WOODS: Tag.VEGETATION, Far.HILLS: Tag.TERRAIN, Far.TOWN: Tag.BUILDING}
_HEIGHTS = {Far.WOODS: (4.0, 18.0), Far.HILLS: (4.0, 26.0), Far.TOWN: (8.0, 42.0)}
_COLORS: dict[Far, tuple[RGB, ...]] = {
    Far.WOODS: ((0.2, 0.3, 0.16), (0.34, 0.3, 0.16), (0.16, 0.24, 0.18)),
    Far.HILLS: ((0.34, 0.4, 0.26), (0.46, 0.42, 0.3), (0.36, 0.38, 0.4)),
    Far.TOWN: ((0.5, 0.5, 0.52), (0.58, 0.5, 0.44), (0.4, 0.44, 0.5)),
}
_BLOCKS = 26


@dataclass(frozen=True)
class Range:
    """A silhouette across the whole image.

    Args:
        far: What it consists of.
        depth: Metres.
        heights: Metres, one for each block from left to right.
        rgb: Color.
        phase: Shifts the textures.
    """

    far: Far
    depth: float
    heights: tuple[float, ...]
    rgb: RGB
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Casts none that would be seen."""

    def paint(self, canvas: Canvas) -> None:
        """Paints the silhouette, its foot hidden by the ground."""
        u, camera = canvas.u, canvas.camera
        ground = camera.v_at(0.0, self.depth)
        top = ground - self._profile(u) / self.depth
        foot = max(ground, 0.0) + 0.15
        patch = canvas.upright(slice(0, u.size), top, foot, self.depth)
        if patch is None:
            return
        texture = cloudy(patch.v * 420 + self.phase, u * (150 if self.far is Far.HILLS else 420))
        material = canvas.mix(_TAGS[self.far], self.rgb)
        if self.far is Far.TOWN:
            shade = 0.8 + 0.25 * self._block_noise(u) + 0.1 * texture
        else:
            shade = 0.7 + 0.5 * texture
        patch.paint(material, shade)
        if self.far is Far.TOWN:
            windows = ((patch.v * 110) % 1 < 0.5) & ((u * 90) % 1 < 0.55)
            patch.visible &= windows & (texture > 0.45)
            lit = canvas.weather.night
            rgb = (0.95, 0.8, 0.5) if lit else (0.34, 0.38, 0.44)
            patch.paint(canvas.mix(Tag.BUILDING, rgb, shines=lit), 0.55 if lit else 0.95)

    def _profile(self, u: Floats) -> Floats:
        """Returns the silhouette's height in meters at every column."""
        place = (u + 1) * (0.5 * (_BLOCKS - 1))
        heights: Floats = np.array(self.heights, np.float32)
        if self.far is Far.TOWN:
            blocks: Floats = heights[np.rint(place).astype(int)]
            return blocks
        rolling: Floats = np.interp(place, np.arange(_BLOCKS), heights)
        if self.far is Far.WOODS:
            rolling = rolling * (0.75 + 0.5 * cloudy(u * 0 + self.phase, u * 230))
        return rolling

    def _block_noise(self, u: Floats) -> Floats:
        blocks = np.rint((u + 1) * (0.5 * (_BLOCKS - 1)))
        return cloudy(blocks * 0 + self.phase, blocks * 61)


def draw_range(chance: Chance, far: Far) -> Range:
    """Draws a silhouette."""
    low, high = _HEIGHTS[far]
    high = chance.between(1.3 * low, high)
    heights = [chance.between(low, high) for _ in range(_BLOCKS)]
    if far is Far.HILLS:
        heights = list(np.convolve(heights, np.ones(7) / 7, mode="same"))
    if far is Far.TOWN:
        heights = [height if chance.happens(0.8) else 0.3 * height for height in heights]
    return Range(
        far=far,
        depth=chance.between(0.55, 0.95) * FARTHEST,
        heights=tuple(float(height) for height in heights),
        rgb=chance.near(chance.choose(_COLORS[far])),
        phase=chance.between(0, 512),
    )
