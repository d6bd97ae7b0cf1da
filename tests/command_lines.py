"""The commands that the docs show, and the parsers of their options."""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple
from unittest import mock

from documentation import ROOT, pages

_BLOCK = re.compile(
    r"^( *)\.\. code-block:: (console|bash|sh)\n(?:\1   :.*\n)*\n((?:\1   .*\n|\n)+)", re.MULTILINE
)
_FENCE = re.compile(r"^```(console|bash|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"^[\w.-]*\$ ")
_BETWEEN = {"&&", "||", "|", ";", "&", "do", "then", "(", ")"}
# Programs that start others, with options of their own in the form `--name=value`.
_STARTERS = {"env", "nice", "nohup", "srun", "time"}
_PROGRAMS = ("examples/", "benchmarks/")


class Command(NamedTuple):
    """A command of this project: its program and arguments."""

    program: str  # "unetv2", "python -m MODULE" or "python FILE".
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join([*self.program.split(), *self.words])


def texts() -> Iterator[tuple[str, str]]:
    """Yields the name and the text of each file with commands."""
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *pages()]:
        yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def shown() -> Iterator[tuple[str, Command]]:
    """Yields the commands in blocks, with the names of their files."""
    for name, text in texts():
        blocks = [(kind, block) for _, kind, block in _BLOCK.findall(text)]
        for kind, block in [*blocks, *_FENCE.findall(text)]:
            for line in _lines(block, prompted=kind == "console"):
                yield from ((name, command) for command in commands(line))


def mentioned() -> Iterator[tuple[str, Command]]:
    """Yields the commands in sentences and tables, possibly without arguments."""
    for name, text in texts():
        # In headings of reStructuredText backticks are escaped.
        for _, code in re.findall(r"(?<!`)(`{1,2})([^`]+)\1(?!`)", text.replace("\\`", "`")):
            if re.match(r"(unetv2|python) (?!\S*\.\.\.)", code):
                yield from ((name, command) for command in commands(" ".join(code.split())))


def options() -> Iterator[tuple[str, str]]:
    """Yields the options that appear in sentences without a command."""
    for name, text in texts():
        for option in re.findall(r"(?<!`)`{1,2}(--[\w-]+)(?: [^`]*)?`{1,2}(?!`)", text):
            yield name, option


def _lines(block: str, *, prompted: bool) -> Iterator[str]:
    """Yields the commands of a block, one line each."""
    lines = iter(inner.strip() for inner in block.splitlines())
    for line in lines:
        if prompted and not _PROMPT.match(line):
            continue  # Output of a command.
        line = _PROMPT.sub("", line)
        while line.endswith("\\"):
            line = f"{line[:-1]} {next(lines)}"
        yield line


def commands(line: str) -> Iterator[Command]:
    """Yields this project's commands in a line of a shell."""
    if "unetv2" not in line and "python" not in line:
        return
    # A variable may have any value, but a shard needs a valid index and count.
    words = re.sub(r"(\$\{?\w+\}?)/(\$\{?\w+\}?)", "0/1", line)
    words = re.sub(r"\$\{?\w+\}?", "0", words)
    lexer = shlex.shlex(words, posix=True, punctuation_chars="();&|")
    lexer.whitespace_split = True
    part: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _BETWEEN:
            part.append(word)
            continue
        command = _command(part)
        if command is not None:
            yield command
        part = []


def _command(words: list[str]) -> Command | None:
    """Returns the command in a list of words, if it is a program of this project."""
    while words and ("=" in words[0] or words[0].startswith("-") or words[0] in _STARTERS):
        words = words[1:]
    name = PurePosixPath(words[0]).name if words else ""
    if name == "unetv2":
        return Command(name, tuple(words[1:]))
    if name not in ("python", "python3") or len(words) < 2:
        return None
    if words[1] == "-m" and words[2].split(".")[0] == "unetv2":
        return Command(f"python -m {words[2]}", tuple(words[3:]))
    if words[1].startswith(_PROGRAMS):
        return Command(f"python {words[1]}", tuple(words[2:]))
    return None


class _Found(BaseException):
    """Returns a parser from the program that created it."""


@functools.cache
def parser(program: str) -> argparse.ArgumentParser:
    """Returns the argument parser of a program.

    The program is run until it parses its arguments.
    """

    def stop(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _Found(self)

    *_, target = ("-m", "unetv2") if program == "unetv2" else program.split()
    if target.endswith(".py"):
        assert (ROOT / target).is_file(), f"there is no {target}"
        if "ArgumentParser(" not in (ROOT / target).read_text(encoding="utf-8"):
            # It uses its arguments as they are, so it must not be run.
            anything = argparse.ArgumentParser()
            anything.add_argument("words", nargs="*")
            return anything
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", stop),
        mock.patch.object(sys, "argv", [program]),
    ):
        try:
            if target.endswith(".py"):
                runpy.run_path(str(ROOT / target), run_name="__main__")
            else:
                runpy.run_module(target, run_name="__main__", alter_sys=True)
        except _Found as found:
            return found.args[0]
    raise AssertionError(f"`{program}` parses no arguments")


def subcommands(whole: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Returns the parsers of the subcommands of a program by name."""
    return {
        name: command
        for action in whole._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, command in action.choices.items()
    }


def known_options(command: Command) -> set[str]:
    """Returns all options of the program of a command."""
    whole = parser(command.program)
    inner = subcommands(whole).get(command.words[0] if command.words else "", whole)
    return {option for action in inner._actions for option in action.option_strings}


def asked_options(command: Command) -> set[str]:
    """Returns the options in a command."""
    return {word.split("=")[0] for word in command.words if re.match(r"--[a-z]", word)}


def complaint(command: Command) -> str:
    """Returns the error of the parser for a command, or an empty string."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            parser(command.program).parse_args(command.words)
        except SystemExit as leaving:
            return said.getvalue() if leaving.code else ""
    return ""
