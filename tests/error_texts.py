"""Says whether a text that the docs quote is one that the code can still say.

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

# What stands in a template for a value, and for what somebody else's exception says.
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
    """What the names in a function, and in its module, are assigned."""

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
    """Returns the texts that an expression can be, as far as the source tells."""
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
    """Yields the texts of all strings below a node but docstrings."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        within = _scope(child, scope) if isinstance(child, ast.FunctionDef) else scope
        if isinstance(child, ast.Constant | ast.JoinedStr | ast.BinOp | ast.Call):
            yield from _variants(child, within)
        yield from _texts(child, within)


@functools.cache
def templates() -> tuple[tuple[str, ...], ...]:
    """Returns all texts of the code as words, those of one plain word at least."""
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
    """Returns all that fills gaps: other texts of the code, and those of the system's errors."""
    system = "\n".join(map(os.strerror, errno.errorcode))
    return "\n".join([" ".join(words) for words in templates()] + [system, system.lower()])


def explained(quote: str, *, whole: bool = True) -> bool:
    """Says whether the code can say what is quoted.

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
    """Returns a word, and apart from it the ``...`` that it ends with."""
    if set(word) == {"."} and len(word) > 2:
        return ["..."]
    return [word[:-3], "..."] if word.endswith("...") else [word]


class Way(NamedTuple):
    """A way to lay words over a template's, from some place to the end."""

    filling: tuple[str, ...] = ()  # What fills gaps, "|" between one and the next.
    run: int = 0  # How many of the template's own words follow each other here,
    longest: int = 0  # and where these are most.


def _fits(words: list[str], template: tuple[str, ...], needed: int, whole: bool) -> bool:
    """Says whether words are a template's, ``needed`` of its own following each other."""
    # A part may end within a sentence, but has nothing that only somebody else knows.
    last = None if whole else len(words) - 2
    if not whole:
        template = tuple(word.replace(FOREIGN, GAP) for word in template)

    @functools.cache
    def best(at: int, of: int) -> Way | None:
        if at == len(words) and of == len(template):
            return Way()
        word = words[at] if at < len(words) else ""
        own = template[of] if of < len(template) else ""
        ways = []
        if word == "...":
            ways.append(best(at + 1, of))
        if own and (word == "..." or _is_gap(own)):
            ways.append(_filled(best(at, of + 1), "|"))
        if word and _is_gap(own):
            ways.append(_filled(best(at + 1, of), "|" if FOREIGN in own else word))
        elif word and _GAPS.search(own):
            # A value may be several words.
            for end in range(at + 1, min(at + _LONGEST_VALUE, len(words)) + 1):
                match = _match(own, " ".join(words[at:end]), ends=end - 1 == last, whole=whole)
                if match:
                    filling = [] if FOREIGN in own else match.groups()
                    ways.append(_filled(best(end, of + 1), "|", *filling, "|"))
        elif word and _match(own, word, ends=at == last, whole=whole):
            rest = best(at + 1, of + 1)
            if rest is not None:
                run = rest.run + 1
                rest = _filled(rest, "|")
                ways.append(rest._replace(run=run, longest=max(rest.longest, run)))
        # The first run of words may go on to the left.
        found = [way for way in ways if way is not None and all(map(_is_known, _runs(way)[1:]))]
        return max(found, default=None, key=lambda way: (way.longest, way.run))

    way = best(0, 0)
    return way is not None and way.longest >= needed and all(map(_is_known, _runs(way)))


def _filled(way: Way | None, *filling: str) -> Way | None:
    return None if way is None else way._replace(filling=(*filling, *way.filling), run=0)


def _match(own: str, text: str, *, ends: bool, whole: bool) -> re.Match[str] | None:
    """Matches a template's word, which may hold gaps, with what a quote has in its place."""
    if "..." in text and not _GAPS.search(own):
        return re.fullmatch(".*".join(map(re.escape, text.split("..."))), own)
    # A part may leave out a value, `name` for `name`=5, and how the sentence goes on.
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


def _runs(way: Way) -> list[list[str]]:
    """Returns the plain words that fill gaps, those together that follow each other."""
    runs: list[list[str]] = [[]]
    for word in " ".join(way.filling).split():
        if _PLAIN.fullmatch(word):
            runs[-1].append(word)
        else:
            runs.append([])
    return runs


def _is_known(run: list[str]) -> bool:
    """Says whether plain words stand somewhere, three and more of them in a piece."""
    while len(run) > 2:
        known = [n for n in range(3, len(run) + 1) if _says(" ".join(run[:n]))]
        if not known:
            return False
        run = run[max(known) :]
    return True


@functools.cache
def _says(words: str) -> bool:
    return words.rstrip(_ENDS) in _corpus()
