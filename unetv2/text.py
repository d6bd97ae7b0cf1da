"""Text from files, such as names and classes, as it is shown on terminals and in reports."""

from __future__ import annotations

import re

# Control characters, line and paragraph separators, marks that change the direction of text, and
# the surrogates that stand for bytes of file names that are not valid UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ud800-\udfff]"
)


def printable(text: object) -> str:
    r"""Returns text for one line, its characters that are not to be printed as Python writes them.

    Args:
        text: str, or anything else, of which ``str`` is taken.

    Example:
        >>> printable("a\nb")
        'a\\nb'
    """
    return _UNSAFE.sub(lambda found: repr(found[0])[1:-1], str(text))


def printable_lines(text: str) -> str:
    """Returns text of several lines, each as of :func:`printable`.

    Args:
        text: str. Names in it must be printable already, as a line break in one would begin a line.
    """
    return "\n".join(map(printable, text.split("\n")))


def one_line(text: object) -> str:
    """Returns text of several lines, as that of an error, on one, as of :func:`printable`."""
    return printable(" ".join(str(text).split()))


def counted(number: int, noun: str) -> str:
    """Returns ``"1 mask"`` or ``"2 masks"``.

    Args:
        number: int. How many.
        noun: str. What, in the singular; words may follow it after a space.
    """
    name, *rest = noun.split(" ", 1)
    return " ".join([str(number), name if number == 1 else f"{name}s", *rest])
