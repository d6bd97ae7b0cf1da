"""The dataset doctor: reads every pair and reports all that it finds."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.data.advice import number_instances
from unetv2.data.io.open import MAX_PIXELS
from unetv2.data.labels import Labels, resolve_labels
from unetv2.data.listing import by_format
from unetv2.data.notation import MOST_COLORS
from unetv2.data.pairs import SPLIT, SUBSETS, GroupBy, Matching, Pair, match_images, split_pairs
from unetv2.data.validation.checks import Examination, examine_pair
from unetv2.data.validation.findings import ADVICE, Finding
from unetv2.data.validation.report import DatasetReport
from unetv2.data.validation.suggestions import (
    Suggestion,
    class_statistics,
    looks_binary,
    looks_colored,
    suggest,
)
from unetv2.data.validation.tally import Tally
from unetv2.progress import Progress
from unetv2.text import counted

_COLORS_REPORTED = 64
_OF_COLORS = ("colors_for_ids", "mixed_masks", "foreign_colors", "not_binary")
_UNREAD = ("colors_for_ids", "mixed_masks", "alpha_mask", "label_map_collision")
# Enough that no thread waits for the next pair; more would pile up results.
_PAIRS_AHEAD_PER_THREAD = 4


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
    """Reads every pair of two folders and reports all that is wrong with them.

    :func:`unetv2.make_dataset` stops at the first error; this goes through everything, broken
    files too, and also finds what is no error but spoils a training: images that lie in two
    subsets, masks that were smoothed, classes that never occur. Nothing but counts and hashes
    is kept of an image.

    Args:
        image_dir: Folder of the images, images or ``.npy`` arrays, as in
            :func:`unetv2.make_dataset`.
        mask_dir: Folder of the masks, likewise.
        n_classes: int, 2 to 65,536, or None. Number of classes; other ids are errors. None takes
            the number of ``classes``, or any id.
        ignore_class: int or None. Id of pixels without a label. None takes that of ``classes``.
        classes: ClassTable or None. Names and colors.
        encoding: ``"ids"``, ``"colors"``, ``"binary"`` or ``"max_channel"``, as in
            :func:`unetv2.make_dataset`.
        label_map: Other ids for those in the files. None takes that of ``classes``.
        channels: int, at least 1. Channels of the images: 1 to 4 for image files, which are
            converted; any number for arrays, which must have exactly as many.
        image_suffix: str. What images' names end with, such as ``"_leftImg8bit"``.
        mask_suffix: str. What masks' names end with.
        split: Shares of train, validation and test, the sum 1, to find images that lie in two.
        group_by: str, function or None. What belongs together, as in
            :func:`unetv2.make_dataset`.
        seed: int, at least 0. Seed of the split.
        max_pixels: int, at least 1. Images of more pixels are not decoded.
        output: Folder for :meth:`unetv2.DatasetReport.save`, or None.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        DatasetReport.

    Raises:
        FileNotFoundError: If a folder does not exist.
        NotADirectoryError: If it is a file.
        ValueError: If a folder holds no image or two of one name, or an argument is out of
            its range.
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
          Multi-Scale Convolutional Architecture", ICCV 2015: a class's weight is the median of
          all frequencies over its own, the share it has of the images in which it occurs.
    """
    labels = resolve_labels(n_classes, ignore_class, classes, encoding, label_map)
    max_pixels = require_integer("max_pixels", max_pixels, 1, "It guards against broken headers.")
    channels = require_integer("channels", channels, 1, "The default is 3, for RGB.")
    found = match_images(image_dir, mask_dir, image_suffix=image_suffix, mask_suffix=mask_suffix)
    labels = labels.settled([pair.mask for pair in found.pairs], max_pixels)
    subsets = _subsets(found.pairs, split, seed, group_by)
    if output is not None:
        # A folder that cannot be made is better known now than after the work.
        os.makedirs(output, exist_ok=True)
    tally = Tally(subsets, channels)
    tally.findings += _alone(found)
    shown = Progress(len(found.pairs), "pairs", shown=progress)
    examinations = _examined(found.pairs, labels, max_pixels, channels)
    for done, examined in enumerate(examinations, start=1):
        tally.add(examined)
        shown.update(done, counted(len(tally.findings), "problem"))
    folders = os.fspath(image_dir), os.fspath(mask_dir)
    counts = {name: list(subsets.values()).count(name) for name in SUBSETS}
    report = _report(folders, len(found.pairs), counts, tally, labels)
    if output is not None:
        report.save(output)
    return report


def _subsets(
    pairs: Sequence[Pair], split: Sequence[float], seed: int, group_by: GroupBy | None
) -> dict[str, str]:
    """Returns the subset of each key."""
    split_pairs(pairs, None, split=split, seed=seed)
    if pairs:
        split_pairs(pairs, "train", split=(1, 0, 0), seed=seed, group_by=group_by)
    subsets = {}
    for name in SUBSETS:
        try:
            chosen = split_pairs(pairs, name, split=split, seed=seed, group_by=group_by)
        # The arguments are right, as was seen above: the subset is empty.
        except ValueError:
            continue
        subsets.update({pair.key: name for pair in chosen})
    return subsets


def _alone(found: Matching) -> list[Finding]:
    findings = [
        Finding("error", "image_alone", path, _missing("mask", path, found), image=path)
        for path in found.images_alone
    ]
    findings += [
        Finding("error", "mask_alone", path, _missing("image", path, found), mask=path)
        for path in found.masks_alone
    ]
    if found.advice or not found.pairs:
        message = "no image has a mask of its name" if not found.pairs else "most have no partner"
        findings.append(
            Finding("error", "no_pair", None, f"{message}. {found.advice}".removesuffix(". "))
        )
    for what, unread in (("images", found.images_unread), ("masks", found.masks_unread)):
        if unread:
            example = os.path.basename(next(iter(unread.values())))
            message = f"{by_format(unread)} among the {what}, such as '{example}'"
            findings.append(Finding("warning", "unread_files", None, message))
    return findings


def _missing(what: str, path: str, found: Matching) -> str:
    partner = found.unread_partners.get(path)
    if partner is None:
        return f"no {what} of that name"
    return f"its {what} '{os.path.basename(partner)}' is of a format that is not read"


def _examined(
    pairs: Sequence[Pair], labels: Labels, max_pixels: int, channels: int
) -> Iterator[Examination]:
    """Yields what every pair holds, in order, read by twice as many threads as cores."""
    threads = 2 * _cores()
    waiting: deque[Future[Examination]] = deque()
    with ThreadPoolExecutor(threads) as executor:
        try:
            for pair in pairs:
                waiting.append(executor.submit(examine_pair, pair, labels, max_pixels, channels))
                if len(waiting) >= _PAIRS_AHEAD_PER_THREAD * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            executor.shutdown(cancel_futures=True)


def _cores() -> int:
    # A container may be given fewer cores than the machine has.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _report(
    folders: tuple[str, str], n_pairs: int, subsets: dict[str, int], tally: Tally, labels: Labels
) -> DatasetReport:
    # Ids of masks that cannot be read as they are meant suggest nothing about the others.
    unread = any(finding.kind in _UNREAD for finding in tally.findings)
    suggested = Suggestion(labels.n_classes) if unread else suggest(tally.pixels, labels)
    guess = suggested.ignore_class
    ignored = labels.ignore_class if guess is None else guess
    figures = tally.mean_and_std()
    rows = class_statistics(tally, labels, labels.n_classes or suggested.n_classes, ignored)
    kinds = list(ADVICE)
    problems = [*tally.findings, *_about_all(tally, labels, unread)]
    colored = any(finding.kind in _OF_COLORS for finding in problems)
    findings = sorted(
        problems,
        key=lambda finding: (finding.severity != "error", kinds.index(finding.kind)),
    )
    return DatasetReport(
        image_dir=folders[0],
        mask_dir=folders[1],
        n_pairs=n_pairs,
        subsets=subsets,
        image_formats=dict(tally.image_formats),
        mask_formats=dict(tally.mask_formats),
        image_sizes=dict(tally.image_sizes),
        value_range=None if figures is None else (tally.low, tally.high),
        mean=None if figures is None else figures[0],
        std=None if figures is None else figures[1],
        classes=rows,
        colors=tuple(tally.colors.most_common(_COLORS_REPORTED)) if colored else (),
        suggested_n_classes=suggested.n_classes,
        suggested_ignore_class=guess,
        suggested_label_map=suggested.label_map,
        suggested_encoding=suggested.encoding,
        problems=tuple(findings),
        labels=labels,
    )


def _about_all(tally: Tally, labels: Labels, unread: bool) -> Iterator[Finding]:
    """Yields what is wrong with the data set as a whole."""
    if number_instances(tally.pixels):
        message = f"{len(tally.pixels)} ids, up to {max(tally.pixels)}"
        yield Finding("warning", "instance_ids", None, message)
    if unread and len(tally.colors) > MOST_COLORS:
        message = f"{len(tally.colors)} colors and more, too many for classes"
        yield Finding("warning", "instance_ids", None, message)
    if looks_colored(tally.pixels, labels) and not unread:
        message = f"one color of {counted(len(tally.pixels.keys() - {0}), 'tone')} beside black"
        yield Finding("warning", "colors_for_ids", None, message)
    elif looks_binary(tally.pixels, labels) and not unread:
        yield Finding("warning", "binary_masks", None, f"all ids are 0 or {max(tally.pixels)}")
    if labels.n_classes is None or not tally.pixels:
        return
    absent = [number for number in range(labels.n_classes) if number not in tally.pixels]
    if absent:
        names = labels.classes.names if labels.classes is not None else range(labels.n_classes)
        listed = ", ".join(str(names[number]) for number in absent)
        yield Finding("warning", "absent_class", None, f"no pixel of {listed}")
