"""The training backend for several devices and machines."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_choice, require_number
from unetv2.distributed.collectives import Collectives
from unetv2.distributed.loop import Loop, Signals
from unetv2.distributed.replication import assign, pool, replicate
from unetv2.runtime import precision_of

_GRADIENTS = ("auto", "float32", "bfloat16")
_MOST_SHOWN = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distribution:
    """A strategy, and options of the training on it.

    Args:
        strategy: The result of :func:`unetv2.distributed.connect`, or a
            ``tf.distribute.MirroredStrategy`` or ``MultiWorkerMirroredStrategy``; None is one
            device.
        gradients: Precision in which gradients are exchanged: ``"float32"``; ``"bfloat16"``, half
            the traffic; ``"auto"``, bfloat16 for models that compute in it and float32 otherwise.
        synchronize: bool. Whether batch normalization uses the statistics of whole batches, as on
            one device, at the cost of a few small messages per layer. Otherwise it uses those of
            each replica's part, and moving statistics are averaged before each validation.
        timeout: float above 0. Seconds without a step after which a worker exits. A step waits for
            the slowest worker, validation and saving included.

    Raises:
        TypeError: If the strategy is of another kind, or ``timeout`` is not a number.
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
        if self.strategy is not None:
            Collectives(self.strategy)
        require_choice("gradients", self.gradients, _GRADIENTS)
        require_number("timeout", self.timeout, "600 is the default.", positive=True)

    def gradient_dtype(self, model: keras.Model) -> str:
        """Returns the precision in which a model's gradients are exchanged.

        Args:
            model: A Keras model; its compute dtype decides for ``"auto"``.

        Returns:
            str. ``"float32"`` or ``"bfloat16"``.
        """
        if self.gradients != "auto":
            return self.gradients
        compute_dtype = precision_of(model).compute_dtype
        return "bfloat16" if compute_dtype == "bfloat16" else "float32"


class DistributedBackend(Collectives):
    """Trains on all devices of all workers, with the results of one device.

    It implements ``unetv2.training.backend.Backend``, which documents the methods.

    Args:
        distribution: A strategy and its options.
        checkpoint_seconds: float. Longest time between two checkpoints.
    """

    def __init__(self, distribution: Distribution, checkpoint_seconds: float) -> None:
        super().__init__(distribution.strategy)
        self._distribution = distribution
        self._signals = Signals(is_chief=self.is_chief, checkpoint_seconds=checkpoint_seconds)
        self._checkpoint_seconds = checkpoint_seconds

    def replicate(self, model: keras.Model) -> keras.Model:
        """Returns a copy of the model, mirrored on all devices."""
        return replicate(model, self, synchronize=self._distribution.synchronize)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Returns the context in which variables are created."""
        return self.strategy.scope()

    def assign(self, variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
        """Assigns arrays to variables."""
        assign(self, variables, arrays)

    def fit(
        self,
        model: keras.Model,
        train: tuple[tf.data.Dataset, int],
        validation: tuple[tf.data.Dataset, int] | None,
        *,
        epochs: range,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        """Trains a replicated, compiled model for some epochs."""
        pool(model.loss)
        with Signals(
            is_chief=self.is_chief, checkpoint_seconds=self._checkpoint_seconds
        ) as self._signals:
            loop = Loop(
                model,
                self,
                self._signals,
                gradient_dtype=self._distribution.gradient_dtype(model),
                timeout=self._distribution.timeout,
            )
            loop.fit(train, validation, epochs=epochs, callbacks=callbacks)

    def checkpoint_is_due(self) -> bool:
        """Returns whether to save a checkpoint after this step, with the same result everywhere."""
        return self._signals.save or self._signals.stop

    def checkpoint_was_saved(self) -> None:
        """Does nothing: `Signals.update` restarts the timer."""

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """Does nothing: Ctrl-C stops this process immediately, SIGTERM all after a step."""
        yield

    def require_same(
        self,
        description: Mapping[str, Any],
        differences: Callable[[Any, Any, tuple[str, str]], Iterator[str]],
    ) -> None:
        """Raises an error on every worker unless all descriptions of the training are equal.

        Raises:
            ValueError: If one differs; the message contains the worker and the differences.
        """
        descriptions = self.gather(dict(description))
        different = []
        for number, other in enumerate(descriptions):
            labels = ("on worker 0", f"on worker {number}")
            items = list(differences(descriptions[0], other, labels))
            if items:
                more = "; ..." if len(items) > _MOST_SHOWN else ""
                shown = "; ".join(items[:_MOST_SHOWN]) + more
                different.append(f"{self.name(number)} differs from worker 0: {shown}")
        if different:
            raise ValueError(
                "All workers must train the same model in the same way on the same data. Received: "
                f"{'. '.join(different)}. Start all of them with the same arguments and files."
            )
