"""Training: :func:`unetv2.train`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_integer, require_number
from unetv2.data.dataset import SegmentationDataset
from unetv2.data.dataset_info import info_of
from unetv2.metrics import MeanIoU, PixelAccuracy
from unetv2.preprocessing import class_table
from unetv2.training import recipes
from unetv2.training.advice import (
    end_warnings,
    few_steps_warning,
    more_time_advice,
    start_warnings,
    warn,
    was_trained,
)
from unetv2.training.backend import Backend, LocalBackend
from unetv2.training.callbacks import (
    Recorder,
    ScalarLogger,
    UserCallbacks,
    learning_rate_errors,
    require_callbacks,
    summary_writer,
)
from unetv2.training.checkpoint import (
    MODEL,
    PLAN,
    TrainingState,
    describe_run,
    differences,
    load_weights,
    locked,
    open_folder,
    write_history,
)
from unetv2.training.class_weights import count_pixels, weights_of
from unetv2.training.clock import Clock
from unetv2.training.data import DataSpec, inspect_data
from unetv2.training.drawings import Drawings
from unetv2.training.feed import Feed, repeat
from unetv2.training.recipes import Recipe
from unetv2.training.recovery import DivergenceError, initial_state, roll_back
from unetv2.training.reporting import Reporter

if TYPE_CHECKING:
    from unetv2.distributed import Distribution

# As in the reference.
_EPOCHS = 40
# A few images do not contain all classes.
_IMAGES_SCORED = 32

_log = logging.getLogger("unetv2")


@dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes:
        history: dict of lists of float. All logs by epoch, those of validation as ``val_...``.
        epoch: list of int. The epochs' numbers, from 0.
        best_epoch: int or None. The epoch with the highest validation mean IoU, whose weights the
            model has; the last one without validation.
        best: float in [0, 1] or None. Its validation mean IoU; None without validation.
        events: list of str. Rollbacks and their causes.
        output_dir: pathlib.Path. The output folder.
        warnings: list of str. Warnings about the result, each with a cause and a remedy; they are
            also logged by the logger ``unetv2``.
        advice: list of str. Whether a longer training would probably improve the model.
        model: keras.Model. The trained model, also in ``output_dir / "model.keras"``.

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
    advice: list[str] = field(default_factory=list)
    model: keras.Model | None = field(default=None, repr=False, compare=False)


@runtime_checkable
class TrainingPlan(Protocol):
    """Model, data and recipe of a training, such as a :class:`unetv2.Plan`."""

    @property
    def recipe(self) -> Recipe:
        """The recipe."""

    @property
    def epochs(self) -> int:
        """Number of epochs, or the expected number with ``minutes``."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch."""

    @property
    def minutes(self) -> float | None:
        """Time at which training ends, or None."""

    @property
    def seed(self) -> int:
        """Seed of the augmentation."""

    def build(self) -> keras.Model:
        """Builds the model."""

    def batches(self, subset: str) -> tf.data.Dataset | None:
        """Returns the batches of ``"train"`` or ``"validation"``; None without validation."""

    def save(self, path: Path) -> None:
        """Writes the plan."""


