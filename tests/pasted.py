"""The Python blocks of a documentation page, and a session into which they are pasted.

The output of a statement is shown in comments, at the end of its last line or directly below it.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import linecache
import re
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

_BLOCK = re.compile(
    r"^( *)\.\. code-block:: python\n(?:\1   :.*\n)*\n((?:\1   .*\n|\n)+)", re.MULTILINE
)
_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(page: Path) -> list[str]:
    """Returns the Python blocks of a page in order, dedented."""
    found = _BLOCK.findall(page.read_text(encoding="utf-8") + "\n")
    return [textwrap.dedent(block).strip("\n") + "\n" for _, block in found]


class _Comment(NamedTuple):
    text: str
    column: int


def _comments(source: str) -> dict[int, _Comment]:
    """Returns the comments of a block by their line."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: _Comment(token.string[1:].strip(), token.start[1])
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _last_line(statement: ast.stmt, comments: dict[int, _Comment]) -> int:
    """Returns the last line of a statement and of the comments directly below it."""
    assert statement.end_lineno is not None
    line = statement.end_lineno
    while line + 1 in comments and comments[line + 1].column == 0:
        line += 1
    return line


def shown(source: str) -> Iterator[tuple[ast.stmt, str]]:
    """Yields the statements of a block, each with the output that its comments show."""
    comments = _comments(source)
    for statement in ast.parse(source).body:
        lines = range(statement.end_lineno or 0, _last_line(statement, comments) + 1)
        yield statement, "".join(f"{comments[n].text}\n" for n in lines if n in comments)


def not_pasteable(source: str) -> list[int]:
    """Returns the lines at which an interactive session of Python 3.11 would reject a block.

    It ends a compound statement at the first blank line, and only there.
    """
    lines = ["", *source.splitlines(), ""]
    comments = _comments(source)
    found = []
    for statement in ast.parse(source).body:
        if not hasattr(statement, "body"):
            continue
        decorators = getattr(statement, "decorator_list", [])
        first = min(one.lineno for one in [statement, *decorators])
        last = _last_line(statement, comments)
        found += [number for number in range(first, last) if not lines[number].strip()]
        if lines[last + 1].strip():
            found.append(last + 1)
    return found


def paste(source: str, name: str, known: dict[str, Any]) -> None:
    """Runs a block in the namespace ``known`` and compares its output with its comments."""
    # A traceback, and TensorFlow's AutoGraph, look for the source there.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    for statement, expected in shown(source):
        code = compile(ast.Module([statement], []), name, "exec")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, known)
        printed = output.getvalue()
        # Progress bars need no comment.
        if printed and not (printed.startswith("Epoch ") and not expected):
            same = doctest.OutputChecker().check_output(expected, printed, _OPTIONS)
            assert same, (
                f"{name}, line {statement.lineno}: {ast.unparse(statement)}\n"
                f"must print what its comments show:\n{expected}\nReceived:\n{printed}"
            )
