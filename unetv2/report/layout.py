"""What the parts of the page are made of."""

from __future__ import annotations

from typing import Any

from unetv2.classes import ClassTable
from unetv2.report.markup import Markup, element


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
    return element("section", heading, words, *content, id=name, aria_labelledby=f"{name}-title")


def scroller(label: str, content: Markup) -> Markup:
    """Returns what may be wider than the page, to be scrolled, with the keyboard too."""
    return element("div", content, class_="scroller", role="region", aria_label=label, tabindex=0)


def swatch(color: tuple[int, int, int]) -> Markup:
    """Returns a patch of a class's colour."""
    red, green, blue = color
    style = f"--color:rgb({red},{green},{blue})"
    return element("span", class_="swatch", style=style, aria_hidden="true")


def named(classes: ClassTable, number: int) -> Markup:
    """Returns a class's name with its colour."""
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