def train(
    model: keras.Model | TrainingPlan,
    train: tf.data.Dataset | SegmentationDataset | None = None,
    validation: tf.data.Dataset | SegmentationDataset | None = None,
    *,
    recipe: str | Recipe | None = None,
    epochs: int | None = None,
    minutes: float | None = None,
    steps_per_epoch: int | None = None,
    output_dir: str | os.PathLike[str],
    resume: bool = False,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    patience: int | None = None,
    checkpoint_minutes: float = 10.0,
    images_every: int = 5,
    seed: int | None = None,
    progress: bool | str = True,
    strategy: tf.distribute.Strategy | Distribution | None = None,
) -> Training:
    """Trains by a plan, or a model with a recipe, by ``model.fit``.

    ``train(plan, output_dir=...)`` trains as :func:`unetv2.plan` has decided. Otherwise all is your
    choice: ``train(model, train, validation, recipe=..., epochs=..., output_dir=...)``.

    The model is compiled with the optimizer and the loss of the recipe. Afterwards it has the
    weights of the epoch with the highest validation mean IoU, and the preprocessing of ``train`` as
    ``model.preprocessing``.

    The output folder contains: ``model.keras``, the model with these weights and its preprocessing,
    for inference and not compiled; ``best.png``, image, ground truth and prediction of this model
    for up to 6 validation images that differ and contain the classes; ``curves.png``, the loss and
    the metrics by epoch, if matplotlib is installed; ``images/`` of the same validation images
    during the training; ``checkpoint.npz``, and ``within_epoch.npz`` during a long epoch, for
    ``resume=True``; ``history.csv``; ``run.json`` with the recipe, the seed, the data and the
    versions; ``tensorboard/``, if TensorBoard is installed. All files are written atomically: they
    are intact after a kill at any moment.

    With ``minutes``, the training ends after this wall time, within a few percent: the learning
    rate and the phases of progressive resizing follow the elapsed share of the time, and time for
    the last validation and for saving is reserved, as measured before. At the end of the time or of
    a phase an epoch ends early, with its validation. There is at least one epoch, of at least one
    step, whatever the time. How many steps are trained depends on the speed of the machine and its
    load, so results are not reproducible bit for bit.

    A killed and resumed run ends with the same weights, history and logs as an uninterrupted one:
    bit for bit on a CPU with ``tf.config.experimental.enable_op_determinism()``, if the data is a
    data set of ``make_dataset`` or has the same order in each iteration. ``resume=True`` starts a
    new run if there is none. More ``epochs`` extend a finished run: the learning rate then follows
    the schedule of the longer run, so a rate that had fallen to zero rises again.

    A loss that is not finite or more than doubles from the lowest one rolls the training back to
    the start of the epoch, with half the learning rate; the logger ``unetv2`` reports it. If the
    same increase occurs at a half and a quarter of the rate, the images cause it, for example a few
    augmented ones: training continues at its rate and allows increases of this size.

    Callbacks observe a single training of ``model``: it begins and ends once, epochs are numbered
    consecutively, and at the end of each epoch the model has the weights that are validated. A
    custom ``train_step`` of the model's class is used.

    On one device, Ctrl-C ends the training after the present step, with a checkpoint for
    ``resume=True``; pressed twice, it ends at once.

    Args:
        model: A :class:`unetv2.Plan`, which has data and recipe too; or a functional Keras model
            that maps images to logits ``(batch, height, width, n_classes)``.
        train: Batches of ``(image, mask)``, as returned by :func:`unetv2.make_dataset`. They must
            end unless ``steps_per_epoch`` is given. A :class:`unetv2.SegmentationDataset` provides
            its subset ``"train"``, unless it is a subset itself, in batches of the recipe's size or
            32.
        validation: The same of images that are not in ``train``; a ``SegmentationDataset`` provides
            its subset ``"validation"``. None trains without validation and keeps the weights of the
            last epoch.
        recipe: ``"fast"``, ``"reference"``, or a :class:`unetv2.recipes.Recipe`. None is the
            plan's, or ``"fast"``.
        epochs: int, at least 1, or None. Number of epochs; with ``minutes`` the largest number.
            None is the plan's, or 40; with ``minutes`` there is no limit.
        minutes: float above 0, or None. Wall time of the training from the call of ``train``, with
            validation and saving; a resumed run continues with the time that it has used, and
            rollbacks do not give time back. None is the plan's, or trains ``epochs``. Only on one
            device.
        steps_per_epoch: int, at least 1, or None. Batches in an epoch, for data that does not end:
            each epoch continues where the previous one stopped, and data that ends is repeated.
            None is one pass over ``train``. Only on one device.
        output_dir: The folder to write to.
        resume: bool. Whether to resume the run in it.
        overwrite: bool. Whether to remove the run in it.
        callbacks: Keras callbacks, called as by one ``fit``. Callbacks that set the learning rate,
            restore weights or write backups are refused, as ``train`` does that.
        patience: int, at least 1, or None. Epochs without a higher validation mean IoU after which
            training ends; None trains all epochs.
        checkpoint_minutes: float, at least 0. A checkpoint is saved at the end of each epoch, and
            within an epoch after this time.
        images_every: int, at least 1. Number of epochs between two drawings of validation images
            and curves; with ``minutes`` there are fewer if they would take more than 2 % of the
            time.
        seed: int, at least 0, or None. Seed of the recipe's augmentation; None is the plan's, or 0.
        progress: True for Keras's progress bar; ``"epoch"`` for a line per epoch, with the loss,
            the validation mean IoU and the time left; False for neither.
        strategy: The result of :func:`unetv2.distributed.connect`, which each worker calls at its
            start, for several devices or machines; or a
            :class:`unetv2.distributed.Distribution`, which has options. None trains on one device.
            Batch sizes are those of all workers together, and the result does not depend on the
            number of workers. Only the first worker writes to the output folder.

    Returns:
        Training.

    Raises:
        ValueError: If the data does not fit the model or does not end, the folder contains another
            run, a callback or a part of the model's class would have no effect, or an argument is
            out of its range.
        TypeError: If a data set is not a ``tf.data.Dataset``, a callback sets the learning rate, or
            an argument is of the wrong type.
        OSError: If the folder cannot be written.
        RuntimeError: If training fails repeatedly; with a strategy also
            :class:`unetv2.distributed.WorkerLostError` if a worker is lost, and
            :class:`unetv2.distributed.PreemptedError` if one receives SIGTERM.
        KeyboardInterrupt: If Ctrl-C was pressed.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "trained", 4, image_size=(32, 48))
        >>> data = unetv2.make_dataset(images, masks, n_classes=23, image_size=(16, 24))
        >>> model = unetv2.build_unetv2((16, 24, 3), 23, filters=2, depth=2)
        >>> training = unetv2.train(
        ...     model, data, data, epochs=2, output_dir=tmp / "run", progress=False)
        >>> training.epoch, sorted(path.name for path in (tmp / "run").glob("*.png"))
        ([0, 1], ['best.png', 'curves.png'])
    """
    plan = None
    if isinstance(model, TrainingPlan):
        plan = model
        _require_alone(
            train=train, validation=validation, recipe=recipe, seed=seed,
                       steps_per_epoch=steps_per_epoch, strategy=strategy)  # fmt: skip
        recipe, steps_per_epoch, seed = plan.recipe, plan.steps_per_epoch, plan.seed
        minutes = plan.minutes if minutes is None else minutes
        epochs = plan.epochs if minutes is None and epochs is None else epochs
    clock = None
    if minutes is not None:
        require_number("minutes", minutes, "None trains `epochs`.", positive=True)
        clock = Clock(60 * minutes)
    recipe = recipes.get("fast" if recipe is None else recipe)
    if epochs is not None:
        epochs = require_integer("epochs", epochs, 1, "The reference has 40.")
    elif minutes is None:
        epochs = _EPOCHS
    seed = require_integer(
        "seed", 0 if seed is None else seed, 0, "It is the seed of the augmentation."
    )
    images_every = require_integer("images_every", images_every, 1, "1 is every epoch.")
    require_number("checkpoint_minutes", checkpoint_minutes, "10 is the default.")
    if progress not in (True, False, "epoch"):
        raise ValueError(
            f"`progress` must be True, False or 'epoch'. Received: progress={progress!r}."
        )
    if patience is not None:
        patience = require_integer("patience", patience, 1, "None trains all epochs.")
        if validation is None and plan is None:
            raise ValueError(
                "`patience` must be passed together with `validation`. "
                f"Received: patience={patience} and validation=None."
            )
    callbacks = require_callbacks(callbacks)
    backend = _backend(strategy, 60 * checkpoint_minutes)
    is_distributed = backend.shard is not None
    if minutes is not None and is_distributed:
        raise ValueError(
            "`minutes` must be None with a `strategy`, as all workers must train the same steps. "
            f"Received: minutes={minutes}. Pass `epochs` instead."
        )
    if steps_per_epoch is not None:
        steps_per_epoch = require_integer("steps_per_epoch", steps_per_epoch, 1, "None is a pass.")
        if is_distributed:
            raise ValueError(
                "`steps_per_epoch` must be None with a `strategy`. Received: steps_per_epoch="
                f"{steps_per_epoch}. Limit the data set to an epoch's batches by `.take(n)`."
            )

    if isinstance(model, TrainingPlan):
        train, validation, model = (
            model.batches("train"),
            model.batches("validation"),
            model.build(),
        )
    elif train is None:
        raise ValueError("`train` must be a data set. Received: train=None. Only a plan has one.")
    train = _batches(train, "train", recipe)
    validation = None if validation is None else _batches(validation, "validation", recipe)
    spec = backend.run_everywhere(
        "read the data",
        lambda: inspect_data(
            model, train, validation, recipe,
            steps_per_epoch=steps_per_epoch, is_distributed=is_distributed,
        ),
    )  # fmt: skip
    class_weights = _class_weights(recipe, train, spec, backend)
    description = describe_run(
        model, recipe.as_dict(), epochs=epochs, minutes=minutes, seed=seed, data=spec.as_dict(),
        class_weights=class_weights,
    )  # fmt: skip
    backend.require_same(
        {**description, "files": [_identity(train), _identity(validation)]}, differences
    )
    feed = Feed(train, validation, spec, seed=seed, shard=backend.shard)
    folder = Path(output_dir)
    with (
        backend.chief_context("use the output folder", lambda: locked(folder)),
        backend.interruptible(),
        learning_rate_errors(callbacks),
    ):
        has_checkpoint = backend.run_on_chief(
            "use the output folder",
            lambda: open_folder(folder, description, resume=resume, overwrite=overwrite),
        )
        if plan is not None and backend.is_chief:
            plan.save(folder / PLAN)
        if plan is None:
            _log.info("%s\n%s", recipe, spec)
        is_new = not was_trained(model)
        warnings = warn(start_warnings(model, spec, epochs=epochs))
        _set_preprocessing(model, spec)
        run = _Run(
            backend.replicate(model), recipe, feed, backend, epochs, clock,
            recipe.loss_function(feed.ignore_class, class_weights),
        )  # fmt: skip
        run.compile(rate_factor=1.0)
        state: TrainingState = backend.run_on_chief(
            "resume", lambda: initial_state(folder, run.model, resume=has_checkpoint)
        )
        state.restore(run.model, backend.assign)
        if clock is not None:
            clock.resume(state.clock)
        if not backend.is_chief:
            progress = False
        users = UserCallbacks(
            callbacks, run.model, epochs=epochs, steps=feed.steps, progress=progress is True
        )
        reporter = Reporter(progress, recipe, spec, steps=feed.steps, epochs=epochs, clock=clock)
        writer = summary_writer(folder) if backend.is_chief else None
        drawings = None
        if backend.is_chief:
            classes = class_table(spec.preprocessing, spec.n_classes)
            drawings = Drawings(
                run.model, validation, classes, folder, ignore_class=spec.ignore_class,
                every=images_every, writer=writer, clock=clock,
            )  # fmt: skip
        recorder = Recorder(
            folder, backend, feed, loggers=[] if writer is None else [ScalarLogger(writer)],
            drawings=drawings, reporter=reporter, users=users, patience=patience, clock=clock,
        )  # fmt: skip

        users.begin()
        reporter.begin(state)
        while not run.is_over(state, recorder, patience):
            try:
                run.fit_phase(state, recorder)
            except DivergenceError as error:
                used = {} if clock is None else clock.state()
                state = backend.run_on_chief("roll back", partial(roll_back, folder, error, used))
        if backend.is_chief:
            write_history(folder, state.history)
        if state.history:
            _load_best(model, run.model, folder / MODEL, backend)
            if drawings is not None:
                drawings.training_ended(model, state.history)
        warnings += state.warnings
        if minutes is not None and is_new:
            warnings += warn(few_steps_warning(int(run.model.optimizer.iterations)))
        warnings += warn(end_warnings(state, model, lambda: _score(model, train, spec)))
        advice = more_time_advice(state.history, epochs=epochs, minutes=minutes)
        reporter.show(advice)
        # `fit` has set the preprocessing of the data set that the batches are derived from.
        _set_preprocessing(model, spec)
        users.end()
        return _result(state, folder, warnings, advice, model)


