"""Plans of trainings: :func:`unetv2.plan` and :class:`unetv2.Plan`."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import require_choice, require_integer, require_number
from unetv2.data.augmentation import Augmentation
from unetv2.data.dataset import SegmentationDataset
from unetv2.data.fingerprint import Fingerprint
from unetv2.data.pairs import SPLIT
from unetv2.files import write_atomically
from unetv2.planning import rules
from unetv2.planning.speed import Speed, free_memory, measure_speed
from unetv2.preprocessing import Preprocessing
from unetv2.text import counted, error_summary
from unetv2.training.recipes import FAST, Recipe

# Shares of the time for reading the first images and for the end: the best weights, plots.
_OVERHEAD = 0.04
_BATCH_SIZE = 8
# A GPU needs larger batches to be used well.
_GPU_BATCH_SIZE = 16
# Share of the free memory that prepared images may use.
_SHARE_OF_CACHE = 0.25
# Rarer classes are not given as a reason.
_NOTABLE = 1e-3
# Pixels of all masks that are read to find the images with rare classes: some seconds.
_MAX_PIXELS_COUNTED = 5 * 10**8


class PlanOptions(TypedDict, total=False):
    """Decisions that :func:`unetv2.plan` takes over instead of making them itself."""

    image_size: tuple[int, int] | None
    crop_size: tuple[int, int] | None
    batch_size: int
    balanced: bool
    filters: int
    depth: int
    normalization: str | None
    augmentation: str | Augmentation | None
    learning_rate: float
    class_weights: str | Sequence[float] | None
    progressive_resizing: tuple[tuple[float, float], ...]
    epochs: int
    steps_per_epoch: int
    window: tuple[int, int] | None
    tta: tuple[str, ...]


class ChangedOptions(PlanOptions, total=False):
    """Decisions that :meth:`Plan.with_options` replaces."""

    minutes: float | None


_RECIPE_OPTIONS = ("augmentation", "class_weights", "learning_rate", "progressive_resizing")
_NETWORK_OPTIONS = ("depth", "filters", "normalization")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train on a data set, and why: the result of :func:`unetv2.plan`.

    ``print(plan)`` shows every decision with its reason. ``dataclasses.replace`` and
    :meth:`with_options` change it; :meth:`save` and :meth:`load` write and read it as JSON, which
    can be edited. :func:`unetv2.train` trains by it.

    Args:
        data: SegmentationDataset. The data set; the plan decides its sizes and its validation.
        image_size: ``(height, width)`` that images are resized to, or None for their own size.
        resize: ``"stretch"``, ``"pad"`` or ``"crop"``; see :func:`unetv2.make_dataset`.
        crop_size: ``(height, width)`` of random crops, or None for whole images.
        balanced: bool. Whether a crop contains a class that is drawn first.
        frequencies: Mapping of keys to numbers above 0, or None. Relative frequency of training
            images in an epoch, above 1 for those with rare classes; 1 for other keys.
        batch_size: int, at least 1. Images in a batch.
        recipe: Recipe. Network, loss, optimizer and augmentation.
        epochs: int, at least 1. Epochs that fit into the time as measured.
        steps_per_epoch: int, at least 1. Steps between two validations.
        minutes: float above 0, or None. Time at which training ends, whatever the number of
            epochs; None trains ``epochs``.
        window: ``(height, width)`` of the tiles of prediction at the scale of training, or None.
        tta: tuple. Test-time augmentation of predictions.
        validation: tuple of str, or None. Keys of the pairs for validation; all others are for
            training. None uses the subsets of ``data``.
        validation_data: SegmentationDataset or None. A data set for validation.
        validation_crop_size: ``(height, width)`` of crops in validation, or None for whole images.
        seed: int, at least 0. Seed of weights, order, crops and augmentation.
        cache: bool. Whether prepared images are kept in memory.
        expected_minutes: float. Time of the training as measured.
        report_minutes: float. Time of an evaluation of the validation images as measured.
        reasons: Mapping of decisions to a sentence each.

    Raises:
        ValueError: If a value is out of its range.
        TypeError: If a value is of the wrong type.

    Example:
        >>> folders = unetv2.synthetic.write_driving_scenes(tmp / "planned", 8, image_size=(48, 64))
        >>> data = unetv2.SegmentationDataset.from_folders(*folders, n_classes=23, encoding="ids")
        >>> plan = unetv2.plan(data, minutes=1, filters=2, depth=2, progress=False)
        >>> plan.crop_size, plan.steps_per_epoch >= 1
        (None, True)
    """

    data: SegmentationDataset = dataclasses.field(repr=False, compare=False)
    image_size: tuple[int, int] | None
    resize: str = "stretch"
    crop_size: tuple[int, int] | None = None
    balanced: bool = False
    frequencies: Mapping[str, float] | None = None
    batch_size: int = _BATCH_SIZE
    recipe: Recipe = dataclasses.field(default_factory=lambda: FAST)
    epochs: int = 1
    steps_per_epoch: int = 1
    minutes: float | None = None
    window: tuple[int, int] | None = None
    tta: tuple[str, ...] = ()
    validation: tuple[str, ...] | None = None
    validation_data: SegmentationDataset | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    validation_crop_size: tuple[int, int] | None = None
    seed: int = 0
    cache: bool = True
    expected_minutes: float = 0.0
    report_minutes: float = 0.0
    reasons: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Checks the values; ``preprocessing`` and ``dataset`` check the sizes."""
        require_integer("batch_size", self.batch_size, 1, "8 is common.")
        require_integer("epochs", self.epochs, 1, "An epoch ends with a validation.")
        require_integer("steps_per_epoch", self.steps_per_epoch, 1, "A step is a batch.")
        require_integer("seed", self.seed, 0, "It is the seed of all random numbers.")
        require_choice("balanced", self.balanced, (False, True))
        if self.minutes is not None:
            require_number("minutes", self.minutes, "None trains `epochs`.", positive=True)
        recipe = dataclasses.replace(self.recipe, batch_size=self.batch_size)
        object.__setattr__(self, "recipe", recipe)
        _ = self.preprocessing
        _ = self.dataset

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of training and prediction."""
        known = self.data.preprocessing
        ignore_class = known.ignore_class
        if self.resize == "pad" and ignore_class is None:
            ignore_class = _unused_id(self.data.n_classes)
        return dataclasses.replace(
            known,
            image_size=self.image_size,
            resize=self.resize,
            crop_size=self.crop_size,
            window=self.window,
            tta=self.tta,
            ignore_class=ignore_class,
        )

    @cached_property
    def dataset(self) -> SegmentationDataset:
        """The data set with the plan's preprocessing and validation."""
        keys = [pair.key for pair in self.data.pairs]
        subsets: dict[str, list[str]]
        if self.validation_data is not None:
            subsets = {"train": keys}
        elif self.validation is not None:
            held_out = set(self.validation)
            subsets = {
                "train": [key for key in keys if key not in held_out],
                "validation": list(self.validation),
            }
        else:
            subsets = {
                name: [pair.key for pair in self.data.subset(name).pairs]
                for name in ("train", "validation")
            }
        return dataclasses.replace(
            self.data,
            preprocessing=self.preprocessing,
            subset_keys=subsets,
            subset_name=None,
            seed=self.seed,
            # The plan has weighed it.
            warns_of_size=False,
        )

    def build(self) -> keras.Model:
        """Returns a new network, a compiled ``keras.Model``, for images of any size."""
        preprocessing = self.preprocessing
        return self.recipe.build(
            (None, None, preprocessing.channels),
            _n_classes(self.data),
            ignore_class=preprocessing.ignore_class,
            seed=self.seed,
        )

    def batches(self, subset: str) -> tf.data.Dataset | None:
        """Returns the batches of training or validation.

        Args:
            subset: ``"train"`` or ``"validation"``.

        Returns:
            tf.data.Dataset of ``(image, mask)``; None without validation.
        """
        require_choice("subset", subset, ("train", "validation"))
        cache = "memory" if self.cache else None
        if subset == "train":
            return self.dataset.batches(
                "train",
                batch_size=self.batch_size,
                balanced=self.balanced,
                frequencies=self.frequencies,
                cache=cache,
            )
        if self.validation == () and self.validation_data is None:
            return None
        crop_size = self.validation_crop_size
        whole = dataclasses.replace(self.preprocessing, crop_size=crop_size)
        if self.validation_data is None:
            data, name = dataclasses.replace(self.dataset, preprocessing=whole), "validation"
        else:
            data, name = dataclasses.replace(self.validation_data, preprocessing=whole), None
        same_size = self.image_size is not None or crop_size is not None
        pixels = math.prod(crop_size or self.image_size or (1, 1))
        batch_size = max(1, min(self.batch_size, rules.MAX_PIXELS_AT_ONCE // pixels))
        return data.batches(
            name, batch_size=batch_size if same_size else 1, shuffle=False, cache=cache
        )

    def with_options(self, **options: Unpack[ChangedOptions]) -> Plan:
        """Returns a plan with other decisions; the rest stays as it is.

        Args:
            **options: Decisions, as of :func:`unetv2.plan`, also ``minutes``.

        Returns:
            Plan.

        Raises:
            ValueError: If a value is out of its range.
            TypeError: If an option is unknown, or a value of the wrong type.
        """
        _require_known(options, ChangedOptions)
        given: dict[str, Any] = dict(options)
        recipe = {name: given.pop(name) for name in _RECIPE_OPTIONS if name in given}
        network = {name: given.pop(name) for name in _NETWORK_OPTIONS if name in given}
        if network:
            recipe["model"] = _network({**self.recipe.model, **network})
        if given.keys() & {"image_size", "crop_size"}:
            # They depend on these sizes.
            given = {"window": None, "validation_crop_size": None, **given}
        reasons = {**self.reasons, **dict.fromkeys(options, "given")}
        return dataclasses.replace(
            self, recipe=dataclasses.replace(self.recipe, **recipe), reasons=reasons, **given
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the plan without the data set, of JSON types."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        del values["data"], values["validation_data"]
        return json.loads(json.dumps({**values, "recipe": self.recipe.as_dict()}))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], data: SegmentationDataset) -> Plan:
        """Creates a plan from the result of :meth:`as_dict`.

        Args:
            values: The result, possibly changed.
            data: SegmentationDataset. The data set.

        Returns:
            Plan.

        Raises:
            ValueError: If the values are not those of a plan.
            TypeError: If a value is of the wrong type.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        known -= {"data", "validation_data"}
        unknown, missing = sorted(values.keys() - known), sorted({"image_size"} - values.keys())
        if unknown or missing:
            wrong = f"the unknown {unknown}" if unknown else f"none of {missing}"
            raise ValueError(
                f"A plan must hold {', '.join(sorted(known))}. Received: {wrong}. Compare it with "
                "the result of `Plan.as_dict`."
            )
        given = dict(values)
        for name in ("image_size", "crop_size", "validation_crop_size", "window", "tta"):
            if given.get(name) is not None:
                given[name] = tuple(given[name])
        if given.get("validation") is not None:
            given["validation"] = tuple(given["validation"])
        if "recipe" in given:
            recipe = dict(given["recipe"])
            if isinstance(recipe.get("augmentation"), Mapping):
                fields = dict(recipe["augmentation"])
                if "scale" in fields:
                    fields["scale"] = tuple(fields["scale"])
                recipe["augmentation"] = Augmentation(**fields)
            given["recipe"] = Recipe(**recipe)
        return cls(data=data, **given)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the plan as JSON, atomically.

        Args:
            path: The JSON file.

        Raises:
            OSError: If the file cannot be written.
        """
        text = json.dumps(self.as_dict(), indent=2) + "\n"
        write_atomically(Path(path), lambda file: file.write(text.encode()), "to keep the plan")

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        data: SegmentationDataset,
        *,
        validation: SegmentationDataset | None = None,
    ) -> Plan:
        """Reads a plan that :meth:`save` wrote, also for another data set of the same classes.

        Args:
            path: The JSON file.
            data: SegmentationDataset. The data set. If it does not contain the pairs for
                validation, others are held out.
            validation: SegmentationDataset or None. A data set for validation.

        Returns:
            Plan.

        Raises:
            FileNotFoundError: If the file does not exist.
            ValueError: If it is not a plan.
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            values = json.loads(text)
            if not isinstance(values, dict):
                raise ValueError("a JSON object is needed.")
            if validation is not None:
                values["validation"] = None
            if values.get("validation"):
                keys = {pair.key for pair in data.pairs}
                if not keys.issuperset(values["validation"]):
                    group_by = data.group_by or data.fingerprint(progress=False).group_by
                    values["validation"], _ = rules.hold_out(
                        sorted(keys),
                        group_by,
                        seed=values.get("seed", 0),
                        keeps_groups=data.group_by is not None,
                    )
            return dataclasses.replace(cls.from_dict(values, data), validation_data=validation)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`plan` must be a file that `Plan.save` wrote. Received: '{os.fspath(path)}', "
                f"wrong by: {error_summary(error)} Make it again by `unetv2 plan`."
            ) from error

    def __str__(self) -> str:
        """Returns the decisions with their reasons, a line each."""
        recipe = self.recipe
        sizes = {
            "image size": "original" if self.image_size is None else _size(self.image_size),
            "crops": "none" if self.crop_size is None else _size(self.crop_size),
        }
        rows = [
            ("image size", sizes["image size"], "image_size"),
            ("crops", sizes["crops"] + (", by class" if self.balanced else ""), "crop_size"),
            ("sampling", self._sampling(), "frequencies"),
            ("validation", self._validation(), "validation"),
            ("filters", str(recipe.model.get("filters", 32)), "filters"),
            ("depth", str(recipe.model.get("depth", 4)), "depth"),
            ("normalization", str(recipe.model.get("normalization")), "normalization"),
            ("batch size", str(self.batch_size), "batch_size"),
            ("loss", self._loss(), "class_weights"),
            ("augmentation", _augmentation(recipe.augmentation), "augmentation"),
            ("resizing", _phases(recipe), "progressive_resizing"),
            ("learning rate", f"{recipe.learning_rate:g}", "learning_rate"),
            ("steps", f"{self.epochs * self.steps_per_epoch}", "epochs"),
            ("prediction", self._prediction(), "window"),
        ]
        width = max(len(name) for name, _, _ in rows)
        values = max(len(value) for _, value, _ in rows)
        lines = [
            f"{name:{width}}  {value:{min(values, 36)}}  {self.reasons.get(key, '')}".rstrip()
            for name, value, key in rows
        ]
        return "\n".join([*lines, self.summary()])

    def summary(self) -> str:
        """Returns the expected course of the training in a sentence."""
        end = (
            f"ends after {self.minutes:g} minutes"
            if self.minutes is not None
            else f"takes about {max(1, round(self.expected_minutes))} minutes on this machine"
        )
        return (
            f"Training of about {self.epochs * self.steps_per_epoch} steps in "
            f"{counted(self.epochs, 'epoch')} of {self.steps_per_epoch}; it {end}."
        )

    def _validation(self) -> str:
        if self.validation_data is not None:
            return "other images"
        if self.validation is None:
            return "given"
        return counted(len(self.validation), "image") if self.validation else "none"

    def _sampling(self) -> str:
        return f"{len(self.frequencies)} images more often" if self.frequencies else "all equally"

    def _loss(self) -> str:
        loss = self.recipe.loss.replace("_", " ").replace("entropy dice", "entropy + Dice")
        return loss + ("" if self.recipe.class_weights is None else ", class weights")

    def _prediction(self) -> str:
        if self.crop_size is None:
            tiles = "whole images"
        else:
            tiles = "tiles of " + _size(self.window or self.crop_size)
        return tiles + (f", flipped ({', '.join(map(str, self.tta))})" if self.tta else "")


def plan(
    data: SegmentationDataset,
    *,
    minutes: float | None = None,
    memory: float | None = None,
    validation: SegmentationDataset | None = None,
    fold: tuple[int, int] | None = None,
    seed: int = 0,
    progress: bool = True,
    **options: Unpack[PlanOptions],
) -> Plan:
    """Plans the training of a data set: what is best for the data in the time there is.

    It looks at the data (:meth:`unetv2.SegmentationDataset.fingerprint`), times training steps of
    two networks on this machine, and decides on sizes, network, loss, augmentation, steps and
    validation by fixed rules; each decision has a reason. The sizes of ``data`` are replaced. So is
    its split, unless ``split`` or ``subset_keys`` is given; groups stay together.

    Args:
        data: SegmentationDataset. The data set; its number of classes must be known.
        minutes: float above 0, or None. Time of the training. None proposes the time after which
            doubling it would gain little.
        memory: float above 0, or None. Memory in GB that training may use; None is half of the
            free one.
        validation: SegmentationDataset or None. A data set for validation; None holds out images of
            ``data``.
        fold: ``(index, count)`` or None. Validates on one of ``count`` parts of the images, which
            are the same in each call, for cross-validation.
        seed: int, at least 0. Seed of the validation, the weights and the training.
        progress: bool. Whether progress is shown on stderr.
        **options: Decisions to take over: ``image_size``, ``crop_size``, ``batch_size``,
            ``balanced``, ``filters``, ``depth``, ``normalization``, ``augmentation``,
            ``learning_rate``, ``class_weights``, ``progressive_resizing``, ``epochs``,
            ``steps_per_epoch``, ``window``, ``tta``.

    Returns:
        Plan.

    Raises:
        ValueError: If the number of classes is unknown, the data is not valid, or an argument is
            out of its range.
        TypeError: If an option is unknown, or an argument is of the wrong type.
        OSError: If files cannot be read.

    Example:
        >>> folders = unetv2.synthetic.write_driving_scenes(tmp / "plan", 8, image_size=(48, 64))
        >>> data = unetv2.SegmentationDataset.from_folders(*folders, n_classes=23, encoding="ids")
        >>> plan = unetv2.plan(data, minutes=2, filters=2, depth=2, progress=False)
        >>> plan.minutes, plan.recipe.augmentation.vertical_flip
        (2, 0.0)
    """
    _check_arguments(data, minutes, memory, fold, options)
    n_classes = _n_classes(data)
    fingerprint = data.fingerprint(progress=progress)
    keys = [pair.key for pair in data.pairs]
    held_out: tuple[str, ...] | None = None
    reason = "given"
    if validation is not None:
        n_train, n_validation = len(keys), validation.n_images
    elif data.subset_keys is not None or tuple(data.split) != SPLIT:
        n_train, n_validation = (data.subset(name).n_images for name in ("train", "validation"))
    else:
        group_by = data.group_by or fingerprint.group_by
        held_out, reason = rules.hold_out(
            keys, group_by, seed=seed, fold=fold, keeps_groups=data.group_by is not None
        )
        n_train, n_validation = len(keys) - len(held_out), len(held_out)

    sizes = rules.candidate_sizes(fingerprint, options.get("image_size"), options.get("crop_size"))
    filters = (options["filters"],) if "filters" in options else rules.FILTERS
    largest = options.get("batch_size") or _default_batch_size()
    available = free_memory() // 2 if memory is None else int(memory * 1e9)
    speeds = {n: _speed(data, n_classes, n, largest, sizes[0].input_size) for n in filters}

    def budget(size: rules.Sizes, n_filters: int, seconds: float) -> rules.Budget:
        speed = speeds[n_filters]
        batch_size = rules.fitting_batch_size(size.input_size, n_filters, available, largest)
        return rules.budget(
            fingerprint, size, n_filters, pixels_per_second=speed.pixels_per_second,
            seconds=max(1.0, seconds * (1 - _OVERHEAD) - speed.startup), n_train=n_train,
            n_validation=n_validation, batch_size=batch_size,
        )  # fmt: skip

    chosen, proposed = rules.choose(budget, sizes, filters, minutes)
    result = _decide(data, validation, fingerprint, chosen, held_out, n_train, seed)
    reasons = {**result.reasons, "validation": reason}
    if not result.frequencies:
        reasons["frequencies"] = "every class is in many images, or there are too many to count"
    if minutes is None:
        reasons["epochs"] = f"twice the {proposed:g} minutes would gain little"
    result = dataclasses.replace(
        result,
        minutes=minutes,
        expected_minutes=proposed,
        # Each flip doubles the predictions.
        report_minutes=1.5 * 2 ** len(result.tta) * chosen.validation_seconds / 60,
        reasons=reasons,
    )
    # The sizes were chosen with those that are given.
    changed = result.with_options(**options)
    return dataclasses.replace(
        changed,
        window=options.get("window", result.window),
        validation_crop_size=result.validation_crop_size,
    )


def _decide(
    data: SegmentationDataset,
    validation: SegmentationDataset | None,
    fingerprint: Fingerprint,
    chosen: rules.Budget,
    held_out: tuple[str, ...] | None,
    n_train: int,
    seed: int,
) -> Plan:
    """Returns the plan for the chosen sizes and filters."""
    sizes = chosen.sizes
    normalization = rules.normalization_for(chosen.batch_size, chosen.steps)
    weights = "sqrt_median_frequency" if rules.needs_class_weights(fingerprint) else None
    progressive = rules.resizes_progressively(fingerprint, chosen)
    recipe = dataclasses.replace(
        FAST,
        name="plan",
        class_weights=weights,
        augmentation=rules.augmentation_for(fingerprint, sizes, chosen.passes),
        warmup=0.1,
        progressive_resizing=((0.4, 0.5), (0.6, 1.0)) if progressive else ((1.0, 1.0),),
        model=_network(
            {
                **FAST.model,
                "filters": chosen.filters,
                "depth": rules.depth_for(sizes.input_size),
                "normalization": normalization,
            }
        ),
    )
    pixels = sizes.working[0] * sizes.working[1] * fingerprint.channels
    size = 2 if fingerprint.bits == 16 else 1
    cached = len(data.pairs) * pixels * (size + 1)
    return Plan(
        data=data,
        validation_data=validation,
        image_size=sizes.image_size,
        resize=sizes.resize,
        crop_size=sizes.crop_size,
        validation_crop_size=rules.validation_size(sizes, fingerprint.min_size),
        balanced=rules.needs_balanced_crops(fingerprint, sizes),
        frequencies=_frequencies(data, fingerprint, set(held_out or ())),
        batch_size=chosen.batch_size,
        recipe=recipe,
        epochs=chosen.epochs,
        steps_per_epoch=chosen.steps_per_epoch,
        window=rules.window_for(fingerprint, sizes, normalization),
        tta=rules.tta_for(fingerprint, sizes),
        validation=held_out,
        seed=seed,
        cache=cached < _SHARE_OF_CACHE * free_memory(),
        reasons=_reasons(fingerprint, chosen, n_train),
    )


def _frequencies(
    data: SegmentationDataset, fingerprint: Fingerprint, held_out: Collection[str]
) -> dict[str, float] | None:
    """Returns the frequencies of images for rare classes, or None if all are seen enough.

    All masks must be read for them, so there are none for large data sets.
    """
    pairs = [pair for pair in data.pairs if pair.key not in held_out]
    pixels = len(pairs) * math.prod(fingerprint.median_size)
    shares = [entry.image_share for entry in fingerprint.classes if entry.pixel_share > 0]
    if len(shares) < 3 or pixels > _MAX_PIXELS_COUNTED or min(shares) >= rules.FREQUENT:
        return None
    valid = range(data.n_classes or 0)
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        ids = executor.map(lambda pair: np.unique(data.read_mask(pair)), pairs)
        classes_of = {
            pair.key: [number for number in found.tolist() if number in valid]
            for pair, found in zip(pairs, ids, strict=True)
        }
    return rules.frequencies_of(classes_of) or None


def _reasons(fingerprint: Fingerprint, chosen: rules.Budget, n_train: int) -> dict[str, str]:
    """Returns a sentence for each decision."""
    sizes = chosen.sizes
    is_batch = rules.normalization_for(chosen.batch_size, chosen.steps) == "batch"
    flips = [name.replace("_", " ") for name, holds in fingerprint.symmetric.items() if holds]
    return {
        "image_size": _reason_of_size(fingerprint, sizes),
        "crop_size": (
            "whole images fit into a batch"
            if sizes.crop_size is None
            else f"objects with their surroundings, of images of {_size(sizes.working)}"
        ),
        "frequencies": "images with rare classes are seen more often",
        "filters": f"best for about {chosen.passes:.0f} passes over {counted(n_train, 'image')}",
        "depth": "the coarsest level keeps at least 6 pixels",
        "normalization": (
            "stable at this batch size and number of steps"
            if is_batch
            else "batch statistics need larger batches or more steps"
        ),
        "batch_size": "fits into the memory",
        "class_weights": (
            f"the most frequent class has {rules.class_ratio(fingerprint):.0f} times the pixels of "
            "the rarest"
        ),
        "augmentation": (
            f"the data set has no preferred direction for {', '.join(flips)}"
            if flips
            else "the data set has a preferred direction in height and width"
        ),
        "progressive_resizing": (
            "half the size first, where a step costs a quarter"
            if rules.resizes_progressively(fingerprint, chosen)
            else "from the start"
        ),
        "epochs": f"{1000 * chosen.step_seconds:.0f} ms a step, as measured",
        "window": "as in training, averaged over the flips of training",
    }


def _reason_of_size(fingerprint: Fingerprint, sizes: rules.Sizes) -> str:
    """Returns what a smaller size would lose, or what this one keeps."""
    height, width = sizes.working
    ceilings = {
        entry.name or f"class {entry.id}": ceiling
        for entry, ceiling in zip(
            fingerprint.classes,
            fingerprint.ceiling_of_size((max(1, height // 2), max(1, width // 2))),
            strict=True,
        )
        if entry.pixel_share >= _NOTABLE
    }
    if not ceilings:
        return ""
    worst = min(ceilings, key=lambda name: ceilings[name])
    return f"at half of it, '{worst}' could reach an IoU of {ceilings[worst]:.2f} at most"


def _speed(
    data: SegmentationDataset,
    n_classes: int,
    filters: int,
    batch_size: int,
    size: tuple[int, int],
) -> Speed:
    """Times a network on crops of typical size."""
    height, width = (min(side, rules.DEFAULT_CROP) for side in size)
    recipe = dataclasses.replace(
        FAST,
        model=_network(
            {
                **FAST.model,
                "filters": filters,
                "depth": rules.depth_for((height, width)),
                "normalization": "batch",
            }
        ),
    )
    channels = data.preprocessing.channels
    model = recipe.build((None, None, channels), n_classes, seed=0)
    return measure_speed(model, recipe, (batch_size, height, width, channels), n_classes)


def _default_batch_size() -> int:
    return _GPU_BATCH_SIZE if tf.config.list_physical_devices("GPU") else _BATCH_SIZE


def _network(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns consistent arguments of ``build_unetv2``."""
    network = dict(options)
    if network.get("normalization") is None:
        network["normalization_start"] = 0
    return network


