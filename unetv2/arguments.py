"""Checks of arguments, with errors that name the argument, the received value and a remedy."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import TypeGuard

# Number of 16-bit ids.
MAX_CLASSES = 2**16
# A confusion matrix of 64-bit integers then has 2 GiB.
MAX_COUNTED_CLASSES = 2**14


def is_integer(value: object) -> TypeGuard[int]:
    """Returns whether a value is an integer: NumPy's are, booleans are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def require_integer(name: str, value: object, minimum: int, advice: str) -> int:
    """Returns ``value`` as an int, or raises ``TypeError``, or ``ValueError`` below ``minimum``.

    ``advice`` is a sentence that ends the message. NumPy integers are accepted, booleans are not.
    """
    kind = {0: "a non-negative integer", 1: "a positive integer"}.get(
        minimum, f"an integer of at least {minimum}"
    )
    message = f"`{name}` must be {kind}. Received: {name}={value!r}. {advice}"
    if not is_integer(value):
        raise TypeError(message)
    number = int(value)
    if number < minimum:
        raise ValueError(message)
    return number


def require_n_classes(value: object, most: int = MAX_CLASSES) -> int:
    """Returns a number of classes from 2 to ``most`` as an int, or raises an error."""
    n_classes = require_integer(
        "n_classes", value, 2, "The background counts: a binary mask has 2 classes."
    )
    if n_classes > most:
        raise ValueError(
            f"`n_classes` must be at most {most}. Received: n_classes={n_classes}. "
            "Ids of instances are not classes."
        )
    return n_classes


def require_fraction(name: str, value: object, advice: str) -> float:
    """Returns ``value`` as a float in [0, 1), or raises an error that ends with ``advice``."""
    message = f"`{name}` must be a number in [0, 1). Received: {name}={value!r}. {advice}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(message)
    if not 0 <= float(value) < 1:
        raise ValueError(message)
    return float(value)


def require_image_size(image_size: object, name: str = "image_size") -> tuple[int, int]:
    """Returns ``(height, width)`` as two ints of at least 1, or raises an error."""
    message = (
        f"`{name}` must be two positive integers. "
        f"Received: {name}={image_size!r}. "
        "Pass (height, width) in pixels, such as (96, 128)."
    )
    if not isinstance(image_size, Sequence) or isinstance(image_size, str) or len(image_size) != 2:
        raise ValueError(message)
    try:
        height, width = (require_integer(name, side, 1, "") for side in image_size)
    except (TypeError, ValueError) as error:
        raise type(error)(message) from None
    return height, width


def require_ignore_class(ignore_class: object) -> None:
    """Raises ``TypeError`` unless ``ignore_class`` is an integer or None."""
    if ignore_class is not None and not is_integer(ignore_class):
        raise TypeError(
            "`ignore_class` must be an integer or None. "
            f"Received: ignore_class={ignore_class!r}. It is the id of pixels without a label."
        )


def require_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raises ``ValueError`` unless ``value`` is one of ``choices``."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={value!r}.")


def require_number(name: str, value: object, advice: str, *, positive: bool = False) -> float:
    """Returns ``value`` as a finite float, at least 0, or above 0 if ``positive``.

    Other values raise an error that ends with ``advice``.
    """
    kind = "a positive finite number" if positive else "a non-negative finite number"
    message = f"`{name}` must be {kind}. Received: {name}={value!r}. {advice}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(message)
    number = float(value)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise ValueError(message)
    return number
