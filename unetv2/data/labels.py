"""What a mask's numbers mean: ids, colors of a table, or black and white."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np

from unetv2.arguments import require_choice, require_ignore_class, require_n_classes
from unetv2.classes import ClassTable, Color
from unetv2.data.advice import advice_for
from unetv2.data.io.open import ArrayFile, open_file
from unetv2.data.io.pillow import ImageFile
from unetv2.data.io.pixels import MaskError, for_callers
from unetv2.data.notation import (
    Notation,
    Stored,
    binary_ids,
    is_gray,
    max_channel,
    notation_of,
    palette_notation,
    read_ids,
    stored_in,
)
from unetv2.text import counted

_SHOWN = 8


def ids_of_colors(path: str, colors: np.ndarray, known: Mapping[Color, int]) -> np.ndarray:
    """Returns the ids of the colors in a mask.

    Args:
        path: str. The file, for messages.
        colors: uint8 ``(height, width, 3)``.
        known: The id of each color.

    Returns:
        np.ndarray. Integers ``(height, width)``.

    Raises:
        MaskError: If a color is not known.
    """
    codes = _codes(colors)
    keys = _codes(np.array(list(known), np.uint8))
    order = np.argsort(keys)
    place = np.clip(np.searchsorted(keys[order], codes), 0, len(keys) - 1)
    foreign = keys[order][place] != codes
    if foreign.any():
        _raise_foreign_colors(path, colors, foreign)
    return np.array(list(known.values()))[order][place]


def _codes(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def _raise_foreign_colors(path: str, colors: np.ndarray, foreign: np.ndarray) -> None:
    found, counts = np.unique(colors[foreign], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    shown = ", ".join(
        f"{tuple(found[place].tolist())} in {counted(int(counts[place]), 'pixel')}"
        for place in order
    )
    shown += ", ..." if len(found) > _SHOWN else ""
    raise MaskError(
        "foreign_colors",
        f"A mask's colors must be those of `classes`. Received: {shown} of {foreign.size} in "
        f"'{path}'. Add them to the table, or make the mask again if they are mixtures at edges.",
        "colors outside the table",
        foreign,
    )


def remapped_ids(
    path: str, ids: np.ndarray, label_map: Mapping[int, int], classes: ClassTable | None
) -> np.ndarray:
    """Returns other ids for those in a file.

    Args:
        path: str. The file, for messages.
        ids: Integers.
        label_map: The other ids; what it does not list stays.
        classes: ClassTable or None. The table, which may have a map of its own.

    Returns:
        np.ndarray. Integers of the same shape.

    Raises:
        MaskError: If an id that stays is one that others are mapped to.
    """
    if not label_map:
        return ids
    remapped = ids.astype(np.int32)
    for old, new in label_map.items():
        remapped[ids == old] = new
    for target in sorted(set(label_map.values()) - label_map.keys()):
        where = ids == target
        if where.any():
            _raise_collision(path, target, where, classes is None or classes.label_map != label_map)
    return remapped


def _raise_collision(path: str, target: int, where: np.ndarray, own: bool) -> None:
    advice = f"Add {target}: {target} to `label_map` if it means the same, or map it to another id."
    if not own:
        # Such as Cityscapes' _labelTrainIds, read with the table for _labelIds.
        advice = (
            "If masks hold the ids of `classes` already, pass label_map={0: 0}, which maps nothing."
        )
    raise MaskError(
        "label_map_collision",
        "An id that `label_map` maps others to must be in it as well, where masks hold it. "
        f"Received: {target} in {counted(int(where.sum()), 'pixel')} of '{path}'. {advice}",
        f"id {target}, which `label_map` maps others to, is not in it",
        where,
    )


ENCODINGS = ("ids", "colors", "binary", "max_channel")


@dataclass(frozen=True)
class Labels:
    """Turns what a mask file holds into class ids.

    Args:
        encoding: ``"ids"``, as gray, in one channel, or as indices of a palette; ``"colors"`` of
            the table; ``"binary"``, 0 and 255 (or 0 and 1); ``"max_channel"``, the largest of
            red, green and blue, whatever the color.
        n_classes: int or None. Ids from here on are an error; None takes any.
        ignore_class: int or None. An id allowed besides.
        label_map: Other ids for those in the file; what it does not list stays.
        classes: ClassTable or None. The table of the colors.
        notation: Notation or None. How the masks of the set store ids; None takes each mask by
            itself.
    """

    encoding: str = "ids"
    n_classes: int | None = None
    ignore_class: int | None = None
    label_map: Mapping[int, int] = field(default_factory=dict)
    classes: ClassTable | None = None
    notation: Notation | None = None

    def __post_init__(self) -> None:
        """Checks what depends on each other."""
        require_choice("encoding", self.encoding, ENCODINGS)
        if self.encoding == "colors" and self.classes is None:
            raise ValueError(
                "`classes` must be a class table where masks hold colors. "
                "Received: encoding='colors' and classes=None. Pass one: built in, or read from "
                "a .csv file with the columns name, red, green and blue."
            )
        require_ignore_class(self.ignore_class)
        if self.encoding == "colors" and self.classes is not None:
            _require_unique(self.classes)
        for pair in self.label_map.items():
            if not all(isinstance(number, Integral) for number in pair):
                raise TypeError(
                    "`label_map` must map ids to ids, integers both. "
                    f"Received: {pair[0]!r}: {pair[1]!r}."
                )

    @property
    def color_ids(self) -> dict[Color, int]:
        """The id of each color of the table, and of the one that is ignored."""
        if self.classes is None:
            return {}
        known = dict(zip(self.classes.colors, range(len(self.classes)), strict=True))
        if self.classes.ignore_color is not None and self.ignore_class is not None:
            known[self.classes.ignore_color] = self.ignore_class
        return known

    @property
    def table(self) -> ClassTable | None:
        """The table of the ids in the files, which a map makes others of."""
        return None if self.label_map else self.classes

    def settled(self, paths: Sequence[str], max_pixels: int) -> Labels:
        """Returns the same labels, with the notation of a set of masks.

        Args:
            paths: The masks of the set.
            max_pixels: int. Larger images are passed over.

        Returns:
            Labels. For other encodings than ``"ids"`` they stay as they are.
        """
        if self.encoding != "ids":
            return self
        return replace(self, notation=notation_of(paths, self.table, max_pixels))

    def require_notation(self, path: str, file: ImageFile | ArrayFile) -> None:
        """Raises a ValueError if a mask's palette, as its header has it, is not that of the set.

        Args:
            path: str. The file, for messages.
            file: What :func:`unetv2.data.io.open.open_file` opens.
        """
        if self.encoding == "ids" and self.notation is not None:
            found = palette_notation(path, file.palette(), self.table)
            if found is not None:
                with for_callers():
                    self.notation.require(found)

    def read(self, path: str, max_pixels: int) -> np.ndarray:
        """Reads a mask file.

        Args:
            path: str. The file.
            max_pixels: int. Larger images are refused.

        Returns:
            np.ndarray. Class ids, ``(height, width)``, the smallest of uint8, uint16 and
            int32 that holds them.

        Raises:
            ValueError: If it is no image, or holds something else than labels.
        """
        with for_callers():
            with open_file(path, max_pixels) as file:
                stored = self.stored(file)
            if self.encoding == "colors":
                ids = ids_of_colors(path, stored.values, self.color_ids)
            else:
                ids = self.meaning(path, stored)
        self._require_in_range(path, ids, stored)
        return _smallest(ids)

    def meaning(self, path: str, stored: Stored) -> np.ndarray:
        """Returns the ids that stored numbers mean, whether in range or not.

        Args:
            path: str. The file, for messages.
            stored: What it holds, or each different value of it once.

        Returns:
            np.ndarray. Integers ``(height, width)``.

        Raises:
            MaskError: If they mean none.
        """
        if self.encoding == "binary":
            return binary_ids(path, stored)
        if self.encoding == "max_channel":
            ids = max_channel(path, stored)
        else:
            ids, notation = read_ids(path, stored, self.table)
            if notation is not None and self.notation is not None:
                self.notation.require(notation)
        return remapped_ids(path, ids, self.label_map, self.classes)

    def stored(self, file: ImageFile | ArrayFile) -> Stored:
        """Decodes a mask without asking what its numbers mean.

        Args:
            file: What :func:`unetv2.data.io.open.open_file` opens.

        Returns:
            Stored. Colors where masks hold colors, also of a palette.

        Raises:
            ValueError: If it is no mask.
        """
        if self.encoding == "colors":
            return Stored(file.colors(), np.zeros((0, 3), np.uint8), 8)
        return stored_in(file)

    def _require_in_range(self, path: str, ids: np.ndarray, stored: Stored) -> None:
        if self.n_classes is None or not ids.size:
            return
        # Nearly always; without a temporary array, which costs more than the comparison.
        if ids.max() < self.n_classes and (ids.dtype.kind == "u" or ids.min() >= 0):
            return
        wrong = (ids < 0) | (ids >= self.n_classes)
        if self.ignore_class is not None:
            wrong &= ids != self.ignore_class
        if not wrong.any():
            return
        foreign = np.unique(ids[wrong])
        shown = ", ".join(str(value) for value in foreign[:_SHOWN])
        shown += ", ..." if len(foreign) > _SHOWN else ""
        allowed = f"[0, {self.n_classes})"
        if self.ignore_class is not None:
            allowed += f" or `ignore_class` ({self.ignore_class})"
        raise ValueError(
            f"Mask ids must be in {allowed}. Received: {shown} in {int(wrong.sum())} of "
            f"{ids.size} pixels of '{path}'. "
            + advice_for(
                foreign.tolist(),
                np.unique(ids).tolist(),
                self.n_classes,
                gray=is_gray(stored),
                ignored=self.ignore_class,
            )
        )


def resolve_labels(
    n_classes: int | None,
    ignore_class: int | None,
    classes: ClassTable | None,
    encoding: str,
    label_map: Mapping[int, int] | None,
) -> Labels:
    """Returns what masks hold, what is left open taken from the table.

    Args:
        n_classes: int or None. See :func:`unetv2.make_dataset`, as for the others.
        ignore_class: int or None.
        classes: ClassTable or None.
        encoding: str.
        label_map: Other ids, or None for the table's.

    Returns:
        Labels.

    Raises:
        ValueError: If the arguments contradict each other or are out of range.
    """
    if n_classes is not None:
        n_classes = require_n_classes(n_classes)
    if encoding == "binary":
        found = n_classes if classes is None else len(classes)
        if found not in (None, 2):
            name = "n_classes" if classes is None else "len(classes)"
            raise ValueError(
                "`encoding` must be another one than 'binary' for more than two classes, "
                f"background and foreground. Received: encoding='binary' and {name}={found}. "
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


def _require_unique(classes: ClassTable) -> None:
    colors = [*classes.colors, *([classes.ignore_color] if classes.ignore_color else [])]
    twice = [color for number, color in enumerate(colors) if color in colors[:number]]
    if twice:
        raise ValueError(
            "`classes` must have a color of its own for each class, and for what is ignored, "
            f"where masks hold colors. Received: {twice[0]} twice. Change one of the two."
        )


def _smallest(ids: np.ndarray) -> np.ndarray:
    for dtype in (np.uint8, np.uint16):
        if ids.dtype == dtype:
            return ids
        limits = np.iinfo(dtype)
        if not ids.size or (ids.min() >= limits.min and ids.max() <= limits.max):
            return ids.astype(dtype)
    return ids.astype(np.int32)
