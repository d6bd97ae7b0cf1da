"""Which classes an evaluation is about."""

from __future__ import annotations

import dataclasses

from unetv2.classes import ClassTable
from unetv2.data.labels import Labels
from unetv2.evaluation.models import Answers


def resolve_classes(
    classes: ClassTable | None, answers: Answers, *, labels: Labels | None, ignore_class: int | None
) -> ClassTable:
    """Returns the table of a model's classes, with the id of the pixels that do not count.

    Args:
        classes: What the caller passed; what it leaves open is taken from the data, then from the
            model's record.
        answers: The model.
        labels: What the data says of its masks, or None.
        ignore_class: int or None. What the caller says besides.

    Returns:
        ClassTable.

    Raises:
        ValueError: If ``classes`` is of another length than the model's.
    """
    n_classes = answers.n_classes
    if classes is not None and len(classes) != n_classes:
        raise ValueError(
            "`classes` must have a name for each class of the model. "
            f"Received: {len(classes)} names for {n_classes} classes. Pass the table that it was "
            "trained with, or leave it out."
        )
    sources = [source for source in (labels, answers.record) if source is not None]
    tables = (classes, *(source.classes for source in sources))
    fitting = (known for known in tables if known is not None and len(known) == n_classes)
    table = next(fitting, ClassTable.numbered(n_classes))
    ids = (
        ignore_class,
        None if labels is None else labels.ignore_class,
        table.ignore_class,
        *(source.ignore_class for source in sources),
    )
    chosen = next((number for number in ids if number is not None), None)
    if chosen == table.ignore_class:
        return table
    # A colour of another id is not this one's.
    return dataclasses.replace(table, ignore_class=chosen, ignore_color=None)
