"""Work on threads, ahead of who needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# Of what is read and not yet needed.
BYTES_AT_ONCE = 2**28


def ahead(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    threads: ThreadPoolExecutor,
    *,
    most: int,
    cost: Callable[[_Item], int] | None = None,
) -> Iterator[_Result]:
    """Calls a function for each item, on threads and before the result is asked for.

    Args:
        function: Called with an item.
        items: They are taken by the thread that asks for the results.
        threads: Where it is called.
        most: int. How many calls may be ahead.
        cost: The bytes that a result needs, or None: together at most ``BYTES_AT_ONCE``, or those
            of one result.

    Yields:
        What the function returns, in the order of the items.
    """
    waiting: deque[tuple[int, Future[_Result]]] = deque()
    held = 0
    try:
        for item in items:
            bytes_needed = cost(item) if cost else 0
            while waiting and (len(waiting) >= most or held + bytes_needed > BYTES_AT_ONCE):
                freed, future = waiting.popleft()
                yield future.result()
                held -= freed
            waiting.append((bytes_needed, threads.submit(function, item)))
            held += bytes_needed
        while waiting:
            yield waiting.popleft()[1].result()
    finally:
        for _, future in waiting:
            future.cancel()
