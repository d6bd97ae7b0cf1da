"""Images and masks in two folders, paired by name."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from unetv2.arguments import require_integer
from unetv2.data.io.open import EXTENSIONS, MAX_PIXELS, Header, open_file
from unetv2.data.labels import Labels
from unetv2.data.naming import propose
from unetv2.data.pairs import LabelSource, Pair
from unetv2.text import counted, printable

# Other files that are common in image folders: notes, class lists, georeferences.
_NO_DATA = (
    ".txt", ".md", ".rst", ".csv", ".tsv", ".log", ".db", ".ini", ".html", ".htm", ".yaml", ".yml",
    ".toml", ".cfg", ".py", ".ipynb", ".sh", ".bat", ".url", ".lnk", ".tfw", ".jgw", ".pgw", ".wld",
    ".prj", ".ovr", ".aux.xml", ".md5", ".sha256", "license", "readme",
)  # fmt: skip
# Words in the names of masks, where images are in the same folder.
_MASK_WORDS = ("mask", "label", "annot", "truth", "seg", "gt", "lbl", "manual")
_FORMATS_IN_MESSAGES = 5
_NAMES_IN_MESSAGES = 5

_log = logging.getLogger("unetv2")

_Item = TypeVar("_Item")


class Listing(NamedTuple):
    """Files of a folder and its subfolders by key, see :class:`unetv2.data.pairs.Pair`.

    Attributes:
        images: dict. Paths of the images, in the order of the folder.
        unsupported: dict. Paths of files in unsupported formats.
    """

    images: dict[str, str]
    unsupported: dict[str, str]


class Matching(NamedTuple):
    """Contents of two folders.

    Attributes:
        pairs: list of Pair, sorted by key.
        images_alone: list of str. Paths of the images without a mask, sorted.
        masks_alone: list of str. Paths of the masks without an image, sorted.
        unsupported_partners: dict. Maps the path of an image or mask without a partner to that of
            its partner in an unsupported format.
        unsupported_images: dict. Images in unsupported formats by key.
        unsupported_masks: dict. Masks in unsupported formats by key.
        advice: str. A change of names or suffixes that would pair nearly all files, or empty.
    """

    pairs: list[Pair]
    images_alone: list[str]
    masks_alone: list[str]
    unsupported_partners: dict[str, str]
    unsupported_images: dict[str, str]
    unsupported_masks: dict[str, str]
    advice: str


@dataclass(frozen=True)
class FolderSource(LabelSource):
    """Pairs the images and masks of two folders by path and name.

    Hidden files and folders are ignored, and so are files without an image extension or the suffix.

    Args:
        image_dir: Folder of the images.
        mask_dir: Folder of the masks.
        labels: Labels. Encoding and classes of the masks.
        image_suffix: str. Suffix of image names before the extension, such as ``"_leftImg8bit"``.
        mask_suffix: str. Suffix of mask names, such as ``"_gtFine_labelIds"``.
        max_pixels: int. Larger masks are refused.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If a folder is a file.
    """

    image_dir: str
    mask_dir: str
    labels: Labels = field(default_factory=Labels)
    image_suffix: str = ""
    mask_suffix: str = ""
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        """Checks the folders."""
        require_folder("image_dir", Path(self.image_dir))
        require_folder("mask_dir", Path(self.mask_dir))

    @cached_property
    def matching(self) -> Matching:
        """Pairs, and files without a partner.

        Raises:
            ValueError: If a folder holds no image or two images of the same name.
        """
        return match_images(
            self.image_dir,
            self.mask_dir,
            image_suffix=self.image_suffix,
            mask_suffix=self.mask_suffix,
        )

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs, sorted by key.

        Raises:
            ValueError: As :attr:`matching`, and if an image or mask has no partner.
        """
        _require_complete(self.matching, self.image_dir, self.mask_dir)
        return tuple(self.matching.pairs)

    @cached_property
    def labels_with_format(self) -> Labels:
        """Labels with the format of the masks, which is determined from all subsets."""
        return self.labels.with_format_of(
            [pair.mask for pair in self.matching.pairs], self.max_pixels
        )

    @property
    def description(self) -> str:
        """The labels with the masks' format, which do not depend on the folders' paths."""
        return repr(self.labels_with_format)

    def files(self, pair: Pair) -> tuple[str, ...]:
        """Returns the paths of image and mask."""
        return pair.image, pair.mask

    def mask_header(self, pair: Pair) -> Header:
        """Returns the header of a mask file."""
        with open_file(pair.mask, self.max_pixels) as file:
            file.require_mask()
            self.labels_with_format.require_palette(pair.mask, file)
            return file.header

    def read_mask(self, pair: Pair) -> np.ndarray:
        """Reads the class ids of a mask file."""
        return self.labels_with_format.read(pair.mask, self.max_pixels)


