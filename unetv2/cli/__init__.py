"""The command line: words to the public API, no logic of its own."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NoReturn, TextIO

import unetv2
from unetv2 import startup
from unetv2.cli import benchmark, check, evaluate, export, predict, train
from unetv2.cli.options import require_paths
from unetv2.cli.wording import Wording
from unetv2.escaping import one_line, printable, printable_lines

_COMMANDS = (check, train, evaluate, predict, export, benchmark)
_WRONG_USE = 2


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        words: What stands after ``unetv2``; None takes the process's arguments.

    Returns:
        int. 0; 1 if the command found errors or files failed; 2 for wrong arguments, missing
        files or packages; 130 if interrupted.
    """
    after_interruption = "nothing was done"
    with startup.interruptible():
        try:
            options = parser().parse_args(words)
            after_interruption = options.after_interruption
            return _run(options)
        # argparse leaves the process, also after --help.
        except SystemExit as leaving:
            return _WRONG_USE if leaving.code else 0
        except KeyboardInterrupt:
            # On a line of its own, after what a terminal shows of Ctrl-C and of the progress.
            _show(f"\ninterrupted: {after_interruption}", sys.stderr)
            startup.end_interrupted()
            return startup.INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    wording = Wording(options.command, options.names)
    try:
        require_paths(options)
        with _log_on_stderr(wording, quiet=options.quiet), _stdout_kept_free(options.json):
            answer = options.run(options)
    except (ImportError, OSError, ValueError, TypeError, RuntimeError) as error:
        _show(f"error: {wording.of(one_line(error))}", sys.stderr)
        return _WRONG_USE
    text = json.dumps(answer.content, indent=2) if options.json else wording.of(answer.text)
    _show(text, sys.stdout)
    _show(answer.note, sys.stderr)
    return int(answer.code)


def _show(text: str, stream: TextIO) -> None:
    """Prints what is to be printed of a text, where anybody reads it."""
    if not text:
        return
    encoding = stream.encoding or "utf-8"
    shown = printable_lines(text).encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(shown, file=stream, flush=True)
    except BrokenPipeError:
        # Who read it, such as `head`, has seen enough; Python would complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Leaves the process with a message, which may quote names of files."""
        super().error(printable(message))


def parser() -> argparse.ArgumentParser:
    """Returns what reads the command's words."""
    whole = _Parser(
        prog="unetv2",
        description="Semantic segmentation with a U-Net in Keras 3.",
        epilog="`unetv2 COMMAND --help` says what a command does, with examples.",
    )
    whole.add_argument("--version", action="version", version=f"unetv2 {unetv2.__version__}")
    commands = whole.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return whole


@contextlib.contextmanager
def _stdout_kept_free(wanted: bool) -> Iterator[None]:
    """Sends to stderr what is said on the way, so that stdout gets the JSON alone."""
    if not wanted:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _log_on_stderr(wording: Wording, *, quiet: bool) -> Iterator[None]:
    """Shows what the library logs: warnings, and unless quiet also what it does."""
    log = logging.getLogger("unetv2")
    handler, level = logging.StreamHandler(), log.level
    handler.setFormatter(wording)
    log.addHandler(handler)
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
