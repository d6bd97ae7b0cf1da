"""A command starts without TensorFlow's messages, which a library leaves to its user."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

_NAME = "unetv2"
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_NOTHING = "3"
_STDERR = 2


def is_command() -> bool:
    """Returns whether this process is the command ``unetv2``, or ``python -m unetv2``."""
    # While Python looks for the module of `-m`, this stands in its place.
    if sys.argv[:1] == ["-m"]:
        return any(pair == ("-m", _NAME) for pair in itertools.pairwise(sys.orig_argv))
    return bool(sys.argv) and Path(sys.argv[0]).stem == _NAME


def quieten_command() -> None:
    """Loads TensorFlow without a word, if this process is a command and its user set no level."""
    if is_command() and os.environ.setdefault(_LEVEL, _NOTHING) == _NOTHING:
        with _stderr_kept_back():
            # As it loads, it writes whatever the level is: tensorflow issue 100442.
            importlib.import_module("tensorflow")


@contextlib.contextmanager
def _stderr_kept_back() -> Iterator[None]:
    """Keeps back what libraries write to the process's stderr, unless an error comes after it."""
    stderr = os.dup(_STDERR)
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
            os.close(stderr)
