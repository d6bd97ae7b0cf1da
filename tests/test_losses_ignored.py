"""Ignored pixels and invalid ids in losses."""

from __future__ import annotations

import numpy as np
import pytest
from loss_cases import N_CLASSES, VOID, batch, every_loss, make, value_and_gradient

from unetv2.losses import CrossEntropyDice


@every_loss
def test_ignored_pixels_change_nothing(name):
    truth, logits = batch(1, ignored=0.3)
    loss, ignored = make(name), truth == VOID
    value, gradient = value_and_gradient(loss, truth, logits)
    assert not gradient[ignored].any()
    assert gradient[~ignored].any()
    for other in (-1e4, 1e4, 7.0, np.nan):
        changed = logits.copy()
        changed[ignored, 1] = other
        again = value_and_gradient(loss, truth, changed)
        assert again[0] == value
        np.testing.assert_array_equal(again[1], gradient)


@every_loss
def test_an_ignored_class_may_be_one_of_the_classes(name):
    truth, logits = batch(2, ignored=0.0)
    as_void = np.where(truth == 1, VOID, truth)
    ours = value_and_gradient(make(name, ignore_class=1), truth, logits)
    theirs = value_and_gradient(make(name), as_void, logits)
    assert ours[0] == theirs[0]
    np.testing.assert_array_equal(ours[1], theirs[1])


@every_loss
def test_completely_ignored_images_change_nothing(name):
    truth, logits = batch(4)
    value = float(make(name)(truth, logits))
    truth = np.concatenate([truth, np.full_like(truth[:1], VOID)])
    logits = np.concatenate([logits, logits[:1]])
    assert float(make(name)(truth, logits)) == pytest.approx(value, rel=1e-6)


@every_loss
def test_the_loss_of_a_completely_ignored_batch_is_zero(name):
    truth, logits = batch(0, ignored=1.0)
    value, gradient = value_and_gradient(make(name), truth, logits)
    assert value == 0
    assert not gradient.any()


@every_loss
@pytest.mark.parametrize("foreign", [-1, N_CLASSES, 200, 1.5, np.nan])
def test_an_id_out_of_range_makes_the_loss_nan(name, foreign):
    truth, logits = batch(9)
    truth = truth.astype(np.asarray(foreign).dtype)
    truth[0, 0, 0] = foreign
    loss = make(name, reduction=None)
    np.testing.assert_equal(np.isnan(loss(truth, logits)), [True, False])
    assert np.isnan(make(name)(truth, logits))
    assert np.isnan(make(name, ignore_class=None)(truth, logits))


@every_loss
def test_nan_logits_make_the_loss_nan(name):
    truth, logits = batch(9)
    logits[0, 0, 0] = np.nan
    truth[0, 0, 0] = 1
    assert np.isnan(make(name)(truth, logits))


def test_an_id_out_of_range_makes_the_loss_nan_under_xla():
    truth, logits = batch(9)
    truth[1, 2, 3] = N_CLASSES
    assert np.isnan(value_and_gradient(CrossEntropyDice(ignore_class=VOID), truth, logits, True)[0])
