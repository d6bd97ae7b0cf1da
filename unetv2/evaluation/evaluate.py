"""Holds a model against masks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from unetv2.arguments import require_integer
from unetv2.classes import ClassTable
from unetv2.evaluation.boundaries import TOLERANCE, require_tolerance
from unetv2.evaluation.datasets import DatasetPictures
from unetv2.evaluation.folders import FolderPictures
from unetv2.evaluation.measuring import measure
from unetv2.evaluation.models import Answers, Segmenter
from unetv2.evaluation.provenance import provenance
from unetv2.evaluation.result import Evaluation
from unetv2.evaluation.saving import write
from unetv2.files import together, told
from unetv2.progress import Progress
from unetv2.report.page import REPORT, render
from unetv2.report.subject import Subject


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
    the masks' own: pictures are prepared as in training, as ``model.preprocessing`` tells, and
    the logits resized to the mask before the class is chosen, as :func:`unetv2.predict` does. The
    second is what a user of the masks gets, and what other work can be compared with.

    Pixels of ``ignore_class`` do not count, whatever is predicted there. Memory grows by 8 bytes
    for each of ``7 * n_classes + 45`` counts of a picture.

    Args:
        model: A Keras model that gives logits ``(batch, height, width, n_classes)``, or their
            softmax at its end; the path of its ``.keras`` file; or what has ``n_classes``,
            ``preprocessing`` and ``probabilities(image)``, the last from ``(height, width,
            channels)`` to ``(height, width, n_classes)``.
        dataset: Batches of ``(image, mask)`` that end, as of :func:`unetv2.make_dataset`, or two
            folders ``(image_dir, mask_dir)``.
        classes: ClassTable or None. Names, colours and ``ignore_class``. None takes the data's,
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
            float in [0, 1), the share of the picture's diagonal.
        seed: int, at least 0. Seed of the intervals.
        progress: bool. Whether stderr shows how far it is.

    Returns:
        Evaluation.

    Raises:
        FileNotFoundError: If a folder or file does not exist.
        NotADirectoryError: If a folder is a file.
        TypeError: If an argument is of the wrong type.
        ValueError: If the data is empty, does not end or does not fit the model; if ``classes``
            is of another length; if a mask holds an id that is no class, or a picture is none.
        OSError: If ``report`` cannot be written.

    Example:
        >>> folders = unetv2.data.write_driving_scenes(
        ...     tmp / "evaluated", 4, image_size=(48, 64))
        >>> data = unetv2.make_dataset(*folders, classes=unetv2.CARLA, image_size=(24, 32))
        >>> model = unetv2.build_unetv2((24, 32, 3), 23, filters=2, depth=2)
        >>> model.preprocessing = unetv2.Preprocessing(image_size=(24, 32), classes=unetv2.CARLA)
        >>> evaluation = unetv2.evaluate(model, data, progress=False)
        >>> evaluation.n_pictures, int(evaluation.confusion.sum()) == 4 * 24 * 32
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
    cases: DatasetPictures | FolderPictures
    if isinstance(dataset, tuple | list) and len(dataset) == 2:
        cases = FolderPictures(answers, dataset, classes, reading or {}, shard)
    else:
        for name, value in (("reading", reading), ("shard", shard)):
            if value is not None:
                raise ValueError(
                    f"`{name}` must be None unless `dataset` is two folders. "
                    f"Received: {name}={value!r}. Make the data set so."
                )
        cases = DatasetPictures(answers, dataset, classes)
    if report is not None:
        # A folder that cannot be made is better known now than after the work.
        with told(Path(report), "to keep the report"):
            Path(report).mkdir(parents=True, exist_ok=True)
    counted = measure(
        cases,
        n_classes=answers.n_classes,
        ignore_class=cases.classes.ignore_class,
        tolerance=tolerance,
        progress=Progress(cases.total, "pictures", shown=progress),
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
        with together(Path(report), "to keep the report") as folder:
            write(evaluation, folder)
            page = render(Subject.of([evaluation], None))
            (folder / REPORT).write_bytes(page.encode("utf-8"))
    return evaluation
