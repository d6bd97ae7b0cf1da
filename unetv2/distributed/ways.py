"""What of a training differs with what it is spread over: Keras's ``fit``, or the loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.data.sampling import without_waits
from unetv2.distributed import loop
from unetv2.distributed.crew import Crew
from unetv2.distributed.distribution import Distribution
from unetv2.distributed.feeding import SharedFeed, marker, shared_validation
from unetv2.distributed.placing import mirrored
from unetv2.distributed.signals import Signals
from unetv2.training.feeding import Feed, with_length, with_shapes
from unetv2.training.folder import load_weights
from unetv2.training.inputs import Inputs


class Ways:
    """How one device trains: on Keras's own ``fit``.

    Args:
        crew: The workers.
        model: The user's.
        inputs: What it is fed with.
        feed: The training data.
        validation: The validation data, or None.

    Attributes:
        model: The one that is trained.
        inputs: What losses and metrics are told.
        feed: The training data, as ``fit`` takes it.
    """

    def __init__(
        self, crew: Crew, model: keras.Model, inputs: Inputs, feed: Feed, validation: Any
    ) -> None:
        self.crew, self.model, self.inputs, self.feed = crew, model, inputs, feed
        self._validation = validation

    @staticmethod
    def of(
        distribution: Distribution,
        crew: Crew,
        model: keras.Model,
        inputs: Inputs,
        data: tuple[tf.data.Dataset, tf.data.Dataset | None],
        seed: int,
    ) -> Ways:
        """Returns those of a distribution.

        Raises:
            ValueError: If a batch has fewer pictures than there are replicas.
        """
        train, validation = data
        sizes = (inputs.n_pairs, inputs.batch_size, inputs.rebatched, inputs.augmentation)
        if crew.strategy is None:
            streamed = inputs.steps_per_epoch is not None
            feed = Feed(train, *sizes, seed, validation, streamed)
            if validation is not None:
                validation = without_waits(with_length(with_shapes(validation)))
            return Ways(crew, model, inputs, feed, validation)
        if inputs.batch_size < crew.replicas:
            raise ValueError(
                "`batch_size` must be a picture at least for each of the replicas. Received: "
                f"batch_size={inputs.batch_size} for {crew.replicas} of them. It is that of all "
                "together: pass a recipe with a larger one."
            )
        ignored = marker(inputs)
        feed = SharedFeed(train, *sizes, seed, validation, share=crew.share, ignore_class=ignored)
        copy = mirrored(model, crew, synchronize=distribution.synchronize)
        parts = None
        if validation is not None:
            parts = loop.Parts(*shared_validation(validation, crew.share, ignored))
        told = dataclasses.replace(inputs, ignore_class=ignored)
        return _SharedWays(crew, copy, told, feed, parts, distribution)

    def signals(self, seconds: float) -> Signals | None:
        """Returns what workers tell each other, with so long between two checkpoints."""
        return None

    def fit(
        self,
        batches: tf.data.Dataset,
        *,
        steps: int,
        initial_epoch: int,
        epochs: int,
        callbacks: Sequence[keras.callbacks.Callback],
        signals: Signals | None,
    ) -> None:
        """Trains some epochs, on so many batches each."""
        self.model.fit(
            batches,
            validation_data=self._validation,
            initial_epoch=initial_epoch,
            epochs=epochs,
            callbacks=list(callbacks),
            shuffle=False,  # The data set shuffles itself.
            verbose=0,  # Among the callbacks is what draws the progress bar.
        )

    def load_best(self, model: keras.Model, path: Path) -> None:
        """Gives the user's model the weights that were saved."""
        load_weights(model, path)


class _SharedWays(Ways):
    """How several do: on the loop in place of ``fit``."""

    def __init__(
        self,
        crew: Crew,
        model: keras.Model,
        inputs: Inputs,
        feed: SharedFeed,
        validation: loop.Parts | None,
        distribution: Distribution,
    ) -> None:
        super().__init__(crew, model, inputs, feed, validation)
        self._distribution = distribution

    def signals(self, seconds: float) -> Signals:
        return Signals(self.crew, seconds)

    def fit(self, batches: tf.data.Dataset, **options: Any) -> None:
        steps = options.pop("steps")
        with options["signals"]:
            loop.fit(
                self.model,
                self.crew,
                loop.Parts(batches, steps),
                self._validation,
                gradient_dtype=self._distribution.gradient_dtype(self.model),
                timeout=self._distribution.timeout,
                **options,
            )

    def load_best(self, model: keras.Model, path: Path) -> None:
        crew = self.crew
        crew.by_chief("load the best weights", lambda: load_weights(model, path))
        # Others may not see the chief's folder.
        best = crew.from_chief([np.asarray(one) for one in model.weights])
        model.set_weights(best)
        # What callbacks see at the end is what is deployed.
        for variable, value in zip(self.model.weights, best, strict=True):
            variable.assign(value)
