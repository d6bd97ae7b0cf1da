"""Data sets: files, labels, preprocessing and subsets, and batches of them."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
import tensorflow as tf

from unetv2.arguments import (
    require_choice,
    require_fraction,
    require_integer,
    require_number,
)
from unetv2.classes import ClassTable
from unetv2.data.augmentation import Augmentation
from unetv2.data.augmentation import get as get_augmentation
from unetv2.data.ceiling import CeilingCheck
from unetv2.data.dataset_info import INFOS, DatasetInfo
from unetv2.data.fingerprint import Fingerprint, fingerprint
from unetv2.data.inspection import FolderOptions, infer_options
from unetv2.data.io.open import MAX_PIXELS
from unetv2.data.labels import Labels, resolve_labels
from unetv2.data.pairs import (
    SPLIT,
    SUBSETS,
    GroupBy,
    LabelSource,
    Pair,
    require_subset_keys,
    split_pairs,
    subset_of_keys,
)
from unetv2.data.pipeline import (
    BATCHES_AHEAD,
    EpochCounter,
    Loader,
    PartPosition,
    Shard,
    describe_preparation,
    epochs,
    keep_alive,
    with_prefetch,
)
from unetv2.data.sources.folders import FolderSource
from unetv2.data.validation import DatasetReport, validate
from unetv2.preprocessing import Preprocessing, remember
from unetv2.text import counted, printable, printable_lines

_SIZES_IN_DIGEST = 1000
_NAMES_LISTED = 24


@dataclass(frozen=True, kw_only=True)
class SegmentationDataset:
    """Images with class ids for each pixel: files, labels, preprocessing and subsets.

    Creating an instance is cheap: folders are listed when pairs are needed, and files are read when
    batches are. :meth:`from_folders` creates one from two folders.

    Args:
        source: LabelSource. Provides pairs and class ids.
        preprocessing: Preprocessing. Size, channels and crops of the images, and the classes of
            ``source``.
        split: Fractions of the train, validation and test subsets; the sum is 1.
        group_by: str, function or None. See :func:`unetv2.make_dataset`.
        seed: int, at least 0. Seed of the split, the order, the crops and the augmentation.
        max_pixels: int, at least 1. Images with more pixels are refused.
        subset_name: ``"train"``, ``"validation"``, ``"test"``, or None for all pairs.
        subset_keys: Mapping of ``"train"``, ``"validation"`` and ``"test"``, any of which may be
            missing, to the keys of their pairs; then ``split`` and ``group_by`` are not used. A
            pair may be in no subset, but not in two.
        inferred: tuple of str. Names of the options that :meth:`from_folders` inferred.
        warns_of_size: bool. Whether batches log the classes that are lost at ``image_size``.

    Raises:
        ValueError: If an argument is out of its range.
        TypeError: If an argument is of the wrong type.

    Example:
        >>> folders = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "streets", 20, image_size=(48, 64))
        >>> data = unetv2.SegmentationDataset.from_folders(*folders, classes=unetv2.CARLA)
        >>> data.n_classes, data.n_images, data.subset("train").n_images
        (23, 20, 14)
        >>> train = data.batches(subset="train", batch_size=4, augmentation="light")
        >>> validation = data.batches(subset="validation")
    """

    source: LabelSource
    preprocessing: Preprocessing
    split: Sequence[float] = SPLIT
    group_by: GroupBy | None = None
    seed: int = 0
    max_pixels: int = MAX_PIXELS
    subset_name: str | None = None
    subset_keys: Mapping[str, Sequence[str]] | None = None
    inferred: tuple[str, ...] = ()
    warns_of_size: bool = True

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.subset_keys is not None:
            object.__setattr__(self, "subset_keys", require_subset_keys(self.subset_keys))
        require_choice("subset", self.subset_name, (*SUBSETS, None))
        require_integer("max_pixels", self.max_pixels, 1, "It guards against broken headers.")
        known = self.preprocessing
        if known.resize == "pad" and known.ignore_class is None:
            raise ValueError(
                "`ignore_class` must be an id where images are padded: it marks the padding. "
                "Received: resize='pad' and ignore_class=None. Pass an id that is no class, "
                "such as 255."
            )
        size, crop_size = known.image_size, known.crop_size
        if size and crop_size and (crop_size[0] > size[0] or crop_size[1] > size[1]):
            raise ValueError(
                "`crop_size` must fit into `image_size`. "
                f"Received: crop_size={crop_size} and image_size={size}. "
                "Pass image_size=None to crop from the files' own size."
            )

    @classmethod
    def from_folders(
        cls,
        image_dir: str | os.PathLike[str],
        mask_dir: str | os.PathLike[str],
        *,
        n_classes: int | None = None,
        ignore_class: int | None = None,
        classes: ClassTable | None = None,
        encoding: str | None = None,
        label_map: Mapping[int, int] | None = None,
        image_size: tuple[int, int] | None = (96, 128),
        resize: str = "stretch",
        interpolation: str = "area",
        channels: int | None = None,
        crop_size: tuple[int, int] | None = None,
        split: Sequence[float] = SPLIT,
        subset_keys: Mapping[str, Sequence[str]] | None = None,
        group_by: GroupBy | None = None,
        seed: int = 0,
        image_suffix: str | None = None,
        mask_suffix: str | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> SegmentationDataset:
        """Creates a data set from a folder of images and a folder of masks, paired by name.

        Suffixes, encoding, classes and channels that are None are inferred from the files;
        ``inferred`` names them, and ``print`` of the data set shows their values. If the files
        are ambiguous, the error lists the choices as arguments. All masks are read for it, or
        1,000 spread over the data set. The files are not listed if all of ``image_suffix``,
        ``mask_suffix``, ``channels``, ``encoding``, and ``n_classes`` or ``classes`` are given.

        Args:
            image_dir: Folder of the images.
            mask_dir: Folder of the masks.
            n_classes: int or None. Number of classes, as for :func:`unetv2.make_dataset`, like all
                other options. None takes that of ``classes`` or of the ids in the masks.
            ignore_class: int or None. Id of unlabeled pixels. None takes that of ``classes``, or
                255, 65535 or a negative id where masks hold it beside the classes.
            classes: ClassTable or None. Names and colors. None takes those of ``classes.json``,
                ``classes.csv``, ``_classes.csv``, ``class_dict.csv``, ``labels.txt``, ``codes.txt``
                or ``labelmap.txt`` in the folders or beside them, if they fit. For colors, it takes
                the built-in table with these colors, or a table of all colors found.
            encoding: str or None. Encoding of the masks; None takes ``"ids"``, ``"colors"`` or
                ``"binary"``.
            label_map: Mapping of ids in the files to class ids, or None. Ids that are gray values
                with gaps, such as 0, 50, 100 and 150, are numbered from 0.
            image_size: ``(height, width)`` of the images, or None for their original size.
            resize: str. How images are resized.
            interpolation: str. Interpolation of images.
            channels: int or None. Channels of the images. None takes those of arrays, and of
                image files 1 if all of a sample are gray, else 3.
            crop_size: ``(height, width)`` of random crops, or None.
            split: Fractions of the train, validation and test subsets.
            subset_keys: Mapping or None. Keys of the subsets instead of ``split``.
            group_by: str, function or None. Groups of pairs that stay in one subset.
            seed: int. Seed of the split, the order, the crops and the augmentation.
            image_suffix: str or None. Suffix of image names. None takes the one with which every
                image has a mask, if names differ by a suffix only, else none.
            mask_suffix: str or None. Suffix of mask names, as ``image_suffix``.
            max_pixels: int. Images with more pixels are refused.

        Returns:
            SegmentationDataset.

        Raises:
            FileNotFoundError: If a folder does not exist.
            NotADirectoryError: If a folder is a file.
            ValueError: If an argument is out of its range, no image has a mask, or the files do not
                determine an option.
            TypeError: If an argument is of the wrong type.

        Example:
            >>> folders = unetv2.synthetic.write_driving_scenes(
            ...     tmp / "unknown", 4, image_size=(48, 64))
            >>> data = unetv2.SegmentationDataset.from_folders(*folders)
            >>> data.preprocessing.encoding, data.preprocessing.channels
            ('ids', 3)
        """
        image_dir, mask_dir = os.fspath(image_dir), os.fspath(mask_dir)
        found = infer_options(
            image_dir,
            mask_dir,
            n_classes=n_classes,
            ignore_class=ignore_class,
            classes=classes,
            encoding=encoding,
            label_map=label_map,
            channels=channels,
            image_suffix=image_suffix,
            mask_suffix=mask_suffix,
            max_pixels=max_pixels,
        )
        return _of_folders(
            image_dir,
            mask_dir,
            found,
            image_size=image_size,
            resize=resize,
            interpolation=interpolation,
            crop_size=crop_size,
            split=split,
            subset_keys=subset_keys,
            group_by=group_by,
            seed=seed,
            max_pixels=max_pixels,
        )

    @property
    def n_classes(self) -> int | None:
        """Number of classes, or None if any id is allowed."""
        return self.source.labels.n_classes

    @property
    def ignore_class(self) -> int | None:
        """Id of unlabeled pixels, or None."""
        return self.source.labels.ignore_class

    @property
    def classes(self) -> ClassTable | None:
        """Names and colors of the classes, a :class:`unetv2.ClassTable`, or None."""
        return self.source.labels.classes

    def __str__(self) -> str:
        """Returns a description: number of images, encoding, classes and what was inferred."""
        try:
            size = counted(self.n_images, "image") + (
                f" in the subset {self.subset_name!r}" if self.subset_name else ""
            )
        except ValueError as error:
            size = str(error)
        known, source = self.preprocessing, self.source
        label_map = dict(known.label_map or ())
        rows = [("images", size)]
        if isinstance(source, FolderSource):
            rows += [("", source.image_dir), ("masks", source.mask_dir)]
        rows += [
            ("image_suffix", repr(known.image_suffix)),
            ("mask_suffix", repr(known.mask_suffix)),
            ("channels", str(known.channels)),
            ("encoding", repr(known.encoding)),
            ("n_classes", str(self.n_classes or "any")),
            ("ignore_class", str(known.ignore_class)),
            (
                "label_map",
                _listed(f"{old}: {new}" for old, new in label_map.items()),
            ),
            ("classes", _listed(self.classes.names) if self.classes is not None else ""),
        ]
        lines = [
            f"{name:14}{value}" + (" (inferred)" if name in self.inferred else "")
            for name, value in rows
            if value not in ("", "''", "None") or name in self.inferred
        ]
        return printable_lines("\n".join(lines))

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Pairs of the subset in the order of their keys, ``(key, image, mask)`` with paths.

        Raises:
            ValueError: If an image or a mask has no partner, the subset is empty, or
                ``subset_keys`` holds the key of no pair.
        """
        return tuple(
            split_pairs(
                self.source.pairs,
                self.subset_name,
                split=self.split,
                seed=self.seed,
                group_by=self.group_by,
                subset_keys=self.subset_keys,
            )
        )

    @property
    def n_images(self) -> int:
        """Number of images in the subset."""
        return len(self.pairs)

    def subset(self, name: str | None) -> SegmentationDataset:
        """Returns a subset.

        The subset of a pair depends on its key and ``seed`` only, or on ``subset_keys``.

        Args:
            name: ``"train"``, ``"validation"``, ``"test"``, or None for all pairs.

        Returns:
            SegmentationDataset.

        Raises:
            ValueError: If ``name`` is not one of these.
        """
        return replace(self, subset_name=name)

    def read_mask(self, pair: Pair) -> np.ndarray:
        """Returns the class ids of a pair at the size of its mask.

        Args:
            pair: One of :attr:`pairs`.

        Returns:
            np.ndarray. Integers ``(height, width)``.

        Raises:
            ValueError: If the mask is not valid.
        """
        return self.source.read_mask(pair)

    def fingerprint(self, *, progress: bool = True, cache: bool = True) -> Fingerprint:
        """Returns what the data set is like, as far as training depends on it.

        Up to 200 pairs of the subset are read, spread over all of it; sizes are those of up to
        10,000 headers. The result is stored in ``$XDG_CACHE_HOME/unetv2/fingerprints``, or
        ``~/.cache/unetv2/fingerprints``, and used again until a file or an option of the labels
        changes.

        Args:
            progress: bool. Whether to report progress on stderr.
            cache: bool. Whether to use and store results in that folder.

        Returns:
            Fingerprint.

        Raises:
            ValueError: If a pair that is read is not valid, or pairs are missing.
            OSError: If a file cannot be read.

        Example:
            >>> folders = unetv2.synthetic.write_driving_scenes(
            ...     tmp / "measured", 4, image_size=(48, 64))
            >>> data = unetv2.SegmentationDataset.from_folders(*folders, classes=unetv2.CARLA)
            >>> data.fingerprint(progress=False).sizes
            {'48x64': 4}
        """
        return fingerprint(
            self.source,
            self.pairs,
            self.preprocessing,
            max_pixels=self.max_pixels,
            progress=progress,
            cache=cache,
        )

    def check(
        self, *, output: str | os.PathLike[str] | None = None, progress: bool = True
    ) -> DatasetReport:
        """Reads every pair of all subsets and reports all problems.

        Args:
            output: Folder for :meth:`unetv2.DatasetReport.save`, or None.
            progress: bool. Whether to report progress on stderr.

        Returns:
            DatasetReport.

        Raises:
            ValueError: If the data set has another source than folders, or a folder holds no image.
            OSError: If ``output`` cannot be written.
        """
        source = self.source
        if not isinstance(source, FolderSource):
            raise ValueError(
                "`check` must be called on a data set of two folders. "
                f"Received: a data set of {type(source).__name__}."
            )
        subsets = subset_of_keys(
            source.matching.pairs,
            split=self.split,
            seed=self.seed,
            group_by=self.group_by,
            subset_keys=self.subset_keys,
        )
        return validate(
            source.matching,
            source.labels_with_format,
            subsets,
            folders=(source.image_dir, source.mask_dir),
            channels=self.preprocessing.channels,
            max_pixels=self.max_pixels,
            measure=lambda pairs: fingerprint(
                source,
                pairs,
                self.preprocessing,
                max_pixels=self.max_pixels,
                progress=False,
            ),
            output=output,
            progress=progress,
        )

    def batches(
        self,
        subset: str | None = None,
        *,
        batch_size: int = 32,
        balanced: bool = False,
        frequencies: Mapping[str, float] | None = None,
        augmentation: str | Augmentation | None = None,
        shuffle: bool | None = None,
        repeat: bool = False,
        cache: str | os.PathLike[str] | None = "memory",
        on_error: str = "raise",
        max_skipped: float = 0.1,
    ) -> tf.data.Dataset:
        """Returns batches of images and masks.

        Args:
            subset: ``"train"``, ``"validation"`` or ``"test"``; None takes :attr:`pairs`.
            batch_size: int, at least 1. As for :func:`unetv2.make_dataset`, like all other options.
            balanced: bool. Whether crops are drawn by class.
            frequencies: Mapping of keys to numbers above 0, or None. Relative frequency of pairs in
                an epoch, 1 for other keys. An epoch has as many pairs as without them.
            augmentation: str, Augmentation or None.
            shuffle: bool or None. Whether the order is random.
            repeat: bool. Whether one iteration never ends.
            cache: ``"memory"``, a folder or None.
            on_error: ``"raise"`` or ``"skip"``.
            max_skipped: float in [0, 1). Fraction of pairs that may be skipped.

        Returns:
            tf.data.Dataset of ``(image, mask)``: float32 ``(batch, height, width, channels)`` in
            [0, 1] and int32 ``(batch, height, width, 1)``.

        Raises:
            ValueError: If pairs are missing or not valid, or an argument is out of its range.
            TypeError: If an argument is of the wrong type.
            OSError: If a folder cannot be read, or ``cache`` cannot be written.
        """
        known = self.preprocessing
        batch_size = require_integer("batch_size", batch_size, 1, "The reference has 32.")
        if balanced and known.crop_size is None:
            raise ValueError(
                "`balanced` must come with a `crop_size`: it decides which part is cut out. "
                "Received: balanced=True and crop_size=None. Pass one, or leave it out."
            )
        if augmentation is not None:
            augmentation = get_augmentation(
                augmentation, self.ignore_class, channels=known.channels
            )
        require_choice("on_error", on_error, ("raise", "skip"))
        max_skipped = require_fraction(
            "max_skipped", max_skipped, "It is the fraction of pairs that may be skipped."
        )
        data = self if subset is None else self.subset(subset)
        for key, frequency in (frequencies or {}).items():
            require_number(f"frequencies[{key!r}]", frequency, "1 is once an epoch.", positive=True)
        ceiling = None
        if self.warns_of_size and data.subset_name in ("train", None):
            ceiling = CeilingCheck(self.ignore_class, self.classes)
        loader = Loader(
            data.source,
            data.pairs,
            known,
            balanced=balanced,
            one_size=known.input_size is None and batch_size > 1,
            cache=cache,
            max_skipped=max_skipped if on_error == "skip" else None,
            max_pixels=data.max_pixels,
            ceiling=ceiling,
        )
        if shuffle is None:
            shuffle = data.subset_name not in ("validation", "test")
        identity = {
            "pairs": data.n_images, "names and sizes": _digest(data), "seed": data.seed,
            "shuffle": shuffle, "preparation": describe_preparation(data.source, known),
            "crop_size": known.crop_size, "balanced": balanced, "augmentation": repr(augmentation),
            "frequencies": frequencies and dict(frequencies),
        }  # fmt: skip
        dataset = _batches(
            data, loader, batch_size, augmentation, frequencies,
            shuffle=shuffle, repeat=repeat, skips=on_error == "skip", identity=identity,
        )  # fmt: skip
        if ceiling is not None and known.image_size is not None:
            ceiling.warn(known.image_size)
        return dataset


