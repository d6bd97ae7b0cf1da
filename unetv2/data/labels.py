"""What a mask's numbers mean: ids, colours of a table, or black and white."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from unetv2.arguments import require_choice, require_ignore_class, require_n_classes
from unetv2.classes import ClassTable, Color
from unetv2.data.decoding import ArrayFile, decode_colors, decode_mask
from unetv2.data.picture import PictureFile
from unetv2.data.pixels import only_red
from unetv2.plurals import counted

ENCODINGS = ("ids", "colors", "binary")

_SHOWN = 8


@dataclass(frozen=True)
class Labels:
    """Turns what a mask file holds into class ids.

    Args:
        encoding: ``"ids"``, in the only channel, as palette indices or as the largest of red,
            green and blue; ``"colors"`` of the table; ``"binary"``, 0 and 255 (or 0 and 1).
        n_classes: int or None. Ids from here on are an error; None takes any.
        ignore_class: int or None. An id allowed besides.
        label_map: Other ids for those in the file; what it does not list stays.
        classes: ClassTable or None. The table of the colours.
    """

    encoding: str = "ids"
    n_classes: int | None = None
    ignore_class: int | None = None
    label_map: Mapping[int, int] = field(default_factory=dict)
    classes: ClassTable | None = None

    def __post_init__(self) -> None:
        """Checks what depends on each other."""
        require_choice("encoding", self.encoding, ENCODINGS)
        if self.encoding == "colors" and self.classes is None:
            raise ValueError(
                "`classes` must be a class table where masks hold colours. "
                "Received: encoding='colors' and classes=None. Pass one, or "
                "`ClassTable.from_file(...)`."
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

    def read(self, path: str, max_pixels: int) -> np.ndarray:
        """Reads a mask file.

        Args:
            path: str. The file.
            max_pixels: int. Larger pictures are refused.

        Returns:
            np.ndarray. Class ids, ``(height, width)``, the smallest of uint8, uint16 and
            int32 that holds them.

        Raises:
            ValueError: If it is no picture, or holds something else than labels.
        """
        if self.encoding == "colors":
            ids = self._from_colors(path, max_pixels)
        elif self.encoding == "binary":
            values = decode_mask(path, max_pixels=max_pixels, spare=True)
            ids = _from_binary(path, _largest_channel(values))
        else:
            values = decode_mask(path, max_pixels=max_pixels, spare=True)
            if self.n_classes is None:
                _require_no_colors(path, values)
            ids = _remapped(_largest_channel(values), self.label_map)
        self._require_in_range(path, ids)
        return _smallest(ids)

    def stored(self, file: PictureFile | ArrayFile) -> np.ndarray:
        """Decodes a mask without asking what its numbers mean.

        Args:
            file: What :func:`unetv2.data.decoding.open_file` opens.

        Returns:
            np.ndarray. As :func:`unetv2.data.decoding.decode_mask` returns, maybe with an alpha
            channel; the colours of an array where masks hold colours.

        Raises:
            ValueError: If it is no mask.
        """
        # A picture tells ids from colours; an array of three channels may be either.
        if self.encoding == "colors" and isinstance(file, ArrayFile):
            return file.colors()
        return file.mask(spare=True)

    def _from_colors(self, path: str, max_pixels: int) -> np.ndarray:
        assert self.classes is not None
        values = decode_colors(path, max_pixels=max_pixels)
        codes = _codes(values)
        known = dict(zip(self.classes.colors, range(len(self.classes)), strict=True))
        if self.classes.ignore_color is not None and self.ignore_class is not None:
            known[self.classes.ignore_color] = self.ignore_class
        keys = _codes(np.array(list(known), np.uint8))
        order = np.argsort(keys)
        place = np.clip(np.searchsorted(keys[order], codes), 0, len(keys) - 1)
        foreign = keys[order][place] != codes
        if foreign.any():
            _raise_foreign_colors(path, values[foreign], values.shape[0] * values.shape[1])
        return np.array(list(known.values()))[order][place]

    def _require_in_range(self, path: str, ids: np.ndarray) -> None:
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
            f"{ids.size} pixels of '{path}'. {_advice(foreign)}"
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
    if label_map and encoding != "ids":
        raise ValueError(
            "`label_map` must come with encoding='ids'; it maps the ids in the files. "
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
        label_map = classes.label_map if label_map is None else label_map
    return Labels(encoding, n_classes, ignore_class, dict(label_map or {}), classes)


def _require_unique(classes: ClassTable) -> None:
    colors = [*classes.colors, *([classes.ignore_color] if classes.ignore_color else [])]
    twice = [color for number, color in enumerate(colors) if color in colors[:number]]
    if twice:
        raise ValueError(
            "`classes` must have a colour of its own for each class, and for what is ignored, "
            f"where masks hold colours. Received: {twice[0]} twice. Change one of the two."
        )


def _advice(foreign: np.ndarray) -> str:
    if foreign.tolist() == [255]:
        return (
            "Pass encoding='binary' if 255 is the foreground of a black and white mask, or "
            "ignore_class=255 if it marks unlabelled pixels."
        )
    return (
        "Raise `n_classes`, pass the id of unlabelled pixels as `ignore_class`, other ids in "
        "`label_map`, or encoding='colors' with `classes` if the mask holds colours."
    )


def _largest_channel(values: np.ndarray) -> np.ndarray:
    """Returns the ids of CARLA's masks, where only red is not 0, and of grey stored as RGB."""
    if values.ndim == 2:
        return values
    red = only_red(values)
    if red is not None:
        return red
    red, green, blue = np.moveaxis(values, 2, 0)[:3]
    # Much faster than `values.max(axis=2)`, which goes by threes.
    largest = np.maximum(red, green)
    return np.maximum(largest, blue, out=largest)


