"""The parsers accept the commands in the README and the docs."""

from __future__ import annotations

import re

import pytest
from command_lines import (
    Command,
    asked_options,
    commands,
    complaint,
    known_options,
    mentioned,
    options,
    parser,
    shown,
    subcommands,
)
from documentation import DOCS, ROOT

SHOWN = sorted(set(shown()))
MENTIONED = sorted(set(mentioned()))
OPTIONS = sorted(set(options()))
# Of Slurm's `sbatch`.
OTHERS = {"--signal"}
PAGE = DOCS / "api" / "command_line.rst"


def named(found):
    return [pytest.param(command, id=f"{name}: {command}") for name, command in found]


def programs():
    """Returns the programs of this project that parse arguments."""
    files = [path for folder in ("examples", "benchmarks") for path in (ROOT / folder).glob("*.py")]
    files = [path for path in files if "ArgumentParser(" in path.read_text(encoding="utf-8")]
    return ["unetv2", *(f"python {path.relative_to(ROOT).as_posix()}" for path in sorted(files))]


@pytest.mark.parametrize("command", named(SHOWN))
def test_its_program_accepts_a_command_in_a_block(command):
    # argparse also accepts prefixes of options.
    assert asked_options(command) <= known_options(command)
    assert not complaint(command)


@pytest.mark.parametrize("command", named(MENTIONED))
def test_the_options_of_a_command_in_a_sentence_exist(command):
    assert asked_options(command) <= known_options(command)
    names = subcommands(parser(command.program))
    assert not names or not command.words or command.words[0] in {*names, "--help", "--version"}


@pytest.mark.parametrize(
    "option", [pytest.param(option, id=f"{name}: {option}") for name, option in OPTIONS]
)
def test_an_option_in_a_sentence_exists(option):
    found = set(OTHERS)
    for program in programs():
        for name in ("", *subcommands(parser(program))):
            found |= known_options(Command(program, (name,)))
    assert option in found


@pytest.mark.parametrize("name", subcommands(parser("unetv2")))
def test_the_page_of_commands_has_every_command(name):
    assert f".. command-help:: unetv2 {name}\n" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "shown_help", re.findall(r"^\.\. command-help:: (.+)$", PAGE.read_text("utf-8"), re.MULTILINE)
)
def test_every_command_on_the_page_exists(shown_help):
    (command,) = commands(f"{shown_help} --help")
    assert not complaint(command)


def test_commands_in_a_line_of_a_shell_are_found():
    line = "pip install unetv2 && N=2 srun --nodes=2 .venv/bin/unetv2 check a b --seed $N | tee log"
    assert list(commands(line)) == [Command("unetv2", ("check", "a", "b", "--seed", "0"))]
    (example,) = commands("python examples/a.py --b  # says c")
    assert example == Command("python examples/a.py", ("--b",))
    assert {"README.md", "docs/training.rst", "docs/distributed.rst"} <= {name for name, _ in SHOWN}


@pytest.mark.parametrize(
    "line",
    [
        "unetv2 check a b --class carla",
        "unetv2 check a b --classes",
        "unetv2 look a b",
        "unetv2 predict model.keras a",
        "python examples/train_carseg.py --data",
    ],
)
def test_a_wrong_command_is_detected(line):
    (command,) = commands(line)
    assert complaint(command) or asked_options(command) - known_options(command)
