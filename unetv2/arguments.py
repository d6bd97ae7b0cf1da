"""Checks of a caller's arguments: early, and with a message that says what to do."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from numbers import Integral, Real

# What ids of 16 bits can tell apart.
MAX_CLASSES = 2**16
# A matrix of all pairs of so many has 2 GiB.
MAX_COUNTED_CLASSES = 2**14


def is_integer(value: object) -> bool:
    """Returns whether a value is an integer: NumPy's are, booleans are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def require_integer(name: str, value: object, minimum: int, advice: str) -> int:
    """Returns ``value`` as an int, or says why it is none.

    Args:
        name: str. The argument's name, for the message.
        value: What the caller passed. NumPy integers pass, booleans do not.
        minimum: int. The smallest value allowed.
        advice: str. What to do instead, a sentence.

    Returns:
        int. ``value``.

    Raises:
        TypeError: If ``value`` is no integer.
        ValueError: If ``value`` is below ``minimum``.
    """
    kind = {0: "a non-negative integer", 1: "a positive integer"}.get(
        minimum, f"an integer of at least {minimum}"
    )
    message = f"`{name}` must be {kind}. Received: {name}={value!r}. {advice}"
    if not is_integer(value):
        raise TypeError(message)
    number = int(value)  # type: ignore[call-overload]
    if number < minimum:
        raise ValueError(message)
    return number


def require_n_classes(value: object, most: int = MAX_CLASSES) -> int:
    """Returns a number of classes as an int, or says why it is none.

    Args:
        value: What the caller passed as ``n_classes``.
        most: int. The largest number allowed.

    Returns:
        int. ``value``.

    Raises:
        TypeError: If ``value`` is no integer.
        ValueError: If ``value`` is below 2 or above ``most``.
    """
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
    """Returns ``value`` as a float in [0, 1), or says why it is none.

    Args:
        name: str. The argument's name, for the message.
        value: What the caller passed.
        advice: str. What to do instead, a sentence.

    Returns:
        float. ``value``.

    Raises:
        TypeError: If ``value`` is no number.
        ValueError: If ``value`` lies outside [0, 1).
    """
    message = f"`{name}` must be a number in [0, 1). Received: {name}={value!r}. {advice}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(message)
    if not 0 <= float(value) < 1:
        raise ValueError(message)
    return float(value)


def require_image_size(image_size: object, name: str = "image_size") -> tuple[int, int]:
    """Returns ``image_size`` as two ints, or says why it is none.

    Args:
        image_size: What the caller passed.
        name: str. The argument's name, for the message.

    Returns:
        tuple ``(height, width)``.

    Raises:
        TypeError: If a side is no integer.
        ValueError: If there are not two sides, or one is below 1.
    """
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
    """Raises unless ``ignore_class`` is an integer or None.

    Args:
        ignore_class: What the caller passed.

    Raises:
        TypeError: If it is something else.
    """
    if ignore_class is None:
        return
    if isinstance(ignore_class, bool) or not isinstance(ignore_class, Integral):
        raise TypeError(
            "`ignore_class` must be an integer or None. "
            f"Received: ignore_class={ignore_class!r}. It is the id of pixels without a label."
        )


def require_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raises unless ``value`` is one of ``choices``.

    Args:
        name: str. The argument's name, for the message.
        value: What the caller passed.
        choices: The values allowed.

    Raises:
        ValueError: If ``value`` is none of them.
    """
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"`{name}` must be one of {listed}. Received: {name}={value!r}.")


def require_number(name: str, value: object, advice: str, *, positive: bool = False) -> float:
    """Returns ``value`` as a finite float from 0 up, or says why it is none.

    Args:
        name: str. The argument's name, for the message.
        value: What the caller passed.
        advice: str. What to do instead, a sentence.
        positive: bool. Whether 0 is refused too.

    Returns:
        float. ``value``.

    Raises:
        TypeError: If ``value`` is no number.
        ValueError: If ``value`` is below 0, infinite or NaN.
    """
    kind = "a positive finite number" if positive else "a non-negative finite number"
    message = f"`{name}` must be {kind}. Received: {name}={value!r}. {advice}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(message)
    number = float(value)
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise ValueError(message)
    return number
