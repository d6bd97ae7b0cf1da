"""Files of class names that data sets have beside their folders."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from unetv2.classes import ClassTable, Color
from unetv2.text import error_summary, printable

FILE_NAMES = (
    "classes.json", "classes.csv", "_classes.csv", "class_dict.csv", "labels.txt", "codes.txt",
    "labelmap.txt",
)  # fmt: skip
_MAX_BYTES = 2**20
_NAMES = ("name", "class", "label")
_VALUES = ("pixel value", "id", "value", "index")
_CHANNELS = (("red", "r"), ("green", "g"), ("blue", "b"))
# CVAT's `name:red,green,blue:parts:actions`, of which all but the name may be missing.
_LINE = re.compile(r"([^:]+?)\s*(?::(\d+),(\d+),(\d+)(?::.*)?|:+)?")

_log = logging.getLogger("unetv2")


def find_class_table(
    folders: Iterable[str], fits: Callable[[ClassTable, bool], bool]
) -> ClassTable | None:
    """Returns the class table of a file in one of the folders or beside it.

    Args:
        folders: The folders of images and masks.
        fits: Function of a table, and of whether its colors are those of the file, that returns
            whether it is the table of the masks. Other tables are logged.

    Returns:
        ClassTable, or None.
    """
    places = [Path(folder) for folder in folders]
    places = list(dict.fromkeys([*places, *(place.resolve().parent for place in places)]))
    for place in places:
        for name in FILE_NAMES:
            path = place / name
            if not path.is_file():
                continue
            try:
                table, has_colors = _read(path)
            except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
                _log.warning(
                    "'%s' is not used as a class table: %s", printable(path), error_summary(error)
                )
                continue
            if fits(table, has_colors):
                return table
            _log.warning(
                "'%s' is not used as a class table: the masks hold other ids or colors.",
                printable(path),
            )
    return None


def _read(path: Path) -> tuple[ClassTable, bool]:
    if path.suffix == ".json":
        return ClassTable.from_file(path), True
    if path.stat().st_size > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES} bytes")
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = list(_rows_of_csv(lines) if path.suffix == ".csv" else _rows_of_text(lines))
    names = tuple(name for name, _ in rows)
    if not names:
        raise ValueError("it holds no name")
    colors = tuple(color for _, color in rows if color is not None)
    if len(colors) == len(rows):
        return ClassTable(names, colors), True
    return ClassTable(names, ClassTable.numbered(len(names)).colors), False


def _rows_of_csv(lines: list[str]) -> Iterator[tuple[str, Color | None]]:
    """Yields name and color of each id, as of ``name,r,g,b`` or ``Pixel Value, Class``."""
    reader = csv.reader(lines, strict=True)
    header = [cell.strip().lower() for cell in next(reader, [])]
    rows = [dict(zip(header, (cell.strip() for cell in row), strict=True)) for row in reader if row]
    values = [int(value) for row in rows if (value := _cell(row, _VALUES)) is not None]
    if values:
        rows = [row for _, row in sorted(zip(values, rows, strict=True), key=lambda pair: pair[0])]
        if sorted(values) != list(range(len(values))):
            raise ValueError("its ids are not 0, 1, 2, ...")
    for row in rows:
        name = _cell(row, _NAMES)
        if name is None:
            raise ValueError("it has no column 'name' or 'class'")
        parts = [_cell(row, names) for names in _CHANNELS]
        red, green, blue = (None if part is None else int(part) for part in parts)
        has_color = red is not None and green is not None and blue is not None
        yield name, (red, green, blue) if has_color else None  # type: ignore[misc]


def _cell(row: Mapping[str, str], names: Iterable[str]) -> str | None:
    return next((row[name] for name in names if name in row), None)


def _rows_of_text(lines: list[str]) -> Iterator[tuple[str, Color | None]]:
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"{line[:40]!r} is not a name")
        name, *parts = match.groups()
        yield name, None if parts[0] is None else (int(parts[0]), int(parts[1]), int(parts[2]))
