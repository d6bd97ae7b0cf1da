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
        shape: ``(height, width)`` of the mask.
        values: The value of each run, as numbers in ``found``.
        lengths: int64. Pixels of each run.
        found: Every value that occurs, once, sorted.
    """

    shape: tuple[int, ...]
    values: np.ndarray
    lengths: np.ndarray
    found: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> Runs:
        """Returns the runs of an integer mask ``(height, width)``."""
        flat = mask.ravel()
        starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
        found, places = np.unique(flat[starts], return_inverse=True)
        return cls(mask.shape, places, np.diff(starts, append=flat.size), found)

    def counts(self) -> np.ndarray:
        """Returns the pixels of every value in ``found``, int64."""
        # Weighted counts are floats, exact up to 2**53 pixels.
        counts = np.bincount(self.values, weights=self.lengths, minlength=len(self.found))
        return counts.astype(np.int64)

    def places(self) -> np.ndarray:
        """Returns the mask with the place in ``found`` for each value, in few bytes."""
        places = self.values.astype(np.min_scalar_type(len(self.found)))
        return np.repeat(places, self.lengths).reshape(self.shape)

    def digest(self, meaning: np.ndarray) -> bytes:
        """Returns a hash of the mask that depends on what its values mean alone.

        Args:
            meaning: Integer for each value in ``found``. Two values of one meaning are one.
        """
        meant = meaning.astype(np.int64)[self.values]
        ends = np.cumsum(self.lengths)
        last = np.append(meant[1:] != meant[:-1], True)
        content = repr(self.shape).encode() + meant[last].tobytes() + ends[last].tobytes()
        return blake2b(content, digest_size=DIGEST_BYTES).digest()
