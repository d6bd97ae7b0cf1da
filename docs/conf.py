"""Sphinx configuration."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

# Before TensorFlow is imported, to keep its messages out of the examples.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import unetv2

# Show warnings of trainings, but not their progress.
logging.getLogger("unetv2").setLevel(logging.WARNING)

HERE = Path(__file__).parent
# The extensions in this folder, and modules that they share with the benchmarks.
sys.path[:0] = [str(HERE), str(HERE.parent / "benchmarks")]

project = "unetv2"
author = "The unetv2 developers"
copyright = f"2026, {author}"  # noqa: A001 - the name is defined by Sphinx.
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
# Sources and non-page outputs of sphinx-gallery.
exclude_patterns = ["_build", "gallery", "**/GALLERY_HEADER.rst", "sg_execution_times.rst"]
nitpicky = True
# Classes of other libraries, whose inventories need network access.
nitpick_ignore_regex = [
    (r"py:.*", r"(keras|tf|tensorflow|numpy|np|matplotlib|os|pathlib|collections)\..*"),
    (r"py:.*", r"(optional|Figure|Mapping|Sequence|Path|PathLike|Any|callable|list of .*)"),
    # Internal types of attributes.
    (r"py:class", r"unetv2\.inference\.inputs\..*"),
    (r"py:class", r"(np\.ndarray|float in .*|int, at least 2|Share .*)"),
]
# `sphinx-build -b linkcheck` checks links between these pages only.
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
    # Show the printed output of a block, not the value of its last expression.
    "capture_repr": (),
    "remove_config_comments": True,
    # Offer programs for download, but no notebooks and, see below, no archives.
    "notebook_extensions": set(),
    "download_all_examples": False,
    "show_signature": False,
    # Times would make builds differ.
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


# The archive of each program, which contains the time of the build.
ARCHIVE = re.compile(r" *\.\. container:: \S+ sphx-glr-download-zip\n\n.*zip>`\n")


def _without_archive(_: Any, name: str, source: list[str]) -> None:
    if name.startswith("auto_gallery/"):
        source[0] = ARCHIVE.sub("", source[0])


def setup(app: Any) -> None:
    """Runs the gallery only if pages are built, not for ``-b doctest``."""
    # sphinx-gallery reads its configuration at 10.
    app.connect("builder-inited", _run_for_pages_only, priority=5)
    app.connect("source-read", _without_archive)
