"""The rules by which a plan follows from the fingerprint of a data set and the machine's speed.

They are plain functions of numbers, without reading files or running a network.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from unetv2.data.augmentation import Augmentation
from unetv2.data.ceiling import interpolated
from unetv2.data.fingerprint import Fingerprint
from unetv2.data.pairs import GroupBy, group_function, hash_position

FILTERS = (16, 32)
# Shorter sides than this are not reduced further.
_MIN_SIDE = 64
# Sides of crops, of small and of large objects.
DEFAULT_CROP, _MAX_CROP = 192, 256
# A crop shows an object with its surroundings.
_OBJECTS_PER_CROP = 4
# Larger regions are background.
_LARGEST_OBJECT = 1 / 8
# Images of up to this multiple of the crop's pixels are trained as a whole.
_WHOLE = 1.5
# A network places borders with a precision of about two of its pixels, so the expected IoU at a
# size is the ceiling of half the size.
_PRECISION = 0.5
# Passes over more images than this bring as much as new images.
_MANY_IMAGES = 400
# More passes improve little, and small data sets are overfitted.
_ENOUGH_PASSES = 80
# Exponent of the learning curve. On CamVid at 96x128, validation mean IoU after 20, 55 and 92
# passes is 0.54, 0.60 and 0.66.
_EXPONENT = 1 / 3
# Loss of quality of a network of 32 filters, for one class; half of it with 64, twice with 16.
_CAPACITY_LOSS = 0.03
# Weight of the class that suffers most from a small size, beside the mean.
_WORST_CLASS = 0.15
# A validation step is about a third of a training step, and computes metrics.
_VALIDATION_COST = 0.4
_N_EPOCHS = 30
_MIN_STEPS_PER_EPOCH = 10
# A validation may take this share of an epoch.
_SHARE_OF_VALIDATION = 0.2
# Proposed times, and the gain by doubling one below which it is enough.
_MINUTES = (3, 5, 10, 15, 20, 30, 45, 60, 90, 120)
_ENOUGH_GAIN = 0.02
# Fewer steps are too few for the moving averages of batch normalization, whose momentum is 0.95.
_STEPS_FOR_BATCH_NORMALIZATION = 100
_IMAGES_FOR_BATCH_NORMALIZATION = 4
# Bytes that training keeps per pixel and filter of the finest level: about 26 feature maps of
# float32 for activations and gradients, of which the coarser levels add a third.
_BYTES_PER_PIXEL_AND_FILTER = 26 * 4
# Batches shrink to this size before there are fewer steps than that.
_SMALLEST_BATCH, _ENOUGH_STEPS = 4, 1500
# Whole images up to this number of pixels are validated and predicted at once.
MAX_PIXELS_AT_ONCE = 2**20
_MAX_VALIDATION_IMAGES = 100
# Whole sequences are held out if there are this many; else parts, of which there are about so many.
_ENOUGH_GROUPS, _PARTS = 10, 30
# Rarer classes are found in few random crops.
_MIN_CROPS_WITH_CLASS = 0.3
_UNBALANCED = 10.0
# Progressive resizing needs this ratio of the ceilings at half and full size, and this time in
# seconds, as each size is compiled.
_VISIBLE_AT_HALF, _SECONDS_FOR_RESIZING = 0.5, 240.0
# With fewer passes, a network does not overfit, and strong augmentation only delays it.
_FEW_PASSES = 10.0
# Images with classes in a smaller fraction of the images are repeated, at most this often.
FREQUENT, _LARGEST_FACTOR = 0.25, 4.0
# Objects of fewer pixels in thickness must not shrink.
_THIN = 4.0


def round_to(value: float, multiple: int) -> int:
    """Rounds to the nearest multiple, at least one."""
    return max(multiple, multiple * round(value / multiple))


@dataclass(frozen=True)
class Sizes:
    """The sizes of a training at a scale of the images.

    Args:
        scale: float. The scale.
        image_size: ``(height, width)`` to which images are resized, or None for their own size.
        resize: ``"stretch"`` or ``"pad"``.
        working: ``(height, width)`` of an image of median size at that scale.
        crop_size: ``(height, width)`` of the crops, or None for whole images.
    """

    scale: float
    image_size: tuple[int, int] | None
    resize: str
    working: tuple[int, int]
    crop_size: tuple[int, int] | None

    @property
    def input_size(self) -> tuple[int, int]:
        """``(height, width)`` of the network's input in training."""
        return self.crop_size or self.working


