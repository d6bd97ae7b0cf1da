"""A pair of files to a pair of arrays, prepared for the network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from unetv2.arguments import require_choice, require_image_size, require_integer
from unetv2.data.decoding import MAX_PIXELS, Header, open_file, read_header
from unetv2.data.labels import Labels
from unetv2.data.pairs import Pair
from unetv2.data.resizing import Geometry, pixels_needed, resize_image, resize_mask
from unetv2.preprocessing import INTERPOLATIONS, RESIZES

_log = logging.getLogger("unetv2")


@dataclass(frozen=True)
class Preparation:
    """How the pictures of a data set are prepared.

    Args:
        image_size: ``(height, width)``, or None for every picture's own.
        resize: ``"stretch"``, ``"pad"`` or ``"crop"``.
        interpolation: ``"area"``, ``"nearest"``, ``"bilinear"``, ``"bicubic"`` or
            ``"lanczos3"``, for images.
        channels: int. 1 to 4 for picture files, any number for arrays.
        max_pixels: int. Larger files are refused from their header.
        labels: What masks hold.
    """

    image_size: tuple[int, int] | None = (96, 128)
    resize: str = "stretch"
    interpolation: str = "area"
    channels: int = 3
    max_pixels: int = MAX_PIXELS
    labels: Labels = field(default_factory=Labels)

    def __post_init__(self) -> None:
        """Checks every value."""
        if self.image_size is not None:
            object.__setattr__(self, "image_size", require_image_size(self.image_size))
        require_choice("resize", self.resize, RESIZES)
        require_choice("interpolation", self.interpolation, INTERPOLATIONS)
        channels = require_integer("channels", self.channels, 1, "The default is 3, for RGB.")
        object.__setattr__(self, "channels", channels)
        require_integer("max_pixels", self.max_pixels, 1, "It guards against broken headers.")
        if self.resize == "pad" and self.labels.ignore_class is None:
            raise ValueError(
                "`ignore_class` must be an id where pictures are padded: it marks the padding. "
                "Received: resize='pad' and ignore_class=None. Pass an id that is no class, "
                "such as 255."
            )


def check_headers(
    pair: Pair,
    max_pixels: int = MAX_PIXELS,
    *,
    channels: int | None = None,
    labels: Labels | None = None,
) -> tuple[Header, Header]:
    """Checks that a pair's files are pictures of one size, from their headers alone.

    Args:
        pair: The pair.
        max_pixels: int. Larger pictures are refused.
        channels: int or None. The channels that the image must give.
        labels: Labels or None. What masks hold, to check a palette.

    Returns:
        tuple of the image's and the mask's header.

    Raises:
        ValueError: If one is no picture or too large, the image cannot give the channels, the
            mask is stored with losses, or the two differ in size.
    """
    image = read_header(pair.image, max_pixels, channels=channels)
    with open_file(pair.mask, max_pixels) as file:
        file.require_mask()
        mask = file.header
        if labels is not None:
            labels.require_notation(pair.mask, file)
    _require_one_size(pair, image.size, mask.size)
    return image, mask


def warn_of_turns(pairs: Sequence[Pair], count: int) -> None:
    """Logs a warning of pairs of which the image is turned by EXIF data and the mask is not.

    Args:
        pairs: Those whose sizes fit either way.
        count: int. How many were looked at.
    """
    if pairs:
        _log.warning(
            "An image and its mask must have the same EXIF orientation where their sizes fit "
            "either way. Received: %d of %d pairs that differ, such as '%s' and '%s'. Each is "
            "turned by its own. If the mask fits the upright image, save the image upright, as by "
            "`PIL.ImageOps.exif_transpose`; if it fits the pixels as they are stored, remove the "
            "image's orientation tag.",
            len(pairs), count, pairs[0].image, pairs[0].mask,
        )  # fmt: skip


def read_pair(pair: Pair, preparation: Preparation) -> tuple[np.ndarray, np.ndarray]:
    """Reads an image and its mask at one size.

    Both are resized by the same geometry, pixel areas: along a side that shrinks, the image is
    the mean over the area of an output pixel, and the mask the id in that area's middle.

    Args:
        pair: The pair.
        preparation: How.

    Returns:
        tuple ``(image, mask)``: uint8 or, for files of 16 bits, uint16 ``(height, width,
        channels)``; and the smallest of uint8, uint16 and int32 ``(height, width, 1)``.

    Raises:
        ValueError: If a file is no picture or too large, the two differ in size, or the mask
            holds something else than labels.
    """
    mask = preparation.labels.read(pair.mask, preparation.max_pixels)
    source = mask.shape[:2]
    geometry = Geometry.plan(source, preparation.image_size or source, preparation.resize)
    at_least = pixels_needed(geometry, preparation.interpolation)
    with open_file(pair.image, preparation.max_pixels) as file:
        file.require_image(preparation.channels)
        _require_one_size(pair, file.header.size, source)
        image = file.image(preparation.channels, at_least=at_least, spare=True)
    padding = preparation.labels.ignore_class if preparation.resize == "pad" else 0
    return (
        resize_image(image, geometry, preparation.interpolation, preparation.channels),
        resize_mask(mask, geometry, padding or 0)[..., np.newaxis],
    )


def _require_one_size(pair: Pair, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    if image != mask:
        sizes = [f"{height}x{width}" for height, width in (image, mask)]
        advice = "Resize the mask by nearest neighbour, or find the mask that belongs to it."
        if image == mask[::-1]:
            advice = (
                "If EXIF data turn only one of the two, turn the mask too, or remove the image's "
                "orientation tag; otherwise find the mask that belongs to the image."
            )
        raise ValueError(
            "An image and its mask must have the same height and width. "
            f"Received: {sizes[0]} in '{pair.image}' and {sizes[1]} in '{pair.mask}'. "
            f"{advice}"
        )
