"""Reads JSON files field by field, and formats numbers."""

from __future__ import annotations

from typing import Any


def number(value: float) -> str:
    """Returns a number with at least three significant digits."""
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:#.3g}".rstrip(".")


def numbers(values: list[float]) -> str:
    """Returns numbers as text, separated by commas."""
    return ", ".join(map(number, values))


class Fields:
    """The fields of a JSON object, which are read one by one.

    Args:
        values: The object.
        place: Its location, for errors.
    """

    def __init__(self, values: Any, place: str) -> None:
        self.place = place
        if not isinstance(values, dict):
            raise ValueError(f"{place} must be a JSON object. Received: {values!r:.60}.")
        self._values = dict(values)

    def names(self) -> list[str]:
        """Returns the names of the fields that were not read yet."""
        return list(self._values)

    def take(self, name: str, *kinds: type, default: Any = ...) -> Any:
        """Returns a field of one of the types; a missing one must have a default."""
        if name not in self._values and default is not ...:
            return default
        value = self._values.pop(name, None)
        # In Python, a bool is an int.
        if not isinstance(value, kinds) or isinstance(value, bool):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise ValueError(
                f"{self.place} must have a field '{name}' of {wanted}. Received: {value!r:.60}."
            )
        return value

    def flag(self, name: str) -> bool:
        """Returns a Boolean field."""
        value = self._values.pop(name, None)
        if not isinstance(value, bool):
            raise ValueError(
                f"{self.place} must have a field '{name}', true or false. Received: {value!r:.60}."
            )
        return value

    def part(self, name: str) -> Fields:
        """Returns the object in a field."""
        return Fields(self.take(name, dict), f"'{name}' of {self.place}")

    def parts(self, name: str) -> list[Fields]:
        """Returns the objects of a list in a field."""
        return [Fields(one, f"'{name}' of {self.place}") for one in self.take(name, list)]

    def numbers(self, name: str) -> list[float]:
        """Returns the list of numbers in a field."""
        values: list[float] = self.take(name, list)
        if not all(isinstance(one, int | float) for one in values) or not values:
            raise ValueError(f"'{name}' of {self.place} must hold numbers. Received: {values!r}.")
        return values

    def shown(self, name: str, scale: float = 1) -> str:
        """Returns the number in a field as text."""
        return number(scale * self.take(name, int, float))

    def drop(self, *names: str) -> None:
        """Reads fields that the page does not show."""
        for name in names:
            self._values.pop(name, None)

    def done(self) -> None:
        """Raises an error if a field was not read."""
        if self._values:
            raise ValueError(
                f"{self.place} has fields that docs/benchmark_layouts.py does not read: "
                f"{', '.join(map(repr, self._values))}. Show them there, or drop them by name."
            )
