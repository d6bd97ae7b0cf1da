"""Class tables and the validation of class ids."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping
from colorsys import hsv_to_rgb
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from unetv2.arguments import is_integer, require_ignore_class
from unetv2.checksums import read_json
from unetv2.text import error_summary

Color = tuple[int, int, int]
_N_COLORS = 2**24
# Larger than a table of 65,536 classes.
_MAX_FILE_BYTES = 2**24
_MAX_LISTED = 8


def require_class_ids(
    ids: np.ndarray,
    n_classes: int,
    ignore_class: int | None,
    *,
    source: str,
    advice: str | Callable[[np.ndarray], str],
) -> None:
    """Raises a ValueError unless all ids of a mask are classes or ignored.

    Args:
        ids: Integers of any shape.
        n_classes: int. Ids in ``[0, n_classes)`` are classes.
        ignore_class: int or None. Another valid id.
        source: str. Name of the mask, for the message.
        advice: Text for the message, or a function of the distinct invalid ids that returns it.
    """
    if ids.dtype.kind not in "biu":
        raise ValueError(
            f"Masks must hold integer ids. Received: {ids.dtype} in {source}. "
            "Cast them, as by `tf.cast(mask, tf.int32)`."
        )
    # Returns early for nearly all masks, faster than by comparisons with temporary arrays.
    if not ids.size or (ids.max() < n_classes and (ids.dtype.kind != "i" or ids.min() >= 0)):
        return
    is_invalid = (ids < 0) | (ids >= n_classes)
    allowed = f"[0, {n_classes})"
    if ignore_class is not None:
        is_invalid &= ids != ignore_class
        allowed += f" or `ignore_class` ({ignore_class})"
    if not is_invalid.any():
        return
    invalid = np.unique(ids[is_invalid])
    listed = ", ".join(str(value) for value in invalid[:_MAX_LISTED])
    listed += ", ..." if len(invalid) > _MAX_LISTED else ""
    raise ValueError(
        f"Mask ids must be in {allowed}. Received: {listed} in {int(is_invalid.sum())} of "
        f"{ids.size} pixels of {source}. {advice if isinstance(advice, str) else advice(invalid)}"
    )


def _read_class_file(path: Path) -> Any:
    """Reads a ``.json`` or ``.csv`` file, UTF-8 with or without a byte order mark."""
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ValueError(f"it has more than {_MAX_FILE_BYTES} bytes")
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
        raise ValueError("a column has no name, or the name of another one")
    if not rows:
        raise ValueError("no row")
    return {
        "names": [row["name"] for row in rows],
        "colors": [[int(row[name]) for name in ("red", "green", "blue")] for row in rows],
    }


def _read_label_map(content: Mapping[str, Any]) -> dict[int, Any]:
    """Returns a label map, whose keys are strings in JSON."""
    named = content.get("label_map", {})
    if not isinstance(named, Mapping):
        raise TypeError(f"`label_map` must be an object. Received: {named!r}")
    label_map = {int(key): value for key, value in named.items()}
    if len(label_map) < len(named):
        raise ValueError(f"`label_map` must contain an id once. Received: {', '.join(named)}")
    if not all(map(is_integer, label_map.values())):
        raise TypeError(f"`label_map` must map ids to ids, integers both. Received: {named!r}")
    return label_map


Key = TypeVar("Key")
Value = TypeVar("Value")


class FrozenMapping(Mapping[Key, Value]):
    """An immutable copy of a mapping, which can be pickled unlike ``MappingProxyType``."""

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


@dataclass(frozen=True)
class ClassTable:
    """Names and colors of the classes of a data set.

    Args:
        names: A name for each id, from 0 up.
        colors: A ``(red, green, blue)`` for each id, integers in [0, 255].
        ignore_class: int or None. Id of unlabeled pixels.
        ignore_color: ``(red, green, blue)`` or None. Their color in masks of colors.
        label_map: Maps the ids in the files to those of the table, integers to integers. Empty if
            the files hold the ids of the table.

    Raises:
        ValueError: If there is not one color for each name, a color is invalid, or
            ``ignore_color`` is given without ``ignore_class``.
        TypeError: If a name is not a string, or an id not an integer.

    Example:
        >>> table = unetv2.ClassTable(("background", "cell"), ((0, 0, 0), (255, 0, 0)))
        >>> len(table), table.names[1]
        (2, 'cell')
    """

    names: tuple[str, ...]
    colors: tuple[Color, ...]
    ignore_class: int | None = None
    ignore_color: Color | None = None
    label_map: Mapping[int, int] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Validates the arguments."""
        if len(self.names) != len(self.colors):
            raise ValueError(
                "`colors` must hold one color for each name. "
                f"Received: {len(self.names)} names and {len(self.colors)} colors."
            )
        if unnamed := [name for name in self.names if not isinstance(name, str)]:
            raise TypeError(f"`names` must be strings. Received: {unnamed[0]!r} in names.")
        require_ignore_class(self.ignore_class)
        ignored = () if self.ignore_color is None else (self.ignore_color,)
        for color in (*self.colors, *ignored):
            if len(color) != 3 or not all(is_integer(v) and 0 <= v <= 255 for v in color):
                raise ValueError(
                    "`colors` must be (red, green, blue) from 0 to 255, integers. "
                    f"Received: {color!r} in colors."
                )
        if ignored and self.ignore_class is None:
            raise ValueError(
                "`ignore_color` must come with an `ignore_class`. "
                f"Received: ignore_color={self.ignore_color}. Pass the id of unlabeled pixels."
            )
        # Immutable, as tables are shared.
        object.__setattr__(self, "label_map", FrozenMapping(self.label_map))

    def __len__(self) -> int:
        """Returns the number of classes; ``ignore_class`` is not counted."""
        return len(self.names)

    @classmethod
    def numbered(cls, n_classes: int, ignore_class: int | None = None) -> ClassTable:
        """Returns a table with names and colors for a number of classes.

        Args:
            n_classes: int. Number of classes.
            ignore_class: int or None. Id of unlabeled pixels.

        Returns:
            ClassTable. ``class 0``, ``class 1``, ... with dissimilar colors for neighboring ids;
            an id has the same color in a table of any length.

        Raises:
            ValueError: If there are more classes than 24-bit colors.

        Example:
            >>> unetv2.ClassTable.numbered(2).names
            ('class 0', 'class 1')
        """
        if n_classes > _N_COLORS:
            raise ValueError(
                f"`n_classes` must be at most {_N_COLORS}, the number of colors. "
                f"Received: n_classes={n_classes}."
            )
        # Steps of the golden ratio: neighboring ids get hues far apart.
        colors = [hsv_to_rgb(number * 0.618034 % 1.0, 0.7, 0.9) for number in range(n_classes)]
        return cls(
            tuple(f"class {number}" for number in range(n_classes)),
            tuple((int(255 * r), int(255 * g), int(255 * b)) for r, g, b in colors),
            ignore_class,
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the table as a dictionary of JSON types.

        It is the argument of :meth:`from_dict`, and the content of a ``.json`` file for
        :meth:`from_file`.
        """
        return {
            "names": list(self.names),
            "colors": [list(color) for color in self.colors],
            "ignore_class": self.ignore_class,
            "ignore_color": None if self.ignore_color is None else list(self.ignore_color),
            # The keys of a JSON object are strings.
            "label_map": {str(key): value for key, value in self.label_map.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ClassTable:
        """Creates a table from the result of :meth:`as_dict`.

        Args:
            content: All entries but ``names`` and ``colors`` are optional.

        Returns:
            ClassTable.

        Raises:
            KeyError: If names or colors are missing.
            TypeError: If it has an unknown entry, or a value of another type.
            ValueError: If a value is out of range.
        """
        if not isinstance(content, Mapping) or isinstance(content.get("names"), str):
            raise TypeError("a table must be an object with lists `names` and `colors`")
        ignore_color = content.get("ignore_color")
        return cls(
            **{
                **content,
                "names": tuple(content["names"]),
                "colors": tuple(tuple(color) for color in content["colors"]),
                "ignore_color": None if ignore_color is None else tuple(ignore_color),
                "label_map": _read_label_map(content),
            }
        )

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> ClassTable:
        """Reads a table from a JSON or CSV file.

        A CSV file has the header ``name,red,green,blue`` and a row for each id, from 0 up. A
        JSON file has ``{"names": [...], "colors": [[r, g, b], ...]}`` and, optionally,
        ``"ignore_class"``, ``"ignore_color"`` and ``"label_map"``.

        Args:
            path: The file, ``.json`` or ``.csv``.

        Returns:
            ClassTable.

        Raises:
            FileNotFoundError: If the file does not exist.
            ValueError: If its content is invalid.
        """
        path = Path(path)
        if path.suffix.lower() not in (".json", ".csv"):
            raise ValueError(
                f"A class table must be a .json or .csv file. Received: '{path}'. Convert it."
            )
        try:
            return cls.from_dict(_read_class_file(path))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                "A class table must hold `names` and `colors` (JSON) or the columns name, red, "
                f"green and blue (CSV), in UTF-8. Received: '{path}' ({type(error).__name__}: "
                f"{error_summary(error)}). Fix the file."
            ) from error


def _table(*classes: tuple[str, Color], **options: Any) -> ClassTable:
    names, colors = zip(*classes, strict=True)
    return ClassTable(names, colors, **options)


# CARLA 0.9.11's tags and colors, https://carla.readthedocs.io/en/0.9.11/ref_sensors/
# (0.9.12 changed the tags).
CARLA = _table(
    ("Unlabeled", (0, 0, 0)),
    ("Building", (70, 70, 70)),
    ("Fence", (100, 40, 40)),
    ("Other", (55, 90, 80)),
    ("Pedestrian", (220, 20, 60)),
    ("Pole", (153, 153, 153)),
    ("RoadLine", (157, 234, 50)),
    ("Road", (128, 64, 128)),
    ("SideWalk", (244, 35, 232)),
    ("Vegetation", (107, 142, 35)),
    ("Vehicles", (0, 0, 142)),
    ("Wall", (102, 102, 156)),
    ("TrafficSign", (220, 220, 0)),
    ("Sky", (70, 130, 180)),
    ("Ground", (81, 0, 81)),
    ("Bridge", (150, 100, 100)),
    ("RailTrack", (230, 150, 140)),
    ("GuardRail", (180, 165, 180)),
    ("TrafficLight", (250, 170, 30)),
    ("Static", (110, 190, 160)),
    ("Dynamic", (170, 120, 50)),
    ("Water", (45, 60, 150)),
    ("Terrain", (145, 170, 100)),
)
"""The 23 classes of CARLA 0.9.11."""

# Brostow, Fauqueur, Cipolla, "Semantic object classes in video", 2009, in the grouping of the
# SegNet tutorial.
CAMVID = _table(
    ("Sky", (128, 128, 128)),
    ("Building", (128, 0, 0)),
    ("Pole", (192, 192, 128)),
    ("Road", (128, 64, 128)),
    ("Pavement", (0, 0, 192)),
    ("Tree", (128, 128, 0)),
    ("SignSymbol", (192, 128, 128)),
    ("Fence", (64, 64, 128)),
    ("Car", (64, 0, 128)),
    ("Pedestrian", (64, 64, 0)),
    ("Bicyclist", (0, 128, 192)),
    ignore_class=11,
    ignore_color=(0, 0, 0),
)
"""The 11 classes of CamVid."""

# Cordts et al., "The Cityscapes Dataset", CVPR 2016; ids and train ids of cityscapesScripts'
# labels.py. Files hold the ids 0 to 33; those without a train id are ignored.
_CITYSCAPES_TRAIN_IDS = (
    7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33,
)  # fmt: skip
CITYSCAPES = _table(
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("building", (70, 70, 70)),
    ("wall", (102, 102, 156)),
    ("fence", (190, 153, 153)),
    ("pole", (153, 153, 153)),
    ("traffic light", (250, 170, 30)),
    ("traffic sign", (220, 220, 0)),
    ("vegetation", (107, 142, 35)),
    ("terrain", (152, 251, 152)),
    ("sky", (70, 130, 180)),
    ("person", (220, 20, 60)),
    ("rider", (255, 0, 0)),
    ("car", (0, 0, 142)),
    ("truck", (0, 0, 70)),
    ("bus", (0, 60, 100)),
    ("train", (0, 80, 100)),
    ("motorcycle", (0, 0, 230)),
    ("bicycle", (119, 11, 32)),
    ignore_class=255,
    ignore_color=(0, 0, 0),
    label_map=dict.fromkeys(range(34), 255)
    | {file_id: number for number, file_id in enumerate(_CITYSCAPES_TRAIN_IDS)},
)
"""The 19 evaluated classes of Cityscapes, from the ids of its ``_gtFine_labelIds`` files."""


def _voc_color(number: int) -> Color:
    """Returns PASCAL VOC's color of a class, its id's bits spread over the channels."""
    color = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            color[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    red, green, blue = color
    return red, green, blue


_VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
# Everingham et al., "The PASCAL Visual Object Classes Challenge", IJCV 2010; the colors are
# those of the development kit's VOClabelcolormap. 255 is the border around objects.
PASCAL_VOC = _table(
    *((name, _voc_color(number)) for number, name in enumerate(_VOC_NAMES)),
    ignore_class=255,
    ignore_color=_voc_color(255),
)
"""The 21 classes of PASCAL VOC 2012."""
