"""Merging of evaluations."""

from __future__ import annotations

import numpy as np
import pytest
from evaluations import evaluated, images
from hypothesis import given
from hypothesis import strategies as st

import unetv2


@given(seed=st.integers(0, 10**6), parts=st.integers(1, 4))
def test_merged_parts_equal_the_whole(seed, parts):
    shown = list(images(13, seed=seed, ignore_class=9))
    whole = evaluated(shown, ignore_class=9)
    pieces = [
        evaluated(shown[number::parts], ignore_class=9, shards=[[number, parts]])
        for number in range(parts)
    ]
    merged = unetv2.Evaluation.merge(pieces[::-1])
    np.testing.assert_array_equal(merged.confusion, whole.confusion)
    assert merged.counts.names == whole.counts.names
    for name in ("pixels", "boundaries", "calibration"):
        np.testing.assert_array_equal(getattr(merged.counts, name), getattr(whole.counts, name))
    assert str(merged) == str(whole)
    assert [example.name for example in merged.examples] == [e.name for e in whole.examples]


def test_a_merge_mentions_missing_shards():
    shown = list(images(6))
    parts = [evaluated(shown[n::3], shards=[[n, 3]]) for n in range(2)]
    assert "A part of the data: shard 0, 1 of 3, counted from 0." in str(
        unetv2.Evaluation.merge(parts)
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "`parts` must hold an evaluation. Received: none."),
        (
            [(0, {}), (0, {})],
            "must be evaluations of different images. Received: 2 images twice, such as",
        ),
        ([(0, {}), (1, {"seed": 4})], "must have the same settings. Received: seed=0 and"),
    ],
)
def test_parts_that_do_not_match_raise(parts, message):
    with pytest.raises(ValueError, match=message):
        unetv2.Evaluation.merge([evaluated(images(2, seed=s), **o) for s, o in parts])


def test_parts_of_different_classes_raise():
    parts = [evaluated(images(2)), evaluated(images(2, seed=1), n_classes=5)]
    with pytest.raises(ValueError, match="must have the same classes. Received: 4 and 5 classes"):
        unetv2.Evaluation.merge(parts)
