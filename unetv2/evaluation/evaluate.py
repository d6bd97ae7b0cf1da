"""Holds a model against masks."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from unetv2.arguments import MAX_COUNTED_CLASSES, require_integer, require_n_classes
from unetv2.checksums import read_json, verify_checksum
from unetv2.classes import ClassTable
from unetv2.evaluation.counts import (
    TOLERANCE,
    ImageCounts,
    Rows,
    count_image,
    require_tolerance,
)
from unetv2.evaluation.evaluation import Evaluation, write
from unetv2.evaluation.examples import Gallery, make_example
from unetv2.evaluation.models import Answers, Segmenter
from unetv2.evaluation.report.page import REPORT, render
from unetv2.evaluation.report.subject import Subject
from unetv2.evaluation.sources import Case, DatasetImages, FolderImages
from unetv2.files import atomic_folder, explain_write_errors
from unetv2.progress import Progress
from unetv2.runtime import versions
from unetv2.text import error_summary, printable

# Images that are counted while the model answers of the next one.
_AHEAD = 4


class _Counted(NamedTuple):
    case: Case
    truth: np.ndarray
    counts: ImageCounts


def measure(
    cases: Iterable[Case],
    *,
    n_classes: int,
    ignore_class: int | None,
    tolerance: int | float,
    progress: Progress,
) -> dict[str, Any]:
    """Counts images in one pass; of each, its row and at most a small copy are kept.

    Args:
        cases: One after the other.
        n_classes: int.
        ignore_class: int or None. Id of pixels that do not count.
        tolerance: By how much a boundary may be off.
        progress: Told after each image.

    Returns:
        dict of ``confusion``, ``rows`` and ``examples`` of an ``Evaluation``.

    Raises:
        ValueError: If there is no image, there are more classes than can be counted, or something
            is wrong with an image, with its place.
    """
    require_n_classes(n_classes, MAX_COUNTED_CLASSES)
    count = partial(
        count_image, n_classes=n_classes, ignore_class=ignore_class, tolerance=tolerance
    )
    confusion = np.zeros((n_classes, n_classes), np.int64)
    rows: list[Rows] = []
    gallery = Gallery()
    for case, truth, counts in _counted(cases, count):
        confusion += counts.confusion
        rows.append(Rows.of(case.name, counts))
        mean_iou = float(rows[-1].mean_iou[0])
        make = partial(_example, case, mean_iou, truth)
        gallery.offer(case.name, mean_iou, make)
        progress.update(len(rows))
    if not rows:
        raise ValueError("`dataset` must hold an image. Received: an empty data set.")
    return {
        "confusion": confusion,
        "rows": Rows.joined(rows),
        "examples": gallery.examples,
    }


def _counted(cases: Iterable[Case], count: Callable[..., ImageCounts]) -> Iterator[_Counted]:
    """Yields what is counted, in order; other threads count while the model answers."""

    def one(case: Case) -> _Counted:
        try:
            truth = case.truth()
            return _Counted(case, truth, count(truth, *case.answer))
        except ValueError as error:
            raise ValueError(f"In {case.place}: {error}") from error

    waiting: deque[Future[_Counted]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        try:
            for case in cases:
                waiting.append(threads.submit(one, case))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            threads.shutdown(cancel_futures=True)


def _example(case: Case, mean_iou: float, truth: np.ndarray) -> Any:
    predicted = case.answer.predicted
    return make_example(case.name, mean_iou, case.image(), truth, predicted)


_RUN = "run.json"
# What a reader of a report wants to know of a training; the rest is for resuming it.
_TOLD = ("recipe", "epochs", "seed", "precision", "data", "versions")

_log = logging.getLogger("unetv2")


def provenance(path: Path | None) -> dict[str, Any]:
    """Returns what is known of a model, of types that JSON knows.

    Args:
        path: Its file, or None.

    Returns:
        dict. ``"versions"`` that run here; ``"training"``, what ``run.json`` beside the file says
        of recipe, seed, epochs, data and versions, if it is there.
    """
    known: dict[str, Any] = {"versions": versions()}
    run = None if path is None else path.parent / _RUN
    if run is None or not run.exists():
        return known
    try:
        content = verify_checksum(read_json(run.read_bytes()))
        known["training"] = {name: content[name] for name in _TOLD if name in content}
    except (OSError, ValueError) as error:
        _log.warning(
            "'%s' describes no training (%s); the evaluation goes on without.",
            printable(run), error_summary(error),
        )  # fmt: skip
    return known


def evaluate(
    model: keras.Model | Segmenter | str | os.PathLike[str],
    dataset: tf.data.Dataset | Sequence[str | os.PathLike[str]],
    *,
    classes: ClassTable | None = None,
    report: str | os.PathLike[str] | None = None,
    reading: Mapping[str, Any] | None = None,
    shard: Sequence[int] | None = None,
    boundary_tolerance: int | float = TOLERANCE,
    seed: int = 0,
    progress: bool = True,
) -> Evaluation:
    """Holds a model against masks, in one pass.

    A data set is measured at the network's resolution, as it comes. Two folders are measured at
    the masks' own: images are prepared as in training, as ``model.preprocessing`` tells, and
    the logits resized to the mask before the class is chosen, as :func:`unetv2.predict` does. The
    second is what a user of the masks gets, and what other work can be compared with.

    Pixels of ``ignore_class`` do not count, whatever is predicted there. Memory grows by 8 bytes
    for each of ``7 * n_classes + 45`` counts of an image.

    Args:
        model: A Keras model that gives logits ``(batch, height, width, n_classes)``, or their
            softmax at its end; the path of its ``.keras`` file; or what has ``n_classes``,
            ``preprocessing`` and ``probabilities(image)``, the last from ``(height, width,
            channels)`` to ``(height, width, n_classes)``.
        dataset: Batches of ``(image, mask)`` that end, as of :func:`unetv2.make_dataset`, or two
            folders ``(image_dir, mask_dir)``.
        classes: ClassTable or None. Names, colors and ``ignore_class``. None takes the data's,
            the model's, or numbers the classes.
        report: A folder for ``report.html``, ``evaluation.json`` and ``evaluation.npz``, or None.
        reading: Options of ``make_dataset`` that say how two folders are read: ``encoding``,
            ``label_map``, ``ignore_class``, ``image_suffix``, ``mask_suffix``, ``subset``,
            ``split``, ``group_by``, ``seed`` and ``max_pixels``. The first five are those of the
            model's training where they are left out or None, as ``model.preprocessing`` tells;
            its ``label_map`` goes with its ``encoding``, and gives way to one of ``classes``.
        shard: ``(index, count)`` or None. Only each ``count``-th pair of two folders, from
            ``index`` on; :meth:`Evaluation.merge` joins all of them.
        boundary_tolerance: By how much a boundary may be off: an int, at least 0, for pixels, or a
            float in [0, 1), the share of the image's diagonal.
        seed: int, at least 0. Seed of the intervals.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        Evaluation.

    Raises:
        FileNotFoundError: If a folder or file does not exist.
        NotADirectoryError: If a folder is a file.
        TypeError: If an argument is of the wrong type.
        ValueError: If the data is empty, does not end or does not fit the model; if ``classes``
            is of another length; if a mask holds an id that is no class, or an image is none.
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
    seed = require_integer("seed", seed, 0, "It is the intervals'.")
    answers = Answers(model)
    cases: DatasetImages | FolderImages
    if isinstance(dataset, tuple | list) and len(dataset) == 2:
        cases = FolderImages(answers, dataset, classes, reading or {}, shard)
    else:
        for name, value in (("reading", reading), ("shard", shard)):
            if value is not None:
                raise ValueError(
                    f"`{name}` must be None unless `dataset` is two folders. "
                    f"Received: {name}={value!r}. Make the data set so."
                )
        cases = DatasetImages(answers, dataset, classes)
    if report is not None:
        # A folder that cannot be made is better known now than after the work.
        with explain_write_errors(Path(report), "to keep the report"):
            Path(report).mkdir(parents=True, exist_ok=True)
    counted = measure(
        cases,
        n_classes=answers.n_classes,
        ignore_class=cases.classes.ignore_class,
        tolerance=tolerance,
        progress=Progress(cases.total, "images", shown=progress),
    )
    settings = {
        "model": answers.name,
        **cases.settings,
        "boundary_tolerance": tolerance,
        "seed": seed,
        **provenance(answers.path),
    }
    evaluation = Evaluation(classes=cases.classes, settings=settings, **counted)
    if report is not None:
        with atomic_folder(Path(report), "to keep the report") as folder:
            write(evaluation, folder)
            page = render(Subject.of([evaluation], None))
            (folder / REPORT).write_bytes(page.encode("utf-8"))
    return evaluation