def _of_folders(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    options: FolderOptions,
    *,
    max_pixels: int,
    split: Sequence[float],
    group_by: GroupBy | None,
    seed: int,
    subset_keys: Mapping[str, Sequence[str]] | None = None,
    **preparation: Any,
) -> SegmentationDataset:
    """Creates a data set of two folders; ``preparation`` are fields of a Preprocessing."""
    suffixes = options.image_suffix, options.mask_suffix
    preprocessing = Preprocessing(
        channels=options.channels,
        image_suffix=options.image_suffix,
        mask_suffix=options.mask_suffix,
        **preparation,
        **_label_options(options.labels),
    )
    return SegmentationDataset(
        source=FolderSource(
            os.fspath(image_dir), os.fspath(mask_dir), options.labels, *suffixes, max_pixels
        ),
        preprocessing=preprocessing,
        split=split,
        subset_keys=subset_keys,
        group_by=group_by,
        seed=seed,
        max_pixels=max_pixels,
        inferred=options.inferred,
    )


def _batches(
    data: SegmentationDataset,
    loader: Loader,
    batch_size: int,
    augment: Augmentation | None,
    frequencies: Mapping[str, float] | None,
    *,
    shuffle: bool,
    repeat: bool,
    skips: bool,
    identity: Mapping[str, Any],
) -> tf.data.Dataset:
    counter = EpochCounter()
    numbers = None
    if frequencies is not None:
        numbers = np.array([frequencies.get(pair.key, 1.0) for pair in data.pairs])

    def batches_of_numbers(size: int) -> tf.data.Dataset:
        order = epochs(
            data.n_images, seed=data.seed, shuffle=shuffle, repeat=repeat, counter=counter,
            frequencies=numbers,
        )  # fmt: skip
        return order.batch(size)

    def finish(
        image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor, first: tf.Tensor | int = 0
    ) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.cast(image, tf.float32) / float(np.iinfo(loader.pixel_dtype).max)
        return (image, mask) if augment is None else augment(image, mask, seed, first)

    def make_parts(size: int, shard: Shard) -> tf.data.Dataset:
        seeded = batches_of_numbers(size).map(
            lambda numbers, draws: (numbers, draws, tf.ones_like(draws)[:, None] * _seed(draws))
        )

        def read_part(
            part: tuple[tf.Tensor, ...], position: PartPosition
        ) -> tuple[Any, PartPosition]:
            numbers, draws, seeds = part
            return (*loader.load(numbers, draws), seeds[0]), position

        def finish_part(
            part: tuple[tf.Tensor, ...], position: PartPosition
        ) -> tuple[Any, PartPosition]:
            images, masks, seeds = part
            return finish(images, masks, seeds, position.first), position

        parts = shard.parts(seeded).map(read_part, num_parallel_calls=BATCHES_AHEAD)
        return keep_alive(parts, loader).map(finish_part, num_parallel_calls=os.cpu_count())

    with loader.check():
        # The next batch is read while a batch waits for its last image.
        dataset = batches_of_numbers(batch_size).map(
            lambda numbers, draws: (*loader.load(numbers, draws), _seed(draws)),
            num_parallel_calls=BATCHES_AHEAD,
        )
        dataset = keep_alive(dataset, loader)
        if skips:
            dataset = dataset.filter(lambda image, *_: tf.shape(image)[0] > 0)
        dataset = with_prefetch(dataset.map(finish, num_parallel_calls=os.cpu_count()))
    # Derived data sets keep this name, which identifies their preprocessing.
    options = tf.data.Options()
    options.dataset_name = f"unetv2-{uuid.uuid4().hex}"
    dataset = dataset.with_options(options)
    remember(dataset, options.dataset_name, data.preprocessing)
    INFOS[dataset] = DatasetInfo(
        preprocessing=data.preprocessing,
        labels=data.source.labels,
        n_pairs=data.n_images,
        keys=None if shuffle or skips or frequencies else tuple(pair.key for pair in data.pairs),
        batch_size=batch_size,
        augmentation=augment,
        repeat=repeat,
        epoch=counter,
        shard=make_parts,
        identity=identity,
    )
    return dataset


