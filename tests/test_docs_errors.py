"""Error texts that the docs quote are texts that the code can say.

Quoted is what a doctest expects after ``Traceback``; what stands in a block
``.. code-block:: text`` with ``:class: error-text``; and each literal or heading with `` must `` or
``Received:`` in it.
"""

from __future__ import annotations

import ast
import doctest
import re
from collections.abc import Iterator

import pytest
from documentation import DOCS, ROOT, pages
from error_texts import explained
from raising import trees

# What Keras and TensorFlow say in words like ours, and is quoted somewhere.
_THEIRS = (
    "A `Concatenate` layer requires inputs",
    "Argument `output` must have rank",
    "You must call `compile()`",
)
_OURS = re.compile(r"Received: | must ")
_CLASS = re.compile(
    r"^((\S*(Error|Exception|Warning)\b[^:]*|error|warning|WARNING:unetv2): )?(\[Errno [^\]]*\] )?"
)
_BLOCK = re.compile(
    r"^( *)\.\. code-block:: (?:text|console)\n((?:\1   :.*\n)*)\n((?:\1   .*\n|\n)+)", re.MULTILINE
)
# By a command, or in the report of the dataset doctor.
_PRINTED = re.compile(r"^ *(?:error|warning): (?:\w+ \(\d+\)\. )?(.+)$", re.MULTILINE)
_LITERAL = re.compile(r"(?<![`\w])``(?=\S)((?:(?!\n\s*\n).)+?)(?<=\S)``(?![`\w])", re.DOTALL)
_HEADING = re.compile(r"^(\S.*)\n([=\-~^\"'])\2{3,}$", re.MULTILINE)


def quotes() -> Iterator[tuple[str, str, bool]]:
    """Yields where an error text is quoted, the text, and whether it is all of it."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in pages()}
    for name, text in texts.items():
        yield from ((name, quote, True) for quote in [*_tracebacks(text), *_blocks(text)])
        yield from ((name, quote, False) for quote in [*_literals(text), *_headings(text)])
    for name, tree in trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                yield from ((name, quote, True) for quote in _tracebacks(text))
                yield from ((name, quote, False) for quote in _literals(text))
    readme = (ROOT / "README.md").read_text("utf-8")
    for _, code in re.findall(r"(`+)(.+?)\1(?!`)", readme):
        if _OURS.search(code):
            yield "README.md", code.strip(), False


def _tracebacks(text: str) -> Iterator[str]:
    for example in doctest.DocTestParser().get_examples(text):
        message = _CLASS.sub("", example.exc_msg or "")
        # Others say what is left; the doctest itself compares that.
        if _OURS.search(message):
            yield message


def _blocks(text: str) -> Iterator[str]:
    for _, options, block in _BLOCK.findall(text):
        paragraphs = [part for part in re.split(r"\n\s*\n", block) if part.strip()]
        if ":class: error-text" in options:
            yield from (_CLASS.sub("", paragraph.strip()) for paragraph in paragraphs)
        else:
            yield from (text for text in _PRINTED.findall(block) if _OURS.search(text))


def _literals(text: str) -> Iterator[str]:
    prose = re.sub(r"^ *(>>>|\.\.\.).*$", "", text, flags=re.MULTILINE)
    return (_CLASS.sub("", quote) for quote in _LITERAL.findall(prose) if _OURS.search(quote))


def _headings(text: str) -> Iterator[str]:
    found = (re.sub(r"\\(.)", r"\1", title) for title, _ in _HEADING.findall(text))
    return (_CLASS.sub("", title) for title in found if _OURS.search(title))


QUOTES = sorted(
    (where, " ".join(text.split()), whole)
    for where, text, whole in set(quotes())
    if not text.startswith(_THEIRS)
)


@pytest.mark.parametrize(
    ("text", "whole"),
    [pytest.param(text, whole, id=f"{where}: {text[:60]}") for where, text, whole in QUOTES],
)
def test_a_quoted_error_text_is_one_that_the_code_can_say(text, whole):
    assert explained(text, whole=whole), f"no text in unetv2/ fits this quote:\n{text}"


def test_quotes_are_found():
    assert any(where == "docs/quickstart.rst" for where, *_ in QUOTES)
    assert DOCS.is_dir()


@pytest.mark.parametrize(
    "text",
    [
        "Mask ids must be in [0, 5). Received: ...",
        # One of several beginnings, values of several words, an advice that a caller passes.
        "`epochs` must be a positive integer. Received: epochs=0. The reference has 40.",
        "`recipe` must be one of 'reference', 'fast'. Received: recipe='slow and sure'.",
        # What somebody else says, within a text within a text.
        "At most `max_skipped`=0.05 of the pairs may be skipped. Received: 1 of 12, the last one "
        "because of: 'a.png' must be a readable image (PNG, JPEG, BMP, GIF, WEBP, TIFF). Received: "
        "6 bytes that are not a valid image (what Pillow says of it). Replace the file, or remove "
        "it together with its partner. Fix the files or raise `max_skipped`.",
    ],
)
def test_what_the_code_says_is_known(text):
    assert explained(text)


@pytest.mark.parametrize(
    "text",
    [
        "Mask ids must lie in [0, 5). Received: ...",
        "`epochs` must be a nice integer. Received: epochs=0. The reference has 40.",
        "`epochs` must be a positive integer. Received: epochs=0. The notebook has 40.",
        "`recipe` must be among 'reference', 'fast'. Received: recipe='slow'.",
        "Every image needs a mask of the same file name, extensions and suffixes aside. ...",
        # Only a part of it.
        "Every image needs a mask with the same file name",
    ],
)
def test_what_the_code_does_not_say_is_not_known(text):
    assert not explained(text)


def test_a_part_may_be_quoted_where_it_is_marked_as_one():
    assert explained("Every image needs a mask with the same file name", whole=False)
    assert not explained("Every image needs a mask of the same file name", whole=False)
