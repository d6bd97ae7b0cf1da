"""Turns a painted canvas into what the camera's sensor records."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unetv2.synthetic.camera import HALF_HEIGHT
from unetv2.synthetic.canvas import SKY, Canvas, Glow
from unetv2.synthetic.chance import Chance
from unetv2.synthetic.textures import Floats, cloudy, grain_tile, repeat_to, smooth, streak_tile

_CHANNELS = 3
_KNEE = 0.8


def develop(canvas: Canvas, chance: Chance) -> NDArray[np.uint8]:
    """Lights a canvas, fills the air with haze, and records it.

    Args:
        canvas: What is painted.
        chance: Draws the clouds' place, and where the noise begins.

    Returns:
        The image, ``(height, width, 3)`` uint8, RGB.
    """
    weather = canvas.weather
    drift = (chance.between(0, 512), chance.between(0, 512))
    starts = [(chance.count(0, 255), chance.count(0, 255)) for _ in range(_CHANNELS + 1)]

    shade = canvas.shade * _headlights(canvas) if weather.night else canvas.shade
    haze = 1 - np.exp(canvas.depth * np.float32(-1 / weather.visibility))
    sky_rows = canvas.ground_top
    is_sky = canvas.material[:sky_rows] == SKY
    clouds, sunshine = _clouds(canvas, drift), _sunshine(canvas)
    elevation = np.clip((canvas.camera.horizon - canvas.v[:sky_rows, None]) / 0.8, 0, 1) ** 0.65
    palette = np.array(canvas.colors, np.float32).T
    grain = repeat_to(grain_tile(), canvas.image_size, starts[-1]) * (0.8 * weather.grain)
    if weather.rain:
        grain += repeat_to(streak_tile(), canvas.image_size, starts[0]) * (255 * weather.rain)
    vignette = _vignette(canvas)

    image = np.empty((*canvas.image_size, _CHANNELS), np.uint8)
    for channel in range(_CHANNELS):
        low, high = weather.low_sky[channel], weather.zenith[channel]
        plane = palette[channel].take(canvas.material)
        plane *= shade
        plane += (low - plane) * haze
        sky = low + (high - low) * elevation
        sky = sky + (weather.cloud[channel] - sky) * clouds
        sky += weather.sun_rgb[channel] * sunshine
        np.copyto(plane[:sky_rows], sky, where=is_sky)
        if canvas.gloss is not None:
            _mirror(canvas, plane, canvas.gloss)
        for glow in canvas.glows:
            _add_glow(canvas, plane, glow, channel)
        _compress_highlights(plane)
        plane *= vignette
        plane = _soften(plane)
        plane += grain
        plane += repeat_to(grain_tile(), canvas.image_size, starts[channel]) * (0.6 * weather.grain)
        np.clip(plane, 0, 255, out=plane)
        image[..., channel] = plane
    return image


def _headlights(canvas: Canvas) -> Floats:
    """Returns how much brighter the own headlights make every pixel."""
    across = np.exp(-(((canvas.u - canvas.camera.heading) / 0.55) ** 2))
    level = np.clip(1.3 - np.abs(canvas.v[:, None] - canvas.camera.horizon - 0.12) * 2.2, 0, 1)
    reach = np.exp(canvas.depth * np.float32(-1 / 26))
    brighter: Floats = 1 + (1.9 * level * across) * reach
    return brighter


def _clouds(canvas: Canvas, drift: tuple[float, float]) -> Floats:
    """Returns how much of the sky clouds hide, above the ground's edge."""
    cover = canvas.weather.cover
    height = np.maximum(canvas.camera.horizon - canvas.v[: canvas.ground_top, None], 0) + 0.12
    down, right = drift[0] + 52 / height, drift[1] + canvas.u * (44 / height)
    density = smooth(down, right)
    density += 0.35 * cloudy(2.7 * down, 2.7 * right)
    density -= 1.175 - cover
    hidden: Floats = np.clip(density * 2.6, 0, 0.95) * np.clip(height * 4 - 0.45, 0.1, 1)
    return hidden


def _sunshine(canvas: Canvas) -> Floats:
    """Returns the glow about the sun, above the ground's edge: wide and narrow together."""
    (u, v), rows = canvas.weather.sun, canvas.v[: canvas.ground_top, None]
    glow: Floats = np.zeros((1, 1), np.float32)
    for share, radius in ((0.65, 0.7), (0.9, 0.12)):
        across = np.exp(-(((canvas.u - u) / radius) ** 2))
        glow = glow + share * np.exp(-(((rows - v) / radius) ** 2)) * across
    return glow


def _mirror(canvas: Canvas, plane: Floats, gloss: Floats) -> None:
    """Blends the upper half into the wet ground, upside down."""
    height, top = canvas.image_size[0], canvas.ground_top
    level = (canvas.camera.horizon / HALF_HEIGHT + 1) / 2 * height - 0.5
    sources = np.clip(np.rint(2 * level - np.arange(top, height)), 0, top - 1 if top else 0)
    ground = plane[top:]
    seen = canvas.depth[top:] == canvas.ground_depth
    ground += (0.85 * plane[sources.astype(int)] - ground) * (gloss * seen)


def _add_glow(canvas: Canvas, plane: Floats, glow: Glow, channel: int) -> None:
    reach = 2 * glow.radius
    rows = canvas.rows_between(glow.v - reach, glow.v + reach)
    columns = canvas.columns_between(glow.u - reach, glow.u + reach)
    across = np.exp(-(((canvas.u[columns] - glow.u) / glow.radius) ** 2) * 2)
    down = np.exp(-(((canvas.v[rows, None] - glow.v) / glow.radius) ** 2) * 2)
    plane[rows, columns] += (glow.rgb[channel] * across) * down


def _compress_highlights(plane: Floats) -> None:
    """Bends the tone curve above the knee, so that what is overexposed keeps some texture."""
    over = np.maximum(plane - np.float32(_KNEE), 0)
    plane -= over * over / (over + np.float32(0.4))


def _vignette(canvas: Canvas) -> Floats:
    """Returns the lens' fall-off of light, scaled to the sensor's range."""
    falloff: Floats = 255 * (1 - 0.08 * canvas.u**2) * (1 - 0.1 * canvas.v[:, None] ** 2)
    return falloff


def _soften(plane: Floats) -> Floats:
    """Blurs by half a pixel, as a lens does, with the kernel ``(1, 3, 1) / 5`` each way."""
    for axis in (0, 1):
        if plane.shape[axis] >= 3:
            plane = np.moveaxis(plane, axis, 0)
            inner = 3 * plane[1:-1]
            inner += plane[:-2]
            inner += plane[2:]
            inner *= 1 / 5
            plane[1:-1] = inner
            plane = np.moveaxis(plane, 0, axis)
    return plane
