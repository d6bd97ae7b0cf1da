"""Trains a model, and loses nothing on the way."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import util
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_integer, require_number
from unetv2.distributed.collectives import Crew, pool
from unetv2.distributed.distribution import Distribution
from unetv2.distributed.loop import assign
from unetv2.metrics import MeanIoU, PixelAccuracy
from unetv2.preprocessing import class_table
from unetv2.training import recipes
from unetv2.training.advice import at_end, at_start, warn
from unetv2.training.backend import Ways, chiefs_state, identity, require_same, shared_class_weights
from unetv2.training.callbacks import Images, Recorder, interrupts, write_history
from unetv2.training.checkpoint import MODEL, TENSORBOARD, State, describe_run, locked, open_folder
from unetv2.training.data import Inputs, examine
from unetv2.training.feed import stream
from unetv2.training.recipes import Recipe
from unetv2.training.recovery import Failure, Guard, first_state, recovered
from unetv2.training.user_callbacks import UserCallbacks, rate_by_recipe, require_callbacks


@dataclass(frozen=True)
class Training:
    """What a training logged.

    Attributes:
        history: dict of lists of float. Values by epoch of everything logged, validation under
            ``val_``.
        epoch: list of int. The epochs' numbers, from 0.
        best_epoch: int or None. Number of the epoch with the highest validation mean IoU, whose
            weights were kept; without validation of the last one.
        best: float in [0, 1]. Its validation mean IoU; None without validation.
        events: list of str. What went wrong and what was done.
        output_dir: pathlib.Path. Where everything lies.
        warnings: list of str. What makes the result doubtful, each with a cause and a cure; the
            logger ``unetv2`` said so too.

    Example:
        >>> training = unetv2.Training({"loss": [2.0, 1.0]}, [0, 1], 1, 0.5, [], tmp)
        >>> training.history["loss"][training.best_epoch]
        1.0
    """

    history: dict[str, list[float]]
    epoch: list[int]
    best_epoch: int | None
    best: float | None
    events: list[str]
    output_dir: Path
    warnings: list[str] = field(default_factory=list)


def result_of(state: State, folder: Path, warnings: list[str]) -> Training:
    """Returns what a training came to."""
    names = [name for name in (state.history[0] if state.history else {}) if name != "epoch"]
    return Training(
        {name: [row[name] for row in state.history] for name in names},
        [int(row["epoch"]) for row in state.history],
        state.best_epoch,
        state.best,
        state.events,
        folder,
        warnings,
    )


class Stages:
    """Compiles a model for each stage of a recipe.

    Args:
        model: The model.
        recipe: Its training.
        inputs: What it is fed with.
        epochs: int. All epochs of the training.
        steps: int. All steps of the training.
        class_weights: A number for each class, or None.
        crew: Who trains it.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        inputs: Inputs,
        *,
        epochs: int,
        steps: int,
        class_weights: list[float] | None,
        crew: Crew,
    ) -> None:
        self._model = model
        self._recipe = recipe
        self._inputs = inputs
        self._epochs = epochs
        self._steps = steps
        self._crew = crew
        self._loss = recipe.loss_function(inputs.ignore_class, class_weights)
        if crew.strategy is not None:
            pool(self._loss)

    def span(self, epoch: int) -> tuple[int, int, float]:
        """Returns ``(first epoch, end, scale)`` of the stage that an epoch belongs to."""
        return next(span for span in self._recipe.spans(self._epochs) if epoch < span[1])

    def compile(self, factor: float) -> MeanIoU:
        """Compiles the model and returns its metric.

        Args:
            factor: float. What the learning rate is multiplied by.
        """
        with self._crew.scope():
            return self._compile(factor)

    def _compile(self, factor: float) -> MeanIoU:
        model = self._model
        n_classes, ignore_class = self._inputs.n_classes, self._inputs.ignore_class
        mean_iou = MeanIoU(n_classes, ignore_class)
        accuracy = PixelAccuracy(ignore_class, name="accuracy")
        optimizer: Any = self._recipe.optimizer(model, self._steps, factor=factor)
        model.compile(optimizer=optimizer, loss=self._loss, metrics=[accuracy, mean_iou])
        # Keras makes the metrics' variables with the first batch, which is too late to set them.
        mask = np.zeros((1, 1, 1, 1), np.int32)
        logits = np.zeros((1, 1, 1, n_classes), np.float32)
        self._crew.each(lambda: model.compute_metrics(None, mask, logits))
        return mean_iou

    @contextmanager
    def size(self, scale: float) -> Iterator[None]:
        """Has the model take images of any size, where a stage's are not of its own.

        All layers do; what Keras checks is the size that the model was built for.
        """
        if scale == 1:
            yield
            return
        before = self._model.input_spec
        shape = (None, None, None, self._model.input_shape[-1])
        self._model.input_spec = keras.layers.InputSpec(shape=shape)
        try:
            yield
        finally:
            self._model.input_spec = before


