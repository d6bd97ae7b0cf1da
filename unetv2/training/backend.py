"""What of a training differs with what it is spread over: Keras's ``fit``, or the loop."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.data.dataset_info import info_of
from unetv2.data.pipeline import Place, Share, epochs, without_waits
from unetv2.distributed import loop
from unetv2.distributed.collectives import Crew, Signals
from unetv2.distributed.distribution import Distribution
from unetv2.distributed.loop import mirrored
from unetv2.training.checkpoint import State, differences, load_weights
from unetv2.training.class_weights import class_weights, count_pixels, weights_of
from unetv2.training.data import Inputs
from unetv2.training.feed import Feed, shrunk, with_length, with_shapes

# No class has it, and no file holds it: what is lent to a replica without images.
_NOBODY = -1


@dataclass
class SharedFeed(Feed):
    """The parts of the training data that are this worker's.

    Args:
        share: Which these are.
        ignore_class: int. Id of pixels that do not count.
    """

    share: Share = field(default_factory=lambda: Share(0, 1, 1))
    ignore_class: int = _NOBODY

    def batches(self, scale: float, skipped: int = 0, epoch: int = 0) -> tf.data.Dataset:
        """Returns the parts of an epoch's batches.

        Args:
            scale: float. Height and width as a share of the data set's.
            skipped: int. Batches to leave out from the start.
            epoch: int. The first one that is gone through.

        Returns:
            tf.data.Dataset of ``(image, mask, count)``, a part for each replica of the worker,
            batch after batch; ``count`` is how many images of it are its own.
        """
        skipped *= self.share.replicas
        parts = _parts(self.dataset, self.batch_size, self.rebatched, self.share)
        if self.augmentation is not None:
            draws = epochs(
                self.steps, seed=self.seed, shuffle=False, repeat=False, counter=self._draws
            ).flat_map(lambda *draw: tf.data.Dataset.from_tensors(draw).repeat(self.share.replicas))
            parts = tf.data.Dataset.zip((parts, draws)).skip(skipped)
            parts = parts.map(self._varied_part, num_parallel_calls=os.cpu_count())
        elif skipped:
            parts = parts.skip(skipped)
        if scale != 1:
            parts = parts.map(
                lambda images, place: (shrunk(images[0], images[1], scale), place),
                num_parallel_calls=os.cpu_count(),
            )
        return _counted(parts, self.ignore_class)

    def _varied_part(
        self, part: tuple[Any, Place], drawn: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[Any, Place]:
        assert self.augmentation is not None
        (images, masks), place = part
        number, draw = drawn
        return self.augmentation(images, masks, (draw, number), place.first), place


def marker(inputs: Inputs) -> int:
    """Returns the id of pixels that do not count, one that nothing has where the data has none."""
    return _NOBODY if inputs.ignore_class is None else inputs.ignore_class


def shared_validation(
    validation: tf.data.Dataset, share: Share, ignore_class: int
) -> tuple[tf.data.Dataset, int]:
    """Returns a worker's parts of the validation data.

    Args:
        validation: Batches of ``(image, mask)`` that end.
        share: The worker's part.
        ignore_class: int. Id of pixels that do not count.

    Returns:
        tuple ``(parts, steps)``; parts as :meth:`SharedFeed.batches` gives them.
    """
    origin = info_of(validation)
    if origin is not None:
        parts = _parts(validation, origin.batch_size, False, share)
        return _counted(parts, ignore_class), -(-origin.n_pairs // origin.batch_size)
    validation = with_length(validation)
    steps = int(validation.cardinality())
    return _counted(share.parts(with_shapes(validation)), ignore_class), steps


def _parts(
    dataset: tf.data.Dataset, batch_size: int, rebatched: bool, share: Share
) -> tf.data.Dataset:
    origin = info_of(dataset)
    if origin is not None:
        return origin.share(batch_size, share)
    # Not one of ours: it is cut when it has been read.
    dataset = with_shapes(dataset)
    return share.parts(dataset.rebatch(batch_size) if rebatched else dataset)


def _counted(parts: tf.data.Dataset, ignore_class: int) -> tf.data.Dataset:
    def count(
        batch: tuple[tf.Tensor, tf.Tensor], place: Place
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images, masks = batch
        there = tf.shape(masks)[0]
        # Where all of a part had to be skipped, one is put in its place that does not count.
        missing = tf.cast(there == 0, tf.int32)
        more = [[0, missing], [0, 0], [0, 0], [0, 0]]
        images = tf.ensure_shape(tf.pad(images, more), images.shape)
        masks = tf.ensure_shape(tf.pad(masks, more, constant_values=ignore_class), masks.shape)
        masks = tf.where(place.real, masks, ignore_class)
        return images, masks, tf.where(place.real, there, 0)

    counted = parts.map(count, num_parallel_calls=os.cpu_count())
    # Steps are counted, so that all make the same number of them. Of data that never ends
    # TensorFlow does not ask all workers before each step whether somebody's is over.
    nothing = tuple(
        tf.zeros([size or 0 for size in part.shape], part.dtype) for part in counted.element_spec
    )
    return without_waits(counted.concatenate(tf.data.Dataset.from_tensors(nothing).repeat()))


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
            ValueError: If a batch has fewer images than there are replicas.
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
                "`batch_size` must be an image at least for each of the replicas. Received: "
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


_MOST_SHOWN = 4


def identity(dataset: tf.data.Dataset | None) -> Any:
    """Returns what makes a data set the one it is, as far as it knows."""
    origin = None if dataset is None else info_of(dataset)
    return None if origin is None else origin.identity


def require_same(crew: Crew, description: Mapping[str, Any]) -> None:
    """Raises on every worker unless all describe their training as the chief does.

    Args:
        crew: The workers.
        description: Of types that JSON knows.

    Raises:
        ValueError: If one differs; it names the worker and the difference.
    """
    told = crew.exchange(dict(description))
    wrong = []
    for number, other in enumerate(told):
        found = list(differences(told[0], other, ("on worker 0", f"on worker {number}")))
        if found:
            shown = "; ".join(found[:_MOST_SHOWN]) + ("; ..." if len(found) > _MOST_SHOWN else "")
            wrong.append(f"{crew.name(number)} differs from the chief: {shown}")
    if wrong:
        raise ValueError(
            "All workers must train the same model in the same way on the same data. Received: "
            f"{'. '.join(wrong)}. Start all of them with the same arguments and files."
        )


def chiefs_state(crew: Crew, find: Callable[[], State]) -> State:
    """Returns where the training stands, as the chief finds it.

    Args:
        crew: The workers.
        find: Finds it, in the chief's folder.

    Raises:
        RuntimeError: If the chief cannot; on all workers.
    """
    state: State = crew.together("go on", find if crew.is_chief else State)
    if crew.size == 1:
        return state
    notes, kinds = crew.exchange(
        [
            {name: value for name, value in vars(state).items() if name != "variables"},
            [[kind, len(arrays)] for kind, arrays in state.variables.items()],
        ]
    )[0]
    arrays = iter(crew.from_chief([one for kind in state.variables.values() for one in kind]))
    variables = {kind: [next(arrays) for _ in range(length)] for kind, length in kinds}
    return State(**notes, variables=variables)


def shared_class_weights(
    dataset: tf.data.Dataset, inputs: Inputs, method: str, crew: Crew
) -> list[float]:
    """Returns :func:`unetv2.class_weights` of a data set, on all workers.

    Args:
        dataset: The training data.
        inputs: What is known of it.
        method: str. As of :func:`unetv2.class_weights`.
        crew: The workers.
    """
    origin = info_of(dataset)
    n_classes, ignore_class = inputs.n_classes, inputs.ignore_class
    if crew.size == 1 or origin is None:
        return class_weights(dataset, n_classes, ignore_class=ignore_class, method=method)
    parts = origin.share(inputs.batch_size, crew.share)
    masks = (mask for (_, part), place in parts if bool(place.real) for mask in np.asarray(part))
    # Not together: a worker that fails would leave the others waiting here.
    pixels = crew.together("count classes", lambda: count_pixels(masks, n_classes, ignore_class))
    return weights_of(np.array(crew.exchange(pixels.tolist())).sum(axis=0), method)
