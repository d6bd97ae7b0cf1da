"""The backend for several workers, as far as one process can test it."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from local_workers import LocalWorkers, free_addresses
from small_training import batches, network, train

import unetv2
from unetv2.data.pipeline import Shard
from unetv2.distributed import Distribution
from unetv2.distributed.collectives import Collectives
from unetv2.training.checkpoint import locked

TESTS = Path(__file__).parent


def test_only_synchronous_strategies_are_accepted():
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    assert Collectives(strategy).n_replicas == 1
    with pytest.raises(TypeError, match="`strategy` must be one of MirroredStrategy.* type str"):
        Collectives("mirrored")


def test_collectives_of_one_worker_return_its_values():
    collectives = Collectives(tf.distribute.OneDeviceStrategy("CPU:0"))
    assert (collectives.n_workers, collectives.is_chief) == (1, True)
    assert collectives.shard == Shard(0, 1, 1)
    assert collectives.gather({"a": 1}) == [{"a": 1}]
    assert collectives.run_on_chief("count", lambda: 3) == 3
    with pytest.raises(KeyError):
        collectives.run_everywhere("fail", lambda: {}["x"])


def test_a_broadcast_value_is_the_same_bit_for_bit(monkeypatch):
    collectives = Collectives(tf.distribute.OneDeviceStrategy("CPU:0"))
    collectives.addresses = ["a:1", "b:1"]
    # The other worker contributes zeros.
    monkeypatch.setattr(collectives, "reduce_sum", lambda array: array + np.zeros_like(array))
    monkeypatch.setattr("unetv2.distributed.collectives._WORDS_AT_ONCE", 7)
    value = {"a": np.array([-0.0, np.nan, 1e-45], np.float32), "b": [np.array([2**40])], "c": "x"}
    received = collectives.broadcast(value)
    assert received["c"] == "x"
    assert received["a"].tobytes() == value["a"].tobytes()
    assert received["b"][0].tolist() == [2**40]


def test_training_on_one_device_does_not_import_distributed(tmp_path):
    code = """
import sys
from pathlib import Path
from small_training import train
train(Path(sys.argv[1]), epochs=1)
assert not [name for name in sys.modules if name.startswith("unetv2.distributed")]
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=TESTS)


def test_the_distributed_package_imports_nothing_of_training():
    package = Path(unetv2.__file__).parent / "distributed"
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in modules if name.startswith("unetv2.training")], path


def test_a_one_device_strategy_trains_like_no_strategy(tmp_path):
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


HANGS = """
import sys, time
import tensorflow as tf
from unetv2.distributed.collectives import Collectives
from unetv2.distributed.watchdog import Watchdog

collectives = Collectives(tf.distribute.OneDeviceStrategy("CPU:0"))
# The second worker does not listen.
collectives.addresses = sys.argv[1:]
with Watchdog(collectives, 1.0) as watchdog:
    for _ in range(8):
        time.sleep(0.25)
        watchdog.reset()
    print("running", flush=True)
    time.sleep(60)
"""


def test_the_watchdog_exits_and_names_the_unreachable_worker():
    _, unreachable = free_addresses(2)
    with socket.create_server(("127.0.0.1", 0)) as own:
        here = f"127.0.0.1:{own.getsockname()[1]}"
        ended = subprocess.run(
            [sys.executable, "-c", HANGS, here, unreachable],
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert ended.returncode == 75, ended.stderr
    # Each reset restarts the timeout.
    assert ended.stdout == "running\n"
    assert "has waited 1 s for a step of all workers: no response from worker 1" in ended.stderr
    assert unreachable in ended.stderr
    assert "Start all workers again with resume=True" in ended.stderr


def test_local_workers_end_with_their_context(tmp_path):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    with LocalWorkers([command] * 2, tmp_path) as workers:
        with pytest.raises(TimeoutError, match="Workers must end within 0.1 s"):
            workers.wait(0.1)
        children = list(workers._children)
    assert [child.returncode for child in children] == [-9, -9]
    failing = [[sys.executable, "-c", "raise SystemExit(3)"]] * 2
    with LocalWorkers(failing, tmp_path) as workers:
        assert workers.wait(60) == 3
