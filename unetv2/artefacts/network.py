"""An artefact in the place of a model's compiled network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.artefacts.description import Description, Size
from unetv2.artefacts.running import Outputs

NO_DROPOUT = (
    "`mc_samples` must be 0 for an exported model, which has no dropout. Pass the Keras model to "
    "`unetv2.predict`, or ask for `uncertainty=True`, the entropy, which needs none."
)


class ArtefactNetwork:
    """What an artefact says of prepared pictures; see :class:`unetv2.inference.network.Network`.

    Args:
        description: What the artefact is.
        run: Runs it on frames.

    Attributes:
        n_classes: int.
        channels: int.
        size: ``(height, width)`` that the network in it takes, None for any.
        probabilities: False: an artifact gives logits.
    """

    probabilities = False

    def __init__(self, description: Description, run: Callable[[np.ndarray], Outputs]) -> None:
        self.n_classes = description.n_classes
        self.channels = description.preprocessing.channels
        self.size: Size = description.network_size
        self._frame_size = description.frame_size
        self._low, self._high = description.preprocessing.value_range
        self._run = run

    @property
    def any_size(self) -> bool:
        """Whether the artefact takes prepared pictures of other sizes than one."""
        return self.size == (None, None)

    def prepare(self, size: tuple[int, int], *, sampled: bool = False) -> None:
        """Raises where the artefact does not take a size, or is to have dropout on.

        Args:
            size: ``(height, width)``.
            sampled: bool. Whether dropout is to be on.

        Raises:
            ValueError: In these cases.
        """
        if sampled:
            raise ValueError(NO_DROPOUT)
        if not self.takes(size):
            raise ValueError(
                f"`model` must take pictures of {size[0]}x{size[1]}. Received: an exported model "
                f"for frames of {self._frame_size} and a network of {self.size}. "
                "Export it without `frame_size`, or with another `image_size`."
            )

    def takes(self, size: Size) -> bool:
        """Returns whether the artefact takes prepared pictures of a size."""
        known = zip((*self.size, *self._frame_size), (*size, *size), strict=True)
        return all(own in (None, side) for own, side in known)

    def logits(self, images: Any) -> tf.Tensor:
        """Returns what the ``softmax`` of is the probabilities of the classes.

        Args:
            images: Prepared pictures, float32 ``(batch, height, width, channels)``. The artefact
                takes 8 bits: of pictures that had these, nothing is lost.

        Returns:
            tf.Tensor. float32 ``(batch, height, width, n_classes)``.
        """
        values = (np.asarray(images) - self._low) / (self._high - self._low) * 255
        return tf.constant(self._run(np.rint(values).clip(0, 255).astype(np.uint8)).logits)
