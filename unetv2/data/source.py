"""Prepared pictures by number: read, remembered, and skipped if they must be."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager

import numpy as np

from unetv2.arguments import require_choice, require_fraction
from unetv2.data.cache import CacheError, FolderCache, Pictures
from unetv2.data.header import is_turn_ambiguous
from unetv2.data.pairs import Pair
from unetv2.data.reading import Preparation, check_headers, read_pair, warn_of_turns
from unetv2.escaping import one_line

# What is checked before the first batch is asked for: enough to find what is wrong with a
# whole folder at once, without reading a large one twice.
_HEADERS_CHECKED = 10_000
_PAIRS_READ = 32

_log = logging.getLogger("unetv2")


class Source:
    """Prepared pictures by number.

    Args:
        pairs: The files.
        preparation: How they are prepared.
        cache: ``"memory"``, None, or a folder.
        on_error: ``"raise"`` or ``"skip"``.
        max_skipped: float in [0, 1). Share of pairs that may be skipped.
        crop_size: ``(height, width)`` or None. What every picture must hold.
        one_size: bool. Whether all must be as large as the first, to go into one batch.
    """

    def __init__(
        self,
        pairs: list[Pair],
        preparation: Preparation,
        *,
        cache: str | os.PathLike[str] | None,
        on_error: str,
        max_skipped: float,
        crop_size: tuple[int, int] | None = None,
        one_size: bool = False,
    ) -> None:
        require_choice("on_error", on_error, ("raise", "skip"))
        self._allowed = require_fraction(
            "max_skipped", max_skipped, "It is the share of pairs that may be skipped."
        )
        self._pairs = pairs
        self._preparation = preparation
        self._skips = on_error == "skip"
        self._crop_size = crop_size
        self._one_size = one_size
        self._first_size: tuple[int, ...] | None = None
        self._skipped: set[int] = set()
        self._lock = threading.Lock()
        self._remembered: dict[int, Pictures] | None = {} if cache == "memory" else None
        self._folder: FolderCache | None = None
        if cache is not None and cache != "memory":
            self._folder = FolderCache(cache, repr(preparation))
        self.pixel_dtype: np.dtype[np.unsignedinteger] = np.dtype(np.uint8)

    def __len__(self) -> int:
        """Returns the number of pairs."""
        return len(self._pairs)

    @contextmanager
    def checked(self, threads: Executor) -> Iterator[None]:
        """Raises, or skips, what is wrong with the first pairs; finds the bit depth.

        Headers are checked before the block runs, and pairs are read while it does.

        Args:
            threads: Read them.
        """
        reads: list[Future[Pictures | None]] = []
        try:
            if not self._one_size:
                reads = self._reads(threads)
            self._check_headers()
            if self._one_size:
                self.read(0)  # Its size is what the others are held against.
                reads = self._reads(threads)
            yield
            for read in reads:
                read.result()
        finally:
            for read in reads:
                read.cancel()
            wait(reads)

    def _reads(self, threads: Executor) -> list[Future[Pictures | None]]:
        return [threads.submit(self.read, number) for number in range(len(self))[:_PAIRS_READ]]

    def _check_headers(self) -> None:
        limit, channels = self._preparation.max_pixels, self._preparation.channels
        checked, turned = self._pairs[:_HEADERS_CHECKED], []
        for number, pair in enumerate(checked):
            try:
                image, mask = check_headers(
                    pair, limit, channels=channels, labels=self._preparation.labels
                )
            except (ValueError, OSError) as error:
                self._skip(number, error)
                continue
            if image.bits == 16:
                self.pixel_dtype = np.dtype(np.uint16)
            if is_turn_ambiguous(image, mask):
                turned.append(pair)
        warn_of_turns(turned, len(checked))

    def read(self, number: int) -> Pictures | None:
        """Returns image and mask of a pair, or None if it is skipped.

        Raises:
            ValueError: If something is wrong with it, or with too many.
            CacheError: If the cache's folder cannot be written.
        """
        pictures = None if self._remembered is None else self._remembered.get(number)
        if pictures is None:
            if number in self._skipped:
                return None
            try:
                pictures = self._load(self._pairs[number])
                self._require_size(self._pairs[number], pictures[1].shape[:2])
            except CacheError:
                raise
            except (ValueError, OSError) as error:
                self._skip(number, error)
                return None
            if self._remembered is not None:
                self._remembered[number] = pictures
        image, mask = pictures
        # Not before: a depth may be found when the first pairs are read already.
        return self._same_depth(image), mask

    def _load(self, pair: Pair) -> Pictures:
        if self._folder is None:
            return read_pair(pair, self._preparation)
        # Before reading: a file that changes meanwhile must not pass for its new self.
        entry = self._folder.entry(pair)
        pictures = self._folder.load(entry)
        if pictures is None:
            pictures = read_pair(pair, self._preparation)
            self._folder.store(entry, pictures)
        return pictures

    def _require_size(self, pair: Pair, size: tuple[int, ...]) -> None:
        crop_size = self._crop_size
        if crop_size is not None and (size[0] < crop_size[0] or size[1] < crop_size[1]):
            raise ValueError(
                "`crop_size` must fit into every picture. "
                f"Received: crop_size={crop_size} and {size[0]}x{size[1]} in '{pair.image}'. "
                "Pass a smaller one, or an `image_size`."
            )
        with self._lock:
            self._first_size = self._first_size or size
        if self._one_size and size != self._first_size:
            raise ValueError(
                "Pictures in a batch must be of one size. "
                f"Received: {self._first_size[0]}x{self._first_size[1]} and "
                f"{size[0]}x{size[1]} in '{pair.image}'. "
                "Pass an `image_size`, a `crop_size`, or batch_size=1."
            )

    def _same_depth(self, image: np.ndarray) -> np.ndarray:
        if image.dtype == self.pixel_dtype:
            return image
        if self.pixel_dtype == np.uint16:
            return image.astype(np.uint16) * np.uint16(257)
        return np.rint(image / 257).astype(np.uint8)

    def _skip(self, number: int, error: Exception) -> None:
        """Notes a pair that cannot be used, or raises if none or no more may be skipped."""
        if not self._skips:
            raise error
        with self._lock:
            if number in self._skipped:
                return
            self._skipped.add(number)
            count = len(self._skipped)
        _log.warning("Skipped %d of %d pairs: %s", count, len(self), one_line(error))
        if count > self._allowed * len(self):
            raise ValueError(
                f"At most `max_skipped`={self._allowed} of the pairs may be skipped. Received: "
                f"{count} of {len(self)}, the last one since {error} "
                "Mend the files or raise `max_skipped`."
            ) from error
