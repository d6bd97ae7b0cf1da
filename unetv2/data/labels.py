"""Conversion of the values of masks to class ids, and advice on invalid ids."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np

from unetv2.arguments import require_choice, require_ignore_class, require_n_classes
from unetv2.classes import ClassTable, Color, require_class_ids
from unetv2.data.io.base import MaskError, mask_errors_as_value_errors
from unetv2.data.io.open import ImageFile, open_file
from unetv2.data.mask_format import (
    DARK,
    MaskFormat,
    StoredMask,
    binary_ids,
    find_mask_format,
    max_channel,
    palette_format,
    read_ids,
)
from unetv2.text import counted

ENCODINGS = ("ids", "colors", "binary", "max_channel")

_MAX_LISTED = 8
# Ids of unlabeled pixels in common data sets.
_MARKERS = (255, 65_535)
_WHITE = ({255}, {65_535})
_MIN_INSTANCE_ID = 1_000
# Ids are gray values if they are at least this far apart, and the largest is at least this.
_MIN_GRAY_STEP, _MIN_GRAY = 8, 32


@dataclass(frozen=True)
class Labels:
    """Reads class ids from mask files.

    Args:
        encoding: ``"ids"``, stored as gray, in one channel, or as indices of a palette;
            ``"colors"`` of the table; ``"binary"``, 0 and 255 (or 0 and 1); ``"max_channel"``, the
            largest of red, green and blue.
        n_classes: int or None. Ids from ``n_classes`` on are an error; None allows any.
        ignore_class: int or None. Another valid id, of unlabeled pixels.
        label_map: Maps ids in the files to class ids; other ids stay unchanged.
        classes: ClassTable or None. The table of the colors.
        mask_format: MaskFormat or None. Format of all masks; None determines it for each mask.
    """

    encoding: str = "ids"
    n_classes: int | None = None
    ignore_class: int | None = None
    label_map: Mapping[int, int] = field(default_factory=dict)
    classes: ClassTable | None = None
    mask_format: MaskFormat | None = None

    def __post_init__(self) -> None:
        """Validates the arguments."""
        require_choice("encoding", self.encoding, ENCODINGS)
        if self.encoding == "colors":
            if self.classes is None:
                raise ValueError(
                    "`classes` must be a class table where masks hold colors. "
                    "Received: encoding='colors' and classes=None. Pass one: built in, or read "
                    "from a .csv file with the columns name, red, green and blue."
                )
            _require_unique_colors(self.classes)
        require_ignore_class(self.ignore_class)
        for pair in self.label_map.items():
            if not all(isinstance(number, Integral) for number in pair):
                raise TypeError(
                    "`label_map` must map ids to ids, integers both. "
                    f"Received: {pair[0]!r}: {pair[1]!r}."
                )

    @property
    def color_ids(self) -> dict[Color, int]:
        """The id of each color of the table, including the ignored one."""
        if self.classes is None:
            return {}
        ids = dict(zip(self.classes.colors, range(len(self.classes)), strict=True))
        if self.classes.ignore_color is not None and self.ignore_class is not None:
            ids[self.classes.ignore_color] = self.ignore_class
        return ids

    @property
    def table(self) -> ClassTable | None:
        """The table of the ids in the files, or None if ``label_map`` changes ids."""
        return None if self.label_map else self.classes

    def with_format_of(self, paths: Sequence[str], max_pixels: int) -> Labels:
        """Returns the labels with ``mask_format`` set to that of a set of masks.

        Args:
            paths: All masks of the set.
            max_pixels: int. Larger images are skipped.

        Returns:
            Labels. Unchanged for encodings other than ``"ids"``.
        """
        if self.encoding != "ids":
            return self
        return replace(self, mask_format=find_mask_format(paths, self.table, max_pixels))

    def require_palette(self, path: str, file: ImageFile) -> None:
        """Raises a ValueError if the palette in a mask's header differs from that of the set."""
        if self.encoding == "ids" and self.mask_format is not None:
            found = palette_format(path, file.palette(), self.table)
            if found is not None:
                with mask_errors_as_value_errors():
                    self.mask_format.require(found)

    def read(self, path: str, max_pixels: int) -> np.ndarray:
        """Reads a mask file.

        Args:
            path: str. The file.
            max_pixels: int. Larger images are refused.

        Returns:
            np.ndarray. Class ids, ``(height, width)``, the smallest of uint8, uint16 and int32
            that holds them.

        Raises:
            ValueError: If it is not an image, or does not hold class ids.
        """
        with mask_errors_as_value_errors():
            with open_file(path, max_pixels) as file:
                stored = self.decode(file)
            if self.encoding == "colors":
                ids = _ids_of_colors(path, stored.values, self.color_ids)
            else:
                ids = self.to_ids(path, stored)
        if self.n_classes is not None:
            require_class_ids(
                ids,
                self.n_classes,
                self.ignore_class,
                source=f"'{path}'",
                advice=lambda invalid: advice_for(
                    invalid.tolist(),
                    np.unique(ids).tolist(),
                    self.n_classes or 0,
                    gray=stored.is_gray,
                    ignored=self.ignore_class,
                ),
            )
        return _smallest_dtype(ids)

    def decode(self, file: ImageFile) -> StoredMask:
        """Decodes a mask; its values are not interpreted.

        Returns:
            StoredMask. With colors where ``encoding`` is ``"colors"``, also those of a palette.

        Raises:
            ValueError: If the file cannot be a mask.
        """
        if self.encoding == "colors":
            return StoredMask(file.colors(), np.zeros((0, 3), np.uint8), 8)
        return StoredMask.read(file)

    def to_ids(self, path: str, stored: StoredMask) -> np.ndarray:
        """Returns the ids of stored values, without a range check; not for ``encoding="colors"``.

        Args:
            path: str. The file, for messages.
            stored: Its content, or its distinct values.

        Returns:
            np.ndarray. Integers ``(height, width)``.

        Raises:
            MaskError: If the values are not ids.
        """
        if self.encoding == "binary":
            return binary_ids(path, stored)
        if self.encoding == "max_channel":
            ids = max_channel(path, stored)
        else:
            ids, mask_format = read_ids(path, stored, self.table)
            if mask_format is not None and self.mask_format is not None:
                self.mask_format.require(mask_format)
        return self._apply_label_map(path, ids)

    def _apply_label_map(self, path: str, ids: np.ndarray) -> np.ndarray:
        if not self.label_map:
            return ids
        mapped = ids.astype(np.int32)
        for old, new in self.label_map.items():
            mapped[ids == old] = new
        for target in sorted(set(self.label_map.values()) - self.label_map.keys()):
            is_target = ids == target
            if not is_target.any():
                continue
            advice = (
                f"Add {target}: {target} to `label_map` if it means the same, or map it to "
                "another id."
            )
            if self.classes is not None and self.classes.label_map == self.label_map:
                # Such as Cityscapes' _labelTrainIds, read with the table for _labelIds.
                advice = (
                    "If masks hold the ids of `classes` already, pass label_map={0: 0}, which "
                    "changes nothing."
                )
            raise MaskError(
                "label_map_collision",
                "An id that `label_map` maps others to must be in it as well, where masks hold it. "
                f"Received: {target} in {counted(int(is_target.sum()), 'pixel')} of '{path}'. "
                f"{advice}",
                f"id {target}, which `label_map` maps others to, is not in it",
                is_target,
            )
        return mapped