def match_images(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    *,
    image_suffix: str = "",
    mask_suffix: str = "",
) -> Matching:
    """Matches the images and masks of two folders; see :class:`FolderSource`.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If it is a file.
        ValueError: If a folder holds no image or two images of the same name, or images and masks
            cannot be distinguished.
    """
    image_dir, mask_dir = Path(image_dir), Path(mask_dir)
    for argument, directory in (("image_dir", image_dir), ("mask_dir", mask_dir)):
        require_folder(argument, directory)
    if os.path.samefile(image_dir, mask_dir) and image_suffix == mask_suffix:
        advice = _advise(image_dir, mask_dir) or "Use one folder for each, or pass a suffix."
        raise ValueError(
            "`mask_dir` must be another folder than `image_dir`, or the names must differ by "
            f"`image_suffix` or `mask_suffix`. Received: '{image_dir}' for both. {advice}"
        )
    images, masks = _list_both(image_dir, mask_dir, image_suffix, mask_suffix)
    for argument, directory, listing, suffix in (
        ("image_dir", image_dir, images, image_suffix),
        ("mask_dir", mask_dir, masks, mask_suffix),
    ):
        advice = ""
        if suffix and not listing.images:
            advice = _advise_suffixes(image_dir, mask_dir, image_suffix, mask_suffix)
        _require_images(argument, directory, listing, suffix=suffix, advice=advice)
    pairs = [
        Pair(key, images.images[key], masks.images[key])
        for key in sorted(images.images.keys() & masks.images.keys())
    ]
    unsupported_partners = {
        path: partners.unsupported[key]
        for files, partners in ((images, masks), (masks, images))
        for key in partners.unsupported
        if key not in partners.images and (path := files.images.get(key))
    }
    images_alone, masks_alone = _alone(images, masks), _alone(masks, images)
    advice = ""
    # Where most files have a partner, the naming scheme is correct.
    if min(len(images_alone), len(masks_alone)) > len(pairs):
        advice = _advise(image_dir, mask_dir, image_suffix, mask_suffix)
    return Matching(
        pairs, images_alone, masks_alone, unsupported_partners,
        images.unsupported, masks.unsupported, advice,
    )  # fmt: skip


def infer_suffixes(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    image_suffix: str | None,
    mask_suffix: str | None,
) -> tuple[str, str]:
    """Returns the suffixes of images and masks; those that are None are inferred.

    A suffix is inferred only if it pairs all images with all masks, else it is empty.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If it is a file.
        ValueError: If a folder holds two images of the same name.
    """
    given = (image_suffix or "", mask_suffix or "")
    if None not in (image_suffix, mask_suffix):
        return given
    folders = Path(image_dir), Path(mask_dir)
    for argument, directory in zip(("image_dir", "mask_dir"), folders, strict=True):
        require_folder(argument, directory)
    images, masks = (listing.images.keys() for listing in _list_both(*folders, *given))
    one_folder = os.path.samefile(*folders)
    if len(images & masks) >= min(len(images), len(masks)) and not one_folder:
        return given
    proposal = propose(images, masks)
    if proposal is None or proposal.kind != "suffix":
        return given
    found = (proposal.image, proposal.masks[0])
    n_files = proposal.pairs * (2 if one_folder else 1)
    is_complete = len(images) == len(masks) == n_files and len(proposal.masks) == 1
    if one_folder:
        marked = [any(word in end.lower() for word in _MASK_WORDS) for end in found]
        is_complete &= sum(marked) == 1
        found = found[::-1] if marked[0] else found
    is_allowed = all(
        not end or suffix is None
        for end, suffix in zip(found, (image_suffix, mask_suffix), strict=True)
    )
    if not (is_complete and is_allowed):
        return given
    return found[0] + given[0], found[1] + given[1]


