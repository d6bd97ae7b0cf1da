"""Which images a folder holds, and which of them are a worker's."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from unetv2.arguments import require_integer
from unetv2.data.io.open import EXTENSIONS
from unetv2.text import counted, printable

# What lies beside images and holds none: notes, lists of classes, where an image is on a map.
_NO_DATA = (
    ".txt", ".md", ".rst", ".csv", ".tsv", ".log", ".db", ".ini", ".html", ".htm", ".yaml", ".yml",
    ".toml", ".cfg", ".py", ".ipynb", ".sh", ".bat", ".url", ".lnk", ".tfw", ".jgw", ".pgw", ".wld",
    ".prj", ".ovr", ".aux.xml", ".md5", ".sha256", "license", "readme",
)  # fmt: skip
_FORMATS_NAMED = 5

_log = logging.getLogger("unetv2")

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


class Listing(NamedTuple):
    """What a folder holds, and the folders in it.

    Attributes:
        images: dict. Key as of :class:`unetv2.data.pairs.Pair` to path, in the order of the
            folder.
        unread: dict. The same of files of formats that are not read.
    """

    images: dict[str, str]
    unread: dict[str, str]


def list_folder(
    argument: str,
    directory: Path,
    suffix: str = "",
    other: str = "",
    *,
    leave_out: Path | None = None,
) -> Listing:
    """Lists the images of a folder, and of the folders in it, by their keys.

    Keys are in Unicode's composed form (NFC): file systems and archives differ in which one they
    keep, and the two look alike.

    Args:
        argument: str. The argument's name, for the message.
        directory: The folder.
        suffix: str. What the names end with, before the extension.
        other: str. What those of others in the same folder end with.
        leave_out: A folder in it that is not listed.

    Returns:
        Listing.

    Raises:
        ValueError: If two images have the same name but for the extension or Unicode's form.
    """
    suffix, other = composed(suffix), composed(other)
    images: dict[str, str] = {}
    unread: dict[str, str] = {}
    for prefix, entry in _files(directory, leave_out):
        stem, extension = os.path.splitext(composed(entry.name))
        is_read = extension.lower() in EXTENSIONS
        if not stem.endswith(suffix) or (not is_read and _is_no_data(entry.name)):
            continue
        # In one folder for both, a name that fits the longer suffix belongs to that.
        if len(other) > len(suffix) and stem.endswith(other):
            continue
        key = prefix + stem[: len(stem) - len(suffix)]
        if not is_read:
            unread.setdefault(key, entry.path)
        elif key in images:
            raise ValueError(
                f"`{argument}` must hold one image of each name, extensions aside. "
                f"Received: '{images[key]}' and '{entry.path}'{_alike(images[key], entry)}. "
                "Remove one of the two."
            )
        else:
            images[key] = entry.path
    return Listing(images, unread)


def list_both(
    image_dir: Path, mask_dir: Path, image_suffix: str = "", mask_suffix: str = ""
) -> tuple[Listing, Listing]:
    """Lists the folder of the images and that of the masks, each without the other one.

    Args:
        image_dir: Folder of the images.
        mask_dir: Folder of the masks; it may be the same, or one may lie in the other.
        image_suffix: str. What the images' names end with.
        mask_suffix: str. What the masks' names end with.

    Raises:
        ValueError: As :func:`list_folder`.
    """
    images, masks = (image_suffix, mask_suffix), (mask_suffix, image_suffix)
    if not os.path.samefile(image_dir, mask_dir):
        images, masks = (image_suffix, ""), (mask_suffix, "")
    return (
        list_folder("image_dir", image_dir, *images, leave_out=mask_dir),
        list_folder("mask_dir", mask_dir, *masks, leave_out=image_dir),
    )


def list_images(argument: str, directory: Path) -> dict[str, str]:
    """Maps the key of every image in a folder, and in the folders in it, to its path.

    Files of formats that are not read are logged.

    Args:
        argument: str. The argument's name, for the message.
        directory: The folder.

    Returns:
        dict. Key as of :class:`unetv2.data.pairs.Pair` to path, in the order of the folder.

    Raises:
        ValueError: If it holds no image, or two of one name.
    """
    found = list_folder(argument, directory)
    require_images(argument, directory, found)
    warn_of_unread(directory, found.unread)
    return found.images


def require_images(
    argument: str, directory: Path, found: Listing, *, suffix: str = "", advice: str = ""
) -> None:
    """Raises unless a folder holds images.

    Args:
        argument: str. The argument's name, for the message.
        directory: The folder.
        found: What it holds.
        suffix: str. What was looked for.
        advice: str. What to do.

    Raises:
        ValueError: If it holds none.
    """
    if found.images:
        return
    ending = f" whose names end with '{suffix}'" if suffix else ""
    instead = ""
    if found.unread:
        instead = f", but {by_format(found.unread)} of formats that are not read"
        advice = "Convert them, as to PNG."
    raise ValueError(
        f"`{argument}` must hold images ({', '.join(EXTENSIONS)}){ending}. "
        f"Received: '{directory}' without any{instead}. {advice or 'Check the path.'}"
    )


def warn_of_unread(directory: str | os.PathLike[str], unread: Mapping[str, str]) -> None:
    """Logs how many files of a folder are left aside since their formats are not read."""
    if unread:
        _log.warning(
            "'%s' holds %s of formats that are not read; they are left aside, such as '%s'.",
            printable(directory),
            printable(by_format(unread)),
            printable(os.path.basename(next(iter(unread.values())))),
        )


def by_format(unread: Mapping[str, str]) -> str:
    """Returns how many files there are of each format: ``"3 files (2 .heic, 1 .jp2)"``."""
    counts = Counter(extension_of(path) for path in unread.values())
    listed = ", ".join(
        f"{count} {extension}" for extension, count in counts.most_common(_FORMATS_NAMED)
    )
    more = ", ..." if len(counts) > _FORMATS_NAMED else ""
    return f"{counted(len(unread), 'file')} ({listed}{more})"


def extension_of(path: str) -> str:
    """Returns a file's extension in small letters, or that it has none."""
    return os.path.splitext(path)[1].lower() or "without extension"


