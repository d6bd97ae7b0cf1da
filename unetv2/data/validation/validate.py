"""Validation of all pairs and of the data set as a whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from unetv2.data.fingerprint import Fingerprint
from unetv2.data.labels import Labels, are_instance_ids
from unetv2.data.mask_format import MAX_COLORS
from unetv2.data.pairs import SUBSETS, Pair
from unetv2.data.sources.folders import Matching, count_by_format
from unetv2.data.validation.checks import PairResult, check_pair
from unetv2.data.validation.report import ADVICE, DatasetReport, Finding
from unetv2.data.validation.statistics import (
    DatasetStatistics,
    are_probably_binary,
    are_probably_colors,
    suggest,
)
from unetv2.prefetch import prefetch
from unetv2.progress import Progress
from unetv2.text import counted

_MAX_COLORS_REPORTED = 64
_COLOR_PROBLEMS = ("colors_for_ids", "mixed_masks", "unknown_colors", "not_binary")
_NO_READING_ERRORS = ("leakage", "orientation_mismatch")
_UNREADABLE_IDS = ("colors_for_ids", "mixed_masks", "alpha_mask", "label_map_collision")
# Keeps all threads busy without accumulating results.
_QUEUED_PAIRS_PER_THREAD = 4


def validate(
    matching: Matching,
    labels: Labels,
    subsets: Mapping[str, str],
    *,
    folders: tuple[str, str],
    channels: int,
    max_pixels: int,
    measure: Callable[[Sequence[Pair]], Fingerprint],
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> DatasetReport:
    """Validates matched images and masks; see :func:`unetv2.check_dataset`.

    Args:
        matching: Pairs, and files without a partner.
        labels: Labels with the masks' format.
        subsets: The subset of each pair's key.
        folders: The folders of images and masks, for the report.
        channels: int. Channels of the images.
        max_pixels: int. Larger images are not decoded.
        measure: Returns the fingerprint of pairs without errors.
        output: Folder for :meth:`unetv2.DatasetReport.save`, or None.
        progress: bool. Whether to report progress on stderr.
    """
    if output is not None:
        # Raises an error before the validation instead of after it.
        os.makedirs(output, exist_ok=True)
    statistics = DatasetStatistics(subsets, channels)
    statistics.findings += _unpaired(matching)
    reporter = Progress(len(matching.pairs), "pairs", shown=progress)
    results = _check_pairs(matching.pairs, labels, max_pixels, channels)
    for done, result in enumerate(results, start=1):
        statistics.add(result)
        reporter.update(done, counted(len(statistics.findings), "problem"))
    report = replace(
        _report(folders, subsets, statistics, labels),
        fingerprint=_fingerprint(matching.pairs, statistics.findings, measure),
    )
    if output is not None:
        report.save(output)
    return report


def _fingerprint(
    pairs: Sequence[Pair],
    findings: Sequence[Finding],
    measure: Callable[[Sequence[Pair]], Fingerprint],
) -> Fingerprint | None:
    """Returns the fingerprint of the pairs that can be read, or None if there are none."""
    with_errors = {
        finding.image
        for finding in findings
        if finding.severity == "error" and finding.kind not in _NO_READING_ERRORS
    }
    readable = [pair for pair in pairs if pair.image not in with_errors]
    # Files may change, or be decoded in another way.
    with contextlib.suppress(ValueError, OSError):
        return measure(readable) if readable else None
    return None


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
    for kind, files in (
        ("images", matching.unsupported_images),
        ("masks", matching.unsupported_masks),
    ):
        if files:
            example = os.path.basename(next(iter(files.values())))
            message = f"{count_by_format(files)} among the {kind}, such as '{example}'"
            yield Finding("warning", "unsupported_files", None, message)


def _missing(what: str, path: str, matching: Matching) -> str:
    partner = matching.unsupported_partners.get(path)
    if partner is None:
        return f"no {what} of that name"
    return f"the format of its {what} '{os.path.basename(partner)}' is not supported"


def _check_pairs(
    pairs: Sequence[Pair], labels: Labels, max_pixels: int, channels: int
) -> Iterator[PairResult]:
    """Yields the results of all pairs in order, checked by twice as many threads as cores."""
    n_threads = 2 * _n_cores()
    with ThreadPoolExecutor(n_threads) as executor:
        yield from prefetch(
            lambda pair: check_pair(pair, labels, max_pixels, channels),
            pairs,
            executor,
            buffer_size=_QUEUED_PAIRS_PER_THREAD * n_threads,
        )


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
    # No suggestions from ids of misread masks.
    is_misread = any(finding.kind in _UNREADABLE_IDS for finding in statistics.findings)
    options: dict[str, Any] = {"n_classes": labels.n_classes}
    if not is_misread:
        options = suggest(statistics.pixels, labels)
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
    if are_instance_ids(pixels):
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
