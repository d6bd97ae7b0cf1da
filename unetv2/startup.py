"""How the command ``unetv2`` starts and is interrupted, which a library leaves to its user."""

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
_NOTHING = "3"
_STDERR = 2
# Where messages go while stderr is kept back.
_shown_on = _STDERR


def is_command() -> bool:
    """Returns whether this process is the command ``unetv2``, or ``python -m unetv2``."""
    # While Python looks for the module of `-m`, this stands in its place.
    if sys.argv[:1] == ["-m"]:
        return any(pair == ("-m", _NAME) for pair in itertools.pairwise(sys.orig_argv))
    return bool(sys.argv) and Path(sys.argv[0]).stem == _NAME


def leave_when_interrupted() -> None:
    """Has Ctrl-C end this process at once, if it is a command: while modules load, and at its end.

    An exception would be lost, or shown with its traceback, where libraries load. A process that
    was started to ignore Ctrl-C goes on to do so.
    """
    if is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Has Ctrl-C raise ``KeyboardInterrupt``, and the next one end the process at once.

    Only where :func:`leave_when_interrupted` applies; another handler is its owner's.
    """
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _leave)


def end_interrupted() -> None:
    """Ends the process at once, if it is a command that Ctrl-C has interrupted.

    Threads of libraries may wait for long, and the interpreter would wait for them at its end.
    """
    if signal.getsignal(signal.SIGINT) in (interrupt, _leave):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


def interrupt(*_: object) -> None:
    """Raises ``KeyboardInterrupt``, once; a handler of signals."""
    signal.signal(signal.SIGINT, _leave)
    raise KeyboardInterrupt


def _leave(*_: object) -> None:
    with contextlib.suppress(OSError):
        # On a line of its own, after what a terminal shows of Ctrl-C.
        os.write(_shown_on, b"\ninterrupted\n")
    os._exit(INTERRUPTED)


def quieten_command() -> None:
    """Loads TensorFlow without a word, if this process is a command and its user set no level."""
    if is_command() and os.environ.setdefault(_LEVEL, _NOTHING) == _NOTHING:
        with _stderr_kept_back():
            # As it loads, it writes whatever the level is: tensorflow issue 100442.
            importlib.import_module("tensorflow")


@contextlib.contextmanager
def _stderr_kept_back() -> Iterator[None]:
    """Keeps back what libraries write to the process's stderr, unless an error comes after it."""
    global _shown_on
    # Not above, where Ctrl-C is not heard yet.
    import tempfile

    _shown_on = stderr = os.dup(_STDERR)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, _STDERR)
            _shown_on = _STDERR
            os.close(stderr)
