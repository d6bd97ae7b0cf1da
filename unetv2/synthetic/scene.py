"""Draws scenes, renders them, and writes them to files."""

from __future__ import annotations

import contextlib
import filecmp
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unetv2.arguments import require_image_size, require_integer
from unetv2.files import clean_up, explain_write_errors, temporary_folder
from unetv2.synthetic.canvas import HALF_HEIGHT, SKY, Canvas, Glow, draw_camera
from unetv2.synthetic.layout import draw_objects, draw_plan
from unetv2.synthetic.randomness import (
    Floats,
    RandomStream,
    cloudy,
    grain_tile,
    repeat_to,
    smooth,
    streak_tile,
)
from unetv2.synthetic.road import paint_road
from unetv2.synthetic.themes import THEMES
from unetv2.synthetic.weather import draw_weather

_THEME_WEIGHTS = [theme.weight for theme in THEMES]


def driving_scene(
    index: int, *, image_size: tuple[int, int] = (480, 640), seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draws the image of a dash camera in a synthetic street, and its mask.

    The mask has the 22 semantic tags of CARLA 0.9.11 from 1 to 22; 0, unlabeled, never occurs.
    Places, weathers and colors vary, so that the color of a pixel does not determine its tag. The
    scene is the same at every size, except for the noise of the sensor.

    Args:
        index: int, at least 0. Index of the scene in the data set.
        image_size: ``(height, width)`` in pixels, both at least 1. The image of a 4:3 lens
            is stretched to any other shape.
        seed: int, at least 0. Seed of the data set.

    Returns:
        The image, ``(height, width, 3)`` uint8 RGB in [0, 255], and the mask,
        ``(height, width)`` uint8 in [1, 22].

    Raises:
        TypeError: If ``index``, ``seed`` or a side is not an integer.
        ValueError: If ``index`` or ``seed`` is negative, or a side of ``image_size`` below 1.

    Example:
        >>> image, mask = unetv2.synthetic.driving_scene(7, image_size=(96, 128))
        >>> image.shape, mask.shape
        ((96, 128, 3), (96, 128))
        >>> int(mask.min()) >= 1, int(mask.max()) <= 22
        (True, True)

    References:
        Dosovitskiy et al., "CARLA: An Open Urban Driving Simulator", CoRL 2017, for the tags.
    """
    index = require_integer("index", index, 0, "Scenes are counted from 0.")
    seed = require_integer("seed", seed, 0, "Each seed gives another data set.")
    size = require_image_size(image_size)
    rng = RandomStream(seed, index)
    theme = rng.weighted_choice(THEMES, _THEME_WEIGHTS)
    plan, weather = draw_plan(rng, theme), draw_weather(rng)
    offset = rng.choice(plan.own_lanes)
    camera = draw_camera(rng, offset=offset, straight=theme.straight)
    objects = list(draw_objects(rng, theme, plan, offset))

    canvas = Canvas(camera, weather, size)
    paint_road(canvas, plan.road)
    for item in objects:
        item.cast_shadow(canvas)
    for item in objects:
        item.paint(canvas)
    return _render(canvas, rng), canvas.mask()


_CHANNELS = 3
_KNEE = 0.8


def _render(canvas: Canvas, rng: RandomStream) -> NDArray[np.uint8]:
    """Returns the image of a canvas with light, sky, haze and noise, ``(height, width, 3)``."""
    weather = canvas.weather
    drift = (rng.uniform(0, 512), rng.uniform(0, 512))
    starts = [(rng.integer(0, 255), rng.integer(0, 255)) for _ in range(_CHANNELS + 1)]

    shade = canvas.shade * _headlights(canvas) if weather.night else canvas.shade
    haze = 1 - np.exp(canvas.depth * np.float32(-1 / weather.visibility))
    sky_rows = canvas.ground_top
    is_sky = canvas.material[:sky_rows] == SKY
    clouds, sunshine = _cloud_opacity(canvas, drift), _sun_glow(canvas)
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
    """Returns the factor by which the own headlights brighten each pixel."""
    across = np.exp(-(((canvas.u - canvas.camera.heading) / 0.55) ** 2))
    level = np.clip(1.3 - np.abs(canvas.v[:, None] - canvas.camera.horizon - 0.12) * 2.2, 0, 1)
    reach = np.exp(canvas.depth * np.float32(-1 / 26))
    brighter: Floats = 1 + (1.9 * level * across) * reach
    return brighter


def _cloud_opacity(canvas: Canvas, drift: tuple[float, float]) -> Floats:
    cover = canvas.weather.cover
    height = np.maximum(canvas.camera.horizon - canvas.v[: canvas.ground_top, None], 0) + 0.12
    down, right = drift[0] + 52 / height, drift[1] + canvas.u * (44 / height)
    density = smooth(down, right)
    density += 0.35 * cloudy(2.7 * down, 2.7 * right)
    density -= 1.175 - cover
    hidden: Floats = np.clip(density * 2.6, 0, 0.95) * np.clip(height * 4 - 0.45, 0.1, 1)
    return hidden


def _sun_glow(canvas: Canvas) -> Floats:
    (u, v), rows = canvas.weather.sun, canvas.v[: canvas.ground_top, None]
    glow: Floats = np.zeros((1, 1), np.float32)
    for share, radius in ((0.65, 0.7), (0.9, 0.12)):
        across = np.exp(-(((canvas.u - u) / radius) ** 2))
        glow = glow + share * np.exp(-(((rows - v) / radius) ** 2)) * across
    return glow


def _mirror(canvas: Canvas, plane: Floats, gloss: Floats) -> None:
    """Adds the reflection of the upper half to the wet ground."""
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
    """Compresses values above the knee, so that overexposed pixels keep some texture."""
    over = np.maximum(plane - np.float32(_KNEE), 0)
    plane -= over * over / (over + np.float32(0.4))


def _vignette(canvas: Canvas) -> Floats:
    """Returns the vignette of the lens, scaled to 255."""
    falloff: Floats = 255 * (1 - 0.08 * canvas.u**2) * (1 - 0.1 * canvas.v[:, None] ** 2)
    return falloff


def _soften(plane: Floats) -> Floats:
    """Blurs along both axes with the kernel ``(1, 3, 1) / 5``."""
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


_IMAGES = "CameraRGB"
_MASKS = "CameraMask"
_COMPRESS_LEVEL = 1


def write_driving_scenes(
    output_dir: str | os.PathLike[str],
    n_images: int,
    *,
    image_size: tuple[int, int] = (480, 640),
    seed: int = 0,
) -> tuple[Path, Path]:
    """Writes scenes 0 to ``n_images - 1`` of a data set as pairs of PNG files.

    Images and masks are opaque RGBA images; masks have the tag in the red channel, and 0 in green
    and blue. A pair has the same file name, ``000000.png`` and so on. All files appear at once: an
    interrupted call leaves nothing, and two processes may write the same scenes.

    Args:
        output_dir: Folder to create. It may exist if it is empty.
        n_images: int, at least 1. Number of scenes.
        image_size: ``(height, width)`` in pixels, both at least 1.
        seed: int, at least 0. Seed of the data set.

    Returns:
        The folder of the images, ``output_dir/CameraRGB``, and that of the masks,
        ``output_dir/CameraMask``.

    Raises:
        TypeError: If ``n_images``, ``seed`` or a side is not an integer.
        ValueError: If one of them is too small, or ``image_size`` does not have two.
        FileExistsError: If ``output_dir`` is a file, or not empty.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "street", 2, image_size=(48, 64))
        >>> sorted(path.name for path in masks.iterdir())
        ['000000.png', '000001.png']
    """
    count = require_integer("n_images", n_images, 1, "Pass the number of scenes to write.")
    seed = require_integer("seed", seed, 0, "Each seed gives another data set.")
    size = require_image_size(image_size)
    target = Path(output_dir).resolve()
    clean_up(target.parent)
    _require_vacant(target)
    with contextlib.ExitStack() as stack:
        with explain_write_errors(target, "to save the scenes"):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = stack.enter_context(temporary_folder(target.parent)) / "scenes"
            temporary.mkdir()
            _write_all(temporary, count, size, seed)
        _move(temporary, target, _names(count))
    return Path(output_dir) / _IMAGES, Path(output_dir) / _MASKS


def _names(count: int) -> list[str]:
    return [f"{index:06d}.png" for index in range(count)]


def _require_vacant(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(
            "`output_dir` must be a new or empty folder. "
            f"Received: output_dir='{target}'. Pass another one, or delete it first."
        )


def _write_all(temporary: Path, count: int, size: tuple[int, int], seed: int) -> None:
    for folder in (_IMAGES, _MASKS):
        (temporary / folder).mkdir()

    def write(index: int, name: str) -> None:
        image, mask = driving_scene(index, image_size=size, seed=seed)
        _write_png(temporary / _IMAGES / name, image)
        red = np.zeros((*size, 3), np.uint8)
        red[..., 0] = mask
        _write_png(temporary / _MASKS / name, red)

    executor = ThreadPoolExecutor(os.cpu_count())
    try:
        for _ in executor.map(write, range(count), _names(count)):
            pass
    finally:
        # No thread may write into the folder while it is deleted.
        executor.shutdown(wait=True, cancel_futures=True)


def _write_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    from PIL import Image

    opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    rgba = np.concatenate([rgb, opaque], axis=-1)
    Image.fromarray(rgba).save(path, compress_level=_COMPRESS_LEVEL)


def _move(temporary: Path, target: Path, names: list[str]) -> None:
    """Renames a complete folder into place, unless another process was faster."""
    try:
        if os.name == "nt" and target.is_dir():  # Windows cannot rename to an existing folder.
            target.rmdir()
        temporary.rename(target)
    except OSError:
        if not _is_same(temporary, target, names):
            _require_vacant(target)
            raise


def _is_same(temporary: Path, target: Path, names: list[str]) -> bool:
    return all(
        filecmp.cmpfiles(temporary / folder, target / folder, names, shallow=False)[0] == names
        for folder in (_IMAGES, _MASKS)
    )
