"""Shows the gallery's figures: those of ``unetv2.visualization`` and those of pyplot alike."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from matplotlib import pyplot
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

DPI = 100
_shown: WeakSet[Figure] = WeakSet()


def scrape(_: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Saves each figure that a block of an example left in a variable, once.

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
        # White, also on a dark page: that is what axes and legends are made for.
        figure.savefig(paths[-1], dpi=DPI, facecolor="white")
        _shown.add(figure)
    # pyplot keeps its figures alive.
    pyplot.close("all")
    return figure_rst(paths, gallery_conf["src_dir"], alternative(found))


def alternative(figures: list[Figure]) -> str:
    """Returns what stands for figures where they are not seen: titles; else the file's name."""
    titles = [axes.get_title() for figure in figures for axes in figure.axes]
    return ", ".join(dict.fromkeys(filter(None, titles)))
