"""Checks whether the code can produce an error text that the docs quote.

The texts that the code can say are read from its source: each string and f-string of ``unetv2/``
is a template, values in it are gaps. A quote fits a template if its words are the template's, with
anything in the gaps, and with ``...`` for whatever the quote leaves out. What fills a gap is not
free either: three plain words or more in it must stand in some other string of the code.
"""

from __future__ import annotations

import ast
import errno
import functools
import itertools
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from raising import trees

# Placeholders in a template for a value, and for the text of another exception.
GAP, FOREIGN = "\0", "\1"
_GAPS = re.compile(f"[{GAP}{FOREIGN}]")
_PLAIN = re.compile(r"[A-Za-z][a-z']*[,.;:]?")
_PLACEHOLDER = re.compile(r"%[sdgrf]|\{[^{}]*\}")
_ENDS = ".,;:"
_MOST_VARIANTS = 32
_CANDIDATES = 60
# The longest value, in words.
_LONGEST_VALUE = 12


class Scope(NamedTuple):
    """The values that are assigned to names in a function and in its module."""

    assigned: dict[str, list[ast.expr]]
    changed: set[str]
    caught: set[str]


def _scope(tree: ast.AST, around: Scope | None = None) -> Scope:
    assigned: dict[str, list[ast.expr]] = {}
    changed, caught = set(), set()
    nodes = ast.walk(tree) if isinstance(tree, ast.FunctionDef) else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, []).append(node.value)
        elif isinstance(node, ast.AugAssign):
            changed.add(ast.unparse(node.target))
        elif isinstance(node, ast.ExceptHandler) and node.name:
            caught.add(node.name)
        elif isinstance(node, ast.arg):
            kind = "" if node.annotation is None else ast.unparse(node.annotation)
            (caught if kind.endswith(("Error", "Exception")) else changed).add(node.arg)
    if around is None:
        return Scope(assigned, changed, caught)
    return Scope({**around.assigned, **assigned}, changed, caught)


def _variants(node: ast.expr | None, scope: Scope, depth: int = 4) -> list[str]:
    """Returns the possible texts of an expression, as far as the source shows."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = [_variants(part, scope, depth) for part in node.values]
        return _joined(parts)
    if isinstance(node, ast.FormattedValue):
        plain = node.conversion == -1 and node.format_spec is None
        return _variants(node.value, scope, depth) if plain else [GAP]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _joined([_variants(side, scope, depth) for side in (node.left, node.right)])
    if isinstance(node, ast.IfExp):
        return [*_variants(node.body, scope, depth), *_variants(node.orelse, scope, depth)]
    if isinstance(node, ast.Name):
        if node.id in scope.caught:
            return [FOREIGN]
        values = [] if node.id in scope.changed else scope.assigned.get(node.id, [])
        if values and depth:
            return [text for value in values for text in _variants(value, scope, depth - 1)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        inside = node.func.value
        if node.func.attr == "get" and isinstance(inside, ast.Dict) and len(node.args) == 2:
            options = [*inside.values, node.args[1]]
            return [text for option in options for text in _variants(option, scope, depth)]
        if node.func.attr == "format":
            return [_PLACEHOLDER.sub(GAP, text) for text in _variants(inside, scope, depth)]
    if node is not None and {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} & (
        scope.caught
    ):
        return [FOREIGN]
    return [GAP]


def _joined(parts: list[list[str]]) -> list[str]:
    while len(parts) and functools.reduce(lambda n, part: n * len(part), parts, 1) > _MOST_VARIANTS:
        longest = max(range(len(parts)), key=lambda number: len(parts[number]))
        parts = [[GAP] if number == longest else part for number, part in enumerate(parts)]
    return ["".join(chosen) for chosen in itertools.product(*parts)]


def _texts(tree: ast.AST, scope: Scope) -> Iterator[str]:
    """Yields the texts of all strings below a node except docstrings."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        within = _scope(child, scope) if isinstance(child, ast.FunctionDef) else scope
        if isinstance(child, ast.Constant | ast.JoinedStr | ast.BinOp | ast.Call):
            yield from _variants(child, within)
        yield from _texts(child, within)


@functools.cache
def templates() -> tuple[tuple[str, ...], ...]:
    """Returns all texts of the code with at least one plain word, split into words."""
    found = set()
    for tree in trees().values():
        for text in _texts(tree, _scope(tree)):
            text = re.sub(r"%[sdgrf]", GAP, text)
            words = tuple(text.split())
            if any(_PLAIN.fullmatch(word) for word in words):
                found.add(words)
    return tuple(sorted(found))


@functools.cache
def _corpus() -> str:
    """Returns the texts that can fill gaps: texts of the code and of system errors."""
    system = "\n".join(map(os.strerror, errno.errorcode))
    return "\n".join([" ".join(words) for words in templates()] + [system, system.lower()])


