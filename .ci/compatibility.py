"""Runs the tests with the oldest and the newest versions that unetv2 allows.

Each environment is new, with a copy of the last commit and the extra `test`:

- `lowest`: the lowest Python, and the lower bounds in pyproject.toml;
- `newest`: the highest Python, and the versions that pip selects;
- `newest-3.X`: the same for a Python between them.

    python .ci/compatibility.py
    python .ci/compatibility.py --only lowest,newest --python 3.13=/opt/python3.13/bin/python

The results are written to docs/compatibility.csv, one row per environment, which
docs/compatibility.rst shows as a table.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "compatibility.csv"
PACKAGES = {"tensorflow": "TensorFlow", "keras": "Keras", "numpy": "NumPy", "pillow": "Pillow"}
COUNTS = ("Passed", "Failed", "Skipped")
HEADS = ("Environment", "Python", *PACKAGES.values(), *COUNTS, "Platform", "Date")
BOUND = re.compile(r"([\w.-]+)(?:\[[\w,]+\])?>=([\w.]+)")
VERSION = re.compile(r"Programming Language :: Python :: (3\.\d+)")
# Runs in the environment.
VERSIONS = (
    "import importlib.metadata as m, json, platform, sys;"
    "print(json.dumps([platform.python_version(), *map(m.version, sys.argv[1:])]))"
)


def environments(project: dict) -> dict[str, str]:
    """Returns the Python of each environment, the most important environments first."""
    pythons = [found[1] for line in project["classifiers"] if (found := VERSION.fullmatch(line))]
    between = {f"newest-{version}": version for version in pythons[1:-1]}
    return {"lowest": pythons[0], "newest": pythons[-1], **between}


def lowest(project: dict) -> list[str]:
    """Returns the lowest version of each requirement, including those of tests."""
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["test"]]
    for line in wanted:  # The list grows: an extra may include others.
        if inner := re.fullmatch(rf"{project['name']}\[([\w,]+)\]", line):
            wanted += [entry for extra in inner[1].split(",") for entry in extras[extra]]
    return [f"{found[1]}=={found[2]}" for line in wanted if (found := BOUND.fullmatch(line))]


def measure(name: str, interpreter: str, pins: list[str], extra: list[str], folder: Path) -> dict:
    """Returns a row of the table: versions of one environment and results of its tests."""
    place = folder / name
    checkout, environment = place / "checkout", place / "environment"
    checkout.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", checkout], input=archive.stdout, check=True)
    subprocess.run([interpreter, "-m", "venv", environment], check=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "-e", ".[test]", *pins]
    subprocess.run(install, cwd=checkout, check=True)
    output = subprocess.run([python, "-c", VERSIONS, *PACKAGES], check=True, capture_output=True)
    versions = json.loads(output.stdout)
    print(f"   {dict(zip(['python', *PACKAGES], versions, strict=True))}", flush=True)
    results = place / "results.xml"
    settings = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"}
    tests = [python, "-m", "pytest", "-q", "-n", "2", f"--junitxml={results}", *extra]
    ended = subprocess.run(tests, cwd=checkout, env={**os.environ, **settings}).returncode
    if not results.exists():
        sys.exit(f"The tests in '{name}' ended with {ended} and without results.")
    suite = ET.parse(results).getroot().find("testsuite")
    total, errors, failures, skipped = (
        int(suite.get(key)) for key in ("tests", "errors", "failures", "skipped")
    )
    failed = errors + failures
    where = f"{platform.system()} {platform.machine()}"
    date = datetime.date.today().isoformat()
    row = (name, *versions, total - failed - skipped, failed, skipped, where, date)
    return dict(zip(HEADS, map(str, row), strict=True))


def record(row: dict, names: list[str]) -> None:
    """Adds a row to the table, or replaces the one of the same environment."""
    rows = {}
    if TABLE.exists():
        with TABLE.open(encoding="utf-8", newline="") as file:
            rows = {old["Environment"]: old for old in csv.DictReader(file)}
    rows[row["Environment"]] = row
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[name] for name in names if name in rows)


def main() -> None:
    """Runs the selected environments."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pythons = environments(project)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(pythons), help="comma-separated environments")
    parser.add_argument(
        "--python", action="append", default=[], metavar="3.X=PATH", help="instead of python3.X"
    )
    parser.add_argument("--pytest", default="", metavar="ARGS", help="arguments of pytest")
    parser.add_argument("--folder", type=Path, help="folder to create and keep the environments in")
    options = parser.parse_args()
    named = dict(word.split("=", 1) for word in options.python)
    names = options.only.split(",")
    if unknown := set(names) - set(pythons):
        parser.error(f"--only must be of {', '.join(pythons)}. Received: {', '.join(unknown)}.")
    interpreters = {}
    for name in names:
        version = pythons[name]
        found = shutil.which(named.get(version, f"python{version}"))
        if found is None:
            parser.error(f"'{name}' needs Python {version}. Pass --python {version}=PATH.")
        interpreters[name] = found
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        for name, interpreter in interpreters.items():
            pins = lowest(project) if name == "lowest" else []
            print(f"\n== {name}, Python {pythons[name]} {shlex.join(pins)}", flush=True)
            row = measure(name, interpreter, pins, shlex.split(options.pytest), folder.resolve())
            record(row, list(pythons))
            if row["Failed"] != "0":
                failed.append(name)
            if options.folder is None:
                shutil.rmtree(folder / name)
    if failed:
        sys.exit(f"Tests failed in: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
