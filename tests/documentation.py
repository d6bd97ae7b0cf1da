"""Pages, docstrings and public names, for the tests of the documentation."""

from __future__ import annotations

import ast
import fnmatch
import functools
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple

import unetv2

ROOT = Path(unetv2.__file__).parent.parent
DOCS = ROOT / "docs"
PACKAGE = ROOT / "unetv2"

_SECTION = re.compile(
    r"^(Args|Attributes|Call arguments|Input shape|Output shape|Returns|Raises|Example|References"
    r"|Yields):$"
)
_DESCRIBED = re.compile(r"^(\*{0,2}\w+):(?:\s+(.*))?$")
_DIRECTIVE = re.compile(r"^\.\. (auto\w+|currentmodule|data):: (\S+)$")
_OPTION = re.compile(r"^   :([\w-]+):\s*(.*)$")


def pages() -> list[Path]:
    """Returns the pages of docs/, without those that Sphinx leaves out."""
    conf = ast.parse((DOCS / "conf.py").read_text(encoding="utf-8"))
    (left_out,) = [
        ast.literal_eval(node.value)
        for node in conf.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "exclude_patterns"
    ]

    def is_page(path: Path) -> bool:
        name = path.relative_to(DOCS).as_posix()
        folders = [parent.as_posix() for parent in Path(name).parents]
        return not any(fnmatch.fnmatch(name, pattern) or pattern in folders for pattern in left_out)

    return [path for path in sorted(DOCS.rglob("*.rst")) if is_page(path)]


def python_blocks(path: Path) -> list[str]:
    """Returns the Python code of a Markdown file, block by block."""
    text = path.read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


class Entry(NamedTuple):
    """An entry of an API page."""

    kind: str
    name: str
    options: dict[str, str]
    text: str


@functools.cache
def entries() -> dict[str, list[Entry]]:
    """Returns the entries of the API pages by name."""
    found: dict[str, list[Entry]] = {}
    for page in sorted((DOCS / "api").glob("*.rst")):
        module = ""
        lines = page.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            match = _DIRECTIVE.match(line)
            if match is None:
                continue
            kind, name = match.groups()
            if kind in ("automodule", "currentmodule"):
                module = name
            elif not name.startswith("unetv2."):
                name = f"{module}.{name}"
            end = number + 1
            while end < len(lines) and (not lines[end] or lines[end].startswith("   ")):
                end += 1
            block = lines[number + 1 : end]
            options = dict(option.groups() for each in block if (option := _OPTION.match(each)))
            text = "\n".join(each for each in block if not _OPTION.match(each)).strip()
            found.setdefault(name, []).append(Entry(kind, name, options, text))
    return found


def public() -> Iterator[tuple[str, Any]]:
    """Yields the public names of the package and of its public modules, and their values."""
    for name in unetv2.__all__:
        thing = getattr(unetv2, name)
        yield f"unetv2.{name}", thing
        if inspect.ismodule(thing):
            for inner in thing.__all__:
                yield f"unetv2.{name}.{inner}", getattr(thing, inner)


def is_ours(thing: Any) -> bool:
    """Returns whether a class or function belongs to this package."""
    return (getattr(thing, "__module__", None) or "").split(".")[0] == "unetv2"


def own_members(cls: type) -> list[str]:
    """Returns the public methods and properties that a class has from this package.

    Those of a base class that is public itself stand there.
    """
    kinds = (FunctionType, staticmethod, classmethod, property, functools.cached_property)
    elsewhere = [thing for _, thing in public() if inspect.isclass(thing) and thing is not cls]
    return [
        name
        for base in cls.__mro__
        if is_ours(base) and base not in elsewhere
        for name, value in vars(base).items()
        if not name.startswith("_") and isinstance(value, kinds)
    ]


def listed_members(entry: Entry, cls: type) -> list[str]:
    """Returns the members that an API page shows of a class."""
    if "members" not in entry.options:
        return []
    named = entry.options["members"]
    return [name.strip() for name in named.split(",")] if named else own_members(cls)


def callables() -> Iterator[tuple[str, Any]]:
    """Yields every function, class and method in the API pages, as far as they exist."""
    for name, (entry, *_) in entries().items():
        if entry.kind not in ("autofunction", "autoclass", "autoexception"):
            continue
        try:
            thing = resolve(name)
        except AttributeError:
            continue
        yield name, thing
        if inspect.isclass(thing):
            for member in listed_members(entry, thing):
                value = getattr(thing, member, None)
                if callable(value):
                    yield f"{name}.{member}", value


def resolve(name: str) -> Any:
    """Returns the object with a dotted name."""
    first, *rest = name.split(".")
    assert first == "unetv2", f"{name} does not start with unetv2"
    return functools.reduce(getattr, rest, unetv2)


def sections(thing: Any) -> dict[str, str]:
    """Returns the sections of a docstring by name, dedented; what precedes them as ""."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in (inspect.getdoc(thing) or "").splitlines():
        match = _SECTION.match(line)
        if match:
            name = match[1]
            assert name not in found, f"{thing} has `{name}` twice"
            found[name] = []
        else:
            found[name].append(line)
    return {name: inspect.cleandoc("\n" + "\n".join(lines)) for name, lines in found.items()}


def described(section: str) -> dict[str, str]:
    """Returns the text of a section such as Args for each name, in its order."""
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        match = _DESCRIBED.match(line)
        if match:
            name = match[1]
            assert name not in found, f"`{name}` is described twice"
            found[name] = match[2] or ""
        elif name:
            found[name] += f" {line.strip()}"
    return {name: text.strip() for name, text in found.items()}


def arguments(thing: Any) -> list[str]:
    """Returns the arguments of a callable as docstrings name them, without ``self``."""
    stars = {inspect.Parameter.VAR_KEYWORD: "**", inspect.Parameter.VAR_POSITIONAL: "*"}
    return [
        stars.get(parameter.kind, "") + name
        for name, parameter in inspect.signature(thing).parameters.items()
        if name not in ("self", "cls")
    ]
