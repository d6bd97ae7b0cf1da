"""Numbers and what they count, in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Returns ``"1 mask"`` or ``"2 masks"``.

    Args:
        number: int. How many.
        noun: str. What, in the singular; words may follow it after a space.
    """
    name, *rest = noun.split(" ", 1)
    return " ".join([str(number), name if number == 1 else f"{name}s", *rest])
