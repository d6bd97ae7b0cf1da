"""Figures as words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from unetv2.evaluation.bootstrap import decimals

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
    """Returns an interval of shares, in per cent, a dash for NaN.

    It has the digits that the resamples of the pictures leave sure.
    """
    ends = np.array([low, high], np.float64)
    if np.isnan(ends).any():
        return _NOTHING
    # Per cent have two decimals less.
    return " to ".join(points(end, sign=sign, digits=decimals(ends) - 2) for end in ends)


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


def points(share: float, *, sign: bool = False, digits: int = 1) -> str:
    """Returns a share in percentage points with one digit, or with none."""
    shown = f"{100 * share:{'+' if sign else ''}.{digits}f}"
    # What is rounded to nothing has no sign.
    shown = shown if shown.strip("+-0.") else shown.lstrip("+-")
    return shown.replace("-", _MINUS)