def _alone(files: Listing, partners: Listing) -> list[str]:
    return sorted(path for key, path in files.images.items() if key not in partners.images)


def _require_complete(matching: Matching, image_dir: str, mask_dir: str) -> None:
    """Raises a ValueError if a file has no partner; logs files in unsupported formats."""
    alone = {
        f"image without a mask in '{mask_dir}'": matching.images_alone,
        f"mask without an image in '{image_dir}'": matching.masks_alone,
    }
    if any(alone.values()):
        received = ", ".join(
            f"{counted(len(paths), kind)} ({_first_names(paths)})"
            for kind, paths in alone.items()
            if paths
        )
        unsupported = ""
        if partners := matching.unsupported_partners:
            unsupported = (
                f" The partners of {len(partners)} are in unsupported formats "
                f"({_first_names(sorted(partners.values()))}): convert them, for example to PNG."
            )
        advice = matching.advice or (
            "Add the missing files, move the others away, or pass `image_suffix` or "
            "`mask_suffix` if the names have one."
        )
        raise ValueError(
            "Every image needs a mask with the same file name, extensions and suffixes aside. "
            f"Received: {received}.{unsupported} {advice}"
        )
    _warn_of_unsupported(image_dir, matching.unsupported_images)
    _warn_of_unsupported(mask_dir, matching.unsupported_masks)


def _first_names(paths: Sequence[str]) -> str:
    shown = ", ".join(f"'{os.path.basename(path)}'" for path in paths[:_NAMES_IN_MESSAGES])
    return shown + (", ..." if len(paths) > _NAMES_IN_MESSAGES else "")


def _advise(image_dir: Path, mask_dir: Path, image_suffix: str = "", mask_suffix: str = "") -> str:
    """Returns a sentence on names or suffixes that would pair nearly all files, or an empty one."""
    try:
        images, masks = _list_both(image_dir, mask_dir, image_suffix, mask_suffix)
    except ValueError:  # Without suffixes, names may not be unique.
        return ""
    proposal = propose(images.images.keys(), masks.images.keys())
    return "" if proposal is None else proposal.advice(image_suffix, mask_suffix)


def _advise_suffixes(image_dir: Path, mask_dir: Path, image_suffix: str, mask_suffix: str) -> str:
    """Returns advice, as :func:`_advise`, for suffixes without matching files."""
    images, masks = _list_both(image_dir, mask_dir, mask_suffix, image_suffix)
    if images.images and masks.images:
        return "The folders seem to be exchanged: pass each in the place of the other."
    return _advise(image_dir, mask_dir)


