"""How workers work in step, wait and end, as far as one process can tell."""

from __future__ import annotations

import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from small_training import batches, network, train

import unetv2
from unetv2.data.pipeline import Share
from unetv2.distributed import Distribution
from unetv2.distributed.collectives import Crew
from unetv2.training.checkpoint import locked


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


def test_a_folder_is_for_one_training_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match="in use by another training"):
        train(tmp_path, data=batches())
    train(tmp_path, data=batches())
    assert not (tmp_path / "lock").exists()


WAITS = """
import sys, time
from unetv2.distributed.collectives import Crew
from unetv2.distributed.watchdog import Watch

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
