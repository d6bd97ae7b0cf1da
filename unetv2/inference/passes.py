"""What a network says of pictures, averaged over flips, scales and samples of its dropout."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from unetv2.arguments import require_integer
from unetv2.inference.network import SMALLEST_PROBABILITY, Network

FLIPS = ("vertical", "horizontal")


class Field(NamedTuple):
    """What is known of each pixel.

    Attributes:
        logits: float32 ``(..., n_classes)``; the softmax of it is the probabilities.
        entropy: float32 ``(..., 1)``: mean entropy of the single passes in nats; None where
            dropout is off.
    """

    logits: tf.Tensor
    entropy: tf.Tensor | None


@dataclass(frozen=True)
class Passes:
    """A network, asked several times.

    Args:
        network: The network.
        tta: bool, or a sequence of ``"horizontal"``, ``"vertical"`` and scales; True is
            ``("horizontal",)``. All combinations of flips and scales are asked, the picture as
            it is among them.
        mc_samples: int. How often each is asked with dropout on; 0 asks once without.
        seed: int. Decides what is dropped.

    Raises:
        ValueError: If an argument is out of its range, or the network cannot do it.
        TypeError: If an argument is of the wrong type.
    """

    network: Network
    tta: bool | Sequence[str | float] = False
    mc_samples: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value."""
        require_integer("mc_samples", self.mc_samples, 0, "0 leaves dropout off, 8 is common.")
        require_integer("seed", self.seed, 0, "It decides what dropout drops.")
        known = isinstance(self.tta, bool) or (
            isinstance(self.tta, Sequence) and all(_is_way(one) for one in self.tta)
        )
        if not known:
            raise ValueError(
                "`tta` must be a bool, or hold 'horizontal', 'vertical' and positive scales. "
                f"Received: tta={self.tta!r}. True is ('horizontal',)."
            )
        if self.scales != (1.0,) and not self.network.any_size:
            raise ValueError(
                "`tta` must have no scales for a model that takes one size only. "
                f"Received: tta={self.tta!r} and a model for pictures of {self.network.size}. "
                f"Build it for (None, None, {self.network.channels})."
            )

    def _asked(self) -> tuple[Any, ...]:
        if isinstance(self.tta, bool):
            return ("horizontal",) if self.tta else ()
        return tuple(self.tta)

    @property
    def flips(self) -> tuple[bool, bool]:
        """Whether pictures are flipped upside down, and left to right."""
        asked = self._asked()
        return FLIPS[0] in asked, FLIPS[1] in asked

    @property
    def scales(self) -> tuple[float, ...]:
        """The scales, ascending, 1 among them."""
        return tuple(sorted({1.0, *(float(one) for one in self._asked() if one not in FLIPS)}))

    def prepare(self, size: tuple[int, int]) -> None:
        """Compiles what a size of pictures needs, or raises; see :meth:`Network.prepare`."""
        for scale in self.scales:
            self.network.prepare(_scaled(size, scale), sampled=self.mc_samples > 0)

    def __call__(self, images: np.ndarray, numbers: Sequence[int]) -> Field:
        """Asks the network.

        Probabilities are averaged, not logits.

        Args:
            images: Prepared pictures, float32 ``(batch, height, width, channels)``.
            numbers: A number for each, which decides what dropout drops of it.

        Returns:
            Field of ``(batch, height, width, ...)``.
        """
        size = (images.shape[1], images.shape[2])
        ways = list(itertools.product(self.scales, *(sorted({False, flip}) for flip in self.flips)))
        if len(ways) == 1 and not self.mc_samples:
            return Field(self.network.logits(images), None)
        samples = max(1, self.mc_samples)
        total: Any = 0.0
        entropy: Any = 0.0
        for number, (scale, *flips) in enumerate(ways):
            axes = [axis for axis, flip in enumerate(flips, 1) if flip]
            changed = tf.reverse(images, axes)
            if scale != 1:
                # As images are prepared: the mean over areas where they shrink.
                method = "area" if scale < 1 else "bilinear"
                changed = tf.image.resize(changed, _scaled(size, scale), method=method)
            for sample in range(samples):
                passed = number * samples + sample
                values = self._ask(changed, [len(ways) * samples * n + passed for n in numbers])
                if scale != 1:
                    values = tf.image.resize(values, size)
                values = tf.nn.log_softmax(tf.reverse(values, axes))
                total += tf.exp(values)
                if self.mc_samples:
                    entropy -= tf.reduce_sum(tf.exp(values) * values, axis=-1, keepdims=True)
        count = len(ways) * samples
        mean = tf.math.log(tf.maximum(total / count, SMALLEST_PROBABILITY))
        return Field(mean, entropy / count if self.mc_samples else None)

    def _ask(self, images: tf.Tensor, numbers: list[int]) -> tf.Tensor:
        if not self.mc_samples:
            return self.network.logits(images)
        # Seeds are of 32 bits.
        seeds = np.array([[self.seed % 2**31, number % 2**31] for number in numbers], np.int32)
        return self.network.sampled(images, seeds)


def _is_way(one: Any) -> bool:
    if isinstance(one, str):
        return one in FLIPS
    return isinstance(one, Real) and not isinstance(one, bool) and 0 < float(one) < 100


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width
