"""Why a mask is refused, as an error that also says which pixels are concerned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


class MaskError(ValueError):
    """A mask that cannot be read as labels.

    Args:
        kind: str. The kind of problem, as :func:`unetv2.check_dataset` reports it.
        message: str. The whole text, which names the file.
        summary: str. What was found, without the file and the advice.
        where: bool array or None. The pixels concerned; None for all of them.
    """

    def __init__(
        self, kind: str, message: str, summary: str, where: np.ndarray | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.summary = summary
        self.where = where


@contextmanager
def for_callers() -> Iterator[None]:
    """Makes a MaskError the plain ValueError that callers of the library are promised."""
    try:
        yield
    except MaskError as error:
        raise ValueError(str(error)) from None
