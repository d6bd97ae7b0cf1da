"""The callbacks of a user: which ones fit a training, and the one training that they see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

# What `train` does itself, and how it is told to.
_REFUSED: dict[type[keras.callbacks.Callback], str] = {
    keras.callbacks.LearningRateScheduler: (
        "`unetv2.recipes.get(recipe, learning_rate=..., schedule=...)` changes the rate"
    ),
    keras.callbacks.ReduceLROnPlateau: (
        "The recipe's schedule lowers the rate, and `patience` ends a stagnant training"
    ),
    keras.callbacks.BackupAndRestore: "With resume=True it continues from its own checkpoints",
    keras.callbacks.SwapEMAWeights: (
        "`unetv2.recipes.get(recipe, average=0.99)` has averaged weights validated and saved"
    ),
}


def require_callbacks(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Returns the callbacks, all of them usable.

    Raises:
        TypeError: If one is no Keras callback.
        ValueError: If one does what `train` does itself.
    """
    if isinstance(callbacks, keras.callbacks.Callback) or not isinstance(callbacks, Sequence):
        raise TypeError(
            "`callbacks` must be a list of Keras callbacks. "
            f"Received: {type(callbacks).__name__}. Put it into a list."
        )
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(
                "`callbacks` must hold Keras callbacks. "
                f"Received: {callback!r} of type {type(callback).__name__}. "
                "`keras.callbacks.LambdaCallback` makes one from functions."
            )
        for kind, advice in _REFUSED.items():
            if isinstance(callback, kind):
                raise ValueError(
                    "`callbacks` must not do what `train` does itself. "
                    f"Received: {type(callback).__name__}. {advice}."
                )
        if isinstance(callback, keras.callbacks.EarlyStopping) and callback.restore_best_weights:
            raise ValueError(
                "`callbacks` must leave the choice of the best weights to `train`. Received: "
                f"{type(callback).__name__} with restore_best_weights=True. Leave that out, or "
                f"pass patience={callback.patience} to `train` instead: the model has the weights "
                "of the highest validation mean IoU afterwards."
            )
    return list(callbacks)


@contextmanager
def rate_by_recipe(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Says in the library's words that a callback of any other kind sets the learning rate.

    Raises:
        TypeError: If one assigns it, which Keras refuses where there is a schedule.
    """
    try:
        yield
    except TypeError as error:
        if "LearningRateSchedule" not in str(error):
            raise
        names = ", ".join(type(callback).__name__ for callback in callbacks)
        raise TypeError(
            "`callbacks` must leave the learning rate to the recipe. Received: one of "
            f"{names} sets it. `unetv2.recipes.get(recipe, learning_rate=..., schedule=...)` "
            "changes it."
        ) from error


class UserCallbacks(keras.callbacks.CallbackList):
    """Shows a user's callbacks one training, of however many calls of ``fit`` it consists.

    Each stage, each rollback and the rest of a resumed epoch is a call of its own. This is the last
    callback of each: it has its model and parameters from the start, passes on what happens within
    epochs, and begins and ends when the training does. An epoch ends when the recorder says so,
    which has the averaged weights in the model then.

    Args:
        callbacks: The user's.
        model: The one that they see.
        epochs: int. All epochs of the training.
        steps: int. All batches of an epoch.
        verbose: As in ``fit``.

    Attributes:
        skipped: int. Batches of the present epoch that were trained on before this call of
            ``fit``.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        *,
        epochs: int,
        steps: int,
        verbose: str | int,
    ) -> None:
        self.skipped = 0
        self._settled = False
        self._last: dict[str, float] | None = None
        super().__init__(
            list(callbacks),
            add_progbar=verbose != 0,
            model=model,
            epochs=epochs,
            steps=steps,
            verbose=1 if verbose == "auto" else int(verbose),
        )
        self._settled = True

    def set_model(self, model: keras.Model) -> None:
        """Takes the training's model, not that of a call of ``fit``."""
        if not self._settled:
            super().set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Takes the training's parameters, not those of a call of ``fit``."""
        if not self._settled:
            super().set_params(params)

    def begin(self) -> None:
        """Begins the training."""
        self.model.stop_training = False
        super().on_train_begin()

    def end(self) -> None:
        """Ends the training."""
        super().on_train_end(self._last)

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Ends an epoch."""
        self._last = logs
        super().on_epoch_end(epoch, logs)

    def on_train_begin(self, logs: Any = None) -> None:
        """Does nothing: a call of ``fit`` is not the training."""

    def on_train_end(self, logs: Any = None) -> None:
        """Does nothing."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Does nothing: see :meth:`end_epoch`."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Numbers batches within the epoch."""
        super().on_train_batch_begin(self.skipped + batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Numbers batches within the epoch."""
        super().on_train_batch_end(self.skipped + batch, logs)
