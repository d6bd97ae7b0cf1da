"""Clusters and the rendezvous of their workers."""

from __future__ import annotations

import errno
import json
import socket
import threading
import time

import pytest
from local_workers import free_addresses

from unetv2.distributed import Cluster, connect
from unetv2.distributed.rendezvous import ChiefListener, may_start, start_workers


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
def test_invalid_clusters_are_refused(workers, index, message):
    with pytest.raises(ValueError, match=message):
        Cluster(workers, index)


def test_workers_and_index_must_be_passed_together(monkeypatch):
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    with pytest.raises(ValueError, match="`workers` must be passed together with `index`"):
        connect(["a:1", "b:1"])
    with pytest.raises(ValueError, match="`index` must be passed together with `workers`"):
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
def test_an_invalid_tf_config_is_refused(text):
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


def test_a_port_in_use_is_an_immediate_error():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(OSError, match=f"Worker 0 must be able to listen at '{address}'") as it:
            Cluster([address, "127.0.0.1:1"], 0).listen()
    assert it.value.errno == errno.EADDRINUSE


def connect_two(workers, other_workers):
    """Returns the problems on the chief, and the reply to the other worker."""
    replies = []
    other = Cluster(other_workers, 1)

    def listen():
        with ChiefListener(other) as listener:
            replies.append(listener.wait(time.monotonic() + 20))

    thread = threading.Thread(target=listen)
    thread.start()
    problems = start_workers(Cluster(workers, 0), time.monotonic() + 20)
    thread.join()
    return problems, replies[0]


def test_equal_workers_start():
    workers = free_addresses(2)
    problems, reply = connect_two(workers, workers)
    assert not problems
    assert may_start(reply)


def test_workers_with_different_lists_do_not_start():
    workers = free_addresses(3)
    problems, reply = connect_two(workers[:2], [workers[2], workers[1]])
    assert len(problems) == 1
    assert f"worker 1 ({workers[1]}) has workers=" in problems[0]
    assert reply == problems[0]
    assert not may_start(reply)


def test_missing_workers_are_reported():
    workers = free_addresses(2)
    (problem,) = start_workers(Cluster(workers, 0), time.monotonic() + 0.5)
    assert problem == f"worker 1 ({workers[1]}) cannot be reached: connection refused"
