"""Sphinx configuration."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

# Before TensorFlow is imported, so that it does not talk into the examples.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import unetv2

# What a training logs is not the build's concern, its warnings are.
logging.getLogger("unetv2").setLevel(logging.WARNING)

HERE = Path(__file__).parent
# The extension of this folder, and what it shares with the benchmarks.
sys.path[:0] = [str(HERE), str(HERE.parent / "benchmarks")]

project = "unetv2"
author = "The unetv2 developers"
copyright = f"2026, {author}"  # noqa: A001 - the name is Sphinx's, not ours to choose.
version = release = unetv2.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "benchmark_tables",
    "command_help",
]
# What sphinx-gallery reads, and what of its output is no page.
exclude_patterns = ["_build", "gallery", "**/GALLERY_HEADER.rst", "sg_execution_times.rst"]
nitpicky = True
# Classes of libraries whose inventories are on the network.
nitpick_ignore_regex = [
    (r"py:.*", r"(keras|tf|tensorflow|numpy|np|matplotlib|os|pathlib|collections)\..*"),
    (r"py:.*", r"(optional|Figure|Mapping|Sequence|Path|PathLike|Any|callable|list of .*)"),
    # Named by an attribute, for those who work on unetv2 itself.
    (r"py:class", r"unetv2\.inference\.images\.Image"),
    (r"py:class", r"(np\.ndarray|float in .*|int, at least 2|Share .*)"),
]
# `sphinx-build -b linkcheck` looks at the links between these pages only.
linkcheck_ignore = [r"https?://.*"]

html_theme = "furo"
html_title = f"unetv2 {release}"
html_static_path = ["_static"]
html_css_files = ["unetv2.css"]
html_theme_options = {"navigation_with_keys": True}

autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Input shape",
    "Output shape",
]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "subsection_order": ["gallery/data", "gallery/training", "gallery/prediction"],
    "nested_sections": False,
    "image_scrapers": ("gallery_figures.scrape",),
    # What a block prints is shown, not what its last expression is.
    "capture_repr": (),
    "remove_config_comments": True,
    # Programs to download, no notebooks and, see below, no archives.
    "notebook_extensions": set(),
    "download_all_examples": False,
    "show_signature": False,
    # Times would make every build another one.
    "min_reported_time": 1_000_000,
    "write_computation_times": False,
}

doctest_global_setup = """
import pathlib
import tempfile

import keras
import numpy as np
import tensorflow as tf

import unetv2

folder = tempfile.TemporaryDirectory()
tmp = pathlib.Path(folder.name)
"""
doctest_global_cleanup = "folder.cleanup()"


def _run_for_pages_only(app: Any) -> None:
    if app.builder.format != "html":
        app.config.plot_gallery = False


# An archive of each program, in which the time of the build stands.
ARCHIVE = re.compile(r" *\.\. container:: \S+ sphx-glr-download-zip\n\n.*zip>`\n")


def _without_archive(_: Any, name: str, source: list[str]) -> None:
    if name.startswith("auto_gallery/"):
        source[0] = ARCHIVE.sub("", source[0])


def setup(app: Any) -> None:
    """Leaves the gallery's examples unrun where no pages are built, as by ``-b doctest``."""
    # sphinx-gallery reads its configuration at 10.
    app.connect("builder-inited", _run_for_pages_only, priority=5)
    app.connect("source-read", _without_archive)
