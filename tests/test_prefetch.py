"""Prefetch: order, limits and cancellation."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from unetv2 import prefetch as module
from unetv2.prefetch import prefetch


@pytest.fixture
def executor():
    with ThreadPoolExecutor(4) as executor:
        yield executor


@pytest.mark.parametrize("buffer_size", [1, 3, 100])
def test_results_are_in_order(executor, buffer_size):
    results = prefetch(lambda item: item**2, range(20), executor, buffer_size=buffer_size)
    assert list(results) == [item**2 for item in range(20)]


def unconsumed(executor, n_items=12, **options):
    """Returns the largest number of items that were taken and not consumed."""
    taken, most = [], 0
    items = (taken.append(item) or item for item in range(n_items))
    for consumed, _ in enumerate(prefetch(lambda item: item, items, executor, **options)):
        most = max(most, len(taken) - consumed)
    return most


def test_the_buffer_is_limited(executor):
    # One item more is taken before the first result is consumed.
    assert unconsumed(executor, buffer_size=3) == 4


def test_the_memory_is_limited(executor, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    sizes = {"buffer_size": 10, "n_bytes": lambda _: 40}
    assert unconsumed(executor, **sizes) == 3
    # Larger than the limit: each result is consumed before the next item is taken.
    assert unconsumed(executor, buffer_size=10, n_bytes=lambda _: 1000) == 1


def test_an_error_cancels_pending_calls():
    called, release = [], threading.Event()

    def call(item):
        called.append(item)
        if item == 0:
            raise ValueError("item 0")
        release.wait(10)

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ValueError, match="item 0"):
            list(prefetch(call, range(10), executor, buffer_size=5))
        release.set()
    assert len(called) <= 2
