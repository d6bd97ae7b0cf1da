"""Pairs of an image and its mask, and the interface of label sources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from unetv2.data.io.open import Header
from unetv2.data.labels import Labels

SUBSETS = ("train", "validation", "test")
SPLIT = (0.8, 0.1, 0.1)

GroupBy = str | Callable[[str], str]


class Pair(NamedTuple):
    """An image file and its mask.

    Attributes:
        key: str. Unique name of the pair, which determines its subset. In folders it is the common
            part of both paths: relative to the folders, with ``/``, without suffix and extension.
        image: str. Path of the image.
        mask: str. Path of the file that holds the labels.
    """

    key: str
    image: str
    mask: str


class LabelSource(ABC):
    """Provides the pairs of a data set and the class ids of each.

    A subclass lists pairs and reads class ids; reading images and creating batches do not depend
    on it. ``unetv2/data/sources/folders.py`` is an example.

    An attribute ``labels``, a ``unetv2.data.labels.Labels``, describes the classes.
    """

    labels: Labels

    @property
    @abstractmethod
    def description(self) -> str:
        """All options that determine the class ids, such as ``repr(labels)``."""

    @property
    @abstractmethod
    def pairs(self) -> tuple[Pair, ...]:
        """All pairs in the order of their keys, each a named tuple ``(key, image, mask)``."""

    @abstractmethod
    def mask_header(self, pair: Pair) -> Header:
        """Returns size and format of a mask without reading all of it.

        Args:
            pair: One of :attr:`pairs`.

        Raises:
            ValueError: If the header is not valid.
        """

    @abstractmethod
    def read_mask(self, pair: Pair) -> np.ndarray:
        """Returns the class ids of a pair.

        Args:
            pair: One of :attr:`pairs`.

        Returns:
            np.ndarray. ``(height, width)`` of the image, uint8, uint16 or int32.

        Raises:
            ValueError: If the labels are not valid.
        """

    @abstractmethod
    def files(self, pair: Pair) -> tuple[str, ...]:
        """Returns the paths of all files that a pair is read from.

        Args:
            pair: One of :attr:`pairs`.
        """
