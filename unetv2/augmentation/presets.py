"""Augmentations by name."""

from __future__ import annotations

import dataclasses

from unetv2.augmentation.augmentation import Augmentation


def light(*, ignore_class: int | None = None) -> Augmentation:
    """Returns an augmentation that suits most pictures.

    Left and right are swapped for half of them; they are zoomed by 0.9 to 1.2 and differ by
    a tenth in brightness and contrast. Override ``horizontal_flip`` where left and right
    mean something, as in writing.

    Args:
        ignore_class: int or None. Id of pixels that have no label.

    Returns:
        Augmentation.

    Example:
        >>> unetv2.augmentation.light(ignore_class=255).scale
        (0.9, 1.2)
    """
    return Augmentation(
        horizontal_flip=0.5,
        scale=(0.9, 1.2),
        brightness=0.1,
        contrast=0.1,
        ignore_class=ignore_class,
    )


def driving(*, ignore_class: int | None = None) -> Augmentation:
    """Returns an augmentation for what a car's camera sees.

    Left and right are swapped for half of the pictures, never top and bottom; near and far
    vary by a zoom of 0.7 to 1.6, the horizon by 5 degrees, and light, lens and sensor as from
    one drive to the next.

    Args:
        ignore_class: int or None. Id of pixels that have no label.

    Returns:
        Augmentation.

    Example:
        >>> unetv2.augmentation.driving().rotation
        5.0
    """
    return Augmentation(
        horizontal_flip=0.5,
        scale=(0.7, 1.6),
        rotation=5,
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
        blur=0.7,
        noise=0.03,
        ignore_class=ignore_class,
    )


_BY_NAME = {"light": light, "driving": driving}
PRESETS = tuple(_BY_NAME)


def get(
    augmentation: str | Augmentation | None,
    ignore_class: int | None = None,
    *,
    channels: int | None = None,
) -> Augmentation | None:
    """Returns the augmentation that a name stands for.

    Args:
        augmentation: One of :data:`PRESETS`, an :class:`Augmentation`, or None for none.
        ignore_class: int or None. Id of pixels that have no label, for a name and for an
            augmentation without one.
        channels: int or None. Channels of the images. Other than 3 have no saturation: a
            name's is left out, an augmentation with one is an error. None does not ask.

    Returns:
        Augmentation or None.

    Raises:
        ValueError: If there is no such name, or the augmentation has another
            ``ignore_class`` or a saturation that the images cannot have.

    Example:
        >>> unetv2.augmentation.get("driving") == unetv2.augmentation.driving()
        True
    """
    if augmentation is None:
        return None
    colored = channels in (None, 3)
    if not isinstance(augmentation, Augmentation):
        if not isinstance(augmentation, str) or augmentation not in _BY_NAME:
            names = ", ".join(map(repr, PRESETS))
            raise ValueError(
                f"`augmentation` must be one of {names}, an `Augmentation` or None. "
                f"Received: augmentation={augmentation!r}."
            )
        preset = _BY_NAME[augmentation](ignore_class=ignore_class)
        return preset if colored else dataclasses.replace(preset, saturation=0.0)
    if augmentation.saturation and not colored:
        raise ValueError(
            "`augmentation` must have no `saturation` unless images have 3 channels: it needs "
            f"red, green and blue. Received: augmentation.saturation={augmentation.saturation} "
            f"and channels={channels}. "
            "Leave it out: `dataclasses.replace(augmentation, saturation=0)`."
        )
    if ignore_class is None or ignore_class == augmentation.ignore_class:
        return augmentation
    if augmentation.ignore_class is not None:
        raise ValueError(
            f"`augmentation` must have the data's `ignore_class`, {ignore_class!r}. "
            f"Received: augmentation.ignore_class={augmentation.ignore_class!r}. "
            "Leave it out of the augmentation to get the data's."
        )
    return dataclasses.replace(augmentation, ignore_class=ignore_class)
