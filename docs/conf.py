"""Sphinx configuration."""

from __future__ import annotations

import unetv2

project = "unetv2"
author = "The unetv2 developers"
copyright = f"2026, {author}"  # noqa: A001 - the name is Sphinx's, not ours to choose.
version = release = unetv2.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.doctest",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"unetv2 {release}"
html_static_path = ["_static"]
nitpicky = True
# Classes of libraries whose inventories are on the network.
nitpick_ignore_regex = [
    (r"py:.*", r"(keras|tf|tensorflow|numpy|np|matplotlib|os|pathlib|collections)\..*"),
    (r"py:.*", r"(optional|Figure|Mapping|Sequence|Path|PathLike|Any|callable|list of .*)"),
    # Named by an attribute, for those who work on unetv2 itself.
    (r"py:class", r"unetv2\.inference\.pictures\.Picture"),
    (r"py:class", r"(np\.ndarray|float in .*|int, at least 2|Share .*)"),
]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Input shape",
    "Output shape",
]

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