def _seed(draws: tf.Tensor) -> tf.Tensor:
    """Returns the seed of a batch's augmentation."""
    return tf.stack([draws[0], draws[-1]])


def _digest(data: SegmentationDataset) -> str:
    """Returns a hash of the keys and of the sizes of the first files, not of the folders."""
    digest = blake2b(digest_size=8)
    for number, pair in enumerate(data.pairs):
        digest.update(pair.key.encode("utf-8", "surrogateescape") + b"\0")
        # Reading the sizes of a million files may take minutes on a network drive.
        if number < _SIZES_IN_DIGEST:
            sizes = [os.stat(path).st_size for path in data.source.files(pair)]
            digest.update(repr(sizes).encode())
    return digest.hexdigest()


def _listed(words: Iterable[str]) -> str:
    words = list(words)
    more = [f"... ({len(words)})"] if len(words) > _NAMES_LISTED else []
    return ", ".join([*map(printable, words[:_NAMES_LISTED]), *more])


def _label_options(labels: Labels) -> dict[str, Any]:
    """Returns the fields of a Preprocessing that describe labels."""
    # An empty map must be stored if the table has a map, which would be used instead.
    is_mapped = labels.label_map or (labels.classes is not None and labels.classes.label_map)
    return {
        "ignore_class": labels.ignore_class,
        "classes": labels.classes,
        "encoding": labels.encoding,
        "label_map": labels.label_map if is_mapped else None,
    }


