"""The fingerprint of a data set: what it is like, as far as training depends on it."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unetv2.arguments import require_image_size
from unetv2.checksums import add_checksum, read_json, verify_checksum
from unetv2.data import similarity
from unetv2.data.ceiling import class_name, ids_and_counts, interpolated, overlaps, windows
from unetv2.data.io.open import Header, decode_image, open_file, read_header
from unetv2.data.pairs import LabelSource, Pair
from unetv2.data.preprocess import require_same_size
from unetv2.data.regions import find_regions
from unetv2.files import write_atomically
from unetv2.prefetch import prefetch
from unetv2.preprocessing import Preprocessing
from unetv2.progress import Progress
from unetv2.text import aligned, counted, error_summary, printable

SCALES = (1.0, 0.75, 0.5, 0.35, 0.25, 0.18, 0.125)

# Increment when the fingerprint of the same files changes.
_VERSION = 1
# Numbers of headers, of pairs that are read, of images that only become thumbnails, and limits of
# the pixels of the last two; but at least a few pairs are read.
_MAX_HEADERS = 10_000
_MAX_PAIRS, _MAX_PAIR_PIXELS, _MIN_PAIRS = 200, 2**28, 12
_MAX_THUMBNAILS, _MAX_THUMBNAIL_PIXELS = 1_000, 2**28
# Images of one block follow each other, as neighbors of a video do.
_BLOCK = 8
_THUMBNAIL_PIXELS = (128, 128)
# Masks whose ceiling is measured, more of them for classes that few of these contain.
_CEILING_MASKS, _CEILING_MASKS_PER_CLASS = 48, 8
_MAX_WINDOW_IDS, _MAX_MAP_IDS = 64, 64
# Side of the windows in which regions of larger masks are found.
_REGION_WINDOW = 2048
_REGIONS_PER_MASK = 1000
_SIZES_SHOWN, _CLASSES_SHOWN = 6, 64
_GRID_FOR_STATISTICS = 256

_log = logging.getLogger("unetv2")


@dataclass(frozen=True)
class ClassFingerprint:
    """Frequency, regions and ceiling of one class, from a sample of the masks.

    Attributes:
        id: int. The class id.
        name: str. Its name in the table, or empty.
        pixel_share: float in [0, 1]. Fraction of the labeled pixels.
        image_share: float in [0, 1]. Fraction of the images that contain it.
        regions_per_image: float. Mean number of connected regions in the images that contain it.
        region_area: float. Median over its pixels of the area of their region, in pixels; single
            pixels that are labeled wrongly do not change it.
        thickness: float. Median over its pixels of the thickness of their region, in pixels: twice
            the area by the length of the boundary, which is the width of a long object.
        ceiling: tuple of float in [0, 1]. IoU of its masks that are shrunk to each of
            ``Fingerprint.scales`` and enlarged again; 1 if the class does not occur.

    Example:
        >>> from unetv2.data.fingerprint import ClassFingerprint
        >>> ClassFingerprint(1, "car", 0.1, 0.5, 2.0, 40.0, 5.0, (1.0, 0.9)).region_area
        40.0
    """

    id: int
    name: str
    pixel_share: float
    image_share: float
    regions_per_image: float
    region_area: float
    thickness: float
    ceiling: tuple[float, ...]


@dataclass(frozen=True)
class Fingerprint:
    """Result of :meth:`unetv2.SegmentationDataset.fingerprint`; ``print`` shows it as a table.

    Attributes:
        n_images: int. Number of images.
        n_sampled: int. Number of pairs that were read.
        sizes: Number of images by ``"<height>x<width>"``, from up to 10,000 headers.
        min_size: ``(height, width)``. The smallest height and the smallest width.
        median_size: ``(height, width)``. Their medians.
        aspect_ratios: tuple of float. Minimum, median and maximum of width / height.
        channels: int. 1 if every image that was read is gray, also one with equal red, green and
            blue; otherwise 3, or the channels of arrays.
        bits: int. 8, or 16 if an image has more than 8 bits per channel.
        value_range: tuple of float. Smallest and largest value in [0, 1].
        mean: tuple of float. Mean of each of ``channels`` in [0, 1].
        std: tuple of float. Standard deviation of each over all pixels.
        image_suffix: str. Suffix of image names.
        mask_suffix: str. Suffix of mask names.
        encoding: str. Encoding of the masks, as for :func:`unetv2.make_dataset`.
        n_classes: int. Number of classes; the largest id plus one if none was given.
        ignore_class: int or None. Id of unlabeled pixels.
        classes: tuple of :class:`~unetv2.data.fingerprint.ClassFingerprint`, one for each class;
            without a given number of classes, one for each id found.
        scales: tuple of float. The scales of the ceilings, in descending order.
        symmetric: Mapping of ``"horizontal_flip"``, ``"vertical_flip"`` and ``"transpose"`` to
            bool: whether images that are changed in this way could belong to the data set, as far
            as the positions of classes and colors show.
        asymmetry: Mapping of the same to float: the mean correlation of the differences of two
            images' classes from the flipped ones, about 0 for symmetric data sets, at most 1.
        group_by: str or None. A regular expression whose first group is the sequence of a key, for
            ``group_by`` of :func:`unetv2.make_dataset`, if the names have one and its images are
            clearly more similar than those of different sequences.
        n_groups: int. Number of sequences, or of images without ``group_by``.
        near_duplicates: tuple of ``(key, key)``. Pairs of keys whose images are nearly the same,
            among up to 1,000 images; at most 1,000 pairs.

    Example:
        >>> folders = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "fingerprint", 8, image_size=(48, 64))
        >>> data = unetv2.SegmentationDataset.from_folders(*folders, classes=unetv2.CARLA)
        >>> fingerprint = data.fingerprint(progress=False, cache=False)
        >>> fingerprint.n_images, fingerprint.median_size, fingerprint.channels
        (8, (48, 64), 3)
        >>> fingerprint.mean_ceiling(0.25) < fingerprint.mean_ceiling(0.5) < 1
        True
        >>> fingerprint.symmetric["vertical_flip"]
        False
    """

    n_images: int
    n_sampled: int
    sizes: Mapping[str, int]
    min_size: tuple[int, int]
    median_size: tuple[int, int]
    aspect_ratios: tuple[float, float, float]
    channels: int
    bits: int
    value_range: tuple[float, float]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image_suffix: str
    mask_suffix: str
    encoding: str
    n_classes: int
    ignore_class: int | None
    classes: tuple[ClassFingerprint, ...]
    scales: tuple[float, ...]
    symmetric: Mapping[str, bool]
    asymmetry: Mapping[str, float]
    group_by: str | None
    n_groups: int
    near_duplicates: tuple[tuple[str, str], ...]

    def mean_ceiling(self, scale: float) -> float:
        """Returns the mean ceiling of the classes that occur.

        Args:
            scale: float, above 0. Working size as a fraction of the images' own size.

        Returns:
            float in [0, 1], interpolated between :attr:`scales`.

        Raises:
            ValueError: If ``scale`` is not positive.
        """
        if not scale > 0:
            raise ValueError(
                f"`scale` must be positive. Received: scale={scale!r}. Pass 0.5 for half the size."
            )
        found = [row for row in self.classes if row.pixel_share]
        return float(np.mean([interpolated(scale, self.scales, row.ceiling) for row in found]))

    def ceiling_of_size(self, size: tuple[int, int]) -> tuple[float, ...]:
        """Returns the ceiling of each of :attr:`classes` if all images are resized to one size.

        Args:
            size: ``(height, width)``.

        Returns:
            tuple of float in [0, 1], the mean over the images' sizes. Where height and width shrink
            differently, it is that of the geometric mean of both scales.

        Raises:
            ValueError: If ``size`` is not two positive integers.
        """
        height, width = require_image_size(size, "size")
        weights = Counter[float]()
        for name, count in self.sizes.items():
            own = [int(side) for side in name.split("x")]
            weights[(min(1, height / own[0]) * min(1, width / own[1])) ** 0.5] += count
        return tuple(
            sum(
                count * interpolated(scale, self.scales, row.ceiling)
                for scale, count in weights.items()
            )
            / weights.total()
            for row in self.classes
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the fingerprint as a dict of JSON types.

        Returns:
            dict, for :meth:`from_dict`.
        """
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Fingerprint:
        """Returns the fingerprint of a dict of :meth:`as_dict`.

        Args:
            content: Mapping of all attributes.

        Returns:
            Fingerprint.

        Raises:
            ValueError: If attributes are missing or unknown.
        """
        _require_fields(cls, content, "content")
        for row in content["classes"]:
            _require_fields(ClassFingerprint, row, "classes")
        values = {name: _as_tuple(value) for name, value in content.items()}
        values["classes"] = tuple(
            ClassFingerprint(**{name: _as_tuple(value) for name, value in row.items()})
            for row in content["classes"]
        )
        return cls(**values)

    def __str__(self) -> str:
        """Returns the fingerprint as text."""
        rows = [("images", f"{self.n_images}, of which {self.n_sampled} were read")]
        common = sorted(self.sizes.items(), key=lambda entry: -entry[1])[:_SIZES_SHOWN]
        listed = ", ".join(f"{count} {size}" for size, count in common)
        rows.append(("sizes", listed + (", ..." if len(self.sizes) > _SIZES_SHOWN else "")))
        low, high = self.value_range
        kind = f"{counted(self.channels, 'channel')} of {self.bits} bits"
        rows.append(("values", f"{kind}, {low:.3f} to {high:.3f}"))
        for name, values in (("mean", self.mean), ("deviation", self.std)):
            rows.append((name, ", ".join(f"{value:.3f}" for value in values)))
        ignored = "" if self.ignore_class is None else f", {self.ignore_class} is ignored"
        masks = f"encoding {self.encoding}, {counted(self.n_classes, 'class')}{ignored}"
        rows.append(("masks", masks.replace("classs", "classes")))
        kept = [name.replace("_", " ") for name, value in self.symmetric.items() if value]
        rows.append(("symmetric", ", ".join(kept) or "in no direction"))
        groups = "no sequences found in names and images"
        if self.group_by is not None:
            groups = f"{self.n_groups}, by group_by={self.group_by!r}"
        rows.append(("sequences", groups))
        if self.near_duplicates:
            first, second = self.near_duplicates[0]
            pairs = counted(len(self.near_duplicates), "pair")
            rows.append(("near-duplicates", printable(f"{pairs}, such as {first} and {second}")))
        return f"{aligned(rows)}\n\n{self._class_table()}"

    def _class_table(self) -> str:
        titles = ("class", "", "pixels", "images", "regions", "area", "thickness")
        rows = [(*titles, "ceiling at", *(f"{scale:g}" for scale in self.scales[1:]))]
        for row in self.classes:
            if not row.pixel_share:
                continue
            numbers = f"{row.pixel_share:.2%}", f"{row.image_share:.0%}"
            regions = f"{row.regions_per_image:.1f}", f"{row.region_area:.0f}"
            ceilings = [f"{value:.2f}" for value in row.ceiling[1:]]
            name = printable(row.name)
            thickness = f"{row.thickness:.1f}"
            rows.append((str(row.id), name, *numbers, *regions, thickness, "", *ceilings))
        table = aligned(rows[: _CLASSES_SHOWN + 1], right=(0, *range(2, len(rows[0]))))
        return table + ("\n..." if len(rows) > _CLASSES_SHOWN + 1 else "")


