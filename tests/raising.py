"""Exceptions that the modules of the package raise, according to their source."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from documentation import PACKAGE, ROOT


@functools.cache
def trees() -> dict[str, ast.Module]:
    """Returns the syntax tree of every module by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


@functools.cache
def below(module: str) -> frozenset[str]:
    """Returns a module and the modules of the package that it imports, also indirectly."""
    found, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in found and name in trees():
            found.add(name)
            todo += _imports(trees()[name])
    return frozenset(found)


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def raised_in(module: str) -> frozenset[str]:
    """Returns the names of the exceptions that a module creates or re-raises."""
    found = set()
    for node in ast.walk(trees()[module]):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            found.add(node.func.id)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name):
            found.add(node.exc.id)
        elif isinstance(node, ast.ExceptHandler) and node.type is not None and _passes_on(node):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            found |= {ast.unparse(one) for one in caught}
    return frozenset(found & exceptions().keys())


def _passes_on(handler: ast.ExceptHandler) -> bool:
    """Returns whether a handler raises the caught exception, or `type(error)(...)`."""
    return any(
        isinstance(node, ast.Raise) and (node.exc is None or "type(" in ast.unparse(node.exc))
        for node in ast.walk(handler)
    )


@functools.cache
def exceptions() -> dict[str, tuple[str, ...]]:
    """Returns the names of all exceptions, each with those of its base classes."""
    found = {
        name: tuple(base.__name__ for base in thing.__mro__)
        for name, thing in vars(builtins).items()
        if inspect.isclass(thing) and issubclass(thing, BaseException)
    }
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                bases = [found[base] for base in map(ast.unparse, node.bases) if base in found]
                if bases:
                    found[node.name] = (node.name, *bases[0])
    return found


def raised_by(thing: Any) -> set[str]:
    """Returns the exceptions that the body of a function raises itself.

    Of a class it is that of ``__init__`` or ``__post_init__``.
    """
    if inspect.isclass(thing):
        made = (vars(thing).get(name) for name in ("__init__", "__post_init__"))
        bodies = [one for one in made if one and one.__module__.startswith("unetv2")]
    else:
        bodies = [thing]
    found = set()
    for body in bodies:
        if "<string>" in body.__code__.co_filename:
            continue  # What `dataclass` writes.
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(body)))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                found.add(ast.unparse(node.exc.func))
    return found & exceptions().keys()


def refusal(call):
    """Returns the text of the ValueError that a call raises, or None if it raises none."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return None