def composed(text: str) -> str:
    """Returns a text in Unicode's composed form, NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _is_no_data(name: str) -> bool:
    return name.lower().endswith(_NO_DATA)


def _alike(path: str, entry: os.DirEntry[str]) -> str:
    same = os.path.basename(path) != entry.name and composed(os.path.basename(path)) == composed(
        entry.name
    )
    return ", which differ in Unicode's form only" if same else ""


def take_shard(items: Sequence[_Item], shard: Sequence[int], what: str) -> Sequence[_Item]:
    """Returns a worker's part of what all workers do.

    The parts are disjoint, together all, and as large as each other but for one item.

    Args:
        items: All of it, in an order that is the same for each worker.
        shard: ``(index, count)``.
        what: str. What these are, such as ``"images"``.

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


def _files(directory: Path, leave_out: Path | None) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields the files below a folder, each with the path of its own folder as ``a/b/``."""
    left_out = None if leave_out is None else os.path.realpath(leave_out)
    folders: list[tuple[str, str, tuple[str, ...]]] = [
        (os.fspath(directory), "", (os.path.realpath(directory),))
    ]
    while folders:
        folder, prefix, ancestors = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                # A link whose file is missing is a file that cannot be read, not none.
                if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
                    yield prefix, entry
                elif entry.is_dir():
                    real = os.path.realpath(entry.path)
                    # A link to a folder that it lies in would go on for ever.
                    if real not in ancestors and real != left_out:
                        inner = f"{prefix}{composed(entry.name)}/"
                        folders.append((entry.path, inner, (*ancestors, real)))