def _require_alone(**arguments: Any) -> None:
    """Raises a ValueError for an argument that a plan decides."""
    for name, value in arguments.items():
        if value is not None:
            shown = type(value).__name__ if name in ("train", "validation") else repr(value)
            raise ValueError(
                f"`{name}` must be None with a plan, which decides it. Received: {name}={shown}. "
                "Change the plan, by `unetv2.plan` or `plan.with_options`."
            )


@dataclass(frozen=True)
class _Run:
    """The constant parts of a training."""

    model: keras.Model
    recipe: Recipe
    feed: Feed
    backend: Backend
    epochs: int | None
    clock: Clock | None
    loss: keras.losses.Loss

    def compile(self, rate_factor: float) -> MeanIoU:
        """Compiles the model with a new optimizer and new metrics, and returns its mean IoU."""
        model, ignore_class = self.model, self.feed.ignore_class
        n_classes = self.feed.spec.n_classes
        with self.backend.scope():
            mean_iou = MeanIoU(n_classes, ignore_class)
            model.compile(
                optimizer=self.recipe.optimizer(
                    model,
                    self.feed.steps * (self.epochs or 1),
                    factor=rate_factor,
                    position=None if self.clock is None else self.clock.position,
                ),
                loss=self.loss,
                metrics=[PixelAccuracy(ignore_class, name="accuracy"), mean_iou],
            )
            # Keras would create the metrics' variables with the first batch, after the restoring.
            mask = np.zeros((1, 1, 1, 1), np.int32)
            logits = np.zeros((1, 1, 1, n_classes), np.float32)
            self.backend.run_per_replica(lambda: model.compute_metrics(None, mask, logits))
        return mean_iou

    def fit_phase(self, state: TrainingState, recorder: Recorder) -> None:
        """Trains to the end of the current phase of progressive resizing.

        Raises:
            DivergenceError: If the training diverges.
        """
        phase, end = self._phase(state.epoch)
        scale = phase[-1]
        state.enter(phase)
        recorder.reporter.phase_began(phase)
        mean_iou = self.compile(state.rate_factor)
        validation = self.feed.validation_batches
        swap = None if self.recipe.ema_momentum is None else keras.callbacks.SwapEMAWeights()
        recorder.start(state, None if validation is None else mean_iou, swap)
        with _any_size(self.model) if scale != 1 else nullcontext():
            self.backend.fit(
                self.model,
                self.feed.batches(scale, epoch=state.epoch, skipped=state.step),
                validation,
                # The rest of a resumed epoch is a separate call.
                epochs=range(state.epoch, state.epoch + 1 if state.step else end),
                callbacks=[*([] if swap is None else [swap]), recorder, recorder.users],
            )

    def _phase(self, epoch: int) -> tuple[tuple[float, float, float], int]:
        """Returns the current phase of progressive resizing, and its last epoch, excluded."""
        if self.clock is None:
            assert self.epochs is not None
            phase = self.recipe.phase(epoch, self.epochs)
            return phase, phase[1]
        phases = self.recipe.phases_of_time()
        share = self.clock.phase_share
        number = next((n for n, (_, end, _) in enumerate(phases) if share < end), len(phases) - 1)
        self.clock.phase_began(phases[number][1], later_phases=len(phases) - 1 - number)
        return phases[number], sys.maxsize if self.epochs is None else self.epochs

    def is_over(self, state: TrainingState, recorder: Recorder, patience: int | None) -> bool:
        """Returns whether the training ends."""
        if self.epochs is not None and state.epoch >= self.epochs:
            return True
        if self.clock is not None and self.clock.is_over and state.history:
            return True
        stopped = self.model.stop_training and not recorder.phase_ended
        return state.stagnates(patience) or stopped