def make_dataset(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    *,
    n_classes: int | None = None,
    ignore_class: int | None = None,
    classes: ClassTable | None = None,
    encoding: str = "ids",
    label_map: Mapping[int, int] | None = None,
    image_size: tuple[int, int] | None = (96, 128),
    resize: str = "stretch",
    interpolation: str = "area",
    channels: int = 3,
    crop_size: tuple[int, int] | None = None,
    balanced: bool = False,
    augmentation: str | Augmentation | None = None,
    batch_size: int = 32,
    subset: str | None = None,
    split: Sequence[float] = SPLIT,
    group_by: GroupBy | None = None,
    shuffle: bool | None = None,
    repeat: bool = False,
    seed: int = 0,
    cache: str | os.PathLike[str] | None = "memory",
    image_suffix: str = "",
    mask_suffix: str = "",
    on_error: str = "raise",
    max_skipped: float = 0.1,
    max_pixels: int = MAX_PIXELS,
) -> tf.data.Dataset:
    """Creates batches of images and masks from two folders.

    It is ``SegmentationDataset.from_folders(...).batches(...)``, see
    :class:`unetv2.SegmentationDataset`, but nothing is inferred from the files.

    An image and its mask have the same path and name, apart from the extension. All masks of the
    folder hold class ids in the same way: as gray values, as indices of a color palette, or in red
    alone, as in CARLA's files; or, by ``encoding``, colors or black and white. Ids are never
    interpolated.

    The headers of the first 10,000 pairs are checked, and the first 32 pairs are read. All others
    are checked when they are read, in the first epoch: then an error is a
    ``tf.errors.InvalidArgumentError`` with the same text.

    Args:
        image_dir: Folder of the images: PNG, JPEG, BMP, GIF, TIFF or WebP, or arrays in
            ``.npy`` files, uint8 or uint16 ``(height, width, channels)`` or
            ``(height, width)``.
        mask_dir: Folder of the masks, in a lossless format or as ``.npy``: integers or bool
            ``(height, width)`` or ``(height, width, 1)``, colors uint8 ``(height, width, 3)``.
        n_classes: int, 2 to 65,536, or None. Number of classes; other ids in a mask are errors.
            None takes the number of ``classes``, 2 for ``encoding="binary"``, or allows any id.
        ignore_class: int or None. Id of unlabeled pixels, which is allowed too. None takes that of
            ``classes``.
        classes: ClassTable or None. Names and colors; the default of ``n_classes``,
            ``ignore_class`` and ``label_map``.
        encoding: ``"ids"``, for which colors are errors; ``"colors"`` of ``classes``, exactly;
            ``"binary"``, 0 and 255; ``"max_channel"``, the maximum of red, green and blue, so
            that different colors may have the same id.
        label_map: Mapping of ids in the files to class ids. Other ids stay unchanged, and must not
            be the target of a mapped one. None takes that of ``classes``.
        image_size: ``(height, width)`` to which both are resized. None keeps the size of each
            image; then all must have the same, or pass ``crop_size`` or ``batch_size=1``.
        resize: ``"stretch"``; ``"pad"``, which keeps the aspect ratio and pads with black and
            ``ignore_class``; ``"crop"``, which keeps it and crops around the center.
        interpolation: Interpolation of images. ``"area"``: the mean over an output pixel's area
            along a side that shrinks, bilinear along one that grows; or ``"nearest"``,
            ``"bilinear"``, ``"bicubic"`` or ``"lanczos3"``. The reference has ``"nearest"``.
        channels: int, at least 1. Channels of the images. Image files are converted: 1 gray, 2
            gray with alpha, 3 RGB, 4 RGB with alpha. Arrays must have this number of channels.
        crop_size: ``(height, width)`` or None. Size of random crops after resizing, different ones
            in each epoch. It must fit into ``image_size`` and every image.
        balanced: bool. Whether a crop must contain a class that is drawn first, with the same
            probability for each class of the image.
        augmentation: ``"light"``, ``"driving"``, an
            :class:`~unetv2.augmentation.Augmentation`, or None. Unless there are 3 channels, the
            saturation of a name is disabled, and an augmentation with one is an error.
        batch_size: int, at least 1. Pairs in a batch; the last one of an epoch may be smaller.
        subset: ``"train"``, ``"validation"`` or ``"test"``; None takes all pairs.
        split: Fractions of the three subsets, with the sum 1. A pair's subset follows from its
            name and ``seed`` alone.
        group_by: str, function or None. Group of a pair, which is never split over subsets: a
            regular expression whose first group is the key, or a function of the name.
        shuffle: bool or None. Whether each epoch has a random order; None shuffles all subsets but
            ``"validation"`` and ``"test"``.
        repeat: bool. Whether one iteration never ends, epoch after epoch.
        seed: int, at least 0. Seed of the split, the order, the crops and the augmentation.
        cache: ``"memory"`` keeps the prepared images, 4 bytes per RGB pixel; a folder keeps them
            for later runs too; None reads the files in every epoch.
        image_suffix: str. Suffix of image names, such as ``"_leftImg8bit"``.
        mask_suffix: str. Suffix of mask names, such as ``"_gtFine_labelIds"``.
        on_error: ``"raise"``, or ``"skip"`` to continue without pairs that are not valid, each
            logged once by the logger ``unetv2``. Their batches are smaller, and ``len`` of the
            data set is unknown.
        max_skipped: float in [0, 1). Fraction of pairs that may be skipped.
        max_pixels: int, at least 1. Images with more pixels are refused by their header.

    Returns:
        tf.data.Dataset of ``(image, mask)``: float32 ``(batch, height, width, channels)`` in
        [0, 1] and int32 ``(batch, height, width, 1)``.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If a folder is a file.
        ValueError: If an image or a mask has no partner or is not valid, their sizes differ, or an
            argument is out of its range.
        TypeError: If an argument is of the wrong type.
        OSError: If a folder cannot be read, or ``cache`` cannot be written.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "scenes", 4, image_size=(48, 64))
        >>> train = unetv2.make_dataset(
        ...     images, masks, classes=unetv2.CARLA, batch_size=2, augmentation="driving")
        >>> for image, mask in train.take(1):
        ...     print(image.shape, image.dtype.name, mask.shape, mask.dtype.name)
        (2, 96, 128, 3) float32 (2, 96, 128, 1) int32
    """
    labels = resolve_labels(n_classes, ignore_class, classes, encoding, label_map)
    data = _of_folders(
        image_dir,
        mask_dir,
        FolderOptions(labels, channels, image_suffix, mask_suffix),
        image_size=image_size,
        resize=resize,
        interpolation=interpolation,
        crop_size=crop_size,
        split=split,
        group_by=group_by,
        seed=seed,
        max_pixels=max_pixels,
    )
    return data.batches(
        subset,
        batch_size=batch_size,
        balanced=balanced,
        augmentation=augmentation,
        shuffle=shuffle,
        repeat=repeat,
        cache=cache,
        on_error=on_error,
        max_skipped=max_skipped,
    )


