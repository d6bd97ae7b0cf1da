"""The command line: words to the public API, no logic of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from unetv2.cli import benchmark, check, evaluate, export, predict, train

_COMMANDS = (check, train, evaluate, predict, export, benchmark)
_WRONG_USE = 2
_INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command.

    Args:
        words: What stands after ``unetv2``; None takes the process's arguments.

    Returns:
        int. 0; 1 if the command found errors or files failed; 2 for wrong arguments, missing
        files or packages; 130 if interrupted.
    """
    try:
        options = _parser().parse_args(words)
    # argparse leaves the process, also after --help.
    except SystemExit as leaving:
        return _WRONG_USE if leaving.code else 0
    try:
        return int(options.run(options))
    except (ImportError, OSError, ValueError, TypeError, RuntimeError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return _WRONG_USE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="unetv2", description="Semantic segmentation with a U-Net in Keras 3."
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return parser
