"""Other ids for those in a mask's file."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unetv2.classes import ClassTable
from unetv2.data.refusal import MaskError
from unetv2.plurals import counted


def remapped_ids(
    path: str, ids: np.ndarray, label_map: Mapping[int, int], classes: ClassTable | None
) -> np.ndarray:
    """Returns other ids for those in a file.

    Args:
        path: str. The file, for messages.
        ids: Integers.
        label_map: The other ids; what it does not list stays.
        classes: ClassTable or None. The table, which may have a map of its own.

    Returns:
        np.ndarray. Integers of the same shape.

    Raises:
        MaskError: If an id that stays is one that others are mapped to.
    """
    if not label_map:
        return ids
    remapped = ids.astype(np.int32)
    for old, new in label_map.items():
        remapped[ids == old] = new
    for target in sorted(set(label_map.values()) - label_map.keys()):
        where = ids == target
        if where.any():
            _raise_collision(path, target, where, classes is None or classes.label_map != label_map)
    return remapped


def _raise_collision(path: str, target: int, where: np.ndarray, own: bool) -> None:
    advice = f"Add {target}: {target} to `label_map` if it means the same, or map it to another id."
    if not own:
        # Such as Cityscapes' _labelTrainIds, read with the table for _labelIds.
        advice = (
            "If masks hold the ids of `classes` already, pass label_map={0: 0}, which maps nothing."
        )
    raise MaskError(
        "label_map_collision",
        "An id that `label_map` maps others to must be in it as well, where masks hold it. "
        f"Received: {target} in {counted(int(where.sum()), 'pixel')} of '{path}'. {advice}",
        f"id {target}, which `label_map` maps others to, is not in it",
        where,
    )
