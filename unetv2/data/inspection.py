"""Inference of the options of two folders from the files in them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from statistics import median
from typing import NamedTuple, TypeVar

import numpy as np

from unetv2.classes import CAMVID, CARLA, CITYSCAPES, PASCAL_VOC, ClassTable, Color
from unetv2.data.class_files import find_class_table
from unetv2.data.io.base import MaskError, mask_errors_as_value_errors
from unetv2.data.io.open import ImageFile, open_file, read_header
from unetv2.data.labels import (
    Labels,
    are_color_tones,
    are_instance_ids,
    ignore_options,
    resolve_labels,
    unlabeled_ids,
)
from unetv2.data.mask_format import CHANNELS, MaskFormat, StoredMask, max_channel, read_ids
from unetv2.data.sources.folders import FolderSource, infer_suffixes
from unetv2.data.validation.masks import encode, is_antialiased, unpack
from unetv2.data.validation.statistics import FAR_RATIO, suggest
from unetv2.text import counted

_MAX_MASKS = 1_000
# Of large masks fewer are read: 80 of 5000x5000 pixels.
_MAX_PIXELS_READ, _MIN_MASKS = 2 * 10**9, 64
# Decoding a pixel takes up to 40 bytes.
_MAX_PIXELS_AT_ONCE = 2**26
# Images that must be gray for one channel; a decision for three needs one image only.
_MAX_IMAGES = 32
_MAX_COLORS = 64
_MAX_COLORS_OF_MASK = 16
# Distinct ids of a mask: classes have fewer, gray images more.
_MAX_IDS_PER_MASK = 64
# Instances are numbered from 1 in each mask, up to at least this number in one of them.
_MIN_INSTANCES = 16
_MAX_LISTED = 8
# Gray values between black and white, from smoothed edges: at least this many, up to at least this
# value, in at most this fraction of the pixels.
_MIN_TONES, _MIN_BRIGHTEST_TONE, _MAX_TONES_SHARE = 8, 128, 0.2
# Ids from here on may be gray values, of which 255 is one.
_MIN_GRAY = 64
# Classes are at most this many times as many as those that occur, unless there are few.
_MAX_ABSENT = 4
# A table is recognized by its colors, without black, if masks hold this many of them.
_MIN_TABLE_COLORS = 4
_BUILT_IN = (CAMVID, CARLA, CITYSCAPES, PASCAL_VOC)
_THUMBNAIL = (64, 64)

_Item = TypeVar("_Item")


class FolderOptions(NamedTuple):
    """Options of two folders, given or inferred.

    Attributes:
        labels: Labels. Encoding and classes of the masks.
        channels: int. Channels of the images.
        image_suffix: str. Suffix of image names.
        mask_suffix: str. Suffix of mask names.
        inferred: tuple of str. Names of the options that were inferred.
    """

    labels: Labels
    channels: int
    image_suffix: str
    mask_suffix: str
    inferred: tuple[str, ...] = ()


class _Mask(NamedTuple):
    """What a mask file holds: ids if it can be read as ids, else the error; and its colors."""

    path: str
    ids: dict[int, int]
    mask_format: MaskFormat | None
    error: MaskError | None
    colors: frozenset[Color]
    is_smoothed: bool


def infer_options(
    image_dir: str,
    mask_dir: str,
    *,
    n_classes: int | None,
    ignore_class: int | None,
    classes: ClassTable | None,
    encoding: str | None,
    label_map: Mapping[int, int] | None,
    channels: int | None,
    image_suffix: str | None,
    mask_suffix: str | None,
    max_pixels: int,
) -> FolderOptions:
    """Returns the options of two folders; those that are None are inferred from the files.

    Masks are read only if the encoding or the number of classes is None: all of them, or 1,000
    spread over the set, fewer if they are large. Files that are not readable are left out, as long
    as one is readable.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If a folder is a file.
        ValueError: If the files are ambiguous, no pair is found, or an argument is out of range.
        TypeError: If an argument is of the wrong type.
    """
    if encoding != "colors" or classes is not None:
        # Raises for wrong values before files are read.
        labels = resolve_labels(n_classes, ignore_class, classes, encoding or "ids", label_map)
    reads_masks = encoding is None or (
        n_classes is None and classes is None and encoding != "binary"
    )
    suffixes = infer_suffixes(image_dir, mask_dir, image_suffix, mask_suffix)
    inferred = {"image_suffix": image_suffix is None, "mask_suffix": mask_suffix is None}
    source = FolderSource(image_dir, mask_dir, Labels(), *suffixes, max_pixels)
    if reads_masks or channels is None:
        # `pairs` raises an error with advice.
        pairs = source.matching.pairs or source.pairs
    if reads_masks:
        try:
            masks = _read_masks([pair.mask for pair in pairs], encoding, classes, max_pixels)
            labels = _infer_labels(
                masks, (image_dir, mask_dir), encoding,
                n_classes=n_classes, ignore_class=ignore_class, classes=classes,
                label_map=label_map,
            )  # fmt: skip
        except ValueError as error:
            if _are_masks([pair.image for pair in pairs], max_pixels):
                raise ValueError(
                    f"{error} The folders seem to be exchanged: pass each in the place of the "
                    "other."
                ) from None
            raise
        given: tuple[object, ...] = (encoding, n_classes, classes, ignore_class, label_map)
        if classes is not None:
            ignored = classes.ignore_class if ignore_class is None else ignore_class
            mapped = (classes.label_map or None) if label_map is None else label_map
            given = (encoding, len(classes), classes, ignored, mapped)
        values = (
            labels.encoding, labels.n_classes, labels.classes, labels.ignore_class,
            labels.label_map or None,
        )  # fmt: skip
        names = ("encoding", "n_classes", "classes", "ignore_class", "label_map")
        for name, old, new in zip(names, given, values, strict=True):
            inferred[name] = old is None and new is not None
    inferred["channels"] = channels is None
    if channels is None:
        channels = _infer_channels([pair.image for pair in pairs], max_pixels)
    known = tuple(name for name, is_inferred in inferred.items() if is_inferred)
    return FolderOptions(labels, channels, *suffixes, known)


def _are_masks(paths: Sequence[str], max_pixels: int) -> bool:
    """Returns whether images have so few colors that they are probably masks."""
    try:
        images = _read_masks(_spread(paths, _MAX_IMAGES), None, None, max_pixels)
    except ValueError:
        return False
    return all(len(image.colors) <= _MAX_COLORS_OF_MASK for image in images)


def _infer_channels(paths: Sequence[str], max_pixels: int) -> int:
    """Returns the channels of arrays, 1 if all images are gray, else 3."""
    are_gray = False
    for path in _spread(paths, _MAX_IMAGES):
        # Damaged files raise any exception in decoders, also when the pairs are read.
        with suppress(Exception), open_file(path, max_pixels) as file:
            if file.header.format == "NPY":
                return file.image(None).shape[2]
            are_gray = _is_gray(file)
            if not are_gray:
                return 3
    return 1 if are_gray else 3


def _is_gray(file: ImageFile) -> bool:
    if file.header.mode.startswith(("1", "I;16")) or file.header.mode in ("L", "LA"):
        return True
    red, green, blue = np.moveaxis(file.image(3, at_least=_THUMBNAIL), 2, 0)
    return bool((red == green).all() and (green == blue).all())


def _spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """Returns at most this number of items, with equal steps."""
    count = min(most, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _read_masks(
    paths: Sequence[str], encoding: str | None, classes: ClassTable | None, max_pixels: int
) -> list[_Mask]:
    """Reads masks on threads, in the order of the paths; raises if none is readable."""
    errors: list[Exception] = []

    def read(path: str) -> _Mask | None:
        try:
            return _read_mask(path, encoding, classes, max_pixels)
        # Damaged files raise any exception in decoders.
        except Exception as error:
            errors.append(error)
            return None

    most, n_threads = _MAX_MASKS, os.cpu_count() or 1
    with suppress(ValueError, OSError):
        height, width = read_header(paths[0], max_pixels).size
        most = min(most, max(_MIN_MASKS, _MAX_PIXELS_READ // (height * width)))
        n_threads = max(1, min(n_threads, _MAX_PIXELS_AT_ONCE // (height * width)))
    with ThreadPoolExecutor(n_threads) as executor:
        masks = list(executor.map(read, _spread(paths, most)))
    readable = [mask for mask in masks if mask is not None]
    if not readable:
        with mask_errors_as_value_errors():
            raise errors[0]
    return readable


def _read_mask(
    path: str, encoding: str | None, classes: ClassTable | None, max_pixels: int
) -> _Mask:
    with open_file(path, max_pixels) as file:
        is_array_of_colors = file.header.format == "NPY" and file.header.mode.endswith("x 3")
        if encoding == "colors" or is_array_of_colors:
            file.require_mask()
            stored = StoredMask(file.colors(), np.zeros((0, 3), np.uint8), 8)
        else:
            stored = StoredMask.read(file)
    runs, codes = encode(stored.values)
    parts = unpack(codes, 1 if stored.values.ndim == 2 else 3, stored.values.dtype)
    counts = runs.counts().tolist()
    ids: dict[int, int] = {}
    mask_format, error = None, None
    column = stored._replace(values=parts[:, np.newaxis] if parts.shape[1] > 1 else parts)
    try:
        if encoding == "max_channel":
            found = max_channel(path, column)
        else:
            found, mask_format = read_ids(path, column, classes)
        for number, count in zip(found.ravel().tolist(), counts, strict=True):
            ids[number] = ids.get(number, 0) + count
    except MaskError as failure:
        error = failure
    colors = parts
    if len(stored.palette):
        colors = stored.palette[np.minimum(parts[:, 0], len(stored.palette) - 1)]
    if colors.shape[1] == 1:
        colors = np.repeat(colors, 3, axis=1)
    may_be_smoothed = len(parts) > 2 and (error is not None or 255 in ids)
    return _Mask(
        path,
        ids,
        mask_format,
        error,
        # One more than allowed is enough to refuse them.
        frozenset(_color(color) for color in colors[: _MAX_COLORS + 1].tolist()),
        may_be_smoothed and is_antialiased(runs, colors),
    )


def _color(parts: Sequence[int]) -> Color:
    red, green, blue = parts
    return red, green, blue


def _infer_labels(
    masks: Sequence[_Mask],
    folders: Sequence[str],
    encoding: str | None,
    *,
    n_classes: int | None,
    ignore_class: int | None,
    classes: ClassTable | None,
    label_map: Mapping[int, int] | None,
) -> Labels:
    if encoding == "colors":
        return _color_labels(masks, folders, n_classes, ignore_class, classes)
    known = resolve_labels(n_classes, ignore_class, classes, encoding or "ids", label_map)
    may_be_binary = (
        encoding is None
        and known.n_classes in (None, 2)
        and known.ignore_class is None
        and not known.label_map
    )
    if may_be_binary and _are_black_and_white(masks):
        table = known.classes or find_class_table(folders, lambda table, _: len(table) == 2)
        return resolve_labels(None, None, table, "binary", None)
    failure = None if encoding == "max_channel" else _mixed_formats(masks)
    ids = _count_ids(masks)
    if failure is None:
        kinds = {mask.mask_format.kind for mask in masks if mask.mask_format is not None}
        fits = known.n_classes is not None and max(ids) < known.n_classes
        if encoding is None and kinds & {*CHANNELS} and are_color_tones(ids) and not fits:
            return _color_labels(masks, folders, n_classes, ignore_class, classes)
        if known.n_classes is not None:
            if known.classes is None:
                table = find_class_table(folders, lambda table, _: len(table) == known.n_classes)
                known = resolve_labels(n_classes, ignore_class, table, known.encoding, label_map)
            return _with_markers(known, ids)
        return _id_labels(masks, ids, folders, known)
    are_gray = all(red == green == blue for mask in masks for red, green, blue in mask.colors)
    if encoding is not None or known.label_map or are_gray:
        with mask_errors_as_value_errors():
            raise failure
    return _color_labels(masks, folders, n_classes, ignore_class, classes)


def _mixed_formats(masks: Iterable[_Mask]) -> MaskError | None:
    """Returns the error for which masks cannot be read as ids in one format, or None."""
    first = None
    for mask in masks:
        if mask.error is not None:
            return mask.error
        if first is None or mask.mask_format is None:
            first = first or mask.mask_format
            continue
        try:
            first.require(mask.mask_format)
        except MaskError as error:
            return error
    return None


def _count_ids(masks: Iterable[_Mask]) -> Counter[int]:
    ids: Counter[int] = Counter()
    for mask in masks:
        ids.update(mask.ids)
    return ids


def _are_black_and_white(masks: Iterable[_Mask]) -> bool:
    """Returns whether all masks hold black and white only; 0 and 1 of 8 bits are ids."""
    has_white = False
    for mask in masks:
        values = mask.ids.keys() - {0}
        if mask.error is not None:
            return False
        if mask.mask_format is None:
            continue
        whites = {255, 65_535, (1 << mask.mask_format.bits) - 1}
        if mask.mask_format.kind != "gray" or len(values) != 1 or not values <= whites:
            return False
        has_white |= max(values) > 1
    return has_white


def _with_markers(labels: Labels, ids: Collection[int]) -> Labels:
    """Returns labels whose ``ignore_class`` is the id that marks unlabeled pixels."""
    if labels.ignore_class is not None or labels.label_map:
        return labels
    markers = [n for n in unlabeled_ids(ids) if not 0 <= n < (labels.n_classes or 0)]
    if not markers:
        return labels
    ignored, label_map = ignore_options(markers)
    return replace(labels, ignore_class=ignored, label_map=label_map)


def _id_labels(
    masks: Sequence[_Mask], ids: Counter[int], folders: Sequence[str], known: Labels
) -> Labels:
    """Returns the labels of masks of ids; their number of classes is not known."""
    mask_format = next((mask.mask_format for mask in masks if mask.mask_format), None)
    if known.label_map:
        mapped: Counter[int] = Counter()
        for number, count in ids.items():
            mapped[known.label_map.get(number, number)] += count
        ids = mapped
    table = _table_of_palette(mask_format, ids, known)
    if table is not None:
        return resolve_labels(None, known.ignore_class, table, known.encoding, None)
    options = suggest(ids, replace(known, mask_format=mask_format))
    ignored = options.get("ignore_class", known.ignore_class)
    label_map = known.label_map or options.get("label_map", {})
    labels = {label_map.get(number, number) for number in ids} - {ignored}

    def fits(table: ClassTable, _: bool) -> bool:
        in_range = all(0 <= number < len(table) for number in labels)
        return in_range and (not table.label_map or not label_map)

    given = find_class_table(folders, fits)
    if given is not None:
        if given.label_map:
            return resolve_labels(None, ignored, given, known.encoding, None)
        return resolve_labels(None, ignored, given, known.encoding, label_map)
    _require_classes(masks, ids, labels, known)
    return Labels(known.encoding, options.get("n_classes", max(labels) + 1), ignored, label_map)


def _table_of_palette(
    mask_format: MaskFormat | None, ids: Collection[int], known: Labels
) -> ClassTable | None:
    """Returns the built-in table whose colors a palette has in the same order."""
    if mask_format is None or mask_format.kind != "palette" or known.label_map:
        return None
    for table in _BUILT_IN:
        shared = min(len(table), len(mask_format.palette))
        if (
            shared > _MIN_TABLE_COLORS
            and mask_format.palette[:shared] == table.colors[:shared]
            and not table.label_map
            and {*ids} <= {*range(len(table)), table.ignore_class}
        ):
            return table
    return None


def _require_classes(
    masks: Sequence[_Mask], ids: Counter[int], labels: Collection[int], known: Labels
) -> None:
    """Raises a ValueError if ids are probably none of classes, or their meaning is ambiguous."""
    instances = (
        "Pass the folder of masks of class ids, such as Cityscapes' _labelIds, or `n_classes` if "
        "these are classes."
    )
    again = (
        "Create the masks again without smoothing, or pass `n_classes` if all of these are classes."
    )
    if are_instance_ids(ids) or _are_numbered_instances(masks):
        _refuse("n_classes", ids, masks, "which seem to number instances", instances)
    if median(len(mask.ids) for mask in masks) > _MAX_IDS_PER_MASK:
        _refuse("n_classes", ids, masks, "which seem to be gray values of images", instances)
    tones = ids.keys() - {0, 255}
    if {0, 255} <= ids.keys() and tones:
        share = sum(ids[tone] for tone in tones) / sum(ids.values())
        is_spread = len(tones) >= _MIN_TONES and max(tones) >= _MIN_BRIGHTEST_TONE
        if (is_spread and share <= _MAX_TONES_SHARE) or _are_smoothed(masks):
            _refuse("n_classes", ids, masks, "which seem to be smoothed edges", again)
    if known.ignore_class is None and not known.label_map:
        _require_clear_markers(masks, ids)
    if len(labels) < 2:
        _refuse(
            "n_classes", ids, masks, "a single class",
            "Pass `n_classes` if the others occur in other masks.",
        )  # fmt: skip
    if max(labels) >= max(_MIN_GRAY, _MAX_ABSENT * len(labels)):
        numbers = {old: new for new, old in enumerate(sorted(labels)) if old != new}
        _refuse(
            "n_classes", ids, masks, "with large gaps",
            f"Pass n_classes={max(labels) + 1} if the others are classes too, or "
            f"label_map={numbers} to number those found from 0.",
        )  # fmt: skip


def _require_clear_markers(masks: Sequence[_Mask], ids: Counter[int]) -> None:
    """Raises a ValueError if it is ambiguous whether the largest id marks unlabeled pixels."""
    markers = unlabeled_ids(ids)
    top = max(ids)
    others = sorted(ids.keys() - {top, *markers})
    if len(others) < 2:
        return
    is_white = top in (255, 65_535) and top in markers
    is_mixed = any(top in mask.ids and mask.ids.keys() - {0, top} for mask in masks)
    if is_white and not is_mixed:
        _refuse(
            "ignore_class", ids, masks, f"and {top} never together with other ids than 0",
            f"Pass ignore_class={top} if it marks unlabeled pixels, or convert the masks that are "
            "black and white.",
        )  # fmt: skip
    is_far = top >= FAR_RATIO * (others[-1] + 1) and top not in markers
    if is_far or (is_white and others[-1] >= _MIN_GRAY):
        numbers = {old: new for new, old in enumerate([*others, top]) if old != new}
        _refuse(
            "ignore_class", ids, masks, f"where {top} may be a class or mark unlabeled pixels",
            f"Pass ignore_class={top} if it marks unlabeled pixels, or label_map={numbers} if it "
            "is a class.",
        )  # fmt: skip


def _refuse(
    name: str, ids: Collection[int], masks: Sequence[_Mask], what: str, advice: str
) -> None:
    top = max(ids)
    path = next((mask.path for mask in masks if top in mask.ids), masks[0].path)
    raise ValueError(
        f"`{name}` must be given where the masks do not determine it. "
        f"Received: the ids {_listed(sorted(ids))} {what}, as in '{path}'. {advice}"
    )


def _listed(values: Sequence[object]) -> str:
    if len(values) <= _MAX_LISTED:
        return ", ".join(map(str, values))
    return f"{', '.join(map(str, values[: _MAX_LISTED - 1]))}, ..., {values[-1]}"


def _are_numbered_instances(masks: Iterable[_Mask]) -> bool:
    """Returns whether each mask numbers its regions from 1, so that their numbers differ."""
    counts = [len(mask.ids.keys() - {0}) for mask in masks if max(mask.ids) > 0]
    are_consecutive = all(
        max(mask.ids) == len(mask.ids.keys() - {0}) for mask in masks if max(mask.ids) > 0
    )
    return are_consecutive and len(set(counts)) > 2 and max(counts) >= _MIN_INSTANCES


def _are_smoothed(masks: Sequence[_Mask]) -> bool:
    several = [mask for mask in masks if len(mask.colors) > 2]
    return bool(several) and 2 * sum(mask.is_smoothed for mask in several) > len(several)


def _color_labels(
    masks: Sequence[_Mask],
    folders: Sequence[str],
    n_classes: int | None,
    ignore_class: int | None,
    classes: ClassTable | None,
) -> Labels:
    """Returns the labels of masks of colors."""
    if classes is None:
        found: set[Color] = set().union(*(mask.colors for mask in masks))
        if all(red == green == blue for red, green, blue in found):
            # Raises an error: gray values have no colors.
            resolve_labels(n_classes, ignore_class, None, "colors", None)
        table = find_class_table(
            folders, lambda table, has_colors: has_colors and found <= _colors_of(table)
        )
        classes = table or _table_of_colors(masks, found, ignore_class)
    return resolve_labels(n_classes, ignore_class, classes, "colors", None)


def _table_of_colors(
    masks: Sequence[_Mask], found: set[Color], ignore_class: int | None
) -> ClassTable:
    """Returns the only built-in table that has all colors, or a table of the colors."""
    path = max(masks, key=lambda mask: len(mask.colors)).path
    if len(found) > _MAX_COLORS or _are_smoothed(masks):
        reason = "too many for classes" if len(found) > _MAX_COLORS else "with smoothed edges"
        raise ValueError(
            "`classes` must be given where the colors of masks do not determine it. Received: "
            f"{'more than ' if len(found) > _MAX_COLORS else ''}"
            f"{counted(min(len(found), _MAX_COLORS), 'color')}, {reason}, as in '{path}'. Pass a "
            "table of the colors as `classes`; use the masks of classes if these number instances, "
            "or create the masks again if edges are smoothed."
        )
    if len(found - {(0, 0, 0)}) >= _MIN_TABLE_COLORS:
        fitting = [table for table in _BUILT_IN if found <= _colors_of(table)]
        if len(fitting) == 1:
            return fitting[0]
    if len(found) < 2:
        raise ValueError(
            "`classes` must be given where masks hold a single color. "
            f"Received: {next(iter(found))}, as in '{path}'. Pass a table of all colors."
        )
    colors = tuple(sorted(found))
    names = tuple("#" + "".join(f"{part:02x}" for part in color) for color in colors)
    return ClassTable(names, colors, ignore_class)


def _colors_of(table: ClassTable) -> set[Color]:
    ignored = set() if table.ignore_color is None else {table.ignore_color}
    return {*table.colors} | ignored
