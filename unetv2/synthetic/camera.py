"""Where the camera looks, and how the road runs before it.

World coordinates are meters: ``lateral`` to the right of the road's center line and following its
bends, ``depth`` ahead of the camera, ``height`` above the ground. The image's are ``u`` from -1
at the left edge to 1 at the right and ``v`` from -0.75 at the top to 0.75 at the bottom, whatever
its size: a 4:3 image with a focal length of 1, a horizontal field of view of 90 degrees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from unetv2.synthetic.chance import Chance
from unetv2.synthetic.textures import Floats

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
        offset: Lateral position on the road in meters.
        heading: ``u`` where a straight road vanishes.
        bend: Curvature of the road to the right, per meter.
        climb: Curvature of the road upwards, per meter.
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
            lateral: The surface's lateral position in meters.

        Returns:
            Depths in meters, infinite where the two never meet.
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
        offset: Lateral position of the camera in meters.
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
