"""Simulation of a full disk."""

from __future__ import annotations

import contextlib
import resource


@contextlib.contextmanager
def full_disk(left=100):
    """Limits the size of files in bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