def resolve_labels(
    n_classes: int | None,
    ignore_class: int | None,
    classes: ClassTable | None,
    encoding: str,
    label_map: Mapping[int, int] | None,
) -> Labels:
    """Returns the labels for arguments of :func:`unetv2.make_dataset`.

    Values of None are taken from ``classes``.

    Raises:
        ValueError: If the arguments contradict each other or are out of range.
    """
    if n_classes is not None:
        n_classes = require_n_classes(n_classes)
    if encoding == "binary":
        given = n_classes if classes is None else len(classes)
        if given not in (None, 2):
            name = "n_classes" if classes is None else "len(classes)"
            raise ValueError(
                "`encoding` must be another one than 'binary' for more than two classes, "
                f"background and foreground. Received: encoding='binary' and {name}={given}. "
                "Pass encoding='ids' or encoding='colors', or leave the other out."
            )
        n_classes = 2
    if label_map and encoding not in ("ids", "max_channel"):
        raise ValueError(
            "`label_map` must come with encoding='ids' or 'max_channel'; it maps the ids in the "
            "files. "
            f"Received: encoding={encoding!r}. Change the order in `classes` instead."
        )
    if classes is not None:
        if n_classes not in (None, len(classes)):
            raise ValueError(
                "`n_classes` must be the number of `classes`. "
                f"Received: n_classes={n_classes} and {len(classes)} classes. Leave it out."
            )
        n_classes = len(classes)
        ignore_class = classes.ignore_class if ignore_class is None else ignore_class
        if label_map is None and encoding in ("ids", "max_channel"):
            label_map = classes.label_map
    return Labels(encoding, n_classes, ignore_class, dict(label_map or {}), classes)