def _require_fields(kind: type, content: object, name: str) -> None:
    names = {entry.name for entry in fields(kind)}
    found = set(content) if isinstance(content, Mapping) else None
    if found != names:
        wrong = "no mapping" if found is None else ", ".join(map(repr, sorted(found ^ names)))
        raise ValueError(
            f"`{name}` must have the attributes of a {kind.__name__}. "
            f"Received: {wrong}, missing or unknown. Pass a result of `as_dict`."
        )


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value


def fingerprint(
    source: LabelSource,
    pairs: Sequence[Pair],
    preprocessing: Preprocessing,
    *,
    max_pixels: int,
    progress: bool = True,
    cache: bool = True,
) -> Fingerprint:
    """Returns the fingerprint of pairs; see :meth:`unetv2.SegmentationDataset.fingerprint`.

    Args:
        source: LabelSource. Provides the masks.
        pairs: At least one.
        preprocessing: Preprocessing. Suffixes and encoding.
        max_pixels: int. Larger images are refused.
        progress: bool. Whether to report progress on stderr.
        cache: bool. Whether to load and store the result in the user's cache folder.
    """
    path = _cache_path(source, pairs, preprocessing) if cache else None
    known = None if path is None else _load(path)
    if known is None:
        known = _Measurement(source, pairs, preprocessing, max_pixels).result(progress)
        if path is not None:
            _store(path, known)
    return known


