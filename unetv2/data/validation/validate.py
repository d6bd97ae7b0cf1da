"""Validates a data set: checks every pair, and the data set as a whole."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.data.io.open import MAX_PIXELS
from unetv2.data.labels import Labels, number_instances, resolve_labels
from unetv2.data.listing import by_format
from unetv2.data.mask_format import MAX_COLORS
from unetv2.data.pairs import SPLIT, SUBSETS, GroupBy, Matching, Pair, match_images, split_pairs
from unetv2.data.validation.checks import PairResult, check_pair
from unetv2.data.validation.report import ADVICE, DatasetReport, Finding
from unetv2.data.validation.statistics import (
    DatasetStatistics,
    are_probably_binary,
    are_probably_colors,
    suggest,
)
from unetv2.progress import Progress
from unetv2.text import counted

_MAX_COLORS_REPORTED = 64
_COLOR_PROBLEMS = ("colors_for_ids", "mixed_masks", "unknown_colors", "not_binary")
_UNREADABLE_IDS = ("colors_for_ids", "mixed_masks", "alpha_mask", "label_map_collision")
# So that no thread waits for its next pair; more would accumulate results.
_QUEUED_PAIRS_PER_THREAD = 4


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
    max_pixels = require_integer("max_pixels", max_pixels, 1, "It guards against broken headers.")
    channels = require_integer("channels", channels, 1, "The default is 3, for RGB.")
    matching = match_images(image_dir, mask_dir, image_suffix=image_suffix, mask_suffix=mask_suffix)
    return validate(
        matching,
        labels.with_format_of([pair.mask for pair in matching.pairs], max_pixels),
        _subsets(matching.pairs, split, seed, group_by),
        folders=(os.fspath(image_dir), os.fspath(mask_dir)),
        channels=channels,
        max_pixels=max_pixels,
        output=output,
        progress=progress,
    )


def validate(
    matching: Matching,
    labels: Labels,
    subsets: Mapping[str, str],
    *,
    folders: tuple[str, str],
    channels: int,
    max_pixels: int,
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> DatasetReport:
    """Validates matched images and masks; see :func:`unetv2.check_dataset`.

    Args:
        matching: Pairs, and files without a partner.
        labels: How masks are read, with the masks' format.
        subsets: The subset of each pair's key.
        folders: The folders of images and masks, for the report.
        channels: int. Channels of the images.
        max_pixels: int. Larger images are not decoded.
        output: Folder for :meth:`unetv2.DatasetReport.save`, or None.
        progress: bool. Whether to report progress on stderr.
    """
    if output is not None:
        # Fails before the work instead of after it.
        os.makedirs(output, exist_ok=True)
    statistics = DatasetStatistics(subsets, channels)
    statistics.findings += _unpaired(matching)
    reporter = Progress(len(matching.pairs), "pairs", shown=progress)
    results = _check_pairs(matching.pairs, labels, max_pixels, channels)
    for done, result in enumerate(results, start=1):
        statistics.add(result)
        reporter.update(done, counted(len(statistics.findings), "problem"))
    report = _report(folders, subsets, statistics, labels)
    if output is not None:
        report.save(output)
    return report


def _subsets(
    pairs: Sequence[Pair], split: Sequence[float], seed: int, group_by: GroupBy | None
) -> dict[str, str]:
    """Returns the subset of each pair's key."""
    split_pairs(pairs, None, split=split, seed=seed)
    if pairs:
        split_pairs(pairs, "train", split=(1, 0, 0), seed=seed, group_by=group_by)
    subsets = {}
    for name in SUBSETS:
        try:
            chosen = split_pairs(pairs, name, split=split, seed=seed, group_by=group_by)
        # The calls above checked the arguments: this subset is empty.
        except ValueError:
            continue
        subsets.update({pair.key: name for pair in chosen})
    return subsets


def _unpaired(matching: Matching) -> Iterator[Finding]:
    """Yields findings about files without a partner, and files of unsupported formats."""
    for path in matching.images_alone:
        message = _missing("mask", path, matching)
        yield Finding("error", "missing_mask", path, message, image=path)
    for path in matching.masks_alone:
        message = _missing("image", path, matching)
        yield Finding("error", "missing_image", path, message, mask=path)
    if matching.advice or not matching.pairs:
        problem = "most files have no partner"
        if not matching.pairs:
            problem = "no image has a mask of its name"
        message = f"{problem}. {matching.advice}".removesuffix(". ")
        yield Finding("error", "no_pairs", None, message)
    for what, files in (("images", matching.images_unread), ("masks", matching.masks_unread)):
        if files:
            example = os.path.basename(next(iter(files.values())))
            message = f"{by_format(files)} among the {what}, such as '{example}'"
            yield Finding("warning", "unsupported_files", None, message)