def _require_unique_colors(classes: ClassTable) -> None:
    colors = [*classes.colors, *([classes.ignore_color] if classes.ignore_color else [])]
    repeated = [color for index, color in enumerate(colors) if color in colors[:index]]
    if repeated:
        raise ValueError(
            "`classes` must have a color of its own for each class, and for `ignore_class`, "
            f"where masks hold colors. Received: {repeated[0]} twice. Change one of the two."
        )


def _ids_of_colors(path: str, colors: np.ndarray, color_ids: Mapping[Color, int]) -> np.ndarray:
    """Returns the ids of uint8 ``(height, width, 3)``; raises a MaskError for unknown colors."""
    codes = _color_codes(colors)
    known = _color_codes(np.array(list(color_ids), np.uint8))
    order = np.argsort(known)
    index = np.clip(np.searchsorted(known[order], codes), 0, len(known) - 1)
    is_unknown = known[order][index] != codes
    if not is_unknown.any():
        return np.array(list(color_ids.values()))[order][index]
    unknown, counts = np.unique(colors[is_unknown], axis=0, return_counts=True)
    listed = ", ".join(
        f"{tuple(unknown[n].tolist())} in {counted(int(counts[n]), 'pixel')}"
        for n in np.argsort(-counts, kind="stable")[:_MAX_LISTED]
    )
    listed += ", ..." if len(unknown) > _MAX_LISTED else ""
    raise MaskError(
        "unknown_colors",
        f"A mask's colors must be those of `classes`. Received: {listed} of {is_unknown.size} in "
        f"'{path}'. Add them to the table, or create the mask again if edges are smoothed.",
        "colors outside the table",
        is_unknown,
    )


