"""Evaluates a model on images with masks."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import MAX_COUNTED_CLASSES, require_integer, require_n_classes
from unetv2.checksums import read_json, verify_checksum
from unetv2.classes import ClassTable
from unetv2.data.dataset import SegmentationDataset
from unetv2.evaluation.counts import (
    DEFAULT_TOLERANCE,
    ImageCounts,
    count_image,
    require_tolerance,
)
from unetv2.evaluation.evaluation import Evaluation, write_files
from unetv2.evaluation.examples import Example, Gallery, make_example
from unetv2.evaluation.models import EvaluatedModel, Segmenter
from unetv2.evaluation.report import REPORT_FILE, render
from unetv2.evaluation.sources import (
    BatchCases,
    Case,
    FileCases,
    FolderOptions,
    folder_dataset,
)
from unetv2.files import atomic_folder, explain_write_errors
from unetv2.prefetch import prefetch
from unetv2.progress import Progress
from unetv2.runtime import versions
from unetv2.text import error_summary, printable

# Images that are counted and whose counts are not added yet.
_BUFFER = 4
_log = logging.getLogger("unetv2")


def count_images(
    cases: Iterable[Case],
    *,
    n_classes: int,
    ignore_class: int | None,
    tolerance: int | float,
    progress: Progress,
) -> dict[str, Any]:
    """Counts images in one pass.

    Keeps the counts of each image and downscaled copies of the worst and best ones.

    Returns:
        dict of ``confusion``, ``counts`` and ``examples`` of an ``Evaluation``.

    Raises:
        ValueError: If there is no image, there are too many classes, or an image is invalid; the
            message contains its location.
    """
    require_n_classes(n_classes, MAX_COUNTED_CLASSES)

    def count(case: Case) -> tuple[Case, np.ndarray, np.ndarray, ImageCounts]:
        try:
            mask = case.read_mask()
            confusion, counts = count_image(
                case.name, mask, *case.output,
                n_classes=n_classes, ignore_class=ignore_class, tolerance=tolerance,
            )  # fmt: skip
        except ValueError as error:
            raise ValueError(f"In {case.location}: {error}") from error
        return case, mask, confusion, counts

    confusion = np.zeros((n_classes, n_classes), np.int64)
    parts: list[ImageCounts] = []
    gallery = Gallery()
    # Threads count images while the model predicts the next ones.
    with ThreadPoolExecutor(os.cpu_count()) as executor:
        for case, mask, matrix, counts in prefetch(count, cases, executor, buffer_size=_BUFFER):
            confusion += matrix
            parts.append(counts)
            mean_iou = float(counts.mean_iou[0])
            gallery.add(case.name, mean_iou, partial(_make_example, case, mean_iou, mask))
            progress.update(len(parts))
    if not parts:
        raise ValueError("`data` must hold an image. Received: an empty data set.")
    counts = ImageCounts.concatenate(parts)
    return {"confusion": confusion, "counts": counts, "examples": gallery.examples}


def _make_example(case: Case, mean_iou: float, mask: np.ndarray) -> Example:
    return make_example(case.name, mean_iou, case.read_image(), mask, case.output.predicted)


_RUN_FILE = "run.json"
# Settings of a training that a report shows; the others are for resuming it.
_SHOWN = ("recipe", "epochs", "seed", "precision", "data", "versions")


def provenance(path: Path | None) -> dict[str, Any]:
    """Returns the origin of a model as JSON types.

    Args:
        path: Path of the model's file, or None.

    Returns:
        dict. ``"versions"`` of this process, and ``"training"`` from the ``run.json`` beside the
        file, if it exists.
    """
    origin: dict[str, Any] = {"versions": versions()}
    run = None if path is None else path.parent / _RUN_FILE
    if run is None or not run.exists():
        return origin
    try:
        content = verify_checksum(read_json(run.read_bytes()))
        origin["training"] = {name: content[name] for name in _SHOWN if name in content}
    except (OSError, ValueError) as error:
        _log.warning(
            "'%s' is not a valid record of a training (%s); the evaluation continues without it.",
            printable(run), error_summary(error),
        )  # fmt: skip
    return origin


def evaluate(
    model: keras.Model | Segmenter | str | os.PathLike[str],
    data: SegmentationDataset | tf.data.Dataset | Sequence[str | os.PathLike[str]],
    *,
    subset: str | None = None,
    classes: ClassTable | None = None,
    report: str | os.PathLike[str] | None = None,
    shard: Sequence[int] | None = None,
    boundary_tolerance: int | float = DEFAULT_TOLERANCE,
    tta: bool | Sequence[str | float] | None = None,
    seed: int = 0,
    progress: bool = True,
    **options: Unpack[FolderOptions],
) -> Evaluation:
    """Evaluates a model on images with masks, in one pass.

    Files are evaluated at the resolution of the masks: images are preprocessed as in training, and
    predicted with the windows and the test-time augmentation that are stored with the model
    (``model.preprocessing``); the logits are resized to the mask before the class is chosen, as in
    :func:`unetv2.predict`. This result is comparable with other work. A ``tf.data.Dataset`` is
    evaluated at the network's resolution, without windows and test-time augmentation.

    Pixels of ``ignore_class`` are excluded. Memory grows by ``8 * (7 * n_classes + 45)`` bytes per
    image.

    Args:
        model: A Keras model with logits ``(batch, height, width, n_classes)`` or a softmax at its
            end; an :class:`unetv2.ExportedModel`; the path of one; or an object with ``n_classes``,
            ``preprocessing`` and ``probabilities(image)``, which maps an image ``(height, width,
            channels)`` to ``(height, width, n_classes)``.
        data: A :class:`unetv2.SegmentationDataset`; two folders ``(image_dir, mask_dir)``; or a
            finite ``tf.data.Dataset`` of batches ``(image, mask)``.
        subset: ``"train"``, ``"validation"`` or ``"test"``; None takes all pairs of two folders, or
            the subset of the data set.
        classes: ClassTable or None. Names, colors and ``ignore_class``. None takes those of the
            data or the model, or numbers the classes.
        report: Folder for ``report.html``, ``evaluation.json`` and ``evaluation.npz``, or None.
        shard: ``(index, count)`` or None. Evaluates every ``count``-th pair, starting at ``index``;
            :meth:`Evaluation.merge` merges all shards.
        boundary_tolerance: Tolerance of boundary F1: an int, at least 0, in pixels, or a float in
            [0, 1), the share of the image's diagonal.
        tta: Test-time augmentation of files, as for :class:`unetv2.Predictor`; None for that of the
            model, False for none.
        seed: int, at least 0. Seed of the intervals, and of the split of two folders.
        progress: bool. Whether progress is shown on stderr.
        **options: Options of :meth:`unetv2.SegmentationDataset.from_folders` for two folders:
            ``encoding``, ``label_map``, ``ignore_class``, ``image_suffix``, ``mask_suffix``,
            ``split``, ``group_by`` and ``max_pixels``. The first five default to those of the
            model's training; its ``label_map`` only with its ``encoding``, and not if ``classes``
            has one.

    Returns:
        Evaluation.

    Raises:
        FileNotFoundError: If a folder or file does not exist.
        NotADirectoryError: If a folder is a file.
        TypeError: If an argument has the wrong type.
        ValueError: If the data is empty, infinite, or does not fit the model; if ``classes`` has
            another length; if a mask contains an invalid id, or an image is damaged.
        OSError: If ``report`` cannot be written.

    Example:
        >>> folders = unetv2.synthetic.write_driving_scenes(
        ...     tmp / "evaluated", 4, image_size=(48, 64))
        >>> data = unetv2.make_dataset(*folders, classes=unetv2.CARLA, image_size=(24, 32))
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32), classes=unetv2.CARLA)
        >>> evaluation = unetv2.evaluate(model, data, progress=False)
        >>> evaluation.n_images, int(evaluation.confusion.sum()) == 4 * 24 * 32
        (4, True)
        >>> evaluation = unetv2.evaluate(model, folders, report=tmp / "report", progress=False)
        >>> int(evaluation.confusion.sum()) == 4 * 48 * 64
        True
        >>> sorted(path.name for path in (tmp / "report").iterdir())
        ['evaluation.json', 'evaluation.npz', 'report.html']
    """
    tolerance = require_tolerance(boundary_tolerance)
    seed = require_integer("seed", seed, 0, "It is the seed of the intervals.")
    evaluated = EvaluatedModel(model, tta)
    if isinstance(data, tf.data.Dataset):
        _require_none("a tf.data.Dataset", subset=subset, shard=shard, **options)
        if tta:
            raise ValueError(
                "`tta` must be None for a tf.data.Dataset, which is evaluated without it. "
                f"Received: tta={tta!r}. Pass two folders, or a SegmentationDataset."
            )
        cases: BatchCases | FileCases = BatchCases(evaluated, data, classes)
    else:
        stored: dict[str, Any] = {}
        if isinstance(data, tuple | list) and len(data) == 2:
            data, stored = folder_dataset(evaluated, data, classes, seed, options)
        else:
            _require_none("a data set", **options)
        if not isinstance(data, SegmentationDataset):
            raise TypeError(
                "`data` must be a SegmentationDataset, two folders (image_dir, mask_dir), or a "
                f"tf.data.Dataset. Received: {type(data).__name__}."
            )
        data = data if subset is None else data.subset(subset)
        cases = FileCases(evaluated, data, classes, stored, shard)
    if report is not None:
        # Before the work, so that an error is raised early.
        with explain_write_errors(Path(report), "to keep the report"):
            Path(report).mkdir(parents=True, exist_ok=True)
    counts = count_images(
        cases,
        n_classes=evaluated.n_classes,
        ignore_class=cases.classes.ignore_class,
        tolerance=tolerance,
        progress=Progress(cases.total, "images", shown=progress),
    )
    settings = {
        "model": evaluated.name,
        **cases.settings,
        "boundary_tolerance": tolerance,
        "seed": seed,
        **provenance(evaluated.path),
    }
    evaluation = Evaluation(classes=cases.classes, settings=settings, **counts)
    if report is not None:
        with atomic_folder(Path(report), "to keep the report") as folder:
            write_files(evaluation, folder)
            (folder / REPORT_FILE).write_bytes(render([evaluation]).encode("utf-8"))
    return evaluation


def _require_none(kind: str, **options: Any) -> None:
    for name, value in options.items():
        if value is not None:
            raise ValueError(
                f"`{name}` must be None for {kind}, which was made with it. "
                f"Received: {name}={value!r}. Pass it when `data` is made."
            )
