"""The Python blocks of tutorials and quick start use existing names, and run when pasted."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re

import pytest
from documentation import DOCS, resolve
from pasted import blocks, not_pasteable, paste, shown

PAGES = {path.stem: path for path in sorted((DOCS / "tutorials").glob("*.rst"))}
PAGES.pop("index")
# Each trains a model.
MARKS = {name: [pytest.mark.slow] for name in PAGES}
PAGES["quickstart"], MARKS["quickstart"] = DOCS / "quickstart.rst", []
MARKS["phone"] = [
    pytest.mark.export,
    pytest.mark.skipif(
        importlib.util.find_spec("ai_edge_litert") is None, reason="needs the extra `litert`"
    ),
]

every_page = pytest.mark.parametrize("name", PAGES)


def public_names(name):
    """Returns the expressions of a tutorial such as ``unetv2.a.b``, with the node around each."""
    trees = [ast.parse(block) for block in blocks(PAGES[name])]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    called = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    return [
        (text, called.get(id(node)))
        for node in attributes
        if re.fullmatch(r"unetv2(\.\w+)+", text := ast.unparse(node))
    ]


@every_page
def test_names_exist_and_calls_match_the_signatures(name):
    found = public_names(name)
    assert found
    for text, call in found:
        thing = resolve(text)
        if call is not None:
            options = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
            inspect.signature(thing).bind_partial(*call.args, **options)


@every_page
def test_a_tutorial_can_be_pasted_into_an_interactive_session(name):
    text = PAGES[name].read_text(encoding="utf-8")
    assert ">>>" not in text
    for block in blocks(PAGES[name]):
        assert not_pasteable(block) == [], block


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in PAGES])
def test_a_tutorial_runs_and_prints_the_shown_output(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = {"__name__": "__main__"}
    for number, block in enumerate(blocks(PAGES[name])):
        paste(block, f"{name}.rst, block {number}", known)


SESSION = """\
for number in range(2):
    print(number)
# 0
# 1

print("a", number)  # a 1
try:
    raise ValueError("no such file: a.png")
except ValueError as error:
    print(error)
# no such file: ...
"""


def test_output_is_compared_with_comments():
    paste(SESSION, "session", {})
    assert [text for _, text in shown(SESSION)] == ["0\n1\n", "a 1\n", "no such file: ...\n"]
    for wrong in (SESSION.replace("# 1\n", "# 2\n"), SESSION.replace("  # a 1", "")):
        with pytest.raises(AssertionError, match="must print what its comments show"):
            paste(wrong, "session", {})


def test_a_compound_statement_ends_at_its_first_blank_line():
    assert not_pasteable(SESSION) == []
    assert not_pasteable(SESSION.replace("# 1\n\n", "# 1\n")) == [5]
    assert not_pasteable("def f():\n    a = 1\n\n    return a\n") == [3]
