"""The interface of training backends, and the backend for one device."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from typing_extensions import override

from unetv2 import startup
from unetv2.data.pipeline import Shard

# Batches, and their number per epoch.
Batches = tuple[tf.data.Dataset, int]


class Backend(Protocol):
    """Runs the steps of a training and coordinates its processes."""

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the output folder."""

    @property
    def shard(self) -> Shard | None:
        """The replicas of this process, which train on parts of each batch; None is one device."""

    def replicate(self, model: keras.Model) -> keras.Model:
        """Returns the model to train, or a copy of it that is mirrored on all devices."""

    def scope(self) -> AbstractContextManager[Any]:
        """Returns the context in which the variables of optimizer and metrics are created."""

    def run_per_replica(self, function: Callable[[], Any]) -> None:
        """Calls a function once on each device of this process."""

    def assign(self, variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
        """Assigns arrays to the variables of a compiled model."""

    def fit(
        self,
        model: keras.Model,
        train: Batches,
        validation: Batches | None,
        *,
        epochs: range,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        """Trains a compiled model for some epochs; ``on_train_batch_end`` has the mean loss."""

    def checkpoint_is_due(self) -> bool:
        """Returns whether to save a checkpoint after the current step."""

    def checkpoint_was_saved(self) -> None:
        """Restarts the timer, and ends the training if requested.

        Raises:
            KeyboardInterrupt: If Ctrl-C was pressed.
        """

    def interruptible(self) -> AbstractContextManager[None]:
        """Returns a context in which the first Ctrl-C waits for a checkpoint."""

    def run_everywhere(self, action: str, function: Callable[[], Any]) -> Any:
        """Calls a function on each process; an error on one process is raised on all.

        Args:
            action: str. Name of the action, for the message.
            function: Called without arguments.
        """

    def run_on_chief(self, action: str, function: Callable[[], Any]) -> Any:
        """Calls a function on the chief and returns its result on all processes."""

    def chief_context(
        self, action: str, make: Callable[[], AbstractContextManager[Any]]
    ) -> AbstractContextManager[None]:
        """Returns a context that enters the result of ``make`` on the chief only."""

    def reduce_sum(self, array: np.ndarray) -> np.ndarray:
        """Returns the sum of the arrays of all processes."""

    def require_same(
        self,
        description: Mapping[str, Any],
        differences: Callable[[Any, Any, tuple[str, str]], Iterator[str]],
    ) -> None:
        """Checks that all processes train the same model in the same way on the same data.

        Args:
            description: JSON-serializable description of the training.
            differences: Yields the differences of two descriptions, with a label for each.

        Raises:
            ValueError: If one differs.
        """


class LocalBackend(Backend):
    """Trains on one device of this process, with ``model.fit``.

    Args:
        checkpoint_seconds: float. Longest time between two checkpoints.
    """

    def __init__(self, checkpoint_seconds: float) -> None:
        self._checkpoint_seconds = checkpoint_seconds
        self._saved = time.monotonic()
        self._interrupted = False

    @property
    @override
    def is_chief(self) -> bool:
        return True

    @property
    @override
    def shard(self) -> None:
        return None

    @override
    def replicate(self, model: keras.Model) -> keras.Model:
        return model

    @override
    def scope(self) -> AbstractContextManager[Any]:
        return nullcontext()

    @override
    def run_per_replica(self, function: Callable[[], Any]) -> None:
        function()

    @override
    def assign(self, variables: Sequence[Any], arrays: Sequence[np.ndarray]) -> None:
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    @override
    def fit(
        self,
        model: keras.Model,
        train: Batches,
        validation: Batches | None,
        *,
        epochs: range,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        self._saved = time.monotonic()
        model.fit(
            train[0],
            validation_data=None if validation is None else validation[0],
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            callbacks=list(callbacks),
            shuffle=False,  # The data set shuffles itself.
            verbose=0,  # The progress bar is one of the callbacks.
        )

    @override
    def checkpoint_is_due(self) -> bool:
        return self._interrupted or time.monotonic() - self._saved >= self._checkpoint_seconds

    @override
    def checkpoint_was_saved(self) -> None:
        self._saved = time.monotonic()
        if self._interrupted:
            raise KeyboardInterrupt

    @override
    @contextmanager
    def interruptible(self) -> Iterator[None]:
        # Python allows handlers in the main thread only. A handler of the user's program is kept.
        if threading.current_thread() is not threading.main_thread() or signal.getsignal(
            signal.SIGINT
        ) not in (signal.default_int_handler, startup.interrupt):
            yield
            return

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            self._interrupted = True
            # A second Ctrl-C does not wait.
            signal.signal(signal.SIGINT, previous)

        previous = signal.signal(signal.SIGINT, interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
        if self._interrupted:
            # Ctrl-C was pressed after the last step.
            raise KeyboardInterrupt

    @override
    def run_everywhere(self, action: str, function: Callable[[], Any]) -> Any:
        return function()

    @override
    def run_on_chief(self, action: str, function: Callable[[], Any]) -> Any:
        return function()

    @override
    def chief_context(
        self, action: str, make: Callable[[], AbstractContextManager[Any]]
    ) -> AbstractContextManager[None]:
        return make()

    @override
    def reduce_sum(self, array: np.ndarray) -> np.ndarray:
        return array

    @override
    def require_same(
        self,
        description: Mapping[str, Any],
        differences: Callable[[Any, Any, tuple[str, str]], Iterator[str]],
    ) -> None:
        pass
