"""Statistics of a data set, and the options of `make_dataset` that they suggest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from statistics import median
from typing import Any, TypeVar

import numpy as np

from unetv2.classes import Color
from unetv2.data.io.open import Header
from unetv2.data.labels import (
    Labels,
    are_black_and_white,
    are_color_tones,
    are_instance_ids,
    consecutive_ids,
    ignore_options,
    unlabeled_ids,
)
from unetv2.data.mask_format import CHANNELS
from unetv2.data.pairs import Pair
from unetv2.data.validation.checks import PairResult
from unetv2.data.validation.report import ClassStatistics, Finding

# Limit of distinct values, above which only the most frequent ones are kept.
_MAX_COUNTED = 1 << 16
# An id of at least this multiple of all others probably marks unlabeled pixels.
FAR_RATIO = 10

Key = TypeVar("Key", bound=Hashable)


class DatasetStatistics:
    """Accumulates the results of all pairs, in order.

    Args:
        subsets: The subset of each pair's key.
        channels: int. Channels of the images.
    """

    def __init__(self, subsets: Mapping[str, str], channels: int) -> None:
        self.findings: list[Finding] = []
        self.image_formats: Counter[str] = Counter()
        self.mask_formats: Counter[str] = Counter()
        self.image_sizes: Counter[str] = Counter()
        # By id: its pixels, the images that contain it, and all pixels of these images.
        self.pixels: Counter[int] = Counter()
        self.images: Counter[int] = Counter()
        self.pixels_of_images: Counter[int] = Counter()
        self.colors: Counter[Color] = Counter()
        self.low, self.high = 1.0, 0.0
        self._subsets = subsets
        self._n_pixels = 0
        self._sums, self._squares = np.zeros(channels), np.zeros(channels)
        # By digest of the image: the first pair, and the digest of its mask.
        self._first: dict[bytes, tuple[Pair, bytes | None]] = {}

    def add(self, result: PairResult) -> None:
        """Adds a pair."""
        self.findings += result.findings
        if result.image_header is not None:
            height, width = result.image_header.size
            self.image_formats[_format(result.image_header)] += 1
            self.image_sizes[f"{height}x{width}"] += 1
        if result.mask_header is not None:
            self.mask_formats[_format(result.mask_header)] += 1
        if result.mask is not None:
            total = sum(result.mask.ids.values())
            for number, pixels in result.mask.ids.items():
                self.pixels[number] += pixels
                self.images[number] += 1
                self.pixels_of_images[number] += total
            self.colors.update(result.mask.colors)
            self._drop_rare()
        if result.image is not None:
            self._n_pixels += result.image.n_pixels
            self._sums += result.image.sums
            self._squares += result.image.squares
            self.low = min(self.low, result.image.low)
            self.high = max(self.high, result.image.high)
            self._check_duplicate(result, result.image.digest)

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Returns mean and standard deviation of each channel, or None without an image."""
        if not self._n_pixels:
            return None
        mean = self._sums / self._n_pixels
        # Rounding may yield a variance just below 0 for a constant image.
        variance = np.maximum(self._squares / self._n_pixels - mean**2, 0)
        return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())

    def classes(
        self, labels: Labels, n_classes: int | None, ignored: int | None
    ) -> tuple[ClassStatistics, ...]:
        """Returns the statistics of each id.

        Args:
            labels: Labels. The names of the classes.
            n_classes: int or None. Ids from ``n_classes`` on have no weight.
            ignored: int or None. Id of unlabeled pixels.
        """
        total = sum(self.pixels.values())
        frequencies = {
            number: self.pixels[number] / self.pixels_of_images[number]
            for number in self.pixels
            if n_classes is not None and 0 <= number < n_classes and number != ignored
        }
        middle = median(frequencies.values()) if frequencies else 0.0
        weights = {number: middle / frequency for number, frequency in frequencies.items()}
        return tuple(
            ClassStatistics(
                number,
                _name(number, labels, ignored),
                self.pixels[number],
                self.pixels[number] / total,
                self.images[number],
                weights.get(number),
                weights[number] ** 0.5 if number in weights else None,
            )
            for number in sorted(self.pixels)
        )

    def _check_duplicate(self, result: PairResult, digest: bytes) -> None:
        pair, mask = result.pair, None if result.mask is None else result.mask.digest
        if digest not in self._first:
            self._first[digest] = (pair, mask)
            return
        first, first_mask = self._first[digest]
        subset, first_subset = self._subsets[pair.key], self._subsets[first.key]

        def add(severity: str, kind: str, message: str) -> None:
            self.findings.append(
                Finding(severity, kind, pair.image, message, pair.image, pair.mask)
            )

        message = f"the same pixels as {first.image}"
        # A pair may be in no subset.
        if subset and first_subset and first_subset != subset:
            add("error", "leakage", f"{message}, which is in {first_subset}, this in {subset}")
        else:
            add("warning", "duplicate", message)
        if None not in (mask, first_mask) and mask != first_mask:
            add("warning", "contradiction", f"{message}, but another mask")

    def _drop_rare(self) -> None:
        self.colors = _most_common(self.colors)
        if len(self.pixels) > 2 * _MAX_COUNTED:
            self.pixels = _most_common(self.pixels)
            self.images = Counter({key: self.images[key] for key in self.pixels})
            self.pixels_of_images = Counter(
                {key: self.pixels_of_images[key] for key in self.pixels}
            )