def _result(
    state: TrainingState, folder: Path, warnings: list[str], advice: list[str], model: keras.Model
) -> Training:
    names = [name for name in (state.history[0] if state.history else {}) if name != "epoch"]
    return Training(
        history={name: [row[name] for row in state.history] for name in names},
        epoch=[int(row["epoch"]) for row in state.history],
        best_epoch=state.best_epoch,
        best=state.best,
        events=state.events,
        output_dir=folder,
        warnings=warnings,
        advice=advice,
        model=model,
    )


def _backend(
    strategy: tf.distribute.Strategy | Distribution | None, checkpoint_seconds: float
) -> Backend:
    if strategy is not None:
        # Training on one device does not need this import.
        from unetv2.distributed.backend import DistributedBackend, Distribution

        if not isinstance(strategy, Distribution):
            strategy = Distribution(strategy=strategy)
        if strategy.strategy is not None:
            return DistributedBackend(strategy, checkpoint_seconds)
    return LocalBackend(checkpoint_seconds)


def _batches(
    data: tf.data.Dataset | SegmentationDataset, subset: str, recipe: Recipe
) -> tf.data.Dataset:
    if isinstance(data, SegmentationDataset):
        return data.batches(data.subset_name or subset, batch_size=recipe.batch_size or 32)
    return data


