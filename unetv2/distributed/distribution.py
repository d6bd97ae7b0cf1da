"""What a training is spread over, and how."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from unetv2.arguments import require_choice, require_number
from unetv2.distributed.collectives import Crew
from unetv2.runtime import precision_of

_GRADIENTS = ("auto", "float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distribution:
    """A strategy, and what there is to choose about it.

    Args:
        strategy: Of :func:`unetv2.distributed.connect`, or ``tf.distribute.MirroredStrategy`` or
            ``MultiWorkerMirroredStrategy``; None is one device.
        gradients: ``"float32"``; ``"bfloat16"``, which sends half the bytes; ``"auto"``, which is
            that for models that compute in it and float32 for others.
        synchronize: bool. Whether batch normalization has the statistics of whole batches, as on
            one device, for a few small messages a layer. Otherwise it has those of each replica's
            part, and moving statistics are averaged before each validation.
        timeout: float above 0. Seconds without a step after which a worker ends the process; a step
            waits for the slowest worker, validation and saving included.

    Raises:
        TypeError: If the strategy is of another kind, or ``timeout`` no number.
        ValueError: If an argument is out of its range.

    Example:
        >>> distribution = unetv2.distributed.Distribution(strategy=None, gradients="float32")
        >>> distribution.timeout
        600.0
    """

    strategy: Any
    gradients: str = "auto"
    synchronize: bool = True
    timeout: float = 600.0

    def __post_init__(self) -> None:
        """Checks every value."""
        Crew(self.strategy)
        require_choice("gradients", self.gradients, _GRADIENTS)
        require_number("timeout", self.timeout, "600 is the default.", positive=True)

    @classmethod
    def of(cls, strategy: Any) -> Distribution:
        """Returns that of a strategy, unless it is one already.

        Args:
            strategy: A strategy, a Distribution, or None.

        Raises:
            TypeError: If it is something else.
        """
        return strategy if isinstance(strategy, cls) else cls(strategy=strategy)

    def gradient_dtype(self, model: keras.Model) -> str:
        """Returns the precision in which a model's gradients are sent.

        Args:
            model: A Keras model; what it computes in decides for ``"auto"``.

        Returns:
            str. ``"float32"`` or ``"bfloat16"``.
        """
        if self.gradients != "auto":
            return self.gradients
        computes = precision_of(model).compute_dtype
        return "bfloat16" if computes == "bfloat16" else "float32"
