"""The commands of the workflows exist, and agree with the README and pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WORKFLOWS = {path.name: path.read_text("utf-8") for path in ROOT.glob(".github/workflows/*.yml")}
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = OPTIONS["project"]


def test_the_test_command_is_the_readmes():
    (command,) = re.findall(r"^\$ (.*pytest.*)$", (ROOT / "README.md").read_text("utf-8"), re.M)
    assert f"- run: {command}\n" in WORKFLOWS["test.yml"]


def test_every_supported_python_is_tested():
    (pythons,) = re.findall(r"^ +python: \[(.+)\]$", WORKFLOWS["test.yml"], re.M)
    promised = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if ":: 3." in line]
    assert pythons.replace('"', "").split(", ") == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_files_extras_and_markers_exist(name):
    text = WORKFLOWS[name]
    for script in re.findall(r"\.ci/[\w.]+", text):
        assert (ROOT / script).is_file()
    for extras in re.findall(r'-e "\.\[(.+?)\]"', text):
        assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    markers = {line.split(":")[0] for line in OPTIONS["tool"]["pytest"]["ini_options"]["markers"]}
    for marked in re.findall(r"pytest -m (?:\"(.+)\"|(\w+))", text):
        assert set("".join(marked).split(" or ")) <= markers


def test_every_marker_is_run():
    for line in OPTIONS["tool"]["pytest"]["ini_options"]["markers"]:
        marker = line.split(":")[0]
        assert re.search(rf"pytest -m .*\b{marker}\b", WORKFLOWS["test.yml"])
