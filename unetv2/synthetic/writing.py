"""Writes synthetic scenes in the layout of a CARLA recording."""

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
from unetv2.synthetic.scene import driving_scene

_IMAGES = "CameraRGB"
_MASKS = "CameraMask"
_COMPRESS_LEVEL = 1


def write_driving_scenes(
    directory: str | os.PathLike[str],
    n: int,
    *,
    image_size: tuple[int, int] = (480, 640),
    seed: int = 0,
) -> tuple[Path, Path]:
    """Writes scenes 0 to ``n - 1`` of a data set as pairs of PNG files.

    Images are RGBA, opaque. Masks are RGBA, opaque, with the tag in the red channel and green and
    blue 0. A pair shares its file name, ``000000.png`` and so on. The files appear all at once:
    they are written next to ``directory``, which is then renamed, so that an interrupted call
    leaves nothing behind, and of two processes that write the same scenes both return.

    Args:
        directory: Folder to create. It may exist if it is empty.
        n: int, at least 1. Number of scenes.
        image_size: ``(height, width)`` in pixels, both at least 1.
        seed: int, at least 0. Which data set.

    Returns:
        The folder of the images, ``directory/CameraRGB``, and that of the masks,
        ``directory/CameraMask``.

    Raises:
        TypeError: If ``n``, ``seed`` or a side is not an integer.
        ValueError: If one of them is too small, or ``image_size`` is not of two.
        FileExistsError: If ``directory`` is a file, or holds something.

    Example:
        >>> images, masks = unetv2.data.write_driving_scenes(
        ...     tmp / "street", 2, image_size=(48, 64))
        >>> sorted(path.name for path in masks.iterdir())
        ['000000.png', '000001.png']
    """
    count = require_integer("n", n, 1, "Pass the number of scenes to write.")
    seed = require_integer("seed", seed, 0, "Every integer from 0 upwards is another data set.")
    size = require_image_size(image_size)
    target = Path(directory).resolve()
    clean_up(target.parent)
    _require_vacant(target)
    with contextlib.ExitStack() as stack:
        with explain_write_errors(target, "to hold the scenes"):
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = stack.enter_context(temporary_folder(target.parent)) / "scenes"
            scratch.mkdir()
            _write_all(scratch, count, size, seed)
        _move(scratch, target, _names(count))
    return Path(directory) / _IMAGES, Path(directory) / _MASKS


def _names(count: int) -> list[str]:
    return [f"{index:06d}.png" for index in range(count)]


def _require_vacant(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(
            "`directory` must not hold anything yet. "
            f"Received: directory='{target}'. Pass another one, or delete it first."
        )


def _write_all(scratch: Path, count: int, size: tuple[int, int], seed: int) -> None:
    for folder in (_IMAGES, _MASKS):
        (scratch / folder).mkdir()

    def write(index: int, name: str) -> None:
        image, mask = driving_scene(index, image_size=size, seed=seed)
        _write_png(scratch / _IMAGES / name, image)
        red = np.zeros((*size, 3), np.uint8)
        red[..., 0] = mask
        _write_png(scratch / _MASKS / name, red)

    executor = ThreadPoolExecutor(os.cpu_count())
    try:
        for _ in executor.map(write, range(count), _names(count)):
            pass
    finally:
        # Nothing may write into the folder any more once it is being deleted.
        executor.shutdown(wait=True, cancel_futures=True)


def _write_png(path: Path, rgb: NDArray[np.uint8]) -> None:
    from PIL import Image

    opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    rgba = np.concatenate([rgb, opaque], axis=-1)
    Image.fromarray(rgba).save(path, compress_level=_COMPRESS_LEVEL)


def _move(scratch: Path, target: Path, names: list[str]) -> None:
    """Renames a complete folder into place, unless another process was faster."""
    try:
        if os.name == "nt" and target.is_dir():  # Windows renames onto nothing that exists.
            target.rmdir()
        scratch.rename(target)
    except OSError:
        if not _holds_the_same(scratch, target, names):
            _require_vacant(target)
            raise


def _holds_the_same(scratch: Path, target: Path, names: list[str]) -> bool:
    return all(
        filecmp.cmpfiles(scratch / folder, target / folder, names, shallow=False)[0] == names
        for folder in (_IMAGES, _MASKS)
    )
