"""The published results of the benchmarks, as tables of docs/benchmarks.rst.

A Sphinx extension that replaces each line ``.. benchmark:: NAME`` of that page by the command that
measured ``benchmarks/results/NAME.json``, the machine, the versions and the results. A missing file
is shown as not published. A file that is not valid, or that no line names, raises an error.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmark_fields import Fields
from benchmark_layouts import LAYOUTS, Table
from publish import RESULTS, paths

PAGE = "benchmarks"
LINE = re.compile(r"^\.\. benchmark:: *(\S+) *$", re.MULTILINE)
SPECIAL = re.compile(r"([\\*`|_])")
VERSIONS = {"python": "Python", "tensorflow": "TensorFlow", "keras": "Keras", "torch": "PyTorch"}
COMMAND = """
.. code-block:: console

   $ {}
"""


def page(source: str, results: Path = RESULTS) -> str:
    """Returns a page with its lines replaced by tables.

    Args:
        source: The page, with lines ``.. benchmark:: NAME``.
        results: Where the published files are.

    Raises:
        ValueError: If a name is none of a benchmark, or a file is on the page not at all or twice.
    """
    named = LINE.findall(source)
    unknown = sorted(set(named) - set(LAYOUTS))
    if unknown:
        raise ValueError(f"{PAGE}.rst names unknown benchmarks: {', '.join(unknown)}.")
    published = sorted(path.stem for path in results.glob("*.json"))
    wrong = [name for name in published if named.count(name) != 1]
    if wrong:
        raise ValueError(
            f"{PAGE}.rst must name each file of benchmarks/results once, by '.. benchmark:: NAME'. "
            f"Received: another number of lines for {', '.join(wrong)}."
        )
    return LINE.sub(lambda found: section(found[1], results), source)


def section(name: str, results: Path = RESULTS) -> str:
    """Returns the section of a benchmark."""
    path = results / f"{name}.json"
    if not path.exists():
        command = f"python benchmarks/{name}.py --json {name}.json"
        return f"**Not published yet.** Measure it with:\n{COMMAND.format(command)}"
    fields = read(path)
    command = fields.take("command", str)
    date = fields.take("date", str, default="")
    note = fields.take("note", str, default="")
    measured = [*machine(fields.part("machine")), *([f"measured on {date}"] if date else [])]
    tables = LAYOUTS[name](fields)
    fields.done()
    parts = [
        COMMAND.format(command),
        f"On {', '.join(measured)}. All results: "
        f":download:`{path.name} <../benchmarks/results/{path.name}>`.",
        SPECIAL.sub(r"\\\1", note),
        *map(table, tables),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def read(path: Path) -> Fields:
    """Returns the fields of a published file.

    Raises:
        ValueError: If it is no JSON, or holds a path of a machine.
    """
    place = f"benchmarks/results/{path.name}"
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{place} must be JSON. Received: {error}.") from error
    found = paths(figures)
    if found:
        raise ValueError(
            f"{place} must not contain paths of a machine. Received: {', '.join(found)}. "
            "Publish it by benchmarks/publish.py."
        )
    return Fields(figures, place)


def machine(fields: Fields) -> list[str]:
    """Returns a description of the machine of a benchmark."""
    cores, gpus = fields.take("cores", int), fields.take("gpus", int)
    bfloat16 = " with AVX-512 BF16" if fields.flag("avx512_bf16") else ""
    words = [f"{cores} cores of {fields.take('machine', str)}{bfloat16}"]
    words.append(f"{gpus} GPUs" if gpus else "no GPU")
    for name, title in VERSIONS.items():
        version = fields.take(name, str)
        if version != "not installed":
            words.append(f"{title} {version}")
    fields.done()
    return words


def table(rows: Table) -> str:
    """Returns a table as reStructuredText."""
    lines = [".. list-table::", "   :header-rows: 1", "   :class: figures", ""]
    for first, *others in [rows.heads, *rows.rows]:
        cells = [SPECIAL.sub(r"\\\1", cell) for cell in (first, *others)]
        lines += [f"   * - {cells[0]}".rstrip(), *(f"     - {cell}".rstrip() for cell in cells[1:])]
    return "\n".join(lines)


def _fill(app: Any, name: str, source: list[str]) -> None:
    if name == PAGE:
        for path in RESULTS.glob("*.json"):
            app.env.note_dependency(str(path))
        source[0] = page(source[0])


def setup(app: Any) -> dict[str, bool]:
    """Registers the extension."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
