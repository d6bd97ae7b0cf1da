"""Which pictures a folder holds, and which of them are a worker's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from unetv2.arguments import require_integer

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".npy")

_Item = TypeVar("_Item")


def require_folder(argument: str, directory: Path) -> None:
    """Raises unless there is a folder.

    Args:
        argument: str. The argument's name, for the message.
        directory: The folder.

    Raises:
        FileNotFoundError: If it does not exist.
        NotADirectoryError: If it is a file.
    """
    if not directory.exists():
        raise FileNotFoundError(
            f"`{argument}` must be an existing folder. Received: '{directory}', "
            "which does not exist. Check the path."
        )
    if not directory.is_dir():
        raise NotADirectoryError(
            f"`{argument}` must be a folder. Received: '{directory}', which is a file. "
            "Pass the folder that holds it."
        )


def list_pictures(
    argument: str, directory: Path, *, suffix: str = "", other: str = ""
) -> dict[str, str]:
    """Maps the key of every picture in a folder, and in the folders in it, to its path.

    Args:
        argument: str. The argument's name, for the message.
        directory: The folder.
        suffix: str. What the names end with, before the extension.
        other: str. What those of others in the same folder end with.

    Returns:
        dict. Key as of :class:`unetv2.data.pairs.Pair` to path, in the order of the folder.

    Raises:
        ValueError: If it holds no picture, or two have the same name but for the extension.
    """
    found: dict[str, str] = {}
    for prefix, entry in _files(directory):
        stem, extension = os.path.splitext(entry.name)
        if extension.lower() not in EXTENSIONS or not stem.endswith(suffix):
            continue
        # In one folder for both, a name that fits the longer suffix belongs to that.
        if len(other) > len(suffix) and stem.endswith(other):
            continue
        key = prefix + stem[: len(stem) - len(suffix)]
        if key in found:
            raise ValueError(
                f"`{argument}` must hold one picture of each name, extensions aside. "
                f"Received: '{found[key]}' and '{entry.path}'. Remove one of the two."
            )
        found[key] = entry.path
    if not found:
        ending = f" whose names end with '{suffix}'" if suffix else ""
        raise ValueError(
            f"`{argument}` must hold pictures ({', '.join(EXTENSIONS)}){ending}. "
            f"Received: '{directory}' without any. Check the path."
        )
    return found


def take_shard(items: Sequence[_Item], shard: Sequence[int], what: str) -> Sequence[_Item]:
    """Returns a worker's part of what all workers do.

    The parts are disjoint, together all, and as large as each other but for one item.

    Args:
        items: All of it, in an order that is the same for each worker.
        shard: ``(index, count)``.
        what: str. What these are, such as ``"pictures"``.

    Returns:
        Sequence. Each ``count``-th item, from the one of number ``index`` on.

    Raises:
        TypeError: If the two are no integers.
        ValueError: If the index is not in [0, count).
    """
    message = (
        "`shard` must be (index, count), the index in [0, count). "
        f"Received: shard={shard!r}. (0, 4), (1, 4), (2, 4) and (3, 4) are all four quarters "
        f"of the {what}."
    )
    try:
        index, count = (require_integer("shard", number, 0, "") for number in shard)
    except (TypeError, ValueError) as error:
        raise type(error)(message) from None
    if not index < count:
        raise ValueError(message)
    return items[index::count]


def _files(directory: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields the files below a folder, each with the path of its own folder as ``a/b/``."""
    folders: list[tuple[str, str, tuple[str, ...]]] = [
        (os.fspath(directory), "", (os.path.realpath(directory),))
    ]
    while folders:
        folder, prefix, ancestors = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_file():
                    yield prefix, entry
                elif entry.is_dir():
                    real = os.path.realpath(entry.path)
                    # A link to a folder that it lies in would go on for ever.
                    if real not in ancestors:
                        folders.append((entry.path, f"{prefix}{entry.name}/", (*ancestors, real)))
