"""Sharded data and pooled losses of replicas."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from data_service import served, start_service
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import batches

import unetv2
from unetv2.data.dataset_info import info_of
from unetv2.data.pipeline import Shard
from unetv2.distributed.replication import pool


def gather_parts(data_of, batch_size, total):
    """Returns the images of all replicas for each step, without padding."""
    steps = []
    for number in range(total):
        for step, (part, position) in enumerate(data_of(batch_size, Shard(number, 1, total))):
            while len(steps) <= step:
                steps.append([])
            if bool(position.is_real):
                steps[step].append([np.asarray(one) for one in part])
    return [[np.concatenate(one) for one in zip(*step, strict=True)] for step in steps]


@settings(max_examples=8)
@given(n=st.integers(1, 20), batch_size=st.integers(1, 8), total=st.integers(1, 5))
def test_shards_add_up_to_the_batches(n, batch_size, total):
    dataset = tf.data.Dataset.range(n).batch(batch_size)
    found = [[] for _ in range(-(-n // batch_size))]
    for number in range(total):
        parts = list(Shard(number, 1, total).parts(dataset))
        assert len(parts) == len(found)
        for step, (part, position) in zip(found, parts, strict=True):
            assert len(part) >= 1
            assert len(part) <= -(-batch_size // total)
            if position.is_real:
                assert int(position.first) == len(step)
                step += part.numpy().tolist()
            else:
                assert len(part) == 1
    assert found == [batch.numpy().tolist() for batch in dataset]


def test_replicas_of_a_worker_alternate():
    dataset = tf.data.Dataset.range(8).batch(8)
    one_by_one = [
        next(part.numpy().tolist() for part, _ in Shard(number, 1, 4).parts(dataset))
        for number in (2, 3)
    ]
    assert [part.numpy().tolist() for part, _ in Shard(2, 2, 4).parts(dataset)] == one_by_one


def test_a_shard_must_be_within_all_replicas():
    with pytest.raises(ValueError, match="must be some of all. Received: 2 from number 1 on, of 2"):
        Shard(1, 2, 2)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_shards_contain_the_images_of_the_whole_batch(write_pairs, total):
    options = {"n_classes": 3, "image_size": (12, 16), "batch_size": 3, "seed": 5}
    augmentation = unetv2.augmentation.Augmentation(
        horizontal_flip=0.5, scale=(0.8, 1.5), brightness=0.3, noise=0.1, cutout=0.3
    )
    folders = write_pairs(7)
    whole = unetv2.make_dataset(*folders, **options, crop_size=(8, 9), augmentation=augmentation)
    sharded = unetv2.make_dataset(*folders, **options, crop_size=(8, 9), augmentation=augmentation)
    info = info_of(sharded)

    def part_of(size, own):
        info.epoch.next = 1
        return info.shard(size, own)

    info_of(whole).epoch.next = 1
    wanted = [[np.asarray(one) for one in batch] for batch in whole]
    for batch, other in zip(wanted, gather_parts(part_of, 3, total), strict=True):
        for one, same in zip(batch, other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_a_worker_reads_its_own_files_only(write_pairs):
    images, masks = write_pairs(80)
    data = unetv2.make_dataset(
        images, masks, n_classes=3, image_size=(12, 16), batch_size=8, shuffle=False, cache=None
    )
    # The first 32 are looked at by everybody; of the others, those of the second half of a batch.
    for number in range(32, 80):
        if number % 8 < 4:
            (images / f"{number:04d}.png").unlink()
    parts = list(info_of(data).shard(8, Shard(1, 1, 2)))
    assert sum(len(part[0]) for part, _ in parts) == 40
    with pytest.raises(tf.errors.InvalidArgumentError, match="0032.png"):
        list(info_of(data).shard(8, Shard(0, 1, 2)))


def test_augmentation_of_a_part_is_that_of_the_whole():
    augmentation = unetv2.augmentation.Augmentation(rotation=20, noise=0.2, contrast=0.5)
    rng = np.random.default_rng(0)
    images = rng.random((5, 8, 9, 3), dtype=np.float32)
    masks = rng.integers(0, 3, (5, 8, 9, 1), dtype=np.int32)
    whole = augmentation(images, masks, 7)
    for first in range(5):
        part = augmentation(images[first:], masks[first:], 7, first)
        for one, same in zip(whole, part, strict=True):
            np.testing.assert_array_equal(one[first:], same)


@settings(max_examples=6)
@given(cut=st.integers(1, 5), seed=st.integers(0, 99))
@pytest.mark.parametrize("kind", ["CrossEntropy", "FocalCrossEntropy", "Dice", "CrossEntropyDice"])
def test_pooled_losses_of_parts_are_that_of_the_whole(kind, cut, seed):
    loss = getattr(unetv2.losses, kind)(class_weights=[1.0, 2.0, 5.0], ignore_class=9)
    rng = np.random.default_rng(seed)
    masks = rng.choice([0, 1, 2, 9], (6, 3, 4, 1)).astype(np.int32)
    logits = rng.normal(size=(6, 3, 4, 3)).astype(np.float32)
    whole = float(loss(masks, logits))
    # The means over the parts, in the order in which the loss asks for them.
    asked = []

    def note(sums):
        asked.append(sums)
        return sums

    parts = [slice(0, cut), slice(cut, 6)]
    for one in getattr(loss, "losses", [loss]):
        one.pool = note
    for rows in parts:
        loss(masks[rows], logits[rows])
    half = len(asked) // 2
    means = [
        [(one + other) / 2 for one, other in zip(*pair, strict=True)]
        for pair in zip(asked[:half], asked[half:], strict=True)
    ]
    values = []
    for rows in parts:
        answers = iter(means)
        for one in getattr(loss, "losses", [loss]):
            one.pool = lambda _, answers=answers: next(answers)
        values.append(float(loss(masks[rows], logits[rows])))
    assert np.mean(values) == pytest.approx(whole, rel=1e-5)


def test_pooling_without_replicas_changes_nothing():
    masks = np.array([[[0, 1]]])
    logits = np.array([[[[1.0, 0.0], [0.5, 2.0]]]])
    loss = unetv2.losses.CrossEntropyDice()
    alone = float(loss(masks, logits))
    pool(loss)
    assert float(loss(masks, logits)) == alone


def test_a_service_gives_the_same_batches():
    dispatcher, _worker = start_service(0)
    address = dispatcher.target.removeprefix("grpc://")
    data = batches(5, 2).shuffle(3, seed=0, reshuffle_each_iteration=False)
    remote = served(data, address)
    assert int(remote.cardinality()) == 3
    for one, same in zip(data, remote, strict=True):
        for part, same_part in zip(one, same, strict=True):
            np.testing.assert_array_equal(part, same_part)


def test_data_that_cannot_be_served_is_refused(write_pairs):
    ours = unetv2.make_dataset(*write_pairs(3), n_classes=3, image_size=(12, 16))
    with pytest.raises(ValueError, match="`dataset` must consist of TensorFlow functions"):
        served(ours, "127.0.0.1:1")
    with pytest.raises(ValueError, match="`dataset` must have a known cardinality"):
        served(batches().repeat(), "127.0.0.1:1")
