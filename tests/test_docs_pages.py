"""Every page of docs/ is in a toctree, and the files that Markdown links to exist."""

from __future__ import annotations

import re

import pytest
from documentation import DOCS, ROOT, pages

_TOCTREE = re.compile(r"^( *)\.\. toctree::\n((?:\1   .*\n|\n)*)", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")

PAGES = {path.relative_to(DOCS).with_suffix("").as_posix(): path for path in pages()}
LINKS = [
    (name, target)
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
    for target in sorted(set(_LINK.findall((ROOT / name).read_text(encoding="utf-8"))))
    if not re.match(r"https?:", target)
]


def contents(page):
    """Yields the names of the pages in the tables of contents of a page."""
    for _, block in _TOCTREE.findall(PAGES[page].read_text(encoding="utf-8") + "\n"):
        for line in map(str.strip, block.splitlines()):
            if line and not line.startswith(":"):
                target = re.sub(r"^.*<(.+)>$", r"\1", line)
                folder = DOCS if target.startswith("/") else PAGES[page].parent
                name = (folder / target.lstrip("/")).relative_to(DOCS).as_posix()
                # With `:glob:` several.
                yield from (found.with_suffix("") for found in DOCS.glob(f"{name}.rst"))


def reachable():
    found, todo = set(), ["index"]
    while todo:
        page = todo.pop()
        if page not in found and page in PAGES:
            found.add(page)
            todo += [path.relative_to(DOCS).as_posix() for path in contents(page)]
    return found


REACHABLE = reachable()


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_in_a_toctree(page):
    assert page in REACHABLE, f"no toctree names docs/{page}.rst"


@pytest.mark.parametrize(("name", "target"), LINKS)
def test_links_of_markdown_files_exist(name, target):
    path, _, heading = target.partition("#")
    linked = ROOT / (path or name)
    assert linked.exists(), f"{name} links to {path}, which does not exist"
    if heading:
        titles = re.findall(r"^#+ (.+)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
        assert heading in slugs, f"{name} links to {target}, and {path} has no such heading"
