"""Pairs of files for tests, read one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

from unetv2.data import preprocess
from unetv2.data.io.open import MAX_PIXELS, open_file
from unetv2.data.labels import Labels
from unetv2.data.pairs import LabelSource
from unetv2.data.sources.folders import FolderSource
from unetv2.preprocessing import Preprocessing


@dataclass(frozen=True)
class LabelFiles(LabelSource):
    """Masks in files, each read on its own."""

    labels: Labels = field(default_factory=Labels)
    pairs: tuple = ()

    description = "files"

    def files(self, pair):
        return pair.image, pair.mask

    def mask_header(self, pair):
        with open_file(pair.mask, MAX_PIXELS) as file:
            file.require_mask()
            self.labels.require_palette(pair.mask, file)
            return file.header

    def read_mask(self, pair):
        return self.labels.read(pair.mask, MAX_PIXELS)


def find_pairs(image_dir, mask_dir, **suffixes):
    """Returns the pairs of two folders."""
    return list(FolderSource(str(image_dir), str(mask_dir), **suffixes).pairs)


def read_pair(pair, labels=None, *, max_pixels=MAX_PIXELS, **options):
    """Returns image and mask of a pair as a data set reads them."""
    labels = Labels() if labels is None else labels
    options = {"image_size": (96, 128), "ignore_class": labels.ignore_class, **options}
    return preprocess.read_pair(
        LabelFiles(labels), pair, Preprocessing(**options), max_pixels=max_pixels
    )


def check_headers(pair, *, channels=None, max_pixels=MAX_PIXELS):
    """Returns the headers of a pair as a data set checks them."""
    return preprocess.check_headers(LabelFiles(), pair, channels=channels, max_pixels=max_pixels)
