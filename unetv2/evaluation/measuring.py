"""From pictures and what a model says of them to an evaluation's counts, one by one."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from unetv2.arguments import MOST_COUNTED, require_n_classes
from unetv2.evaluation.counting import PictureCounts, count_picture
from unetv2.evaluation.examples import Gallery, make_example
from unetv2.evaluation.models import Answer
from unetv2.evaluation.rows import Rows
from unetv2.progress import Progress

# Pictures that are counted while the model answers of the next one.
_AHEAD = 4


class Case(NamedTuple):
    """A picture with its mask and what a model says of it.

    Attributes:
        name: str. No other picture's.
        place: str. Where it is, for messages.
        image: Gives what :func:`unetv2.evaluation.examples.make_example` takes.
        truth: Gives the mask's ids, ``(height, width)``.
        answer: What the model says.
    """

    name: str
    place: str
    image: Callable[[], np.ndarray]
    truth: Callable[[], np.ndarray]
    answer: Answer


class _Counted(NamedTuple):
    case: Case
    truth: np.ndarray
    counts: PictureCounts


def measure(
    cases: Iterable[Case],
    *,
    n_classes: int,
    ignore_class: int | None,
    tolerance: int | float,
    progress: Progress,
) -> dict[str, Any]:
    """Counts pictures in one pass; of each, its row and at most a small copy are kept.

    Args:
        cases: One after the other.
        n_classes: int.
        ignore_class: int or None. Id of pixels that do not count.
        tolerance: By how much a boundary may be off.
        progress: Told after each picture.

    Returns:
        dict of ``confusion``, ``rows`` and ``examples`` of an ``Evaluation``.

    Raises:
        ValueError: If there is no picture, there are more classes than can be counted, or something
            is wrong with a picture, with its place.
    """
    require_n_classes(n_classes, MOST_COUNTED)
    count = partial(
        count_picture, n_classes=n_classes, ignore_class=ignore_class, tolerance=tolerance
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
        raise ValueError("`dataset` must hold a picture. Received: an empty data set.")
    return {
        "confusion": confusion,
        "rows": Rows.joined(rows),
        "examples": gallery.examples,
    }


def _counted(cases: Iterable[Case], count: Callable[..., PictureCounts]) -> Iterator[_Counted]:
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