def check_dataset(
    image_dir: str | os.PathLike[str],
    mask_dir: str | os.PathLike[str],
    *,
    n_classes: int | None = None,
    ignore_class: int | None = None,
    classes: ClassTable | None = None,
    encoding: str = "ids",
    label_map: Mapping[int, int] | None = None,
    channels: int = 3,
    image_suffix: str = "",
    mask_suffix: str = "",
    split: Sequence[float] = SPLIT,
    group_by: GroupBy | None = None,
    seed: int = 0,
    max_pixels: int = MAX_PIXELS,
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> DatasetReport:
    """Validates all images and masks of two folders and reports every problem.

    :func:`unetv2.make_dataset` stops at the first error. This function continues after errors, and
    also reports problems that raise no error but impair training or its scores: images in two
    subsets, smoothed masks, classes that never occur. Only counts and hashes of images are kept in
    memory.

    Args:
        image_dir: Folder of the images, image files or ``.npy`` arrays, as for
            :func:`unetv2.make_dataset`.
        mask_dir: Folder of the masks.
        n_classes: int, 2 to 65,536, or None. Number of classes; other ids are errors. None uses
            the number of ``classes``, or allows any id.
        ignore_class: int or None. Id of unlabeled pixels. None uses that of ``classes``.
        classes: ClassTable or None. Names and colors.
        encoding: ``"ids"``, ``"colors"``, ``"binary"`` or ``"max_channel"``, as for
            :func:`unetv2.make_dataset`.
        label_map: Maps ids in the files to class ids. None uses that of ``classes``.
        channels: int, at least 1. Channels of the images: 1 to 4 for image files, which are
            converted; any number for arrays, which must have exactly as many.
        image_suffix: str. Suffix of the images' names, such as ``"_leftImg8bit"``.
        mask_suffix: str. Suffix of the masks' names.
        split: Fractions of train, validation and test, with the sum 1, to find images that are in
            two subsets.
        group_by: str, function or None. Groups that stay in one subset, as for
            :func:`unetv2.make_dataset`.
        seed: int, at least 0. Seed of the split.
        max_pixels: int, at least 1. Images with more pixels are not decoded.
        output: Folder for :meth:`unetv2.DatasetReport.save`, or None.
        progress: bool. Whether to report progress on stderr.

    Returns:
        DatasetReport.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If a folder is a file.
        ValueError: If a folder holds no image or two images of the same name, or an argument is
            out of range.
        TypeError: If an argument is of the wrong type.
        OSError: If ``output`` cannot be written.

    Example:
        >>> images, masks = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "checked", 4, image_size=(48, 64))
        >>> report = unetv2.check_dataset(images, masks, n_classes=20, progress=False)
        >>> report.ok, report.problems[0].kind, report.problems[0].message.split(":")[0]
        (False, 'out_of_range', 'ids outside [0, 20)')

    References:
        - Eigen & Fergus, "Predicting Depth, Surface Normals and Semantic Labels with a Common
          Multi-Scale Convolutional Architecture", ICCV 2015: the weight of a class is the median of
          all frequencies divided by its own, its fraction of the pixels of the images with it.
    """
    labels = resolve_labels(n_classes, ignore_class, classes, encoding, label_map)
    data = _of_folders(
        image_dir,
        mask_dir,
        FolderOptions(labels, channels, image_suffix, mask_suffix),
        split=split,
        group_by=group_by,
        seed=seed,
        max_pixels=max_pixels,
    )
    return data.check(output=output, progress=progress)