def _class_weights(
    recipe: Recipe, train: tf.data.Dataset, spec: DataSpec, backend: Backend
) -> list[float] | None:
    """Returns the recipe's class weights, computed from the data for a method."""
    if recipe.class_weights is None:
        return None
    if not isinstance(recipe.class_weights, str):
        if len(recipe.class_weights) != spec.n_classes:
            raise ValueError(
                "`class_weights` must be one number for each class. Received: "
                f"{len(recipe.class_weights)} in the recipe for {spec.n_classes} classes. "
                "Pass one for each output of the model."
            )
        return list(recipe.class_weights)
    info, shard = info_of(train), backend.shard
    is_sharded = info is not None and shard is not None

    def count() -> np.ndarray:
        if info is not None and shard is not None:
            parts = info.shard(spec.batch_size, shard)
            batches = (masks for (_, masks), position in parts if bool(position.is_real))
        elif spec.steps_per_epoch is not None:
            limited = repeat(train, spec.batch_size).take(spec.steps_per_epoch)
            batches = (masks for _, masks in limited)
        else:
            batches = (masks for _, masks in train)
        masks = (mask for batch in batches for mask in np.asarray(batch))
        return count_pixels(masks, spec.n_classes, spec.ignore_class)

    pixels = backend.run_everywhere("count classes", count)
    if is_sharded:
        pixels = backend.reduce_sum(pixels)
    return weights_of(pixels, recipe.class_weights)