def require_folder(argument: str, directory: Path) -> None:
    """Raises unless a folder exists.

    Args:
        argument: str. Name of the argument, for the message.
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
            "Pass the folder that contains it."
        )


def list_images(argument: str, directory: Path) -> dict[str, str]:
    """Lists the images of a folder and its subfolders, and logs files in unsupported formats.

    Args:
        argument: str. Name of the argument, for the message.
        directory: The folder.

    Returns:
        dict. Maps keys, see :class:`unetv2.data.pairs.Pair`, to paths, in the order of the folder.

    Raises:
        ValueError: If it holds no image, or two images of the same name.
    """
    listing = _list_folder(argument, directory)
    _require_images(argument, directory, listing)
    _warn_of_unsupported(directory, listing.unsupported)
    return listing.images


def _list_folder(
    argument: str,
    directory: Path,
    suffix: str = "",
    other_suffix: str = "",
    *,
    excluded: Path | None = None,
) -> Listing:
    """Lists a folder and its subfolders.

    Args:
        argument: str. Name of the argument, for the message.
        directory: The folder.
        suffix: str. Suffix of the names, before the extension.
        other_suffix: str. Suffix of other files in the same folder.
        excluded: A subfolder that is not listed.
    """
    # The Unicode form of equal names depends on the file system or archive.
    suffix, other_suffix = composed(suffix), composed(other_suffix)
    images: dict[str, str] = {}
    unsupported: dict[str, str] = {}
    for prefix, entry in _files(directory, excluded):
        stem, extension = os.path.splitext(composed(entry.name))
        is_supported = extension.lower() in EXTENSIONS
        is_no_data = not is_supported and entry.name.lower().endswith(_NO_DATA)
        if not stem.endswith(suffix) or is_no_data:
            continue
        # In a common folder, a name with both suffixes belongs to the longer one.
        if len(other_suffix) > len(suffix) and stem.endswith(other_suffix):
            continue
        key = prefix + stem[: len(stem) - len(suffix)]
        if not is_supported:
            unsupported.setdefault(key, entry.path)
        elif key in images:
            names = os.path.basename(images[key]), entry.name
            same = names[0] != names[1] and composed(names[0]) == composed(names[1])
            difference = ", which differ in Unicode's form only" if same else ""
            raise ValueError(
                f"`{argument}` must hold one image of each name, extensions aside. "
                f"Received: '{images[key]}' and '{entry.path}'{difference}. "
                "Remove one of the two."
            )
        else:
            images[key] = entry.path
    return Listing(images, unsupported)


def _list_both(
    image_dir: Path, mask_dir: Path, image_suffix: str, mask_suffix: str
) -> tuple[Listing, Listing]:
    """Lists images and masks; the folders may be the same, or one be a subfolder of the other."""
    images, masks = (image_suffix, mask_suffix), (mask_suffix, image_suffix)
    if not os.path.samefile(image_dir, mask_dir):
        images, masks = (image_suffix, ""), (mask_suffix, "")
    return (
        _list_folder("image_dir", image_dir, *images, excluded=mask_dir),
        _list_folder("mask_dir", mask_dir, *masks, excluded=image_dir),
    )


def _files(directory: Path, excluded: Path | None) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yields the files below a folder, each with the path of its own folder as ``a/b/``."""
    real_excluded = None if excluded is None else os.path.realpath(excluded)
    folders: list[tuple[str, str, tuple[str, ...]]] = [
        (os.fspath(directory), "", (os.path.realpath(directory),))
    ]
    while folders:
        folder, prefix, ancestors = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                # Broken links are listed, and reported when they are read.
                if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
                    yield prefix, entry
                elif entry.is_dir():
                    real = os.path.realpath(entry.path)
                    # Links to parent folders would cause an infinite loop.
                    if real not in ancestors and real != real_excluded:
                        inner = f"{prefix}{composed(entry.name)}/"
                        folders.append((entry.path, inner, (*ancestors, real)))


def _require_images(
    argument: str, directory: Path, listing: Listing, *, suffix: str = "", advice: str = ""
) -> None:
    """Raises a ValueError unless a listing holds images."""
    if listing.images:
        return
    ending = f" whose names end with '{suffix}'" if suffix else ""
    instead = ""
    if listing.unsupported:
        instead = f", but {count_by_format(listing.unsupported)} in unsupported formats"
        advice = "Convert them, for example to PNG."
    raise ValueError(
        f"`{argument}` must hold images ({', '.join(EXTENSIONS)}){ending}. "
        f"Received: '{directory}' without any{instead}. {advice or 'Check the path.'}"
    )


def _warn_of_unsupported(directory: str | os.PathLike[str], unsupported: Mapping[str, str]) -> None:
    if unsupported:
        _log.warning(
            "'%s' holds %s in unsupported formats, which are ignored, such as '%s'.",
            printable(directory),
            printable(count_by_format(unsupported)),
            printable(os.path.basename(next(iter(unsupported.values())))),
        )


def count_by_format(files: Mapping[str, str]) -> str:
    """Returns the number of files of each format: ``"3 files (2 .heic, 1 .jp2)"``."""
    counts = Counter(
        os.path.splitext(path)[1].lower() or "without extension" for path in files.values()
    )
    listed = ", ".join(
        f"{count} {extension}" for extension, count in counts.most_common(_FORMATS_IN_MESSAGES)
    )
    more = ", ..." if len(counts) > _FORMATS_IN_MESSAGES else ""
    return f"{counted(len(files), 'file')} ({listed}{more})"


def composed(text: str) -> str:
    """Returns a text in Unicode's composed form, NFC."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def take_shard(items: Sequence[_Item], shard: Sequence[int], what: str) -> Sequence[_Item]:
    """Returns every ``count``-th item, starting with ``index``.

    Args:
        items: All items, in an order that is the same for each worker.
        shard: ``(index, count)``.
        what: str. Name of the items, such as ``"images"``, for the message.

    Raises:
        TypeError: If index and count are not integers.
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
