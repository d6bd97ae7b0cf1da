"""What happens beside the steps: checkpoints, logs, images, and the end of a training."""

from __future__ import annotations

import csv
import io
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from unetv2 import startup
from unetv2.classes import ClassTable
from unetv2.distributed.collectives import Crew, Signals
from unetv2.distributed.loop import assign
from unetv2.metrics import MeanIoU
from unetv2.preprocessing import Preprocessing
from unetv2.training.advice import of_one_class, trivial_score, warn
from unetv2.training.checkpoint import (
    HISTORY,
    IMAGES,
    MODEL,
    STATE,
    WITHIN,
    State,
    save_model,
    write_whole,
)
from unetv2.training.feed import Feed
from unetv2.training.recovery import Guard
from unetv2.training.user_callbacks import UserCallbacks
from unetv2.visualization.masks import overlay


class Interrupts:
    """Remembers that Ctrl-C was pressed, until all is kept."""

    def __init__(self) -> None:
        self.asked = False
        self._before = signal.getsignal(signal.SIGINT)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Takes the first Ctrl-C; the next one does not wait."""
        self.asked = True
        signal.signal(signal.SIGINT, self._before)

    def leave(self) -> None:
        """Ends the training if that was asked for; called when all is kept.

        Raises:
            KeyboardInterrupt: If Ctrl-C was pressed.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def interrupts(*, listening: bool) -> Iterator[Interrupts]:
    """Has the first Ctrl-C wait until a checkpoint is written.

    Only in the main thread, and only where Ctrl-C does what Python or the command has it do:
    another handler is its owner's.

    Args:
        listening: bool. Whether to do so at all.
    """
    found = Interrupts()
    if not (
        listening
        and threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) in (signal.default_int_handler, startup.interrupt)
    ):
        yield found
        return
    before = signal.signal(signal.SIGINT, found.note)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
    # Pressed after the last step.
    found.leave()


_SHOWN = 4
_OPACITY = 0.5


class Images:
    """Draws image, truth and prediction of a few validation images.

    Args:
        validation: Batches of ``(image, mask)``.
        classes: The table of the ids.
    """

    def __init__(self, validation: tf.data.Dataset, classes: ClassTable) -> None:
        images, masks = next(iter(validation))
        self._images = np.asarray(images[:_SHOWN], np.float32)
        self._masks = np.asarray(masks[:_SHOWN])
        self._classes = classes

    def draw(self, model: keras.Model) -> np.ndarray:
        """Returns a row for each image, uint8 ``(rows, height, 3 * width, 3)``."""
        logits = np.asarray(model(self._images, training=False))
        predicted = logits.argmax(axis=-1)
        rows = []
        for image, truth, guess in zip(self._images, self._masks, predicted, strict=True):
            parts = [
                overlay(image, mask, self._classes, opacity=opacity)
                for mask, opacity in ((truth, 0.0), (truth, _OPACITY), (guess, _OPACITY))
            ]
            rows.append(np.concatenate(parts, axis=1))
        return np.stack(rows)


def save_images(rows: np.ndarray, folder: Path, epoch: int, writer: Any) -> None:
    """Saves what :meth:`Images.draw` drew as a PNG, and for TensorBoard where there is one.

    Args:
        rows: uint8 ``(rows, height, width, 3)``.
        folder: The training's output folder.
        epoch: int. Its number, from 0.
        writer: Of ``tf.summary``, or None.
    """
    (folder / IMAGES).mkdir(exist_ok=True)
    encoded = io.BytesIO()
    Image.fromarray(np.concatenate(list(rows))).save(encoded, format="PNG")
    path = folder / IMAGES / f"epoch_{epoch + 1:04d}.png"
    write_whole(path, lambda file: file.write(encoded.getvalue()))
    if writer is not None:
        with writer.as_default():
            tf.summary.image("image, truth, prediction", rows, step=epoch, max_outputs=len(rows))
        writer.flush()