def _set_preprocessing(model: keras.Model, spec: DataSpec) -> None:
    if spec.preprocessing is not None:
        model.preprocessing = spec.preprocessing


def _identity(dataset: tf.data.Dataset | None) -> Any:
    """Returns the identity of a data set of ``make_dataset``, or None."""
    info = None if dataset is None else info_of(dataset)
    return None if info is None else info.identity


@contextmanager
def _any_size(model: keras.Model) -> Iterator[None]:
    """Lets a model accept images of any size, like its layers."""
    input_spec = model.input_spec
    shape = (None, None, None, model.input_shape[-1])
    model.input_spec = keras.layers.InputSpec(shape=shape)
    try:
        yield
    finally:
        model.input_spec = input_spec


def _load_best(model: keras.Model, trained: keras.Model, path: Path, backend: Backend) -> None:
    """Loads the best weights into the user's model and into its replicated copy."""

    def load() -> list[np.ndarray]:
        load_weights(model, path)
        return [np.asarray(weight) for weight in model.weights]

    # Only the chief may be able to read the output folder.
    weights = backend.run_on_chief("load the best weights", load)
    if trained is not model:
        model.set_weights(weights)
        backend.assign(trained.weights, weights)


def _score(model: keras.Model, dataset: tf.data.Dataset, spec: DataSpec) -> float:
    """Returns the mean IoU on some training images, in inference mode."""
    metric, n_images = MeanIoU(spec.n_classes, spec.ignore_class), 0
    for images, masks in dataset:
        metric.update_state(masks, model(images, training=False))
        n_images += len(masks)
        if n_images >= _IMAGES_SCORED:
            break
    return float(metric.result())