def explained(quote: str, *, whole: bool = True) -> bool:
    """Returns whether the code can produce a quoted text.

    Args:
        quote: str. The text, ``...`` where something is left out.
        whole: bool. Whether it is the text from its first to its last word; otherwise any part.
    """
    words = [part for word in quote.split() for part in _without_dots(word)]
    if not whole:
        words = ["...", *words, "..."]
    known = set(words)
    ranked = sorted(templates(), key=lambda template: -len(known.intersection(template)))
    needed = min(3, sum(word != "..." for word in words))
    return any(_fits(words, template, needed, whole) for template in ranked[:_CANDIDATES])


def _without_dots(word: str) -> list[str]:
    """Splits a word and the ``...`` at its end."""
    if set(word) == {"."} and len(word) > 2:
        return ["..."]
    return [word[:-3], "..."] if word.endswith("...") else [word]


class Alignment(NamedTuple):
    """An alignment of words with those of a template, from a position to the end."""

    filling: tuple[str, ...] = ()  # What fills gaps, "|" between one and the next.
    run: int = 0  # How many of the template's own words follow each other here,
    longest: int = 0  # and where these are most.


def _fits(words: list[str], template: tuple[str, ...], needed: int, whole: bool) -> bool:
    """Returns whether words match a template, with ``needed`` consecutive words of its own."""
    # A part may end within a sentence, but must not contain unknown texts.
    last = None if whole else len(words) - 2
    if not whole:
        template = tuple(word.replace(FOREIGN, GAP) for word in template)

    @functools.cache
    def best(at: int, of: int) -> Alignment | None:
        if at == len(words) and of == len(template):
            return Alignment()
        word = words[at] if at < len(words) else ""
        own = template[of] if of < len(template) else ""
        alignments = []
        if word == "...":
            alignments.append(best(at + 1, of))
        if own and (word == "..." or _is_gap(own)):
            alignments.append(_filled(best(at, of + 1), "|"))
        if word and _is_gap(own):
            alignments.append(_filled(best(at + 1, of), "|" if FOREIGN in own else word))
        elif word and _GAPS.search(own):
            # A value may be several words.
            for end in range(at + 1, min(at + _LONGEST_VALUE, len(words)) + 1):
                match = _match(own, " ".join(words[at:end]), ends=end - 1 == last, whole=whole)
                if match:
                    filling = [] if FOREIGN in own else match.groups()
                    alignments.append(_filled(best(end, of + 1), "|", *filling, "|"))
        elif word and _match(own, word, ends=at == last, whole=whole):
            rest = best(at + 1, of + 1)
            if rest is not None:
                run = rest.run + 1
                rest = _filled(rest, "|")
                alignments.append(rest._replace(run=run, longest=max(rest.longest, run)))
        # The first run of words may continue to the left.
        found = [
            alignment
            for alignment in alignments
            if alignment is not None and all(map(_is_known, _runs(alignment)[1:]))
        ]
        return max(found, default=None, key=lambda way: (way.longest, way.run))

    alignment = best(0, 0)
    return (
        alignment is not None
        and alignment.longest >= needed
        and all(map(_is_known, _runs(alignment)))
    )


def _filled(alignment: Alignment | None, *filling: str) -> Alignment | None:
    return (
        None
        if alignment is None
        else alignment._replace(filling=(*filling, *alignment.filling), run=0)
    )


def _match(own: str, text: str, *, ends: bool, whole: bool) -> re.Match[str] | None:
    """Matches a word of a template, which may contain gaps, with a word of a quote."""
    if "..." in text and not _GAPS.search(own):
        return re.fullmatch(".*".join(map(re.escape, text.split("..."))), own)
    # A part may omit a value, `name` for `name`=5, and the rest of the sentence.
    patterns = [own] if whole else [own, re.sub(f"={_GAPS.pattern}", "", own)]
    if ends:
        patterns += [pattern.rstrip(_ENDS) for pattern in patterns]
    for pattern in filter(None, patterns):
        match = re.fullmatch("(.*)".join(map(re.escape, _GAPS.split(pattern))), text)
        if match:
            return match
    return None


def _is_gap(word: str) -> bool:
    return bool(word) and not _GAPS.sub("", word).strip(_ENDS)


def _runs(alignment: Alignment) -> list[list[str]]:
    """Returns the runs of consecutive plain words that fill gaps."""
    runs: list[list[str]] = [[]]
    for word in " ".join(alignment.filling).split():
        if _PLAIN.fullmatch(word):
            runs[-1].append(word)
        else:
            runs.append([])
    return runs


def _is_known(run: list[str]) -> bool:
    """Returns whether plain words occur somewhere, three and more of them consecutively."""
    while len(run) > 2:
        known = [n for n in range(3, len(run) + 1) if _says(" ".join(run[:n]))]
        if not known:
            return False
        run = run[max(known) :]
    return True


@functools.cache
def _says(words: str) -> bool:
    return words.rstrip(_ENDS) in _corpus()
