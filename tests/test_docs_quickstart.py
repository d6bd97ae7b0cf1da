"""The quick start runs when pasted, and prints what its comments show."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import re

from documentation import DOCS, python_blocks

BLOCKS = python_blocks(DOCS / "quickstart.rst")


def shown_output(code):
    """Returns what the comments after and below the calls of ``print`` show."""
    shown, printing = [], False
    for line in code.splitlines():
        if match := re.match(r"\s*print\(.*?\)(?:  # (.*))?$", line):
            printing = True
            shown += [match[1]] if match[1] else []
        elif printing and line.lstrip().startswith("# "):
            shown.append(line.lstrip()[2:])
        else:
            printing = False
    return "\n".join(shown)


def printed_output(node, known):
    """Runs a statement and returns what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        exec(compile(ast.Module([node], []), "quickstart.rst", "exec"), known)
    return stdout.getvalue()


def test_the_quick_start_runs_from_top_to_bottom_and_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = {}
    compared = 0
    for block in BLOCKS:
        lines = block.splitlines()
        nodes = ast.parse(block).body
        ends = [node.lineno - 1 for node in nodes[1:]] + [len(lines)]
        for node, end in zip(nodes, ends, strict=True):
            printed = printed_output(node, known)
            if shown := shown_output("\n".join(lines[node.lineno - 1 : end])):
                compared += 1
                same = doctest.OutputChecker().check_output(
                    f"{shown}\n", printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
                )
                assert same, f"shown:\n{shown}\nprinted:\n{printed}"
    assert compared > 8


def test_the_quick_start_needs_no_prompt_and_no_hidden_setup():
    text = (DOCS / "quickstart.rst").read_text(encoding="utf-8")
    assert ">>>" not in text
    assert "testsetup" not in text
    assert len(BLOCKS) > 6
