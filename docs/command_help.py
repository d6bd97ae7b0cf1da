"""A directive that shows the help of a command.

``.. command-help:: unetv2 train`` shows the output of ``unetv2 train --help``.
``python -m MODULE`` and ``python FILE``, with the path in the repository, are supported too.
"""

from __future__ import annotations

import contextlib
import io
import os
import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from docutils import nodes
from docutils.parsers.rst import Directive

_ROOT = Path(__file__).parent.parent
# The width of the text on the pages; no colors, which argparse prints from Python 3.14 on.
_PLAIN = {"COLUMNS": "90", "NO_COLOR": "1"}


def help_of(command: str) -> str:
    """Returns the output of a command with ``--help``.

    Args:
        command: str. Such as ``"unetv2 train"`` or ``"python examples/train_carseg.py"``.

    Returns:
        str. Without the line feed at its end.

    Raises:
        ValueError: If it is no such command, or has no help.
    """
    printed = io.StringIO()
    code: Any = None
    with _called(f"{command} --help") as run, contextlib.redirect_stdout(printed):
        try:
            run()
        except SystemExit as leaving:
            code = leaving.code
    text = printed.getvalue().rstrip()
    if code or not text.startswith("usage:"):
        raise ValueError(f"A command must have a help. Received: '{command}', exit code {code}.")
    return text


@contextlib.contextmanager
def _called(command: str) -> Iterator[Any]:
    """Provides a function that runs a command in this process."""
    words = shlex.split(command)
    if words[0] == "unetv2":
        words[:1] = ["python", "-m", "unetv2"]
    if words[:2] == ["python", "-m"]:
        arguments, run = words[2:], _module
    elif words[0] == "python":
        arguments, run = [str(_ROOT / words[1]), *words[2:]], _file
    else:
        raise ValueError(f"A command must be `unetv2` or `python`. Received: '{command}'.")
    with mock.patch.object(sys, "argv", arguments), mock.patch.dict(os.environ, _PLAIN):
        yield lambda: run(arguments[0])


def _module(name: str) -> None:
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _file(path: str) -> None:
    runpy.run_path(path, run_name="__main__")


class CommandHelp(Directive):
    """Shows the help of a command."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Returns the help as a literal block."""
        text = help_of(self.arguments[0])
        block = nodes.literal_block(text, text, language="text")
        # Rebuild the page when a file with options changes.
        environment = self.state.document.settings.env
        for path in sorted((_ROOT / "unetv2" / "cli").glob("*.py")):
            environment.note_dependency(str(path))
        return [block]


def setup(app: Any) -> dict[str, Any]:
    """Adds the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