class Recorder(keras.callbacks.Callback):
    """Keeps a training's state on disk, so that nothing is lost.

    Args:
        state: Where the training stands; kept up to date.
        folder: The output folder.
        deployed: The model that is saved, which shares its weights with the one in training.
        preprocessing: What is saved with it, or None.
        feed: The training data.
        guard: Watches the loss.
        mean_iou: The metric of the compiled model, or None without validation.
        swap: Brings averaged weights in and out, or None.
        images: Draws validation images, or None.
        images_every: int. Epochs from one drawing to the next.
        patience: int or None. Epochs without a better one, after which training ends.
        minutes: float. Longest time between two checkpoints.
        writer: Of ``tf.summary``, or None.
        crew: The workers, of which the chief writes.
        signals: Says to all of them at once when to save; None leaves it to the clock.
        interrupts: Whether the user wants to leave.
        users: The user's callbacks, which see an epoch's end last.
    """

    def __init__(
        self,
        state: State,
        folder: Path,
        *,
        deployed: keras.Model,
        preprocessing: Preprocessing | None,
        feed: Feed,
        guard: Guard,
        mean_iou: MeanIoU | None,
        swap: keras.callbacks.SwapEMAWeights | None,
        images: Images | None,
        images_every: int,
        patience: int | None,
        minutes: float,
        writer: Any,
        crew: Crew,
        signals: Signals | None,
        interrupts: Interrupts,
        users: UserCallbacks,
    ) -> None:
        super().__init__()
        self._state = state
        self._folder = folder
        self._deployed = deployed
        self._preprocessing = preprocessing
        self._feed = feed
        self._guard = guard
        self._mean_iou = mean_iou
        self._swap = swap
        self._images = images
        self._images_every = images_every
        self._patience = patience
        self._seconds = 60 * minutes
        self._writer = writer
        self._crew = crew
        self._signals = signals
        self._interrupts = interrupts
        self._users = users
        self._skipped = state.step
        self._first = state.epoch
        self._saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Goes on from the state, data included."""
        self._feed.begin(epoch)
        if epoch == self._first:
            # Here, as `fit` has just reset the metrics.
            self._give("model", "optimizer", "metrics")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves a checkpoint if the last one is old."""
        if not self._is_due():
            return
        # A loss that is no number would only be noticed later.
        self._guard.on_train_batch_end(0, logs)
        done = self._skipped + batch + 1
        if done < self._feed.steps:
            self._state.step = done
            self._take()
            self._save(WITHIN)
            self._interrupts.leave()

    def _is_due(self) -> bool:
        if self._signals is not None:
            return self._signals.save or self._signals.stop
        return self._interrupts.asked or time.monotonic() - self._saved >= self._seconds

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Checks, logs, draws and saves."""
        row = {"epoch": epoch, **{name: float(value) for name, value in (logs or {}).items()}}
        self._require_logged(row)
        self._guard.check_epoch(row["loss"])
        row["learning_rate"] = float(np.asarray(self.model.optimizer.learning_rate))
        state = self._state
        state.history.append(row)
        state.epoch, state.step, self._skipped, state.jumps = epoch + 1, 0, 0, []
        # Before anything is written: weights that are no numbers are not to be the best.
        self._take()
        score = None
        if self._mean_iou is not None:
            # Weights may be numbers and what they give not.
            self._guard.require_number("validation loss", row["val_loss"])
            score = row["val_mean_iou"]
            counts = self._mean_iou.scores().counts
            state.trivial = trivial_score(counts)
            last = epoch + 1 == self._users.params["epochs"]
            state.warnings += warn(of_one_class(state, self.model, counts, epoch, last=last))
        with self._averaged():
            if state.best is None or score is None or score > state.best:
                state.best, state.best_epoch = score, epoch
                if self._crew.is_chief:
                    save_model(self._deployed, self._folder / MODEL, self._preprocessing)
            self._draw(epoch)
            self._save(STATE)
            if self._crew.is_chief:
                (self._folder / WITHIN).unlink(missing_ok=True)
                write_history(self._folder, state)
            self._log(row)
            # Last: whatever they raise, the epoch is kept.
            self._users.end_epoch(epoch, dict(logs or {}))
        self._interrupts.leave()
        if state.is_over(self._patience):
            self.model.stop_training = True

    def _log(self, row: dict[str, float]) -> None:
        if self._writer is None:
            return
        with self._writer.as_default():
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.scalar(name, value, step=int(row["epoch"]))
        self._writer.flush()

    def _draw(self, epoch: int) -> None:
        if self._images is None or epoch % self._images_every:
            return
        save_images(self._images.draw(self._deployed), self._folder, epoch, self._writer)

    def _require_logged(self, row: dict[str, float]) -> None:
        """Refuses a ``train_step`` or ``test_step`` of the user that leaves out what is needed."""
        needed = ["loss"] + ([] if self._mean_iou is None else ["val_loss", "val_mean_iou"])
        missing = [name for name in needed if name not in row]
        if missing:
            raise ValueError(
                "`model` must log the loss and the metrics that it is compiled with. Received: "
                f"{type(self.model).__name__}, which logs no {', no '.join(missing)}. Return "
                "`self.compute_metrics(x, y, y_pred)` from its `train_step` and `test_step`, as "
                "Keras does."
            )

    def _give(self, *kinds: str) -> None:
        self._state.give(self.model, kinds, partial(assign, self._crew))

    def _take(self) -> None:
        self._state.take(self.model)
        self._state.first_loss = self._guard.first_loss
        self._state.lowest_loss = self._guard.lowest_loss
        self._guard.check_weights(self._state.variables["model"])

    def _save(self, name: str) -> None:
        if self._crew.is_chief:
            self._state.save(self._folder / name)
        self._saved = time.monotonic()

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Has the averaged weights in the model, where there are any."""
        if self._swap is None:
            yield
            return
        self._swap.on_test_begin()
        try:
            yield
        finally:
            self._swap.on_test_end()
            # Swapping in place rounds; a resumed training goes on with what was saved.
            self._give("model", "optimizer")


def write_history(folder: Path, state: State) -> None:
    """Writes what was logged as CSV; as a whole, as ``CSVLogger`` would repeat resumed epochs."""
    if not state.history:
        return
    text = io.StringIO()
    table = csv.DictWriter(text, list(state.history[0]))
    table.writeheader()
    table.writerows(state.history)
    write_whole(folder / HISTORY, lambda file: file.write(text.getvalue().encode()))
