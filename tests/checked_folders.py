"""Masks for validation, and its findings."""

from __future__ import annotations

import numpy as np

import unetv2
from unetv2.data.dataset import check_dataset

SIZE = (24, 32)
TABLE = unetv2.ClassTable(("sky", "road", "car"), ((0, 0, 200), (128, 64, 128), (200, 0, 0)))


def regions(*ids, size=SIZE, dtype=np.uint8):
    """A clean mask: upright bands of the ids."""
    columns = np.repeat(ids, -(-size[1] // len(ids)))[: size[1]]
    return np.tile(columns, (size[0], 1)).astype(dtype)


def check(folders, **options):
    return check_dataset(*folders, progress=False, **options)


def kinds(report):
    return [problem.kind for problem in report.problems]


def only(report, kind):
    """The message of the only problem, which is of that kind."""
    assert kinds(report) == [kind], str(report)
    return report.problems[0].message
