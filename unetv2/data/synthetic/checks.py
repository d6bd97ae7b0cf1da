"""Checks of the arguments that the public functions share."""

from __future__ import annotations

from collections.abc import Sequence

from unetv2.arguments import require_integer


def require_seed(seed: object) -> int:
    """Returns ``seed`` as an int.

    Raises:
        TypeError: If it is not an integer; a bool is none.
        ValueError: If it is negative.
    """
    return require_integer("seed", seed, 0, "Every integer from 0 upwards is another data set.")


def require_image_size(image_size: object) -> tuple[int, int]:
    """Returns ``image_size`` as two ints.

    Raises:
        TypeError: If it is not a tuple or list of two integers.
        ValueError: If a side is below 1.
    """
    message = (
        "`image_size` must be two positive integers. "
        f"Received: image_size={image_size!r}. "
        "Pass (height, width) in pixels, such as (96, 128)."
    )
    if not isinstance(image_size, Sequence) or isinstance(image_size, str) or len(image_size) != 2:
        raise TypeError(message)
    try:
        height, width = (require_integer("image_size", side, 1, "") for side in image_size)
    except (TypeError, ValueError) as error:
        raise type(error)(message) from None
    return height, width
