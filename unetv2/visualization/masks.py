"""Masks in the colors of their classes."""

from __future__ import annotations

import numpy as np

from unetv2.classes import ClassTable

# Color of ignored pixels and of ids that are not in the table.
IGNORED_COLOR = (255, 255, 255)


def colorize(mask: np.ndarray, classes: ClassTable) -> np.ndarray:
    """Returns a mask in the colors of its classes.

    Args:
        mask: Integer ids, ``(height, width)`` or ``(height, width, 1)``.
        classes: Class table. ``ignore_class`` and ids that are not in the table are white.

    Returns:
        np.ndarray. uint8 ``(height, width, 3)``.

    Raises:
        ValueError: If the mask has another shape.

    Example:
        >>> unetv2.visualization.colorize(np.array([[1, 10]]), unetv2.CARLA).tolist()
        [[[70, 70, 70], [0, 0, 142]]]
    """
    ids = np.asarray(mask)
    if ids.ndim == 3 and ids.shape[2] == 1:
        ids = ids[..., 0]
    if ids.ndim != 2:
        raise ValueError(
            "`mask` must be of shape (height, width) or (height, width, 1). "
            f"Received: {ids.shape}. Pass one mask at a time."
        )
    valid = (ids >= 0) & (ids < len(classes))
    if classes.ignore_class is not None:
        valid &= ids != classes.ignore_class
    palette = np.array((*classes.colors, IGNORED_COLOR), dtype=np.uint8)
    # A NumPy integer: a Python one would have to fit into the dtype of the mask.
    return palette[np.where(valid, ids, np.int64(len(classes)))]


def overlay(
    image: np.ndarray, mask: np.ndarray, classes: ClassTable, *, opacity: float = 0.5
) -> np.ndarray:
    """Returns an image blended with the colors of its mask.

    Args:
        image: uint8, uint16 or float in [0, 1], ``(height, width, channels)``. The first three
            channels are shown; of one or two channels the first one, in gray.
        mask: Integer ids, ``(height, width)`` or ``(height, width, 1)``.
        classes: Class table.
        opacity: float in [0, 1]. 0 shows the image, 1 the colors.

    Returns:
        np.ndarray. uint8 ``(height, width, 3)``.

    Raises:
        ValueError: If image and mask differ in size, or ``opacity`` is out of range.

    Example:
        >>> image = np.zeros((1, 2, 3), np.uint8)
        >>> unetv2.visualization.overlay(image, np.array([[1, 10]]), unetv2.CARLA).tolist()
        [[[35, 35, 35], [0, 0, 71]]]
    """
    colors = colorize(mask, classes)
    if image.ndim != 3 or image.shape[:2] != colors.shape[:2]:
        raise ValueError(
            "`image` must be (height, width, channels), of the mask's height and width. "
            f"Received: {image.shape} and a mask of {colors.shape[:2]}."
        )
    if not 0 <= opacity <= 1:
        raise ValueError(
            "`opacity` must be a number in [0, 1]. "
            f"Received: opacity={opacity!r}. 0 shows the image, 1 the colors."
        )
    return np.rint(to_rgb(image) * (1 - opacity) + colors * opacity).astype(np.uint8)


def to_rgb(image: np.ndarray) -> np.ndarray:
    """Returns an image of any number of channels as RGB, float in [0, 255].

    The first three channels of uint8, uint16 or float in [0, 1], or the first one in gray.
    """
    rgb = image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
    limit = 1.0 if rgb.dtype.kind == "f" else float(np.iinfo(rgb.dtype).max)
    return np.clip(np.nan_to_num(rgb / limit), 0, 1) * 255
