"""Draws a scene and paints it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unetv2.arguments import require_image_size, require_integer
from unetv2.synthetic.camera import draw_camera
from unetv2.synthetic.canvas import Canvas
from unetv2.synthetic.chance import Chance
from unetv2.synthetic.developing import develop
from unetv2.synthetic.placing import draw_things
from unetv2.synthetic.planning import draw_plan
from unetv2.synthetic.road import paint_road
from unetv2.synthetic.themes import THEMES
from unetv2.synthetic.weather import draw_weather

_THEME_WEIGHTS = [theme.weight for theme in THEMES]


def driving_scene(
    index: int, *, image_size: tuple[int, int] = (480, 640), seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paints what a dash camera sees of a made-up street, and labels every pixel.

    The labels are the 22 semantic tags of CARLA 0.9.11 from 1 to 22; 0, unlabeled, never occurs.
    Places, weathers and colors vary, so that a pixel's color alone does not tell its tag. The
    scene is the same at every size; only the sensor's noise falls on other places.

    Args:
        index: int, at least 0. Which scene of the data set.
        image_size: ``(height, width)`` in pixels, both at least 1. The image of a 4:3 lens
            is stretched to any other shape.
        seed: int, at least 0. Which data set.

    Returns:
        The image, ``(height, width, 3)`` uint8 RGB in [0, 255], and the mask,
        ``(height, width)`` uint8 in [1, 22].

    Raises:
        TypeError: If ``index``, ``seed`` or a side is not an integer.
        ValueError: If ``index`` or ``seed`` is negative, or a side of ``image_size`` below 1.

    Example:
        >>> image, mask = unetv2.data.driving_scene(7, image_size=(96, 128))
        >>> image.shape, mask.shape
        ((96, 128, 3), (96, 128))
        >>> int(mask.min()) >= 1, int(mask.max()) <= 22
        (True, True)

    References:
        Dosovitskiy et al., "CARLA: An Open Urban Driving Simulator", CoRL 2017, for the tags.
    """
    index = require_integer("index", index, 0, "Scenes are counted from 0.")
    seed = require_integer("seed", seed, 0, "Every integer from 0 upwards is another data set.")
    size = require_image_size(image_size)
    chance = Chance(seed, index)
    theme = chance.choose_weighted(THEMES, _THEME_WEIGHTS)
    plan, weather = draw_plan(chance, theme), draw_weather(chance)
    offset = chance.choose(plan.own_lanes)
    camera = draw_camera(chance, offset=offset, straight=theme.straight)
    things = list(draw_things(chance, theme, plan, offset))

    canvas = Canvas(camera, weather, size)
    paint_road(canvas, plan.road)
    for thing in things:
        thing.cast_shadow(canvas)
    for thing in things:
        thing.paint(canvas)
    return develop(canvas, chance), canvas.mask()
