"""Saves the figures of the gallery, of ``unetv2.visualization`` and of pyplot."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any
from weakref import WeakSet

from matplotlib import pyplot
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

DPI = 100
_shown: WeakSet[Figure] = WeakSet()


def scrape(_: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Saves each figure in a variable of an example once.

    sphinx-gallery's own scraper asks pyplot, which does not know the figures of
    ``unetv2.visualization``.

    Args:
        _: The block that ran.
        block_vars: What sphinx-gallery knows of it.
        gallery_conf: sphinx-gallery's configuration.

    Returns:
        str. What shows them, as reStructuredText.
    """
    found = [
        value
        for value in block_vars["example_globals"].values()
        if isinstance(value, Figure) and value not in _shown
    ]
    paths = []
    for figure in found:
        paths.append(next(block_vars["image_path_iterator"]))
        # White, also on dark pages, because axes and legends are dark.
        figure.savefig(paths[-1], dpi=DPI, facecolor="white")
        _shown.add(figure)
    # pyplot keeps its figures alive.
    pyplot.close("all")
    example = ast.get_docstring(ast.parse(Path(block_vars["src_file"]).read_text("utf-8")))
    titles = [axes.get_title() for figure in found for axes in figure.axes]
    # The alternative text.
    words = ", ".join(dict.fromkeys(filter(None, titles))) or (example or "").partition("\n")[0]
    return figure_rst(paths, gallery_conf["src_dir"], words)
