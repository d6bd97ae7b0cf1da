"""HTML from values, all of them escaped unless they are HTML already."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from unetv2.classes import ClassTable
from unetv2.evaluation.scores import decimals
from unetv2.text import printable_lines

# Elements without content and end.
_VOID = ("br", "img", "input", "path", "line", "rect", "circle", "polyline")


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def text(value: Any) -> Markup:
    """Returns a value as HTML that shows it.

    Args:
        value: ``Markup``, which stays, or anything else, of which ``str`` is shown, as of
            :func:`unetv2.text.printable`.
    """
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(printable_lines(str(value)), quote=True))


def join(parts: Iterable[Any]) -> Markup:
    """Returns parts one after the other."""
    return Markup("".join(map(text, parts)))


def element(name: str, *content: Any, **attributes: Any) -> Markup:
    """Returns an element.

    Args:
        name: str. Its tag.
        *content: What is in it.
        **attributes: Its attributes. ``class_`` is ``class`` and ``aria_label`` is
            ``aria-label``; True is an attribute without a value; None and False leave one out.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        words.append(key if value is True else f'{key}="{text(value)}"')
    start = " ".join(words)
    # In SVG, only the slash ends an element; in HTML it is ignored.
    return Markup(f"<{start}/>" if name in _VOID else f"<{start}>{join(content)}</{name}>")


def section(name: str, title: str, lead: str | None, *content: Any) -> Markup:
    """Returns a section of the page.

    Args:
        name: str. Where links to it lead.
        title: str. Its heading, which only screen readers get where there is no lead.
        lead: str or None. What it shows, in a sentence or two.
        *content: What is in it.
    """
    heading = element("h2", title, id=f"{name}-title", class_="unseen" if lead is None else None)
    words = "" if lead is None else element("p", lead.replace(" %", "\u202f%"), class_="lead")
    return element("section", heading, words, *content, id=name, aria_labeledby=f"{name}-title")


def scroller(label: str, content: Markup) -> Markup:
    """Returns what may be wider than the page, to be scrolled, with the keyboard too."""
    return element("div", content, class_="scroller", role="region", aria_label=label, tabindex=0)


def swatch(color: tuple[int, int, int]) -> Markup:
    """Returns a patch of a class's color."""
    red, green, blue = color
    style = f"--color:rgb({red},{green},{blue})"
    return element("span", class_="swatch", style=style, aria_hidden="true")


def named(classes: ClassTable, number: int) -> Markup:
    """Returns a class's name with its color."""
    patch = swatch(classes.colors[number])
    return element("span", patch, element("span", classes.names[number]), class_="name")


def plot(*parts: Any, width: float, height: float, class_: str | None = None) -> Markup:
    """Returns a drawing that stretches to the width it is given, for the eye only."""
    return element(
        "svg",
        *parts,
        viewBox=f"0 0 {width} {height}",
        preserveAspectRatio="none",
        class_=class_,
        aria_hidden="true",
    )


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

    It has the digits that the resamples of the images leave sure.
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
