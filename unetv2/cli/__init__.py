"""The command line: a thin layer over the public API.

Parsing and the checks before the work use no TensorFlow, so that help and wrong arguments are
answered immediately.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn, TextIO

import unetv2
from unetv2 import startup
from unetv2.cli import benchmark, check, evaluate, export, plan, predict, train
from unetv2.cli.options import Wording, check_options
from unetv2.text import one_line, printable, printable_lines

_COMMANDS = (check, plan, train, evaluate, predict, export, benchmark)
_ERRORS = (ImportError, OSError, ValueError, TypeError, RuntimeError)
_WRONG_USE = 2


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        words: Arguments after ``unetv2``; None uses those of the process.

    Returns:
        int. 0; 1 if the command found errors or files failed; 2 for wrong arguments, missing
        files or packages; 130 if interrupted.
    """
    startup.exit_when_interrupted()
    after_interruption = "nothing was changed"
    try:
        started = time.monotonic()
        options = parser().parse_args(words)
        options.started = started
        after_interruption = options.after_interruption
        return _run(options)
    # argparse exits, also after --help.
    except SystemExit as error:
        return _WRONG_USE if error.code else 0
    except KeyboardInterrupt:
        # On a new line, after the terminal's `^C` and the progress bar.
        _show(f"\ninterrupted: {after_interruption}", sys.stderr)
        startup.end_interrupted()
        return startup.INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    wording = Wording(options.command, options.names)
    try:
        check_options(options)
        if options.check is not None:
            options.check(options)
        startup.load_tensorflow_quietly()
        for name in options.uses:
            getattr(unetv2, name)
        with (
            startup.interruptible(),
            _log_on_stderr(wording, quiet=options.quiet),
            _reserve_stdout(options.json),
        ):
            result = options.run(options)
    except _ERRORS as error:
        _show(f"error: {wording.translate(one_line(error))}", sys.stderr)
        return _WRONG_USE
    text = json.dumps(result.content, indent=2) if options.json else wording.translate(result.text)
    _show(text, sys.stdout)
    _show(result.note, sys.stderr)
    return int(result.code)


def _show(text: str, stream: TextIO) -> None:
    """Prints a text with unprintable characters escaped, unless it is empty."""
    if not text:
        return
    encoding = stream.encoding or "utf-8"
    shown = printable_lines(text).encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(shown, file=stream, flush=True)
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe; Python would report that at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Exits with a message, which may contain file names."""
        super().error(printable(message))


def parser() -> argparse.ArgumentParser:
    """Returns the argument parser."""
    result = _Parser(
        prog="unetv2",
        description="Semantic segmentation with a U-Net in Keras 3.",
        epilog="Run `unetv2 COMMAND --help` for the options and examples of a command.",
    )
    result.add_argument("--version", action="version", version=f"unetv2 {unetv2.__version__}")
    commands = result.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return result


@contextlib.contextmanager
def _reserve_stdout(for_json: bool) -> Iterator[None]:
    """Redirects other output to stderr, so that stdout contains only JSON."""
    if not for_json:
        yield
        return
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _log_on_stderr(wording: Wording, *, quiet: bool) -> Iterator[None]:
    """Prints the library's log: warnings and, unless quiet, progress messages."""
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
