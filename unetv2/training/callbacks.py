"""Callbacks of a training: checkpoints, logs, images, and the user's callbacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.metrics import MeanIoU
from unetv2.training.advice import one_class_warnings, trivial_score, warn
from unetv2.training.backend import Backend
from unetv2.training.checkpoint import (
    CHECKPOINT,
    MODEL,
    TENSORBOARD,
    WITHIN_EPOCH,
    TrainingState,
    save_model,
    write_history,
)
from unetv2.training.clock import Clock
from unetv2.training.drawings import Drawings
from unetv2.training.feed import Feed
from unetv2.training.recovery import DivergenceGuard
from unetv2.training.reporting import Reporter

# Callbacks that conflict with `train`, and alternatives.
_REFUSED: dict[type[keras.callbacks.Callback], str] = {
    keras.callbacks.LearningRateScheduler: (
        "Set the learning rate by `unetv2.recipes.get(recipe, learning_rate=..., schedule=...)`"
    ),
    keras.callbacks.ReduceLROnPlateau: (
        "The recipe's schedule lowers the rate, and `patience` ends a stagnant training"
    ),
    keras.callbacks.BackupAndRestore: "Pass resume=True to continue from the last checkpoint",
    keras.callbacks.SwapEMAWeights: (
        "Use `unetv2.recipes.get(recipe, ema_momentum=0.99)` to validate and save averaged weights"
    ),
}


class Recorder(keras.callbacks.Callback):
    """Checks each epoch, and saves checkpoints and the best model.

    Args:
        folder: The output folder.
        backend: Backend. Its chief writes the files.
        feed: Feed. The training data.
        loggers: Callbacks that are called at the end of each epoch, with the validated weights.
        drawings: Drawings, or None.
        reporter: Reporter.
        users: UserCallbacks. They are called last at the end of an epoch.
        patience: int or None. Epochs without improvement after which training ends.
        clock: Clock, which ends the training, or None.

    Attributes:
        phase_ended: bool. Whether the last call of ``fit`` was ended by the clock for the next
            phase of progressive resizing.
    """

    def __init__(
        self,
        folder: Path,
        backend: Backend,
        feed: Feed,
        *,
        loggers: Sequence[keras.callbacks.Callback],
        drawings: Drawings | None,
        reporter: Reporter,
        users: UserCallbacks,
        patience: int | None,
        clock: Clock | None,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._backend = backend
        self._feed = feed
        self._loggers = loggers
        self._drawings = drawings
        self.reporter = reporter
        self.users = users
        self._patience = patience
        self._clock = clock
        self.phase_ended = False

    def start(
        self,
        state: TrainingState,
        mean_iou: MeanIoU | None,
        swap: keras.callbacks.SwapEMAWeights | None,
    ) -> None:
        """Prepares for a call of ``fit``.

        Args:
            state: TrainingState. It is updated during training.
            mean_iou: The metric of the compiled model, or None without validation.
            swap: Exchanges weights and their moving averages, or None.
        """
        self._state = state
        self._guard = DivergenceGuard(state)
        self._mean_iou = mean_iou
        self._swap = swap
        self._first_epoch, self._skipped = state.epoch, state.step
        self._is_first_step, self._step, self.phase_ended = True, state.step, False
        self.users.skipped = state.step

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Restores the state, after ``fit`` has reset the metrics."""
        self._feed.start_epoch(epoch)
        if epoch == self._first_epoch:
            self._state.restore(self.model, self._backend.assign, with_metrics=True)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks the loss, and saves a checkpoint if it is due."""
        is_due = self._backend.checkpoint_is_due()
        self._guard.check_batch(batch, logs or {}, always=is_due)
        step = self._step = self._skipped + batch + 1
        if self._clock is not None:
            self._follow(self._clock)
        if is_due and step < self._feed.steps and not self.phase_ended:
            self._state.step = step
            self._capture()
            if self._backend.is_chief:
                self._state.save(self._folder / WITHIN_EPOCH)
            self._backend.checkpoint_was_saved()

    def _follow(self, clock: Clock) -> None:
        """Updates the clock after a step, and ends the epoch if the phase or the time ends."""
        epochs, steps = self.users.params["epochs"], self._feed.steps
        done = (
            0.0 if epochs is None else (self._state.epoch * steps + self._step) / (epochs * steps)
        )
        clock.step_ended(is_first=self._is_first_step, least_share=done)
        self._is_first_step = False
        if not self.model.stop_training:
            self._end_phase_or_time(clock)

    def _end_phase_or_time(self, clock: Clock) -> None:
        """Ends the call of ``fit`` if the phase or the time ends."""
        self.phase_ended = clock.phase_is_over and not clock.is_over
        self.model.stop_training = clock.phase_is_over or clock.is_over

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks, logs and saves the epoch."""
        state, is_chief, clock = self._state, self._backend.is_chief, self._clock
        row = {"epoch": epoch, **{name: float(value) for name, value in (logs or {}).items()}}
        self._require_logged(row)
        if clock is None or self._step >= self._feed.steps:
            self._guard.check_epoch(row["loss"])
        else:
            # The loss of the few steps of an ended epoch is a poor estimate.
            self._guard.check_finite("loss", row["loss"])
        row["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        state.history.append(row)
        state.epoch, state.step, self._skipped, state.increases = epoch + 1, 0, 0, []
        # Checks the weights before any file is written.
        self._capture()
        score = None
        if self._mean_iou is not None:
            # Finite weights may give infinite logits.
            self._guard.check_finite("validation loss", row["val_loss"])
            score = row["val_mean_iou"]
            counts = self._mean_iou.scores().counts
            state.trivial_score = trivial_score(counts)
            is_last = epoch + 1 == self.users.params["epochs"] or (
                clock is not None and clock.is_over
            )
            state.warnings += warn(
                one_class_warnings(state, self.model, counts, epoch, is_last=is_last)
            )
        with self._averaged_weights():
            if state.best is None or score is None or score > state.best:
                state.best, state.best_epoch = score, epoch
                if is_chief:
                    preprocessing = self._feed.spec.preprocessing
                    save_model(self.model, self._folder / MODEL, preprocessing)
            for logger in self._loggers:
                logger.on_epoch_end(epoch, row)
            if self._drawings is not None:
                self._drawings.epoch_ended(epoch, state.history)
            if is_chief:
                state.save(self._folder / CHECKPOINT)
                (self._folder / WITHIN_EPOCH).unlink(missing_ok=True)
                write_history(self._folder, state.history)
            if clock is not None:
                clock.epoch_ended()
            # Last, so that an error in a callback does not lose the epoch.
            if self.phase_ended:
                self.model.stop_training = False
            self.users.end_epoch(epoch, dict(logs or {}))
            if self.phase_ended:
                # Unless a callback ends the training.
                self.phase_ended = not self.model.stop_training
                self.model.stop_training = True
            # After the progress bar, which is one of the callbacks.
            self.reporter.epoch_ended(state, self._step)
        self._backend.checkpoint_was_saved()
        if clock is not None and not self.model.stop_training:
            self._end_phase_or_time(clock)
        if state.stagnates(self._patience):
            self.model.stop_training = True

    def _require_logged(self, row: dict[str, float]) -> None:
        """Raises a ValueError if the model's training or validation step omits required logs."""
        required = ["loss"] + ([] if self._mean_iou is None else ["val_loss", "val_mean_iou"])
        missing = [name for name in required if name not in row]
        if missing:
            raise ValueError(
                "`model` must log its loss and the metrics that it is compiled with. Received: "
                f"model of type {type(self.model).__name__}, which does not log "
                f"{', '.join(missing)}. Return `self.compute_metrics(x, y, y_pred)` from its "
                "`train_step` and `test_step`, as Keras does."
            )

    def _capture(self) -> None:
        if self._clock is not None:
            self._state.clock = self._clock.state()
        self._state.capture(self.model)
        self._guard.check_weights(self._state.variables["model"])

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """Replaces the model's weights by their moving averages, if there are any."""
        if self._swap is None:
            yield
            return
        self._swap.on_test_begin()
        try:
            yield
        finally:
            self._swap.on_test_end()
            # Exact, as in a resumed training; swapping in place has rounding errors.
            self._state.restore(self.model, self._backend.assign)


class ScalarLogger(keras.callbacks.Callback):
    """Writes the logs of each epoch for TensorBoard, including the learning rate.

    Args:
        writer: A writer of ``tf.summary``.
    """

    def __init__(self, writer: Any) -> None:
        super().__init__()
        self._writer = writer

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Writes a scalar for each value."""
        with self._writer.as_default():
            for name, value in (logs or {}).items():
                if name != "epoch":
                    tf.summary.scalar(name, value, step=epoch)
        self._writer.flush()


def summary_writer(folder: Path) -> Any:
    """Returns a writer of ``tf.summary``, or None if TensorBoard is not installed."""
    if util.find_spec("tensorboard") is None:
        return None
    return tf.summary.create_file_writer(str(folder / TENSORBOARD))


class _ProgressBar(keras.callbacks.ProgbarLogger):
    """Keras's progress bar, also without a number of epochs."""

    def set_params(self, params: dict[str, Any]) -> None:
        # With one epoch, it does not print their number.
        super().set_params({**params, "epochs": params["epochs"] or 1})


class UserCallbacks(keras.callbacks.CallbackList):
    """Calls the user's callbacks as in one call of ``fit``.

    Each phase of progressive resizing, each rollback and the rest of a resumed epoch is a separate
    call of ``fit``. This is the last callback of each call, and forwards the events within epochs.
    The events of the whole training, and of the end of an epoch, have separate methods.

    Args:
        callbacks: The user's callbacks.
        model: The model of the callbacks.
        epochs: int or None. Number of epochs of the training; None is not limited.
        steps: int. Batches in an epoch.
        progress: bool. Whether to add Keras's progress bar.

    Attributes:
        skipped: int. Batches of the current epoch before this call of ``fit``.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        *,
        epochs: int | None,
        steps: int,
        progress: bool,
    ) -> None:
        self.skipped = 0
        self._initialized = False
        self._last_logs: dict[str, float] | None = None
        super().__init__(
            [*callbacks, *([_ProgressBar()] if progress else [])],
            model=model,
            epochs=epochs,
            steps=steps,
            verbose=int(progress),
        )
        self._initialized = True

    def set_model(self, model: keras.Model) -> None:
        """Ignores the model of a call of ``fit``."""
        if not self._initialized:
            super().set_model(model)

    def set_params(self, params: dict[str, Any]) -> None:
        """Ignores the parameters of a call of ``fit``."""
        if not self._initialized:
            super().set_params(params)

    def begin(self) -> None:
        """Begins the training."""
        self.model.stop_training = False
        super().on_train_begin()

    def end(self) -> None:
        """Ends the training."""
        super().on_train_end(self._last_logs)

    def end_epoch(self, epoch: int, logs: dict[str, float]) -> None:
        """Ends an epoch."""
        self._last_logs = logs
        super().on_epoch_end(epoch, logs)

    def on_train_begin(self, logs: Any = None) -> None:
        """Does nothing: see :meth:`begin`."""

    def on_train_end(self, logs: Any = None) -> None:
        """Does nothing: see :meth:`end`."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Does nothing: see :meth:`end_epoch`."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Forwards the index of the batch in its epoch."""
        super().on_train_batch_begin(self.skipped + batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Forwards the index of the batch in its epoch."""
        super().on_train_batch_end(self.skipped + batch, logs)


def require_callbacks(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Validates the user's callbacks and returns them as a list.

    Raises:
        TypeError: If one is not a Keras callback.
        ValueError: If one conflicts with ``train``.
    """
    if isinstance(callbacks, keras.callbacks.Callback) or not isinstance(callbacks, Sequence):
        raise TypeError(
            "`callbacks` must be a list of Keras callbacks. "
            f"Received: callbacks of type {type(callbacks).__name__}. Put it into a list."
        )
    for callback in callbacks:
        if not isinstance(callback, keras.callbacks.Callback):
            raise TypeError(
                "`callbacks` must contain Keras callbacks. "
                f"Received: {callback!r} of type {type(callback).__name__}. "
                "`keras.callbacks.LambdaCallback` creates one from functions."
            )
        for kind, advice in _REFUSED.items():
            if isinstance(callback, kind):
                raise ValueError(
                    "`callbacks` must not do what `train` does itself. "
                    f"Received: {type(callback).__name__}. {advice}."
                )
        if isinstance(callback, keras.callbacks.EarlyStopping) and callback.restore_best_weights:
            raise ValueError(
                "`callbacks` must not restore the best weights, as `train` does. Received: "
                f"{type(callback).__name__} with restore_best_weights=True. Omit that, or "
                f"pass patience={callback.patience} to `train` instead: the model has the weights "
                "of the highest validation mean IoU afterwards."
            )
    return list(callbacks)


@contextmanager
def learning_rate_errors(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Explains Keras's error about a callback that sets the scheduled learning rate.

    Raises:
        TypeError: If there is such an error.
    """
    try:
        yield
    except TypeError as error:
        if "LearningRateSchedule" not in str(error):
            raise
        names = ", ".join(type(callback).__name__ for callback in callbacks)
        raise TypeError(
            "`callbacks` must not set the learning rate, which the recipe schedules. Received: "
            f"{names}, one of which sets it. Use `unetv2.recipes.get(recipe, learning_rate=..., "
            "schedule=...)` instead."
        ) from error
