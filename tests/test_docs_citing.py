"""CITATION.cff agrees with the package and the docs."""

from __future__ import annotations

import re
from pathlib import Path

import unetv2

ROOT = Path(__file__).parents[1]
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "citing.rst").read_text(encoding="utf-8")


def test_the_version_is_that_of_the_library():
    assert f"\nversion: {unetv2.__version__}\n" in CITATION
    assert f"version = {{{unetv2.__version__}}}" in PAGE


def test_title_author_and_license_are_the_same():
    title, author, terms = (
        re.search(rf"^ *(?:- )?{name}: \"?(.+?)\"?$", CITATION, re.MULTILINE)[1]
        for name in ("title", "name", "license")
    )
    entry = (
        re.search(r"@software\{.*?\n   \}", PAGE, re.DOTALL)[0].replace("{", "").replace("}", "")
    )
    assert f"title   = {title}," in entry
    assert f"author  = {author}," in entry
    assert f"license = {terms}\n" in entry
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{terms} License")