def _color_codes(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def _smallest_dtype(ids: np.ndarray) -> np.ndarray:
    for dtype in (np.uint8, np.uint16):
        if ids.dtype == dtype:
            return ids
        limits = np.iinfo(dtype)
        if not ids.size or (ids.min() >= limits.min and ids.max() <= limits.max):
            return ids.astype(dtype)
    return ids.astype(np.int32)


def unlabeled_ids(ids: Collection[int]) -> tuple[int, ...]:
    """Returns the ids that probably mark unlabeled pixels, the most common marker first.

    These are 255 or 65535; also 254 or 65534 if both occur, as for boundaries; and negative ids.
    """
    negative = tuple(sorted((number for number in ids if number < 0), reverse=True))
    for marker in _MARKERS:
        if marker in ids and max(ids) == marker and not _are_equally_spaced(ids):
            has_second = marker - 1 in ids and marker - 2 not in ids
            below = marker - (2 if has_second else 1)
            if below not in ids and any(0 <= number < below for number in ids):
                markers = [marker, marker - 1] if has_second else [marker]
                return (*markers, *negative)
    return negative


def _are_equally_spaced(ids: Collection[int]) -> bool:
    """Returns whether ids are gray values from black to white with equal steps: 0, 85, 170, 255."""
    steps = np.diff(sorted(ids))
    return len(ids) > 3 and min(ids) == 0 and bool(steps.min() > 1 and np.ptp(steps) <= 1)


def consecutive_ids(ids: Collection[int]) -> dict[int, int]:
    """Returns a ``label_map`` that numbers the classes from 0, if their ids are gray values.

    These have large gaps, such as 0, 50, 100 and 150.

    Args:
        ids: Ids of the classes, without those of unlabeled pixels.

    Returns:
        dict. Ids that change, mapped to their class; empty if the ids are the classes.
    """
    if len(ids) < 2 or min(ids) < 0 or max(ids) < _MIN_GRAY:
        return {}
    if np.diff(sorted(ids)).min() < _MIN_GRAY_STEP:
        return {}
    return {old: new for new, old in enumerate(sorted(ids)) if old != new}


def are_black_and_white(ids: Collection[int]) -> bool:
    """Returns whether ids are the values of a black and white mask."""
    return set(ids) - {0} in _WHITE


def are_color_tones(ids: Collection[int]) -> bool:
    """Returns whether ids in one color channel are probably tones of that color."""
    tones = set(ids) - {0, 255}
    return max(tones) >= DARK if tones else 255 in ids


def are_instance_ids(ids: Collection[int]) -> bool:
    """Returns whether ids are probably instance ids, which are few and large."""
    markers = unlabeled_ids(ids)
    labels = [number for number in ids if number not in markers]
    return bool(labels) and max(labels) >= max(_MIN_INSTANCE_ID, 10 * len(labels))


def ignore_options(
    markers: Sequence[int], ignored: int | None = None
) -> tuple[int, dict[int, int]]:
    """Returns the ``ignore_class`` and the ``label_map`` that ignore several ids.

    Args:
        markers: Ids of unlabeled pixels, at least one.
        ignored: int or None. The current ``ignore_class``, which is kept.
    """
    first = markers[0] if ignored is None else ignored
    mapped = sorted({*markers, first})
    return first, dict.fromkeys(mapped, first) if len(mapped) > 1 else {}


def advice_for(
    invalid: Collection[int],
    found: Collection[int],
    n_classes: int,
    *,
    gray: bool,
    ignored: int | None = None,
) -> str:
    """Returns a sentence of advice on invalid ids, for an error message.

    Args:
        invalid: The invalid ids.
        found: All ids of the mask.
        n_classes: int. The number of classes.
        gray: bool. Whether a viewer shows gray values only.
        ignored: int or None. The current ``ignore_class``.
    """
    if not gray and are_color_tones(found):
        return (
            "Raise `n_classes` if these are ids; pass encoding='colors' with `classes` if the "
            "mask holds colors."
        )
    if n_classes == 2 and are_black_and_white(found):
        (white,) = invalid
        return (
            f"Pass encoding='binary' if {white} is the foreground of a black and white mask, or "
            f"ignore_class={white} if it marks unlabeled pixels."
        )
    if are_instance_ids(found):
        return (
            "Such large ids number instances: use the masks of class ids, such as Cityscapes' "
            "_labelIds instead of _instanceIds."
        )
    markers = unlabeled_ids({*found} if ignored is None else {*found, ignored})
    if markers and set(invalid) <= set(markers):
        used = [number for number in markers if number in invalid]
        marker, label_map = ignore_options(used, ignored)
        passed = [] if marker == ignored else [f"ignore_class={marker}"]
        passed += [f"label_map={label_map}"] if label_map else []
        return f"Pass {' and '.join(passed)} for unlabeled pixels."
    return (
        "Raise `n_classes`, pass the id of unlabeled pixels as `ignore_class`, other ids in "
        "`label_map`, or encoding='colors' with `classes` if the mask holds colors."
    )
