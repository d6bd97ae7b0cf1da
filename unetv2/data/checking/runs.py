"""A mask as runs of equal values: short where masks are what masks should be."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

DIGEST_BYTES = 16


@dataclass(frozen=True)
class Runs:
    """Runs of equal values, row after row.

    Args:
        mask: The mask itself, ``(height, width)``.
        values: The value of each run, as numbers in ``found``.
        starts: int64. Where each run starts in the flat mask.
        lengths: int64. Pixels of each run.
        found: Every value that occurs, once, sorted.
    """

    mask: np.ndarray
    values: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    found: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """``(height, width)``."""
        return self.mask.shape

    @classmethod
    def of(cls, mask: np.ndarray) -> Runs:
        """Returns the runs of an integer mask ``(height, width)``."""
        mask = np.ascontiguousarray(mask)
        flat = mask.ravel()
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        values = flat[starts]
        if values.dtype == np.uint8:
            # Without sorting them.
            occurs = np.bincount(values, minlength=256) > 0
            found = np.flatnonzero(occurs).astype(np.uint8)
            places = (np.cumsum(occurs) - 1)[values]
        else:
            found, places = np.unique(values, return_inverse=True)
        return cls(mask, places, starts, np.diff(starts, append=flat.size), found)

    def counts(self) -> np.ndarray:
        """Returns the pixels of every value in ``found``, int64."""
        # Weighted counts are floats, exact up to 2**53 pixels.
        counts = np.bincount(self.values, weights=self.lengths, minlength=len(self.found))
        return counts.astype(np.int64)

    def digest(self, meaning: np.ndarray) -> bytes:
        """Returns a hash of the mask that depends on what its values mean alone.

        Args:
            meaning: Integer for each value in ``found``. Two values of one meaning are one.
        """
        meanings, numbers = np.unique(meaning.astype(np.int64), return_inverse=True)
        # In as few bytes as shape and number of meanings ask for: there is less to hash.
        meant = numbers.astype(np.min_scalar_type(len(meanings)))[self.values]
        ends = (self.starts + self.lengths).astype(np.min_scalar_type(self.mask.size))
        last = np.append(meant[1:] != meant[:-1], True)
        hashed = blake2b(repr((self.shape, meanings.tolist())).encode(), digest_size=DIGEST_BYTES)
        hashed.update(meant[last].tobytes() + ends[last].tobytes())
        return hashed.digest()
