"""Which classes an evaluation is about."""

from __future__ import annotations

import dataclasses

from unetv2.classes import ClassTable


def resolve_classes(
    classes: ClassTable | None,
    n_classes: int,
    *,
    known: ClassTable | None,
    ignore_class: int | None,
) -> ClassTable:
    """Returns the table of a model's classes, with the id of the pixels that do not count.

    Args:
        classes: What the caller passed.
        n_classes: int. The model's.
        known: What the data or the model tell, or None; not taken if it is of another length.
        ignore_class: int or None. The data's; None takes the table's.

    Returns:
        ClassTable.

    Raises:
        ValueError: If ``classes`` is of another length.
    """
    if classes is not None and len(classes) != n_classes:
        raise ValueError(
            "`classes` must have a name for each class of the model. "
            f"Received: {len(classes)} names for {n_classes} classes. Pass the table that it was "
            "trained with, or leave it out."
        )
    if classes is None and known is not None and len(known) == n_classes:
        classes = known
    if classes is None:
        classes = ClassTable.numbered(n_classes)
    if ignore_class is None or ignore_class == classes.ignore_class:
        return classes
    # A colour of another id is not this one's.
    return dataclasses.replace(classes, ignore_class=ignore_class, ignore_color=None)
