"""What workers share, say and refuse, as far as one process can tell."""

from __future__ import annotations

import errno
import json
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from small_training import batches, network, train

import unetv2
from unetv2.data.origin import origin_of
from unetv2.data.sharing import Share
from unetv2.distributed import Cluster, Distribution, connect
from unetv2.distributed.crew import Crew
from unetv2.distributed.meeting import Waiting, call_together, may_start
from unetv2.distributed.pooling import pool
from unetv2.training.lock import locked


def together(data_of, batch_size, total):
    """Returns what all replicas get of a data set, step by step, fakes left out."""
    steps = []
    for number in range(total):
        for step, (part, place) in enumerate(data_of(batch_size, Share(number, 1, total))):
            while len(steps) <= step:
                steps.append([])
            if bool(place.real):
                steps[step].append([np.asarray(one) for one in part])
    return [[np.concatenate(one) for one in zip(*step, strict=True)] for step in steps]


@settings(max_examples=8)
@given(n=st.integers(1, 20), batch_size=st.integers(1, 8), total=st.integers(1, 5))
def test_parts_make_up_the_batches(n, batch_size, total):
    dataset = tf.data.Dataset.range(n).batch(batch_size)
    found = [[] for _ in range(-(-n // batch_size))]
    for number in range(total):
        parts = list(Share(number, 1, total).parts(dataset))
        assert len(parts) == len(found)
        for step, (part, place) in zip(found, parts, strict=True):
            assert len(part) >= 1
            assert len(part) <= -(-batch_size // total)
            if place.real:
                assert int(place.first) == len(step)
                step += part.numpy().tolist()
            else:
                assert len(part) == 1
    assert found == [batch.numpy().tolist() for batch in dataset]


def test_a_workers_replicas_take_turns():
    dataset = tf.data.Dataset.range(8).batch(8)
    one_by_one = [
        next(part.numpy().tolist() for part, _ in Share(number, 1, 4).parts(dataset))
        for number in (2, 3)
    ]
    assert [part.numpy().tolist() for part, _ in Share(2, 2, 4).parts(dataset)] == one_by_one


def test_a_share_is_of_the_whole():
    with pytest.raises(ValueError, match="must be some of all. Received: 2 from number 1 on, of 2"):
        Share(1, 2, 2)


@pytest.mark.parametrize("total", [1, 2, 3])
def test_shared_pictures_are_those_of_the_whole(write_pairs, total):
    options = {"n_classes": 3, "image_size": (12, 16), "batch_size": 3, "seed": 5}
    augmentation = unetv2.augmentation.Augmentation(
        horizontal_flip=0.5, scale=(0.8, 1.5), brightness=0.3, noise=0.1, cutout=0.3
    )
    folders = write_pairs(7)
    whole = unetv2.make_dataset(*folders, **options, crop_size=(8, 9), augmentation=augmentation)
    shared = unetv2.make_dataset(*folders, **options, crop_size=(8, 9), augmentation=augmentation)
    origin = origin_of(shared)

    def share(size, own):
        origin.epoch.next = 1
        return origin.share(size, own)

    origin_of(whole).epoch.next = 1
    wanted = [[np.asarray(one) for one in batch] for batch in whole]
    for batch, other in zip(wanted, together(share, 3, total), strict=True):
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
    parts = list(origin_of(data).share(8, Share(1, 1, 2)))
    assert sum(len(part[0]) for part, _ in parts) == 40
    with pytest.raises(tf.errors.InvalidArgumentError, match="0032.png"):
        list(origin_of(data).share(8, Share(0, 1, 2)))


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


def test_a_loss_without_replicas_is_what_it_was():
    masks = np.array([[[0, 1]]])
    logits = np.array([[[[1.0, 0.0], [0.5, 2.0]]]])
    loss = unetv2.losses.CrossEntropyDice()
    alone = float(loss(masks, logits))
    pool(loss)
    assert float(loss(masks, logits)) == alone


def test_only_strategies_that_work_in_step_are_taken():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    assert Crew(strategy).replicas == 1
    with pytest.raises(TypeError, match="`strategy` must be one of MirroredStrategy"):
        Crew("mirrored")


def test_a_crew_of_one_talks_to_itself():
    crew = Crew()
    assert (crew.size, crew.replicas, crew.is_chief, crew.share) == (1, 1, True, Share(0, 1, 1))
    assert crew.exchange({"a": 1}) == [{"a": 1}]
    assert crew.by_chief("count", lambda: 3) == 3
    with pytest.raises(KeyError):
        crew.together("fail", lambda: {}["x"])


def test_one_device_by_a_strategy_trains_as_without(tmp_path):
    recipe = unetv2.recipes.get("reference", batch_size=4)
    model, other = network(), network()
    options = {"data": batches(5), "recipe": recipe, "epochs": 1}
    without = train(tmp_path / "without", model, **options)
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    with_one = train(tmp_path / "with", other, **options, strategy=strategy)
    assert list(without.history) == list(with_one.history)
    for one, same in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(one, same, rtol=0, atol=1e-6)
    for name, values in without.history.items():
        np.testing.assert_allclose(values, with_one.history[name], rtol=0, atol=1e-5)


def test_distribution_checks_its_values():
    with pytest.raises(
        ValueError, match="`gradients` must be one of 'auto', 'float32', 'bfloat16'"
    ):
        Distribution(strategy=None, gradients="float16")
    with pytest.raises(ValueError, match="`timeout` must be a positive finite number"):
        Distribution(strategy=None, timeout=0)
    distribution = Distribution(strategy=None)
    assert distribution.gradient_dtype(network()) == "float32"
    assert distribution.gradient_dtype(network(dtype="mixed_bfloat16")) == "bfloat16"


@pytest.mark.parametrize(
    ("workers", "index", "message"),
    [
        ([], 0, "`workers` must be a list of 'host:port'"),
        ("a:1,b:2", 0, "`workers` must be a list of 'host:port'"),
        (["a:1", "b"], 0, "'b' for worker 1"),
        (["a:1", "b:70000"], 0, "'b:70000' for worker 1"),
        (["a:1", "b:1", "a:1"], 0, "'a:1' for worker 0 and for worker 2"),
        (["a:1", "b:1"], 2, "`index` must be below the number of workers, 2"),
        (["a:1", "b:1"], -1, "`index` must be a non-negative integer"),
    ],
)
def test_a_wrong_cluster_is_refused(workers, index, message):
    with pytest.raises(ValueError, match=message):
        Cluster(workers, index)


def test_workers_and_index_come_together(monkeypatch):
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    with pytest.raises(ValueError, match="`workers` must come with `index`"):
        connect(["a:1", "b:1"])
    with pytest.raises(ValueError, match="`index` must come with `workers`"):
        connect(index=0)


def test_tf_config_is_read_with_the_chief_first():
    described = {
        "cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]},
        "task": {"type": "worker", "index": 1},
    }
    cluster = Cluster.from_environment({"TF_CONFIG": json.dumps(described)})
    assert cluster == Cluster(["a:1", "b:1", "c:1"], 2)
    assert not cluster.is_chief
    assert Cluster.from_environment({}) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_a_wrong_tf_config_is_refused(text):
    with pytest.raises(ValueError, match="`TF_CONFIG` must be JSON such as"):
        Cluster.from_environment({"TF_CONFIG": text})


def test_a_slurm_step_is_read(monkeypatch):
    variables = {
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NODELIST": "node[01-02]",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
        "UNETV2_PORT": "9000",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert Cluster.from_environment() == Cluster(["node01:9000", "node01:9001", "node02:9000"], 2)


def test_a_port_in_use_is_an_error_at_once():
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"127.0.0.1:{door.getsockname()[1]}"
        with pytest.raises(OSError, match=f"Worker 0 must be able to listen at '{address}'") as it:
            Cluster([address, "127.0.0.1:1"], 0).listen()
    assert it.value.errno == errno.EADDRINUSE


def meet(workers, other_workers):
    """Returns what the chief finds wrong, and the word that another worker hears."""
    words = []
    other = Cluster(other_workers, 1)

    def come():
        with Waiting(other) as waiting:
            words.append(waiting.until(time.monotonic() + 20))

    thread = threading.Thread(target=come)
    thread.start()
    wrong = call_together(Cluster(workers, 0), time.monotonic() + 20)
    thread.join()
    return wrong, words[0]


def test_workers_that_are_alike_may_start():
    workers = unetv2.distributed.free_addresses(2)
    wrong, word = meet(workers, workers)
    assert not wrong
    assert may_start(word)


def test_workers_with_other_lists_may_not_and_both_know_why():
    workers = unetv2.distributed.free_addresses(3)
    wrong, word = meet(workers[:2], [workers[2], workers[1]])
    assert len(wrong) == 1
    assert f"worker 1 ({workers[1]}) has workers=" in wrong[0]
    assert word == wrong[0]
    assert not may_start(word)


def test_a_missing_worker_is_named():
    workers = unetv2.distributed.free_addresses(2)
    (wrong,) = call_together(Cluster(workers, 0), time.monotonic() + 0.5)
    assert wrong == f"worker 1 ({workers[1]}) did not open: connection refused"


def test_a_folder_is_for_one_training_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match="in use by another training"):
        train(tmp_path, data=batches())
    train(tmp_path, data=batches())
    assert not (tmp_path / "lock").exists()


def test_a_service_gives_the_same_batches():
    dispatcher, _worker = unetv2.distributed.start_service(0)
    address = dispatcher.target.removeprefix("grpc://")
    data = batches(5, 2).shuffle(3, seed=0, reshuffle_each_iteration=False)
    served = unetv2.distributed.served(data, address)
    assert int(served.cardinality()) == 3
    for one, same in zip(data, served, strict=True):
        for part, same_part in zip(one, same, strict=True):
            np.testing.assert_array_equal(part, same_part)


def test_what_cannot_be_served_says_why(write_pairs):
    ours = unetv2.make_dataset(*write_pairs(3), n_classes=3, image_size=(12, 16))
    with pytest.raises(ValueError, match="`dataset` must consist of TensorFlow's functions"):
        unetv2.distributed.served(ours, "127.0.0.1:1")
    with pytest.raises(ValueError, match="`dataset` must say how many batches it has"):
        unetv2.distributed.served(batches().repeat(), "127.0.0.1:1")


WAITS = """
import sys, time
from unetv2.distributed.crew import Crew
from unetv2.distributed.watch import Watch

crew = Crew()
# The second has stopped listening.
crew.addresses = sys.argv[1:]
with Watch(crew, 1.0) as watch:
    for _ in range(8):
        time.sleep(0.25)
        watch.heard()
    print("still there", flush=True)
    time.sleep(60)
"""


def test_a_wait_without_a_sign_of_life_ends_the_process_and_says_who_is_silent():
    _, silent = unetv2.distributed.free_addresses(2)
    with socket.create_server(("127.0.0.1", 0)) as own:
        here = f"127.0.0.1:{own.getsockname()[1]}"
        ended = subprocess.run(
            [sys.executable, "-c", WAITS, here, silent], capture_output=True, text=True, timeout=120
        )
    assert ended.returncode == 75, ended.stderr
    # Twice as long as it may wait, but never without one.
    assert ended.stdout == "still there\n"
    assert "has waited 1 s for a step that all workers make: no answer any more" in ended.stderr
    assert silent in ended.stderr
    assert "Start all workers again with resume=True" in ended.stderr


def test_local_workers_end_with_their_context(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with unetv2.distributed.LocalWorkers([command] * 2, tmp_path) as workers:
        with pytest.raises(TimeoutError, match="Workers must end within 0.1 s"):
            workers.wait(0.1)
        children = list(workers._children)
    assert [child.returncode for child in children] == [-9, -9]
    failing = [[sys.executable, "-c", "raise SystemExit(3)"]] * 2
    with unetv2.distributed.LocalWorkers(failing, tmp_path) as workers:
        assert workers.wait(60) == 3
