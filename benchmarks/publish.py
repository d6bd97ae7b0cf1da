"""Adds the output of a benchmark to the published results, which the documentation shows.

Adds the command, and optionally the date and a note. Of each path of this machine only the last
part is kept.

    python benchmarks/publish.py out.json "python benchmarks/data_pipeline.py --rounds 5"
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
# Absolute, from a home or a drive, or through parents.
PATH = re.compile(r"(?:(?<![\w.~:/\\])|~|\.\.|\b[A-Za-z]:)(?:[/\\](?:[^/\\\s'\",]+))+[/\\]?")
COMMAND = re.compile(r"\bbenchmarks/(\w+)\.py\b")


def without_paths(value: Any) -> Any:
    """Returns JSON content with only the last part of each path."""
    if isinstance(value, str):
        return PATH.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], value)
    if isinstance(value, list):
        return [without_paths(one) for one in value]
    if isinstance(value, dict):
        return {without_paths(name): without_paths(one) for name, one in value.items()}
    return value


def paths(value: Any) -> list[str]:
    """Returns paths of this machine, which a published file must not contain."""
    if isinstance(value, str):
        return PATH.findall(value)
    if isinstance(value, list):
        return [path for one in value for path in paths(one)]
    if isinstance(value, dict):
        return [path for item in value.items() for one in item for path in paths(one)]
    return []


def publish(
    source: Path, command: str, *, date: str | None = None, note: str | None = None
) -> Path:
    """Writes a published file and returns its path.

    Args:
        source: What a benchmark wrote with ``--json``.
        command: What wrote it; its benchmark gives the file its name.
        date: When, if it is known.
        note: What a reader of the figures must know.

    Raises:
        ValueError: If the command runs none of the benchmarks, or holds a path of this machine.
    """
    found = COMMAND.search(command)
    if found is None or paths(command):
        raise ValueError(
            "`command` must run one of benchmarks/*.py, without a path of this machine. "
            f"Received: command={command!r}."
        )
    head = {"command": command, "date": date, "note": note}
    figures = json.loads(source.read_text(encoding="utf-8"))
    whole = {name: words for name, words in head.items() if words} | without_paths(figures)
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{found[1]}.json"
    target.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    return target


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="output of a benchmark with --json")
    parser.add_argument("command", help="command of the benchmark, in quotes")
    parser.add_argument("--date", help="date of the measurement")
    parser.add_argument("--note", help="note for readers of the results")
    arguments = parser.parse_args()
    try:
        print(publish(**vars(arguments)))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
