"""The dataset doctor: reads every pair and reports all that it finds."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from unetv2.data.advice import number_instances
from unetv2.data.labels import Labels
from unetv2.data.notation import MOST_COLORS
from unetv2.data.pairs import SUBSETS, Pair
from unetv2.data.sources.folders import Matching, count_by_format
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
        labels: How masks are read, with the masks' notation.
        subsets: The subset of each pair's key.
        folders: The folders of images and masks, for the report.
        channels: int. Channels of the images.
        max_pixels: int. Larger images are not decoded.
        output: Folder for :meth:`unetv2.DatasetReport.save`, or None.
        progress: bool. Whether to report progress on stderr.
    """
    found = matching
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
    counts = {name: list(subsets.values()).count(name) for name in SUBSETS}
    report = _report(folders, len(found.pairs), counts, tally, labels)
    if output is not None:
        report.save(output)
    return report


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
    for what, unread in (("images", found.unsupported_images), ("masks", found.unsupported_masks)):
        if unread:
            example = os.path.basename(next(iter(unread.values())))
            message = f"{count_by_format(unread)} among the {what}, such as '{example}'"
            findings.append(Finding("warning", "unread_files", None, message))
    return findings


def _missing(what: str, path: str, found: Matching) -> str:
    partner = found.unsupported_partners.get(path)
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
