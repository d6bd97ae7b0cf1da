"""Figures, intervals, merging and saving of what was counted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluations import evaluated, pictures
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

import unetv2
from unetv2.evaluation.bootstrap import percentiles, resampled
from unetv2.evaluation.examples import SHOWN
from unetv2.evaluation.figures import BY_CLASS, SCALARS, calibration_error, weighted_figures
from unetv2.evaluation.rows import Rows


@given(seed=st.integers(0, 10**6), ignore_class=st.sampled_from([None, 255]))
def test_figures_are_those_of_scikit_learn(seed, ignore_class):
    shown = list(pictures(3, seed=seed, ignore_class=ignore_class))
    evaluation = evaluated(shown, ignore_class=ignore_class)
    truth = np.concatenate([picture.truth.ravel() for picture in shown])
    predicted = np.concatenate([picture.predicted.ravel() for picture in shown])
    kept = truth != 255
    pair = truth[kept], predicted[kept]
    options = {"labels": range(4), "average": None, "zero_division": np.nan}
    for name, score in (
        ("iou_per_class", jaccard_score(*pair, **options | {"zero_division": 0})),
        ("dice_per_class", f1_score(*pair, **options)),
        ("precision_per_class", precision_score(*pair, **options)),
        ("recall_per_class", recall_score(*pair, **options)),
    ):
        np.testing.assert_allclose(evaluation.figures[name], score, rtol=1e-12)
    assert evaluation.pixel_accuracy == pytest.approx(accuracy_score(*pair))
    assert evaluation.mean_accuracy == pytest.approx(balanced_accuracy_score(*pair))
    iou = jaccard_score(*pair, labels=range(4), average=None)
    assert evaluation.mean_iou == pytest.approx(iou.mean())
    weighted = jaccard_score(*pair, average="weighted")
    assert evaluation.frequency_weighted_iou == pytest.approx(weighted)


def test_figures_of_the_rows_are_those_of_the_matrix():
    evaluation = evaluated(pictures(5))
    for name in ("mean_iou", "pixel_accuracy", "mean_dice", "mean_accuracy"):
        assert evaluation.figures[name] == getattr(evaluation.scores, name)
    np.testing.assert_array_equal(evaluation.scores.counts, evaluation.confusion)


def rows(tallies, boundaries, calibration):
    counts = [np.asarray(part, np.int64) for part in (tallies, boundaries, calibration)]
    return Rows(tuple(f"{number}" for number in range(len(counts[0]))), *counts)


def test_boundary_f1_is_a_mean_over_the_pictures_that_have_the_boundary():
    boundaries = [
        # Class 0: precision 1/2, recall 1/4, so F1 1/3. Class 1: nowhere. Class 2: made up.
        [[1, 0, 0], [2, 0, 5], [1, 0, 0], [4, 0, 0]],
        # Class 0: all found. Class 1: missed. Class 2: nowhere.
        [[3, 0, 0], [3, 0, 0], [3, 0, 0], [3, 4, 0]],
    ]
    found = rows(np.zeros((2, 3, 3)), boundaries, np.zeros((2, 3, 15)))
    expected = [[1 / 3, np.nan, 0], [1, 0, np.nan]]
    np.testing.assert_allclose(found.boundary_f1, expected)
    figures = weighted_figures(found, np.ones((1, 2)))
    np.testing.assert_allclose(figures["boundary_f1_per_class"], [[2 / 3, 0, 0]])
    np.testing.assert_allclose(figures["mean_boundary_f1"], [2 / 9])
    # The first picture thrice: (3/3 + 1) / 4.
    figures = weighted_figures(found, np.array([[3.0, 1.0]]))
    np.testing.assert_allclose(figures["boundary_f1_per_class"][0, 0], 0.5)


def test_the_calibration_error_is_the_mean_gap_by_hand():
    counts = np.zeros((3, 15))
    # 4 pixels of confidence 0.5, 3 of them right; 12 of confidence 1, 6 of them right.
    counts[:, 7] = 4, 3, 4 * 0.5 * 2**24
    counts[:, 14] = 12, 6, 12 * 2**24
    # 4/16 of |3/4 - 1/2| and 12/16 of |1/2 - 1|.
    assert calibration_error(counts) == pytest.approx(1 / 16 + 6 / 16)
    assert np.isnan(calibration_error(np.zeros((3, 15))))


def test_the_calibration_error_is_that_of_all_pixels_at_once():
    shown = list(pictures(4))
    evaluation = evaluated(shown)
    confidence = np.concatenate([picture.confidence.ravel() for picture in shown]).astype(float)
    right = np.concatenate([(p.truth == p.predicted).ravel() for p in shown])
    expected = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        if inside.any():
            gap = abs(right[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert evaluation.calibration_error == pytest.approx(expected, abs=1e-7)
    curve = evaluation.reliability
    assert curve["pixels"].sum() == right.size
    assert (curve["confidence"][5:] > curve["low"][5:]).all()
    assert (curve["confidence"][5:] <= curve["high"][5:]).all()


def test_the_order_of_the_pictures_changes_nothing():
    shown = list(pictures(9, error=0.5))
    one, other = evaluated(shown), evaluated(shown[::-1])
    for name in (*SCALARS, *BY_CLASS):
        np.testing.assert_array_equal(one.figures[name], other.figures[name])
        np.testing.assert_array_equal(one.intervals[name], other.intervals[name])
    assert one.worst == other.worst
    assert str(one) == str(other)
    # By number instead of by name, the rows come in another order.
    renamed = [
        picture._replace(name=f"#{number}") for number, picture in enumerate(reversed(shown))
    ]
    np.testing.assert_array_equal(
        evaluated(renamed).intervals["mean_iou"], one.intervals["mean_iou"]
    )


def test_intervals_hold_the_figure_and_are_those_of_the_seed():
    evaluation = evaluated(pictures(20))
    again = evaluated(pictures(20))
    other = evaluated(pictures(20), seed=1)
    for name in SCALARS:
        low, high = evaluation.intervals[name]
        np.testing.assert_array_equal(evaluation.intervals[name], again.intervals[name])
        if name != "calibration_error":  # A mean of absolute values moves upwards.
            assert low <= evaluation.figures[name] <= high
    assert (evaluation.intervals["mean_iou"] != other.intervals["mean_iou"]).any()


def test_one_picture_has_no_interval():
    assert np.isnan(evaluated(pictures(1)).intervals["mean_iou"]).all()


def test_a_resample_is_the_figures_of_the_pictures_drawn():
    evaluation = evaluated(pictures(5))
    (figures,) = resampled([evaluation.rows], seed=3, resamples=4)
    order = evaluation.rows.order()
    drawn = np.random.default_rng(3).integers(0, 5, (4, 5))
    for number, choice in enumerate(drawn):
        chosen = evaluation.rows.taken([order[place] for place in choice])
        expected = weighted_figures(chosen, np.ones((1, 5)))
        for name, values in figures.items():
            np.testing.assert_allclose(values[number], expected[name][0], rtol=1e-12)


def test_resamples_without_a_class_are_left_out_of_its_interval():
    values = np.array([[0.0, np.nan, np.nan], [1.0, 0.5, np.nan]])
    np.testing.assert_allclose(percentiles(values, 0.5), [[0.25, 0.75], [0.5, 0.5], [np.nan] * 2])


def test_intervals_hold_the_true_accuracy_about_as_often_as_they_say():
    # Pictures of 100 pixels, whose share of right ones differs from picture to picture around
    # 0.7; pixels alone would give intervals that are far too narrow.
    rng = np.random.default_rng(0)
    held = 0
    for seed in range(200):
        right = rng.binomial(100, rng.beta(7, 3, 40))
        tallies = np.zeros((40, 3, 2))
        tallies[:, 0, 0] = right
        tallies[:, 1, 0] = 100
        tallies[:, 2] = np.stack([right, 100 - right], axis=1)
        found = rows(tallies, np.zeros((40, 4, 2)), np.zeros((40, 3, 15)))
        (figures,) = resampled([found], seed=seed, resamples=400)
        low, high = percentiles(figures["pixel_accuracy"])
        held += low <= 0.7 <= high
    # 95 % in the limit; of 200 that is 190, give or take 3, and somewhat less with 40 pictures.
    assert 180 <= held <= 199


@given(seed=st.integers(0, 10**6), parts=st.integers(1, 4))
def test_parts_merge_to_the_whole_exactly(seed, parts):
    shown = list(pictures(13, seed=seed, ignore_class=9))
    whole = evaluated(shown, ignore_class=9)
    pieces = [
        evaluated(shown[number::parts], ignore_class=9, shards=[[number, parts]])
        for number in range(parts)
    ]
    merged = unetv2.Evaluation.merge(pieces[::-1])
    np.testing.assert_array_equal(merged.confusion, whole.confusion)
    assert merged.rows.names == whole.rows.names
    for name in ("tallies", "boundaries", "calibration"):
        np.testing.assert_array_equal(getattr(merged.rows, name), getattr(whole.rows, name))
    assert str(merged) == str(whole)
    assert [example.name for example in merged.examples] == [e.name for e in whole.examples]


def test_a_merge_that_lacks_a_shard_says_so():
    shown = list(pictures(6))
    parts = [evaluated(shown[n::3], shards=[[n, 3]]) for n in range(2)]
    assert "A part of the data: shard 0, 1 of 3, counted from 0." in str(
        unetv2.Evaluation.merge(parts)
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "`parts` must hold an evaluation. Received: none."),
        ([(0, {}), (0, {})], "must be of different pictures. Received: 2 of them twice, such as"),
        ([(0, {}), (1, {"seed": 4})], "must be measured in the same way. Received: seed=0 and"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        unetv2.Evaluation.merge([evaluated(pictures(2, seed=s), **o) for s, o in parts])


def test_parts_of_other_classes_are_refused():
    parts = [evaluated(pictures(2)), evaluated(pictures(2, seed=1), n_classes=5)]
    with pytest.raises(ValueError, match="must have the same classes. Received: 4 and 5 classes"):
        unetv2.Evaluation.merge(parts)


def test_the_worst_and_the_best_are_ranked_by_their_own_mean_iou():
    shown = list(pictures(20, error=0.6))
    evaluation = evaluated(shown)

    def mean_iou(picture):
        pair = picture.truth.ravel(), picture.predicted.ravel()
        present = np.union1d(*pair)
        return jaccard_score(*pair, labels=present, average="macro")

    ranked = sorted(shown, key=lambda picture: (mean_iou(picture), picture.name))
    assert [name for name, _ in evaluation.worst] == [p.name for p in ranked[:SHOWN]]
    assert [name for name, _ in evaluation.best] == [p.name for p in ranked[: -SHOWN - 1 : -1]]
    kept = [example.name for example in evaluation.examples]
    assert kept == [picture.name for picture in ranked[:SHOWN] + ranked[-SHOWN:]]
    example = evaluation.examples[0]
    assert example.mean_iou == evaluation.worst[0][1]
    np.testing.assert_array_equal(example.truth, ranked[0].truth)
    np.testing.assert_array_equal(example.image, ranked[0].image)


def test_a_picture_of_which_nothing_counts_is_neither_worst_nor_best():
    shown = list(pictures(3, ignore_class=9))
    shown[1].truth[:] = 9
    evaluation = evaluated(shown, ignore_class=9)
    assert len(evaluation.worst) == len(evaluation.best) == len(evaluation.examples) == 2
    assert evaluation.n_pictures == 3


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_examples_are_small_pictures_of_any_kind(channels, dtype):
    scale = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    image = np.full((960, 600, channels), 0.4 * scale).astype(dtype)
    truth = np.full((960, 600), 3)
    (picture,) = pictures(1)
    shown = picture._replace(image=image, truth=truth, predicted=truth, confidence=truth / 3)
    (example,) = evaluated([shown]).examples
    assert example.image.shape == (480, 300, 3)
    assert example.image.dtype == np.uint8
    assert (example.image == 102).all()
    assert example.truth.shape == example.predicted.shape == (480, 300)


def test_the_table_shows_every_class_and_who_was_left_out():
    evaluation = evaluated(pictures(3, n_classes=4), n_classes=6)
    text = str(evaluation)
    assert "0 class 0" in text
    assert "3 pictures. Intervals are 95 %, by the bootstrap over pictures." in text
    assert "neither in the truth nor predicted: 4 class 4, 5 class 5." in text
    assert f"Pixel accuracy          {evaluation.pixel_accuracy:.3f}" in text


def test_json_has_every_figure_and_no_nan():
    evaluation = evaluated(pictures(3, n_classes=4), n_classes=6)
    content = json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))
    assert content["pictures"] == 3
    assert set(content["figures"]) == set(SCALARS)
    assert content["figures"]["mean_iou"]["value"] == evaluation.mean_iou
    assert content["classes"][5]["iou"] == {"value": None, "low": None, "high": None}
    assert content["classes"][1]["boundary_f1"]["value"] == evaluation.boundary_f1_per_class[1]
    assert content["confusion"] == evaluation.confusion.tolist()
    assert content["worst"][0]["name"] == evaluation.worst[0][0]


def test_a_saved_evaluation_loads_as_it_was(tmp_path):
    shown = [picture._replace(name=f"a/{picture.name}\udcff<b>") for picture in pictures(4)]
    evaluation = evaluated(shown, resolution="12x16")
    evaluation.save(tmp_path / "new")
    loaded = unetv2.Evaluation.load(tmp_path / "new")
    assert str(loaded) == str(evaluation)
    assert loaded.as_dict() == evaluation.as_dict()
    assert loaded.classes == evaluation.classes
    for one, other in zip(loaded.examples, evaluation.examples, strict=True):
        assert one[:2] == other[:2]
        for part in range(2, 5):
            np.testing.assert_array_equal(one[part], other[part])
    content = json.loads((tmp_path / "new" / "evaluation.json").read_text(encoding="utf-8"))
    assert content == evaluation.as_dict()
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "evaluation.json", "evaluation.npz"
    }  # fmt: skip


def test_what_is_no_evaluation_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must hold an evaluation"):
        unetv2.Evaluation.load(tmp_path)
    (tmp_path / "evaluation.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match="must be an evaluation of this version"):
        unetv2.Evaluation.load(tmp_path)
    np.savez(tmp_path / "evaluation.npz", content=np.zeros(3))
    with pytest.raises(ValueError, match="must be an evaluation of this version"):
        unetv2.Evaluation.load(tmp_path)