_log = logging.getLogger("unetv2")


def train(
    model: keras.Model,
    train: tf.data.Dataset,
    validation: tf.data.Dataset | None,
    *,
    recipe: str | Recipe = "fast",
    epochs: int = 40,
    steps_per_epoch: int | None = None,
    output_dir: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    patience: int | None = None,
    checkpoint_minutes: float = 10.0,
    images_every: int = 5,
    seed: int = 0,
    verbose: str | int = "auto",
    strategy: tf.distribute.Strategy | Distribution | None = None,
) -> Training:
    """Trains a model by a recipe, on ``model.fit``.

    The model is compiled anew: what the recipe says replaces optimizer and loss. Afterwards it
    has the weights of the epoch with the highest validation mean IoU, and tells as
    ``model.preprocessing`` how ``train`` prepared its images.

    In the output folder: ``model.keras`` with these weights and that, for use and not compiled;
    ``checkpoint.npz``, and ``within_epoch.npz`` in a long epoch, from which ``resume=True`` goes
    on; ``history.csv``; ``run.json`` with the recipe, the seed, the data and the versions;
    ``images/`` of the first validation images; ``tensorboard/``, if TensorBoard is installed.
    Every file is written beside and renamed into place, so a process that is killed leaves whole
    ones.

    A killed run that is resumed ends with the weights, history and logs of one that was not,
    bit for bit on a CPU with ``tf.config.experimental.enable_op_determinism()``, if the data set
    is one of ``make_dataset`` or has the same order in each iteration. Where nothing is there to
    resume it starts. More ``epochs`` extend a finished run: the schedule is then that of a run of
    so many epochs, so a rate that had fallen to zero rises again.

    A loss that is no number or that more than doubles from the lowest so far sends the training
    back to the start of the epoch, with half the learning rate; the logger ``unetv2`` says so. A
    jump that a half and a quarter of the rate repeat is one of the images, as few of them under
    augmentation make: training goes on at its rate and lets jumps of such a size be.

    Callbacks see one training of ``model``: one begin, one end, epochs numbered through, and at
    each epoch's end the weights that are validated. A class with a ``train_step`` of its own keeps
    it.

    Ctrl-C ends a training on one device after the present step, with a checkpoint to go on from;
    pressed again, at once.

    Args:
        model: A functional Keras model that maps images to logits ``(batch, height, width,
            n_classes)``.
        train: Batches of ``(image, mask)``, as of :func:`unetv2.make_dataset`. They must end where
            there are no ``steps_per_epoch``.
        validation: The same of images that are not trained on; None trains without, and the
            weights are those of the last epoch.
        recipe: ``"fast"``, ``"reference"``, or a :class:`unetv2.recipes.Recipe`.
        epochs: int, at least 1. Times that ``train`` is gone through.
        steps_per_epoch: int, at least 1, or None. Batches of an epoch, for data that does not end:
            each epoch continues where the one before stopped, and data that ends is repeated.
            None is one pass. Only on one device.
        output_dir: The folder to write to.
        resume: bool. Whether to go on with the run in it.
        overwrite: bool. Whether to remove the run in it.
        callbacks: Keras callbacks, called as by one ``fit``. Those that set the learning rate,
            restore weights or write backups are refused, as ``train`` does that.
        patience: int, at least 1, or None. Epochs without a higher validation mean IoU after which
            training ends; None trains them all.
        checkpoint_minutes: float, at least 0. A checkpoint is written at the end of each epoch, and
            within one after so many minutes.
        images_every: int, at least 1. Epochs from one drawing of validation images to the next.
        seed: int, at least 0. Seed of the recipe's augmentation.
        verbose: ``"auto"``, 0 for nothing, 1 for a progress bar or 2 for a line an epoch, as in
            ``fit``.
        strategy: Of :func:`unetv2.distributed.connect`, called by each worker at its start, for
            several devices or machines; a :class:`unetv2.distributed.Distribution` where there
            is something to choose about it; None trains on one device. Batch sizes are those of
            all workers together, and what is learned does not depend on how many these are. The
            first worker writes; only it needs the output folder.

    Returns:
        Training.

    Raises:
        ValueError: If the data does not fit the model or does not end, the folder holds another
            run, a callback or a part of the model's class would be without effect, or an argument
            is out of its range.
        TypeError: If a data set is none of ``tf.data``, a callback sets the learning rate, or an
            argument is of the wrong type.
        OSError: If the folder cannot be written.
        RuntimeError: If training fails again and again; with a strategy also
            :class:`unetv2.distributed.WorkerLostError` where a worker is gone, and
            :class:`unetv2.distributed.PreemptedError` where one was told to end.
        KeyboardInterrupt: If Ctrl-C was pressed.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "trained", 4, image_size=(32, 48))
        >>> data = unetv2.make_dataset(images, masks, n_classes=23, image_size=(16, 24))
        >>> model = unetv2.build_unetv2((16, 24, 3), 23, filters=2, depth=2)
        >>> training = unetv2.train(
        ...     model, data, data, epochs=2, output_dir=tmp / "run", verbose=0)
        >>> training.epoch, sorted(path.name for path in (tmp / "run").glob("*.*"))
        ([0, 1], ['checkpoint.npz', 'history.csv', 'model.keras', 'run.json'])
    """
    recipe = recipes.get(recipe)
    epochs = require_integer("epochs", epochs, 1, "The reference has 40.")
    seed = require_integer("seed", seed, 0, "It is the augmentation's.")
    images_every = require_integer("images_every", images_every, 1, "1 is every epoch.")
    require_number("checkpoint_minutes", checkpoint_minutes, "10 is the default.")
    if patience is not None:
        patience = require_integer("patience", patience, 1, "None trains all epochs.")
        if validation is None:
            raise ValueError(
                "`patience` must come with `validation`, which it watches. "
                f"Received: patience={patience} and validation=None."
            )
    callbacks = require_callbacks(callbacks)
    distribution = Distribution.of(strategy)
    crew = Crew(distribution.strategy)
    shared = crew.strategy is not None
    if steps_per_epoch is not None:
        steps_per_epoch = require_integer("steps_per_epoch", steps_per_epoch, 1, "None is a pass.")
        if shared:
            raise ValueError(
                "`steps_per_epoch` must be None with a `strategy`. Received: "
                f"steps_per_epoch={steps_per_epoch}. Take an epoch's batches of the data set, by "
                "`.take(n)`."
            )
    inputs = crew.together(
        "use its data",
        lambda: examine(model, train, validation, recipe, steps=steps_per_epoch, shared=shared),
    )
    weights = crew.together("count classes", lambda: _class_weights(recipe, train, inputs, crew))
    description = describe_run(
        model, recipe.as_dict(), epochs=epochs, seed=seed, data=inputs.as_dict(),
        class_weights=weights,
    )  # fmt: skip
    require_same(crew, {**description, "files": [identity(data) for data in (train, validation)]})
    folder = Path(output_dir)
    with (
        crew.chief_holds("use the output folder", lambda: locked(folder)),
        interrupts(listening=not shared) as interrupted,
        rate_by_recipe(callbacks),
    ):
        going_on = crew.by_chief(
            "use the output folder",
            lambda: open_folder(folder, description, resume=resume, overwrite=overwrite),
        )
        _log.info("%s\n%s", recipe, inputs)

        doubts = warn(at_start(model, inputs, epochs=epochs))
        if inputs.preprocessing is not None:
            # A plain `keras.Model` takes it as an attribute, which its own `save` leaves out.
            model.preprocessing = inputs.preprocessing
        ways = Ways.of(distribution, crew, model, inputs, (train, validation), seed)
        feed = ways.feed
        stages = Stages(
            ways.model, recipe, ways.inputs, epochs=epochs, steps=feed.steps * epochs,
            class_weights=weights, crew=crew,
        )  # fmt: skip
        # By all workers, as what is made in a strategy is made by all of them.
        stages.compile(1.0)
        trained = ways.model
        state = chiefs_state(crew, lambda: first_state(folder, trained, going_on=going_on))
        state.give(trained, assign=partial(assign, crew))
        writer = _writer(folder) if crew.is_chief else None
        images = None
        if validation is not None and crew.is_chief:
            classes = class_table(inputs.preprocessing, inputs.n_classes)
            images = Images(validation, classes)
        users = UserCallbacks(
            callbacks, trained, epochs=epochs, steps=feed.steps,
            verbose=verbose if crew.is_chief else 0,
        )  # fmt: skip
        users.begin()
        while state.epoch < epochs and not (state.is_over(patience) or trained.stop_training):
            _, end, scale = stage = stages.span(state.epoch)
            state.enter(stage)
            mean_iou = stages.compile(state.factor)
            swap = None
            if recipe.average is not None:
                swap = keras.callbacks.SwapEMAWeights()
                swap.set_model(trained)
            guard = Guard(state.first_loss, state.lowest_loss, state.jump)
            signals = ways.signals(60 * checkpoint_minutes)
            users.skipped = state.step
            recorder = Recorder(
                state, folder, deployed=trained, preprocessing=inputs.preprocessing, feed=feed,
                guard=guard, mean_iou=None if validation is None else mean_iou, swap=swap,
                images=images, images_every=images_every, patience=patience,
                minutes=checkpoint_minutes,
                writer=writer, crew=crew, signals=signals, interrupts=interrupted, users=users,
            )  # fmt: skip
            own = [guard, recorder] if swap is None else [swap, guard, recorder]
            try:
                with stages.size(scale):
                    ways.fit(
                        feed.batches(scale, state.step, state.epoch),
                        steps=feed.steps - state.step,
                        initial_epoch=state.epoch,
                        # What is left of an epoch is a fit of its own.
                        epochs=state.epoch + 1 if state.step else end,
                        callbacks=[*own, users],
                        signals=signals,
                    )
            except Failure as failure:
                state = chiefs_state(crew, partial(recovered, folder, failure))
        if crew.is_chief:
            write_history(folder, state)
        if state.history:
            ways.load_best(model, folder / MODEL)
        doubts += [
            *state.warnings,
            *warn(at_end(state, model, lambda: _score(model, train, inputs))),
        ]
        users.end()
        return result_of(state, folder, doubts)