def _cache_path(
    source: LabelSource, pairs: Sequence[Pair], preprocessing: Preprocessing
) -> Path | None:
    """Returns the path of the fingerprint for the current state of the files."""
    options = preprocessing.image_suffix, preprocessing.mask_suffix, preprocessing.encoding
    digest = blake2b(repr((_VERSION, source.description, options)).encode(), digest_size=16)
    for pair in pairs:
        states = [
            (status.st_size, status.st_mtime_ns) for status in map(os.stat, source.files(pair))
        ]
        digest.update(repr((pair.key, states)).encode("utf-8", "surrogateescape"))
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:  # There is no home directory.
        return None
    return Path(base) / "unetv2" / "fingerprints" / f"{digest.hexdigest()}.json"


def _load(path: Path) -> Fingerprint | None:
    """Returns a stored fingerprint, or None if there is none or it is damaged."""
    try:
        return Fingerprint.from_dict(verify_checksum(read_json(path.read_bytes())))
    except (OSError, ValueError, TypeError):
        return None


def _store(path: Path, result: Fingerprint) -> None:
    content = json.dumps(add_checksum(result.as_dict())).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, lambda file: file.write(content), durable=False)
    except OSError as error:
        _log.warning("The fingerprint is not cached: %s", error_summary(error))


