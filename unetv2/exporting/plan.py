"""Which pictures an artefact takes, and what it does with them itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from unetv2.arguments import require_image_size
from unetv2.artefacts.description import Size
from unetv2.artefacts.formats import Format
from unetv2.classes import ClassTable
from unetv2.inference.network import Network
from unetv2.preprocessing import Preprocessing
from unetv2.segmentation_model import preprocessing_of


@dataclass(frozen=True)
class Plan:
    """What an artefact takes.

    Args:
        frame_size: ``(height, width)`` of the pictures, None where it is open.
        network_size: ``(height, width)`` of what the network is fed with.
        resizes: bool. Whether the artefact brings the one to the other, and the answer back.
        preprocessing: How the network's pictures are prepared.
        probabilities: bool. Whether the network gives probabilities, and not logits.
    """

    frame_size: Size
    network_size: Size
    resizes: bool
    preprocessing: Preprocessing
    probabilities: bool


def plan(
    model: keras.Model,
    format: Format,
    *,
    image_size: Sequence[int] | None,
    frame_size: Sequence[int] | None,
    classes: ClassTable | None,
) -> Plan:
    """Plans an artefact.

    Whole pictures are resized in it. Windows, and pictures at their own scale, are cut out by who
    feeds it.

    Args:
        model: The model.
        format: What becomes of it.
        image_size: ``(height, width)`` that pictures are brought to, or None for the model's.
        frame_size: ``(height, width)`` of the pictures, or None for any.
        classes: ClassTable or None for the model's.

    Returns:
        Plan.

    Raises:
        ValueError: If the sizes fit neither each other nor the model or the format.
    """
    network = Network.of(model)
    known = _with_classes(preprocessing_of(model, network.n_classes), classes, network.n_classes)
    whole = known.crop_size is None and known.resize != "crop" and known.image_size is not None
    wanted = None if image_size is None else require_image_size(image_size)
    if whole and wanted is not None:
        known = replace(known, image_size=wanted)
    size = wanted or known.input_size or network.size
    _require_taken(model, network, size)
    if format.open_sizes is False and None in size:
        raise ValueError(
            f"`image_size` must be given for format='{format.name}', which takes one size only, "
            f"and a model that takes all. Received: image_size={image_size!r}. Pass the size of "
            "the windows or pictures that the network is to be fed with."
        )
    if frame_size is None:
        if whole and format.open_sizes:
            return Plan((None, None), size, True, known, network.probabilities)
        return Plan(size, size, False, known, network.probabilities)
    frames = require_image_size(frame_size, "frame_size")
    if not whole and frames != size:
        raise ValueError(
            "`frame_size` must be None for a model that is fed with pictures at their own scale. "
            f"Received: frame_size={frame_size!r}. Pass `image_size` in its place."
        )
    # Of the network's own size they come prepared, and pictures of other sizes can be too.
    return Plan(frames, size, whole and frames != size, known, network.probabilities)


def _with_classes(known: Preprocessing, classes: Any, n_classes: int) -> Preprocessing:
    if classes is None:
        return known
    if not isinstance(classes, ClassTable) or len(classes) != n_classes:
        found = f"{len(classes)} classes" if isinstance(classes, ClassTable) else repr(classes)
        raise ValueError(
            "`classes` must be a ClassTable with a class for each of the model's outputs, "
            f"{n_classes}. Received: {found}."
        )
    ignored = known.ignore_class if classes.ignore_class is None else classes.ignore_class
    return replace(known, classes=classes, ignore_class=ignored)


def _require_taken(model: keras.Model, network: Network, size: Size) -> None:
    fits = all(own in (None, side) for own, side in zip(network.size, size, strict=True))
    if None not in size:
        fits = fits and network.takes((size[0] or 1, size[1] or 1))
    if not fits:
        raise ValueError(
            "`image_size` must be one that the model takes. "
            f"Received: {size} and the model '{model.name}' for {network.size}. "
            "Leave it out, or build the model for any size."
        )