def candidate_sizes(
    fingerprint: Fingerprint,
    image_size: tuple[int, int] | None,
    crop_size: tuple[int, int] | None,
) -> list[Sizes]:
    """Returns the sizes to choose from.

    Args:
        fingerprint: Fingerprint of the data set.
        image_size: A size that is given, or None.
        crop_size: A size of crops that is given, or None.
    """
    height, width = fingerprint.median_size
    if image_size is not None:
        scale = math.sqrt(image_size[0] * image_size[1] / (height * width))
        return [_sizes(fingerprint, scale, image_size, crop_size)]
    least = crop_size or (0, 0)
    return [
        _sizes(fingerprint, scale, None, crop_size)
        for scale in fingerprint.scales
        if scale == 1
        or (
            scale * min(height, width) >= _MIN_SIDE
            # A given crop must fit.
            and round(scale * height) >= least[0]
            and round(scale * width) >= least[1]
        )
    ]


def _sizes(
    fingerprint: Fingerprint,
    scale: float,
    image_size: tuple[int, int] | None,
    crop_size: tuple[int, int] | None,
) -> Sizes:
    same_size = fingerprint.min_size == fingerprint.median_size and len(fingerprint.sizes) == 1
    low, _, high = fingerprint.aspect_ratios
    resize = "stretch" if high < 1.15 * low else "pad"
    height, width = (max(1, round(scale * side)) for side in fingerprint.median_size)
    if image_size is not None:
        height, width = image_size
    side = _crop_side(fingerprint, scale)
    if crop_size is None and height * width > _WHOLE * side**2:
        crop_size = (min(side, height), min(side, width))
    if image_size is None and (scale < 1 or (crop_size is None and not same_size)):
        image_size = (height, width)
    if image_size is None and crop_size is None:
        image_size = (height, width)
    if image_size is None and crop_size is not None:
        # It must fit into every image.
        smallest = fingerprint.min_size
        crop_size = (min(crop_size[0], smallest[0]), min(crop_size[1], smallest[1]))
        if min(crop_size) < min(_MIN_SIDE, *fingerprint.median_size):
            image_size = (height, width)
            crop_size = (min(side, height), min(side, width))
    return Sizes(scale, image_size, resize, (height, width), crop_size)


def _crop_side(fingerprint: Fingerprint, scale: float) -> int:
    height, width = fingerprint.median_size
    diameters = [
        math.sqrt(entry.region_area) * scale
        for entry in fingerprint.classes
        if 0 < entry.region_area < _LARGEST_OBJECT * height * width
    ]
    wanted = _OBJECTS_PER_CROP * max(diameters, default=0.0)
    if wanted <= DEFAULT_CROP:
        return DEFAULT_CROP
    return min(_MAX_CROP, round_to(wanted, 32))


@dataclass(frozen=True)
class Budget:
    """The expected course of a training with one of the candidate networks.

    Args:
        sizes: Sizes of images and crops.
        filters: int. Filters of the network.
        batch_size: int. Images in a batch.
        seconds: float. Time for training, including validation.
        step_seconds: float. Time of a step.
        validation_seconds: float. Time of a validation.
        passes: float. Passes over the training pixels.
        merit: float. Expected relative quality, to compare candidates; not a score.
    """

    sizes: Sizes
    filters: int
    batch_size: int
    seconds: float
    step_seconds: float
    validation_seconds: float
    passes: float
    merit: float

    @property
    def epoch_seconds(self) -> float:
        """Time of an epoch without its validation."""
        return max(self.seconds / _N_EPOCHS, self.validation_seconds / _SHARE_OF_VALIDATION)

    @property
    def steps_per_epoch(self) -> int:
        """Steps between two validations."""
        return max(_MIN_STEPS_PER_EPOCH, round(self.epoch_seconds / self.step_seconds))

    @property
    def epochs(self) -> int:
        """Epochs within the time, at least one."""
        epoch = self.steps_per_epoch * self.step_seconds + self.validation_seconds
        return max(1, round(self.seconds / epoch))

    @property
    def steps(self) -> int:
        """Steps of the training."""
        return self.epochs * self.steps_per_epoch


