"""Startup and interruption of the command ``unetv2``: signal handling and TensorFlow's messages."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

INTERRUPTED = 130
"""The exit code after Ctrl-C."""

_NAME = "unetv2"
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS_ONLY = "3"
_STDERR = 2
# The file descriptor for messages while stderr is captured.
_messages_to = _STDERR


def is_command() -> bool:
    """Returns whether this process is the command ``unetv2``, or ``python -m unetv2``."""
    program = Path(sys.argv[0] if sys.argv else "")
    if program.parts[-2:] == (_NAME, "__main__.py"):
        # Other programs can run this file as a module of their own.
        return ("-m", _NAME) in itertools.pairwise(sys.orig_argv)
    return program.stem == _NAME


def exit_when_interrupted() -> None:
    """Makes Ctrl-C end this process immediately, if it is the command.

    An exception would be lost, or shown with a traceback, while libraries load and at exit. A
    process that was started with Ctrl-C ignored continues to ignore it.
    """
    if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Makes Ctrl-C raise ``KeyboardInterrupt``, and a second one end the process immediately.

    Has an effect only after :func:`exit_when_interrupted`; other signal handlers are kept.
    """
    if signal.getsignal(signal.SIGINT) is not _exit:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _exit)


def end_interrupted() -> None:
    """Ends the process immediately, if it is a command that Ctrl-C has interrupted.

    The interpreter would wait at exit for threads of libraries.
    """
    if signal.getsignal(signal.SIGINT) in (interrupt, _exit):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


def interrupt(*_: object) -> None:
    """Raises ``KeyboardInterrupt``; the next signal ends the process."""
    signal.signal(signal.SIGINT, _exit)
    raise KeyboardInterrupt


def _exit(*_: object) -> None:
    with contextlib.suppress(OSError):
        # On a new line, after the terminal's `^C`.
        os.write(_messages_to, b"\ninterrupted\n")
    os._exit(INTERRUPTED)


def load_tensorflow_quietly() -> None:
    """Loads TensorFlow without its messages, if this process is the command.

    A value of ``TF_CPP_MIN_LOG_LEVEL`` that the user has set is respected.
    """
    if is_command() and os.environ.setdefault(_LEVEL, _ERRORS_ONLY) == _ERRORS_ONLY:
        with _captured_stderr():
            # Some messages ignore the level: tensorflow issue 100442.
            importlib.import_module("tensorflow")


@contextlib.contextmanager
def _captured_stderr() -> Iterator[None]:
    """Captures the process's stderr, and prints it only if an exception is raised."""
    global _messages_to
    # Imported here, so that Ctrl-C is handled while it loads.
    import tempfile

    _messages_to = stderr = os.dup(_STDERR)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), _STDERR)
        try:
            yield
        except BaseException:
            captured.seek(0)
            os.write(stderr, captured.read())
            raise
        finally:
            os.dup2(stderr, _STDERR)
            _messages_to = _STDERR
            os.close(stderr)