def _require_no_colors(path: str, values: np.ndarray) -> None:
    if values.ndim == 2:
        return
    values = values[..., :3]
    ids = _largest_channel(values)[..., np.newaxis]
    colored = ((values != 0) & (values != ids)).any(axis=2)
    if colored.any():
        row, column = np.argwhere(colored)[0]
        color = tuple(int(value) for value in values[row, column])
        raise ValueError(
            f"Masks must hold class ids. Received: the colour {color} at row {row}, "
            f"column {column} of '{path}'. Pass encoding='colors' with `classes`; if the largest "
            "channel is the id, say so by passing `n_classes`."
        )


def _from_binary(path: str, values: np.ndarray) -> np.ndarray:
    found = np.unique(values)
    foreground = found[found != 0]
    if len(foreground) > 1 or (len(foreground) and foreground[0] not in (1, 255)):
        shown = ", ".join(str(value) for value in found[:_SHOWN])
        shown += ", ..." if len(found) > _SHOWN else ""
        raise ValueError(
            "A binary mask must hold 0 and 255, or 0 and 1. "
            f"Received: {shown} in '{path}'. Grey in between is what blurred or resized masks "
            "have; make it again without."
        )
    return (values != 0).astype(np.uint8)


def _remapped(ids: np.ndarray, label_map: Mapping[int, int]) -> np.ndarray:
    if not label_map:
        return ids
    remapped = ids.astype(np.int32)
    for old, new in label_map.items():
        remapped[ids == old] = new
    return remapped


def _codes(colors: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def _raise_foreign_colors(path: str, colors: np.ndarray, pixels: int) -> None:
    found, counts = np.unique(colors, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_SHOWN]
    named: list[tuple[Color, int]] = [
        ((int(r), int(g), int(b)), int(count))
        for (r, g, b), count in zip(found[order], counts[order], strict=True)
    ]
    shown = ", ".join(f"{color} in {counted(count, 'pixel')}" for color, count in named)
    shown += ", ..." if len(found) > _SHOWN else ""
    raise ValueError(
        f"A mask's colours must be those of `classes`. Received: {shown} of {pixels} in "
        f"'{path}'. Add them to the table, or make the mask again if they are mixtures at edges."
    )


def _smallest(ids: np.ndarray) -> np.ndarray:
    for dtype in (np.uint8, np.uint16):
        if ids.dtype == dtype:
            return ids
        limits = np.iinfo(dtype)
        if not ids.size or (ids.min() >= limits.min and ids.max() <= limits.max):
            return ids.astype(dtype)
    return ids.astype(np.int32)
