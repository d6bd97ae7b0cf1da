"""Statistics of all pairs, summed up one by one: hashes and counts, never pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from unetv2.classes import Color
from unetv2.data.io.open import Header
from unetv2.data.pairs import Pair
from unetv2.data.validation.checks import Examination
from unetv2.data.validation.findings import Finding

# From here on only the most frequent are kept: a depth map taken for a mask has no end.
_MOST = 1 << 16

Key = TypeVar("Key", bound=Hashable)


class Tally:
    """Sums up examinations, in the order of the pairs.

    Args:
        subsets: The subset of each pair's key.
        channels: int. Channels of the images.
    """

    def __init__(self, subsets: Mapping[str, str], channels: int) -> None:
        self.findings: list[Finding] = []
        self.image_formats: Counter[str] = Counter()
        self.mask_formats: Counter[str] = Counter()
        self.image_sizes: Counter[str] = Counter()
        self.pixels: Counter[int] = Counter()
        self.images: Counter[int] = Counter()
        self.pixels_around: Counter[int] = Counter()
        self.colors: Counter[Color] = Counter()
        self.low, self.high = 1.0, 0.0
        self._subsets = subsets
        self._image_pixels = 0
        self._sums, self._squares = np.zeros(channels), np.zeros(channels)
        self._seen: dict[bytes, tuple[Pair, bytes | None]] = {}

    def add(self, found: Examination) -> None:
        """Adds a pair."""
        self.findings += found.findings
        if found.image_header is not None:
            height, width = found.image_header.size
            self.image_formats[_format(found.image_header)] += 1
            self.image_sizes[f"{height}x{width}"] += 1
        if found.mask_header is not None:
            self.mask_formats[_format(found.mask_header)] += 1
        if found.mask is not None:
            total = sum(found.mask.ids.values())
            for number, pixels in found.mask.ids.items():
                self.pixels[number] += pixels
                self.images[number] += 1
                self.pixels_around[number] += total
            self.colors.update(found.mask.colors)
            self._forget_the_rare()
        if found.image is not None:
            self._image_pixels += found.image.pixels
            self._sums += found.image.sums
            self._squares += found.image.squares
            self.low = min(self.low, found.image.low)
            self.high = max(self.high, found.image.high)
            self._compare(found, found.image.digest)

    def mean_and_std(self) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Returns mean and standard deviation of each channel, or None without an image."""
        if not self._image_pixels:
            return None
        mean = self._sums / self._image_pixels
        # Rounding may leave the variance of a flat image just below 0.
        variance = np.maximum(self._squares / self._image_pixels - mean**2, 0)
        return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())

    def _compare(self, found: Examination, digest: bytes) -> None:
        """Finds an image that was there before."""
        pair, mask = found.pair, None if found.mask is None else found.mask.digest
        if digest not in self._seen:
            self._seen[digest] = (pair, mask)
            return
        first, first_mask = self._seen[digest]
        one, two = self._subsets[first.key], self._subsets[pair.key]
        same = f"the same pixels as {first.image}"
        if one != two:
            self._find("error", "leakage", pair, f"{same}, which is in {one}, this in {two}")
        else:
            self._find("warning", "duplicate", pair, same)
        if None not in (mask, first_mask) and mask != first_mask:
            message = f"{same}, but another mask"
            self._find("warning", "contradiction", pair, message)

    def _find(self, severity: str, kind: str, pair: Pair, message: str) -> None:
        finding = Finding(severity, kind, pair.image, message, pair.image, pair.mask)
        self.findings.append(finding)

    def _forget_the_rare(self) -> None:
        self.colors = _most_frequent(self.colors)
        if len(self.pixels) > 2 * _MOST:
            self.pixels = _most_frequent(self.pixels)
            self.images = Counter({key: self.images[key] for key in self.pixels})
            self.pixels_around = Counter({key: self.pixels_around[key] for key in self.pixels})


def _most_frequent(counter: Counter[Key]) -> Counter[Key]:
    return counter if len(counter) <= 2 * _MOST else Counter(dict(counter.most_common(_MOST)))


def _format(header: Header) -> str:
    # An array's mode says so itself.
    deep = header.bits == 16 and header.format != "NPY"
    return f"{header.format} {header.mode}" + (", 16 bits" if deep else "")
