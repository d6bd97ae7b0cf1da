"""Prefetch: results computed on threads before they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Memory of the results that are not consumed yet.
MAX_BYTES = 2**28


def prefetch(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    executor: ThreadPoolExecutor,
    *,
    buffer_size: int,
    n_bytes: Callable[[_Item], int] | None = None,
) -> Generator[_Result, None, None]:
    """Calls a function for each item on threads, and yields the results in order.

    Args:
        function: Called with an item.
        items: Iterated by the consumer's thread.
        executor: Runs the calls.
        buffer_size: int. Maximum number of calls whose results are not consumed yet.
        n_bytes: Returns the memory that a result needs, or None. At most ``MAX_BYTES`` are used
            together, or those of one result.

    Yields:
        The result of each item.
    """
    pending: deque[tuple[int, Future[_Result]]] = deque()
    used = 0
    try:
        for item in items:
            needed = n_bytes(item) if n_bytes else 0
            while pending and (len(pending) >= buffer_size or used + needed > MAX_BYTES):
                freed, future = pending.popleft()
                yield future.result()
                used -= freed
            pending.append((needed, executor.submit(function, item)))
            used += needed
            # Before the next item, which may need memory itself.
            while pending and used >= MAX_BYTES:
                freed, future = pending.popleft()
                yield future.result()
                used -= freed
        while pending:
            yield pending.popleft()[1].result()
    finally:
        for _, future in pending:
            future.cancel()