def _check_arguments(
    data: Any,
    minutes: float | None,
    memory: float | None,
    fold: Any,
    options: Mapping[str, Any],
) -> None:
    if not isinstance(data, SegmentationDataset):
        raise TypeError(
            "`data` must be a SegmentationDataset. "
            f"Received: {type(data).__name__}. Make one by `SegmentationDataset.from_folders`."
        )
    if minutes is not None:
        require_number("minutes", minutes, "None proposes a time.", positive=True)
    if memory is not None:
        require_number("memory", memory, "It is in GB; None is what is free.", positive=True)
    if fold is not None:
        message = f"`fold` must be (index, count), index in [0, count). Received: fold={fold!r}."
        try:
            index, count = (require_integer("fold", number, 0, "") for number in fold)
        except (TypeError, ValueError) as error:
            raise type(error)(message) from None
        if not index < count or not 2 <= count <= len(data.pairs):
            raise ValueError(f"{message} There are {counted(len(data.pairs), 'image')}.")
    _require_known(options, PlanOptions)


def _require_known(options: Mapping[str, Any], known: type) -> None:
    names = known.__annotations__
    unknown = sorted(options.keys() - names.keys())
    if unknown:
        raise TypeError(
            f"Options of a plan must be among {', '.join(sorted(names))}. "
            f"Received: {', '.join(unknown)}."
        )


def _n_classes(data: SegmentationDataset) -> int:
    if data.n_classes is None:
        raise ValueError(
            "`data` must have a known number of classes. Received: n_classes=None. Pass it to "
            "`SegmentationDataset.from_folders`, or omit `encoding` there so that it is inferred."
        )
    return data.n_classes


def _unused_id(n_classes: int | None) -> int:
    """Returns an id of padding that is no class."""
    return 255 if n_classes is None or n_classes <= 255 else 65_535


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _augmentation(augmentation: str | Augmentation | None) -> str:
    if not isinstance(augmentation, Augmentation):
        return str(augmentation or "none")
    strengths = dataclasses.asdict(augmentation)
    del strengths["ignore_class"]
    on = [name.replace("_", " ") for name, value in strengths.items() if value not in (0, (1, 1))]
    return ", ".join(on) or "none"


def _phases(recipe: Recipe) -> str:
    return ", then ".join(
        "full size" if scale == 1 else f"{share:.0%} of the time at {scale:g} of the size"
        for share, scale in recipe.progressive_resizing
    )