def budget(
    fingerprint: Fingerprint,
    sizes: Sizes,
    filters: int,
    *,
    pixels_per_second: float,
    seconds: float,
    n_train: int,
    n_validation: int,
    batch_size: int,
) -> Budget:
    """Returns the expected course of a training.

    Args:
        fingerprint: Fingerprint of the data set.
        sizes: Sizes of images and crops.
        filters: int. Filters of the network.
        pixels_per_second: float. Measured speed of training.
        seconds: float. Time for training.
        n_train: int. Training images.
        n_validation: int. Validation images.
        batch_size: int. The largest batch size; fewer images give more steps in a short time.
    """
    height, width = sizes.input_size
    image_seconds = height * width / pixels_per_second
    while batch_size > _SMALLEST_BATCH and seconds < _ENOUGH_STEPS * batch_size * image_seconds:
        batch_size = max(_SMALLEST_BATCH, batch_size // 2)
    step_seconds = batch_size * image_seconds
    pixels = sizes.working[0] * sizes.working[1]
    validation_pixels = n_validation * min(pixels, MAX_PIXELS_AT_ONCE)
    validation_seconds = _VALIDATION_COST * validation_pixels / pixels_per_second
    training_seconds = seconds * (1 - _SHARE_OF_VALIDATION / 2)
    seen = training_seconds * pixels_per_second / pixels
    # A pass over many images teaches more than one over few.
    passes = min(_ENOUGH_PASSES, seen / min(n_train, _MANY_IMAGES))
    learned = 1 - (1 + passes) ** -_EXPONENT
    n_classes = max(2, fingerprint.n_classes or 2)
    merit = (
        learned
        * expected_detail(fingerprint, sizes.scale)
        * max(0.1, 1 - _CAPACITY_LOSS * math.sqrt(n_classes) * 32 / filters)
    )
    return Budget(
        sizes=sizes,
        filters=filters,
        batch_size=batch_size,
        seconds=seconds,
        step_seconds=step_seconds,
        validation_seconds=validation_seconds,
        passes=seen / n_train,
        merit=merit,
    )


def expected_detail(fingerprint: Fingerprint, scale: float) -> float:
    """Returns the expected IoU of a good network at a scale, which blurs small objects.

    The most frequent class, mostly a background, is excluded.
    """
    entries = [entry for entry in fingerprint.classes if entry.pixel_share > 0]
    entries.sort(key=lambda entry: entry.pixel_share)
    ceilings = [
        interpolated(_PRECISION * scale, fingerprint.scales, entry.ceiling)
        for entry in entries[:-1] or entries
    ]
    if not ceilings:
        return 1.0
    return (1 - _WORST_CLASS) * statistics.fmean(ceilings) + _WORST_CLASS * min(ceilings)


def choose(
    make: Callable[[Sizes, int, float], Budget],
    sizes: Sequence[Sizes],
    filters: Sequence[int],
    minutes: float | None,
) -> tuple[Budget, float]:
    """Returns the best candidate, and its time in minutes.

    Args:
        make: Returns the budget for sizes, filters and seconds.
        sizes: The candidate sizes.
        filters: The candidate numbers of filters.
        minutes: float or None. None proposes the time after which doubling it gains little.
    """

    def best(minutes: float) -> Budget:
        candidates = (make(size, n, 60 * minutes) for size, n in itertools.product(sizes, filters))
        return max(candidates, key=lambda candidate: candidate.merit)

    if minutes is not None:
        return best(minutes), minutes
    for proposed in _MINUTES:
        if best(2 * proposed).merit - best(proposed).merit < _ENOUGH_GAIN:
            break
    return best(proposed), float(proposed)


def fitting_batch_size(size: tuple[int, int], filters: int, memory: int, largest: int) -> int:
    """Returns the batch size, at most ``largest``, that fits into the memory in bytes."""
    per_image = size[0] * size[1] * filters * _BYTES_PER_PIXEL_AND_FILTER
    return max(1, min(largest, memory // per_image))


def depth_for(size: tuple[int, int]) -> int:
    """Returns the number of poolings, after which the shorter side has at least 6 pixels."""
    return max(2, min(4, int(math.log2(max(24, min(size)) / 6))))


def normalization_for(batch_size: int, steps: int) -> str:
    """Returns the normalization that works for batch size and number of steps."""
    if batch_size < _IMAGES_FOR_BATCH_NORMALIZATION or steps < _STEPS_FOR_BATCH_NORMALIZATION:
        return "group"
    return "batch"


def class_ratio(fingerprint: Fingerprint) -> float:
    """Returns the ratio of the most and the least frequent class by pixels."""
    shares = [entry.pixel_share for entry in fingerprint.classes if entry.pixel_share > 0]
    return max(shares) / min(shares) if shares else 1.0


def needs_class_weights(fingerprint: Fingerprint) -> bool:
    """Returns whether rare classes need weights; for two classes, the Dice loss is enough."""
    return (fingerprint.n_classes or 2) > 2 and class_ratio(fingerprint) > _UNBALANCED


def needs_balanced_crops(fingerprint: Fingerprint, sizes: Sizes) -> bool:
    """Returns whether random crops would rarely contain one of the classes."""
    if sizes.crop_size is None:
        return False
    height, width = sizes.working
    for entry in fingerprint.classes:
        if not entry.pixel_share:
            continue
        reach = math.sqrt(max(1.0, entry.region_area)) * sizes.scale
        area = (sizes.crop_size[0] + reach) * (sizes.crop_size[1] + reach)
        regions = max(1.0, entry.regions_per_image)
        in_crop = 1 - (1 - min(1.0, area / (height * width))) ** regions
        if in_crop < _MIN_CROPS_WITH_CLASS:
            return True
    return False


def frequencies_of(
    classes_of: Mapping[str, Collection[int]],
) -> dict[str, float]:
    """Returns the relative frequencies of images, so that those with rare classes are seen more.

    A class in a fraction ``f`` of the images below ``t`` has the factor ``sqrt(t / f)``, and an
    image the largest factor of its classes.

    Args:
        classes_of: The classes in each image, by key.

    Returns:
        dict of the frequencies that are not 1.

    References:
        - Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019:
          repeat-factor sampling.
    """
    counts = Counter(number for classes in classes_of.values() for number in set(classes))
    factors = {
        number: min(_LARGEST_FACTOR, math.sqrt(FREQUENT * len(classes_of) / count))
        for number, count in counts.items()
    }
    frequencies = {
        key: max((factors[number] for number in classes), default=1.0)
        for key, classes in classes_of.items()
    }
    return {key: round(value, 3) for key, value in frequencies.items() if value > 1}


def augmentation_for(fingerprint: Fingerprint, sizes: Sizes, passes: float) -> Augmentation:
    """Returns the augmentation that fits the symmetries and the scale of the objects."""
    symmetric = fingerprint.symmetric
    is_free = all(symmetric.values())
    height, width = sizes.input_size
    thickness = min(
        (entry.thickness * sizes.scale for entry in fingerprint.classes if entry.thickness > 0),
        default=_THIN,
    )
    flips = Augmentation(
        horizontal_flip=0.5 if symmetric["horizontal_flip"] else 0.0,
        vertical_flip=0.5 if symmetric["vertical_flip"] else 0.0,
        transpose=0.5 if is_free and height == width else 0.0,
        brightness=0.1,
        ignore_class=fingerprint.ignore_class,
    )
    if passes < _FEW_PASSES:
        return flips
    return replace(
        flips,
        rotation=15.0 if is_free else 0.0,
        scale=(0.9, 1.4) if thickness < _THIN else (0.7, 1.6),
        brightness=0.2,
        contrast=0.2,
        saturation=0.2 if fingerprint.channels == 3 else 0.0,
    )


def tta_for(fingerprint: Fingerprint, sizes: Sizes) -> tuple[str, ...]:
    """Returns the test-time augmentation: the symmetries, all eight for images of moderate size."""
    symmetric = fingerprint.symmetric
    transforms = [flip for flip in ("horizontal", "vertical") if symmetric[f"{flip}_flip"]]
    if all(symmetric.values()) and sizes.working[0] * sizes.working[1] <= MAX_PIXELS_AT_ONCE:
        transforms.append("transpose")
    return tuple(transforms)


def resizes_progressively(fingerprint: Fingerprint, chosen: Budget) -> bool:
    """Returns whether to begin with images of half the size, where a step costs a quarter."""
    sizes = chosen.sizes
    at_half, at_full = (fingerprint.mean_ceiling(scale * sizes.scale) for scale in (0.5, 1))
    return (
        sizes.crop_size is None
        and min(sizes.working) >= _MIN_SIDE
        and chosen.seconds >= _SECONDS_FOR_RESIZING
        and at_half > _VISIBLE_AT_HALF * at_full
    )


def window_for(
    fingerprint: Fingerprint, sizes: Sizes, normalization: str
) -> tuple[int, int] | None:
    """Returns the size of the tiles of prediction, or None for whole images.

    Group normalization depends on the size of its input, which should be that of training.
    """
    if sizes.crop_size is None:
        return None
    if normalization == "group":
        return sizes.crop_size
    height, width = sizes.image_size or fingerprint.min_size
    if height * width <= MAX_PIXELS_AT_ONCE:
        return height, width
    side = math.isqrt(MAX_PIXELS_AT_ONCE)
    return min(height, side), min(width, side)


def validation_size(sizes: Sizes, smallest: tuple[int, int]) -> tuple[int, int] | None:
    """Returns the size of crops in validation, or None for whole images."""
    height, width = sizes.working
    if height * width <= 2 * MAX_PIXELS_AT_ONCE:
        return None
    side = math.isqrt(MAX_PIXELS_AT_ONCE)
    height, width = sizes.image_size or smallest
    return min(side, height), min(side, width)


def hold_out(
    keys: Sequence[str],
    group_by: GroupBy | None,
    *,
    seed: int,
    fold: tuple[int, int] | None = None,
    keeps_groups: bool = False,
) -> tuple[tuple[str, ...], str]:
    """Returns the keys for validation, and the reason.

    Args:
        keys: Keys of all pairs, sorted.
        group_by: Regular expression or function of the sequence that a key belongs to, or None.
        seed: int. Seed of the choice.
        fold: ``(index, count)``: every key is in the validation of one of ``count`` folds; or None.
        keeps_groups: bool. Whether few groups are held out as a whole, instead of parts of them.
    """
    n = len(keys)
    if n < 4 and fold is None:
        return (), f"{n} images are too few to hold one out: no validation, the last weights count"
    wanted = max(1 if n < 10 else 2, min(_MAX_VALIDATION_IMAGES, round(0.1 * n)))
    units = _units(keys, group_by, keeps_groups)
    if len(units) < 2:
        return (), "all images belong to one group: no validation, the last weights count"
    order = sorted(range(len(units)), key=lambda unit: hash_position(units[unit][0], seed))
    ordered = [units[unit] for unit in order]
    if fold is not None:
        index, count = fold
        chosen = [key for unit in ordered[index::count] for key in unit]
        return tuple(sorted(chosen)), f"fold {index} of {count}: {len(chosen)} of {n} images"
    chosen = []
    for unit in ordered:
        if len(chosen) < wanted:
            chosen += unit
    how = "drawn at random"
    if len(units) < n:
        how = "whole sequences or parts of them, as neighboring images are alike"
    return tuple(sorted(chosen)), f"{len(chosen)} of {n} images, {how}"


def _units(keys: Sequence[str], group_by: GroupBy | None, keeps_groups: bool) -> list[list[str]]:
    """Returns the keys that must stay together: groups, or parts of them if there are few."""
    if group_by is None:
        return [[key] for key in keys]
    group = group_function(group_by)
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault(group(key), []).append(key)
    if keeps_groups or len(groups) >= _ENOUGH_GROUPS:
        return list(groups.values())
    longest = max(1, len(keys) // _PARTS)
    return [
        members[start : start + longest]
        for members in groups.values()
        for start in range(0, len(members), longest)
    ]
