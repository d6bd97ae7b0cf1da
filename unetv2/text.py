"""Formatting of text for terminals and reports, also of names from untrusted files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# Control characters, line and paragraph separators, marks that change the direction of text, and
# the surrogates that represent bytes of file names that are not valid UTF-8.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufeff\ud800-\udfff]"
)
_MAX_SUMMARY = 300


def printable(text: object) -> str:
    r"""Returns ``str(text)`` with characters that are not printable escaped as in Python.

    Example:
        >>> printable("a\nb")
        'a\\nb'
    """
    return _UNSAFE.sub(lambda match: repr(match[0])[1:-1], str(text))


def printable_lines(text: str) -> str:
    """Returns :func:`printable` lines; names in ``text`` must be printable already."""
    return "\n".join(map(printable, text.split("\n")))


def one_line(text: object) -> str:
    """Returns text of several lines, such as an error's, as one :func:`printable` line."""
    return printable(" ".join(str(text).split()))


def error_summary(error: Exception) -> str:
    """Returns an error's message as one line of bounded length, or its type without a message."""
    text = one_line(error) or type(error).__name__
    return text if len(text) <= _MAX_SUMMARY else f"{text[:_MAX_SUMMARY]}..."


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun in the singular or plural.

    Example:
        >>> counted(1, "mask"), counted(2, "mask without an image")
        ('1 mask', '2 masks without an image')
    """
    name, *rest = noun.split(" ", 1)
    return " ".join([str(number), name if number == 1 else f"{name}s", *rest])


def aligned(rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Returns rows of cells as lines with columns of equal width.

    Args:
        rows: The cells, equally many in each row.
        right: Numbers of the columns that are aligned right.
    """
    rows = list(rows)
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )
