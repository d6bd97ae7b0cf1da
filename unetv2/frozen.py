"""A mapping that cannot be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class FrozenMapping(Mapping[Key, Value]):
    """A copy of a mapping that cannot be changed; unlike ``MappingProxyType`` it can be pickled.

    Args:
        items: A mapping.
    """

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[Key, Value]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: Key) -> Value:
        """Returns the value of a key."""
        return self._items[key]

    def __iter__(self) -> Iterator[Key]:
        """Yields the keys."""
        return iter(self._items)

    def __len__(self) -> int:
        """Returns the number of keys."""
        return len(self._items)

    def __repr__(self) -> str:
        """Returns the items, as of a dict."""
        return repr(self._items)
