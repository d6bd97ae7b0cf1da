"""Buildings, from cottages to towers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unetv2.synthetic.canvas import Canvas, Patch
from unetv2.synthetic.chance import RGB, Chance
from unetv2.synthetic.classes import Tag
from unetv2.synthetic.textures import Floats, cloudy, cloudy_tile

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
_SMALLEST_FLOOR = 2.6


@dataclass(frozen=True)
class Building:
    """A block beside the road, one wall along it.

    Args:
        lateral: Where that wall stands, meters; negative to the left of the road.
        near: Depth of its front in meters.
        far: Depth of its back in meters.
        breadth: Metres away from the road.
        height: Metres up to the eaves.
        rise: Metres from the eaves to the ridge of a hipped roof, 0 for a flat one.
        floor: Metres of one storey.
        bay: Metres from window to window.
        pane: Shares of a bay's width and of a storey's height that a window takes.
        shop: bool. The ground floor is a shop window.
        wall: Color.
        roof: Color.
        glass: Color by day.
        lamplight: Color of lit windows.
        phase: Shifts the textures.
    """

    lateral: float
    near: float
    far: float
    breadth: float
    height: float
    rise: float
    floor: float
    bay: float
    pane: tuple[float, float]
    shop: bool
    wall: RGB
    roof: RGB
    glass: RGB
    lamplight: RGB
    phase: float

    def cast_shadow(self, canvas: Canvas) -> None:
        """Darkens the ground on the side away from the sun."""
        length = canvas.weather.slant * self.height
        if self.lateral * length < 0:
            edges = sorted((self.lateral, self.lateral + length))
            shadow = canvas.weather.shadow
            canvas.darken_ground((self.near, self.far), (edges[0], edges[1]), shadow)

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
        storey, bay = height * (1 / self.floor), along * (1 / self.bay)
        storey_number, bay_number = storey.astype(np.int32), bay.astype(np.int32)
        up, across = storey - storey_number, bay - bay_number
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
        rooms = cloudy_tile()[(storey_number * 37 + int(self.phase)) & 511, bay_number * 53 & 511]
        material[pane] = glass
        shade += pane * (0.5 * rooms - 0.2 + 0.12 * (up - 0.5))
        if canvas.weather.night:
            lit = pane & (rooms > 0.55)
            material[lit] = canvas.mix(Tag.BUILDING, self.lamplight, shines=True)
            shade[lit] = 0.55 + 0.45 * np.broadcast_to(rooms, lit.shape)[lit]


def draw_building(
    chance: Chance, lateral: float, near: float, length: float, heights: tuple[float, float]
) -> Building:
    """Draws a building.

    Args:
        chance: Draws.
        lateral: Where the wall along the road stands, meters.
        near: Depth of its front in meters.
        length: Metres along the road.
        heights: The least and the greatest height of its eaves in meters.

    Returns:
        Building.
    """
    height = chance.between(*heights)
    cottage = height < 8 and chance.happens(0.8)
    return Building(
        lateral=lateral,
        near=near,
        far=near + length,
        breadth=chance.between(8, 16),
        height=height,
        rise=chance.between(2, 4) if cottage else 0.0,
        floor=_SMALLEST_FLOOR + chance.between(0.2, 1.2),
        bay=chance.between(1.6, 3.6),
        pane=(chance.between(0.35, 0.85), chance.between(0.4, 0.62)),
        shop=not cottage and chance.happens(0.6),
        wall=chance.near(chance.choose(_WALLS)),
        roof=chance.near(chance.choose(_ROOFS)),
        glass=chance.near(chance.choose(_GLASS), 0.03),
        lamplight=chance.choose(_LAMPLIGHT),
        phase=chance.between(0, 512),
    )
