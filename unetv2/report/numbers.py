"""Figures as words."""

from __future__ import annotations

import math
from typing import Any

_NARROW_SPACE = "\u202f"
_MINUS = "\u2212"
_NOTHING = "\u2013"


def percent(share: Any) -> str:
    """Returns a share as a percentage with one digit, a dash for NaN."""
    number = float(share)
    if math.isnan(number):
        return _NOTHING
    return f"{points(number)}{_NARROW_SPACE}%"


def between(low: Any, high: Any, *, sign: bool = False) -> str:
    """Returns an interval of shares, in per cent, a dash for NaN."""
    ends = float(low), float(high)
    if any(map(math.isnan, ends)):
        return _NOTHING
    return f"{points(ends[0], sign=sign)} to {points(ends[1], sign=sign)}"


def count(number: Any) -> str:
    """Returns a whole number with its thousands apart."""
    return f"{int(number):,}"


def rounded(number: Any) -> str:
    """Returns a whole number in words of at most three digits."""
    value = int(number)
    for size, word in ((10**9, "billion"), (10**6, "million")):
        if value >= size:
            return f"{value / size:.3g} {word}"
    return count(value)


def points(share: float, *, sign: bool = False) -> str:
    """Returns a share in percentage points with one digit."""
    shown = f"{100 * share:+.1f}" if sign else f"{100 * share:.1f}"
    # What is rounded to nothing has no sign.
    shown = {"+0.0": "0.0", "-0.0": "0.0"}.get(shown, shown)
    return shown.replace("-", _MINUS)