def _most_common(counter: Counter[Key]) -> Counter[Key]:
    if len(counter) <= 2 * _MAX_COUNTED:
        return counter
    return Counter(dict(counter.most_common(_MAX_COUNTED)))


def _format(header: Header) -> str:
    # The mode of an array contains its dtype.
    is_16_bit = header.bits == 16 and header.format != "NPY"
    return f"{header.format} {header.mode}" + (", 16 bits" if is_16_bit else "")


def _name(number: int, labels: Labels, ignored: int | None) -> str:
    if number == ignored:
        return "ignored" if ignored == labels.ignore_class else "ignored?"
    if labels.classes is not None and 0 <= number < len(labels.classes):
        return labels.classes.names[number]
    return ""


def suggest(ids: Collection[int], labels: Labels) -> dict[str, Any]:
    """Returns options of :func:`unetv2.make_dataset` for all ids of a data set."""
    if are_probably_colors(ids, labels):
        return {}
    if are_probably_binary(ids, labels):
        return {"n_classes": 2, "encoding": "binary"}
    markers = _guess_unlabeled(ids, labels)
    known = labels.ignore_class
    ignored, label_map = ignore_options(markers, known) if markers else (known, {})
    classes = [number for number in ids if number not in (*markers, ignored)]
    options: dict[str, Any] = {"label_map": label_map}
    if labels.classes is not None:
        options["n_classes"] = len(labels.classes)
    elif labels.encoding == "binary":
        options["n_classes"] = 2
    elif classes and not are_instance_ids(ids):
        options["n_classes"] = max(2, max(classes) + 1)
        numbered = consecutive_ids(classes)
        if numbered and labels.n_classes is None and not labels.label_map:
            options |= {"n_classes": len(classes), "label_map": label_map | numbered}
    if markers and known is None:
        options["ignore_class"] = ignored
    return options


def are_probably_binary(ids: Collection[int], labels: Labels) -> bool:
    """Returns whether masks read as ids are probably black and white."""
    return (
        labels.encoding == "ids"
        and labels.mask_format is not None
        and labels.mask_format.kind == "gray"
        and labels.ignore_class is None
        and labels.n_classes in (None, 2)
        and not labels.label_map
        and are_black_and_white(ids)
    )


def are_probably_colors(ids: Collection[int], labels: Labels) -> bool:
    """Returns whether ids stored in one channel are probably tones of one color."""
    if labels.n_classes is not None or labels.mask_format is None:
        return False
    return labels.mask_format.kind in CHANNELS and are_color_tones(ids)


def _guess_unlabeled(ids: Collection[int], labels: Labels) -> tuple[int, ...]:
    """Returns ids that probably mark unlabeled pixels, without the current ``ignore_class``.

    These are the ids of :func:`unlabeled_ids`; or ``n_classes``, if that is known; or an id of at
    least ten times all others, if there are two others.
    """
    # A given `label_map` would have to be changed.
    if labels.encoding not in ("ids", "max_channel") or labels.label_map:
        return ()
    ignored = labels.ignore_class
    found = unlabeled_ids(ids if ignored is None else {*ids, ignored})
    found = tuple(number for number in found if number in ids and number != ignored)
    if labels.n_classes is not None:
        found = tuple(number for number in found if not 0 <= number < labels.n_classes)
    if ignored is not None:
        return found
    if labels.n_classes is not None:
        return (labels.n_classes,) if labels.n_classes in ids else found
    if found or len(ids) < 3:
        return found
    *_, second, top = sorted(ids)
    return (top,) if top >= FAR_RATIO * (second + 1) and not are_instance_ids(ids) else ()
