"""Class tables in files: JSON and CSV to the values of a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unetv2.arguments import is_integer
from unetv2.sealing import read_json

# More than the longest table needs.
_MOST_BYTES = 2**24


def read_class_file(path: Path) -> Any:
    """Returns what a file says of classes, as ``ClassTable.from_dict`` takes it.

    Args:
        path: A ``.json`` or ``.csv`` file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no JSON or CSV, or its columns are others.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    content = path.read_bytes()
    if path.suffix.lower() == ".json":
        return read_json(content)
    table = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    try:
        rows = list(table)
    except csv.Error as error:
        raise ValueError(str(error)) from error
    columns = table.fieldnames or []
    if len(set(columns)) < len(columns) or any(None in row for row in rows):
        raise ValueError("a column has no name, or another one's")
    if not rows:
        raise ValueError("no row")
    return {
        "names": [row["name"] for row in rows],
        "colors": [[int(row[name]) for name in ("red", "green", "blue")] for row in rows],
    }


def read_label_map(content: Mapping[str, Any]) -> dict[int, Any]:
    """Returns a label map, whose keys are strings in JSON.

    Raises:
        TypeError: If it is no object.
        ValueError: If a key is no integer, or two are the same one.
    """
    named = content.get("label_map", {})
    if not isinstance(named, Mapping):
        raise TypeError(f"`label_map` must be an object. Received: {named!r}")
    label_map = {int(key): value for key, value in named.items()}
    if len(label_map) < len(named):
        raise ValueError(f"`label_map` must name an id once. Received: {', '.join(named)}")
    if not all(map(is_integer, label_map.values())):
        raise TypeError(f"`label_map` must map ids to ids, integers both. Received: {named!r}")
    return label_map