def _missing(what: str, path: str, matching: Matching) -> str:
    partner = matching.unread_partners.get(path)
    if partner is None:
        return f"no {what} of that name"
    return f"the format of its {what} '{os.path.basename(partner)}' is not supported"


def _check_pairs(
    pairs: Sequence[Pair], labels: Labels, max_pixels: int, channels: int
) -> Iterator[PairResult]:
    """Yields the results of all pairs in order, checked by twice as many threads as cores."""
    n_threads = 2 * _n_cores()
    queue: deque[Future[PairResult]] = deque()
    with ThreadPoolExecutor(n_threads) as executor:
        try:
            for pair in pairs:
                queue.append(executor.submit(check_pair, pair, labels, max_pixels, channels))
                if len(queue) >= _QUEUED_PAIRS_PER_THREAD * n_threads:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            executor.shutdown(cancel_futures=True)


def _n_cores() -> int:
    # A container may have fewer cores than the machine.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _report(
    folders: tuple[str, str],
    subsets: Mapping[str, str],
    statistics: DatasetStatistics,
    labels: Labels,
) -> DatasetReport:
    # The ids of masks that were not read as intended suggest nothing.
    is_misread = any(finding.kind in _UNREADABLE_IDS for finding in statistics.findings)
    options = {"n_classes": labels.n_classes} if is_misread else suggest(statistics.pixels, labels)
    ignored = options.get("ignore_class")
    if ignored is None:
        ignored = labels.ignore_class
    mean, std = statistics.mean_and_std() or (None, None)
    kinds = list(ADVICE)
    findings = [*statistics.findings, *_check_all(statistics, labels, is_misread=is_misread)]
    findings.sort(key=lambda finding: (finding.severity != "error", kinds.index(finding.kind)))
    has_colors = any(finding.kind in _COLOR_PROBLEMS for finding in findings)
    return DatasetReport(
        image_dir=folders[0],
        mask_dir=folders[1],
        n_pairs=len(subsets),
        subsets={name: list(subsets.values()).count(name) for name in SUBSETS},
        image_formats=dict(statistics.image_formats),
        mask_formats=dict(statistics.mask_formats),
        image_sizes=dict(statistics.image_sizes),
        value_range=None if mean is None else (statistics.low, statistics.high),
        mean=mean,
        std=std,
        classes=statistics.classes(labels, labels.n_classes or options.get("n_classes"), ignored),
        colors=tuple(statistics.colors.most_common(_MAX_COLORS_REPORTED)) if has_colors else (),
        suggested_n_classes=options.get("n_classes"),
        suggested_ignore_class=options.get("ignore_class"),
        suggested_label_map=options.get("label_map", {}),
        suggested_encoding=options.get("encoding"),
        problems=tuple(findings),
        labels=labels,
    )


def _check_all(
    statistics: DatasetStatistics, labels: Labels, *, is_misread: bool
) -> Iterator[Finding]:
    """Yields findings about the data set as a whole."""
    pixels = statistics.pixels
    if number_instances(pixels):
        message = f"{len(pixels)} ids, up to {max(pixels)}"
        yield Finding("warning", "instance_ids", None, message)
    if is_misread and len(statistics.colors) > MAX_COLORS:
        message = f"at least {len(statistics.colors)} colors, too many for classes"
        yield Finding("warning", "instance_ids", None, message)
    if are_probably_colors(pixels, labels) and not is_misread:
        message = f"black and {counted(len(pixels.keys() - {0}), 'tone')} of one color"
        yield Finding("warning", "colors_for_ids", None, message)
    elif are_probably_binary(pixels, labels) and not is_misread:
        yield Finding("warning", "binary_masks", None, f"all ids are 0 or {max(pixels)}")
    if labels.n_classes is None or not pixels:
        return
    absent = [number for number in range(labels.n_classes) if number not in pixels]
    if absent:
        names = labels.classes.names if labels.classes is not None else range(labels.n_classes)
        listed = ", ".join(str(names[number]) for number in absent)
        yield Finding("warning", "absent_class", None, f"no pixel of {listed}")