def _class_weights(
    recipe: Recipe, dataset: tf.data.Dataset, inputs: Inputs, crew: Crew
) -> list[float] | None:
    if isinstance(recipe.class_weights, str):
        if inputs.steps_per_epoch is not None:
            dataset = stream(dataset, inputs.batch_size).take(inputs.steps_per_epoch)
        return shared_class_weights(dataset, inputs, recipe.class_weights, crew)
    if recipe.class_weights is None:
        return None
    if len(recipe.class_weights) != inputs.n_classes:
        raise ValueError(
            "`class_weights` must be one number for each class. Received: "
            f"{len(recipe.class_weights)} in the recipe for {inputs.n_classes} classes. "
            "Give one for each output of the model."
        )
    return list(recipe.class_weights)


def _score(model: keras.Model, dataset: tf.data.Dataset, inputs: Inputs) -> float:
    """Returns the mean IoU on the first batch, as the model is deployed."""
    metric = MeanIoU(inputs.n_classes, inputs.ignore_class)
    images, masks = next(iter(dataset))
    metric.update_state(masks, model(images, training=False))
    return float(metric.result())


def _writer(folder: Path) -> Any:
    if util.find_spec("tensorboard") is None:
        return None
    return tf.summary.create_file_writer(str(folder / TENSORBOARD))