class _Look(NamedTuple):
    """What is kept of a pair that was read.

    Attributes:
        thumbnail: Of the image.
        is_gray: bool. Whether all channels are equal.
        values: float64 ``(5, channels)``. Number, sum, sum of squares, minimum and maximum of some
            of its values in [0, 1].
        maps: Coarse maps of the mask.
        ids: The class ids of the mask.
        counts: Their numbers of pixels.
        windows: Parts of the mask to measure the ceiling.
        regions: By id: number of regions, their areas and thickness.
    """

    thumbnail: np.ndarray
    is_gray: bool
    values: np.ndarray
    maps: dict[int, np.ndarray]
    ids: np.ndarray
    counts: np.ndarray
    windows: list[np.ndarray]
    regions: dict[int, tuple[int, np.ndarray, np.ndarray]]


class _Measurement:
    def __init__(
        self,
        source: LabelSource,
        pairs: Sequence[Pair],
        preprocessing: Preprocessing,
        max_pixels: int,
    ) -> None:
        self._source = source
        self._pairs = sorted(pairs, key=lambda pair: pair.key)
        self._preprocessing = preprocessing
        self._max_pixels = max_pixels
        self._ignored = source.labels.ignore_class

    def result(self, progress: bool) -> Fingerprint:
        """Reads the files and returns the fingerprint."""
        # Decoders release the GIL; the memory of large images limits the number of threads.
        with ThreadPoolExecutor(max(2, os.cpu_count() or 1)) as executor:
            spread = _spread(len(self._pairs), min(len(self._pairs), _MAX_HEADERS))
            headers = dict(zip(spread, executor.map(self._header, spread), strict=True))
            area = np.mean([height * width for height, width in map(_size, headers.values())])
            n_read = int(np.clip(_MAX_PAIR_PIXELS // area, _MIN_PAIRS, _MAX_PAIRS))
            read = _spread(len(self._pairs), min(len(self._pairs), n_read))
            n_thumbnails = min(_MAX_THUMBNAILS, int(_MAX_THUMBNAIL_PIXELS // area))
            others = sorted(set(_blocks(len(self._pairs), n_thumbnails)) - set(read))
            reporter = Progress(len(read) + len(others), "images", shown=progress)
            looks: list[_Look] = []
            thumbnails: dict[int, np.ndarray] = {}
            for look in prefetch(self._look, read, executor, buffer_size=_BLOCK):
                thumbnails[read[len(looks)]] = look.thumbnail
                looks.append(look)
                reporter.update(len(looks))
            small = prefetch(self._thumbnail, others, executor, buffer_size=_BLOCK)
            for index, image in zip(others, small, strict=True):
                thumbnails[index] = image
                reporter.update(len(thumbnails))
            labels = self._source.labels
            pixels_of = Counter[int]()
            for look in looks:
                pixels_of.update(dict(zip(look.ids.tolist(), look.counts.tolist(), strict=True)))
            found = sorted(pixels_of)
            ids = found if labels.n_classes is None else list(range(labels.n_classes))
            ceilings = self._ceilings(looks, executor)
        flips = similarity.asymmetries(
            [look.maps for look in looks],
            [look.thumbnail for look in looks],
            [number for number, _ in pixels_of.most_common(_MAX_MAP_IDS)],
        )
        shown = sorted(thumbnails)
        keys = [self._pairs[index].key for index in shown]
        distance = similarity.distances([thumbnails[index] for index in shown])
        all_keys = [pair.key for pair in self._pairs]
        group_by, n_groups = similarity.find_groups(all_keys, keys, distance)
        sizes = np.array([_size(header) for header in headers.values()])
        ratios = sizes[:, 1] / sizes[:, 0]
        is_gray = all(look.is_gray for look in looks)
        if len(n_channels := {look.values.shape[1] for look in looks}) > 1:
            raise ValueError(
                "All images must have the same number of channels. "
                f"Received: images with {' and '.join(map(str, sorted(n_channels)))}. "
                "Convert them, or use separate folders."
            )
        values = np.stack([look.values for look in looks])
        values = values[..., :1] if is_gray else values
        n_values, sums, squares = values[:, :3].sum(axis=0)
        mean = sums / n_values
        # Rounding may yield a variance just below 0.
        std = np.sqrt(np.maximum(squares / n_values - mean**2, 0))
        names = Counter(f"{height}x{width}" for height, width in sizes.tolist())
        return Fingerprint(
            n_images=len(self._pairs),
            n_sampled=len(looks),
            sizes=dict(sorted(names.items(), key=lambda entry: (-entry[1], entry[0]))),
            min_size=_pair(sizes.min(axis=0)),
            median_size=_pair(np.median(sizes, axis=0)),
            aspect_ratios=(float(ratios.min()), float(np.median(ratios)), float(ratios.max())),
            channels=len(mean),
            bits=max(header.bits for header in headers.values()),
            value_range=(float(values[:, 3].min()), float(values[:, 4].max())),
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
            image_suffix=self._preprocessing.image_suffix,
            mask_suffix=self._preprocessing.mask_suffix,
            encoding=self._preprocessing.encoding,
            n_classes=labels.n_classes or max(found, default=0) + 1,
            ignore_class=self._ignored,
            classes=tuple(self._class(number, looks, pixels_of, ceilings) for number in ids),
            scales=SCALES,
            symmetric={name: symmetric for name, (_, symmetric) in flips.items()},
            asymmetry={name: effect for name, (effect, _) in flips.items()},
            group_by=group_by,
            n_groups=n_groups,
            near_duplicates=similarity.near_duplicates(keys, distance),
        )

    def _header(self, index: int) -> Header:
        return read_header(self._pairs[index].image, self._max_pixels)

    def _thumbnail(self, index: int) -> np.ndarray:
        image = decode_image(
            self._pairs[index].image,
            channels=None,
            max_pixels=self._max_pixels,
            at_least=_THUMBNAIL_PIXELS,
        )
        return similarity.thumbnail(image)

    def _look(self, index: int) -> _Look:
        pair = self._pairs[index]
        mask = self._source.read_mask(pair)
        with open_file(pair.image, self._max_pixels) as file:
            image = file.image(None)
        require_same_size(pair, image.shape[:2], mask.shape)
        ids, counts = ids_and_counts(mask, self._ignored)
        rng = np.random.default_rng(index)
        parts = [mask]
        if max(mask.shape) > _REGION_WINDOW:
            parts = list(windows(mask, ids, counts, rng, side=_REGION_WINDOW, n_windows=1))
        regions: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}
        for part in parts:
            all_regions = find_regions(part)
            for number in ids.tolist():
                is_class = all_regions.ids == number
                areas, thickness = all_regions.areas[is_class], all_regions.thickness[is_class]
                largest = np.argsort(-areas, kind="stable")[:_REGIONS_PER_MASK]
                regions[number] = len(areas), areas[largest], thickness[largest]
        steps = [max(1, side // _GRID_FOR_STATISTICS) for side in mask.shape]
        pixels = image[:: steps[0], :: steps[1]].reshape(-1, image.shape[2])
        # Reductions along contiguous memory are ten times as fast.
        columns = np.ascontiguousarray(pixels.T)
        values = columns / float(np.iinfo(pixels.dtype).max)
        statistics = [
            np.full(len(values), values.shape[1]), values.sum(axis=1), (values**2).sum(axis=1),
            values.min(axis=1), values.max(axis=1),
        ]  # fmt: skip
        return _Look(
            thumbnail=similarity.thumbnail(image),
            is_gray=bool((columns == columns[0]).all()),
            values=np.array(statistics),
            maps=similarity.class_maps(mask),
            ids=ids,
            counts=counts,
            windows=list(windows(mask, ids, counts, rng)),
            regions=regions,
        )

    def _ceilings(
        self, looks: Sequence[_Look], executor: ThreadPoolExecutor
    ) -> dict[int, np.ndarray]:
        """Returns the ceilings of each id at all scales."""
        chosen = set(_spread(len(looks), min(len(looks), _CEILING_MASKS)))
        n_masks = Counter(int(number) for index in chosen for number in looks[index].ids)
        for index in sorted(set(range(len(looks))) - chosen):
            ids = looks[index].ids.tolist()
            if any(n_masks[number] < _CEILING_MASKS_PER_CLASS for number in ids):
                chosen.add(index)
                n_masks.update(ids)
        parts = [part for index in sorted(chosen) for part in looks[index].windows]
        totals: dict[int, np.ndarray] = {}
        for ids, shared in executor.map(self._overlaps, parts):
            for column, number in enumerate(ids.tolist()):
                totals[number] = totals.get(number, 0) + shared[:, column]
        return {
            number: np.append(1.0, shared[:, 0] / np.maximum(shared[:, 1], 1))
            for number, shared in totals.items()
        }

    def _overlaps(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ids, counts = ids_and_counts(mask, self._ignored)
        ids = np.sort(ids[np.argsort(-counts, kind="stable")[:_MAX_WINDOW_IDS]])
        sizes = [
            (max(1, round(scale * mask.shape[0])), max(1, round(scale * mask.shape[1])))
            for scale in SCALES[1:]
        ]
        if not len(ids):
            return ids, np.zeros((len(sizes), 0, 2), np.int64)
        return ids, overlaps(mask, sizes, ids)

    def _class(
        self,
        number: int,
        looks: Sequence[_Look],
        pixels_of: Counter[int],
        ceilings: Mapping[int, np.ndarray],
    ) -> ClassFingerprint:
        # A window of a large mask may miss the class.
        with_class = [look for look in looks if number in look.ids]
        regions = [look.regions[number] for look in with_class if look.regions[number][0]]
        areas = np.concatenate([areas for _, areas, _ in regions] or [np.zeros(0)])
        thickness = np.concatenate([thickness for *_, thickness in regions] or [np.zeros(0)])
        return ClassFingerprint(
            id=number,
            name=class_name(number, self._source.labels.classes),
            pixel_share=pixels_of[number] / max(pixels_of.total(), 1),
            image_share=len(with_class) / len(looks),
            regions_per_image=float(np.mean([count for count, *_ in regions] or [0])),
            region_area=_weighted_median(areas, areas),
            thickness=_weighted_median(thickness, areas),
            ceiling=tuple(ceilings.get(number, np.ones(len(SCALES))).tolist()),
        )


def _spread(total: int, count: int) -> list[int]:
    """Returns sorted indices below ``total``, one at random in each of equal parts."""
    edges = np.arange(count + 1) * total // max(count, 1)
    return np.random.default_rng(0).integers(edges[:-1], edges[1:]).tolist()


def _blocks(total: int, count: int) -> list[int]:
    """Returns indices below ``total`` in blocks of neighbors, up to ``count``."""
    if count >= total:
        return list(range(total))
    starts = _spread(total, min(total, max(1, count // _BLOCK)))
    return [index for start in starts for index in range(start, min(total, start + _BLOCK))]


def _size(header: Header) -> tuple[int, int]:
    return header.size


def _pair(sides: np.ndarray) -> tuple[int, int]:
    height, width = (int(side) for side in sides)
    return height, width


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    if not len(values):
        return 0.0
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])
