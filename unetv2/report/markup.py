"""HTML from values, all of them escaped unless they are HTML already."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from unetv2.escaping import printable_lines

# Elements without content and end.
_VOID = ("br", "img", "input", "path", "line", "rect", "circle", "polyline")


class Markup(str):
    """Text that is HTML."""

    __slots__ = ()


def text(value: Any) -> Markup:
    """Returns a value as HTML that shows it.

    Args:
        value: ``Markup``, which stays, or anything else, of which ``str`` is shown, as of
            :func:`unetv2.escaping.printable`.
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
