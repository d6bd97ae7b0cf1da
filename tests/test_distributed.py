"""Distributed training of several processes on loopback."""

from __future__ import annotations

import json
import signal
import socket
import time

import numpy as np
import pytest
import team

import unetv2

pytestmark = pytest.mark.distributed

# float32 sums in another order; what Adam divides by is of their size.
TOLERANCE = 1e-6
# Statistics of a batch are differences of sums.
TOLERANCE_OF_STATISTICS = 1e-4
JOBS = {
    # 7 pairs in batches of 4: the last batch is of 3, which 2 workers share unevenly.
    "plain": {"recipe": "plain"},
    "full": {"recipe": "full", "normalization": "batch"},
    # The last batch is of 1: a worker goes empty.
    "lent": {"recipe": "plain", "scenes": "scenes5", "augmentation": "driving"},
    "foreign": {"recipe": "full", "foreign": True},
}
WHOLE = {"name": "whole", "recipe": "small batches", "epochs": 3, "minutes": 0.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("team")
    for n in (5, 7):
        unetv2.synthetic.write_driving_scenes(folder / f"scenes{n}", n, image_size=(24, 32))
    return folder


def named(prefix):
    return [{**job, "name": f"{prefix}_{name}"} for name, job in JOBS.items()]


def require_success(ended):
    for one in ended:
        assert one.code == 0, one.text[-3000:]


@pytest.fixture(scope="module")
def trained(folder):
    """The same trainings by one process, by two workers, and on two devices of one process."""
    require_success(team.run(folder, [team.session(named("alone"))], 300))
    require_success(team.run(folder, team.team([*named("workers"), WHOLE]), 500))
    devices = [job for job in named("devices") if job["name"] != "devices_foreign"]
    require_success(team.run(folder, [team.session(devices, devices=2)], 400))
    return folder


def weights(folder, name):
    with np.load(folder / f"{name}.npz") as file:
        return [file[key] for key in file.files]


def told(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


def assert_same(folder, one, other, tolerance=0.0):
    for array, other_array in zip(weights(folder, one), weights(folder, other), strict=True):
        np.testing.assert_allclose(array, other_array, rtol=0, atol=tolerance)
    history, other_history = told(folder, one)[0], told(folder, other)[0]
    assert list(history) == list(other_history)
    for name, values in history.items():
        np.testing.assert_allclose(
            values, other_history[name], rtol=0, atol=10 * tolerance, err_msg=name
        )


@pytest.mark.parametrize("name", JOBS)
def test_two_workers_train_and_validate_as_one_process(trained, name):
    tolerance = TOLERANCE_OF_STATISTICS if name == "full" else TOLERANCE
    assert_same(trained, f"alone_{name}.alone", f"workers_{name}.0", tolerance)
    assert_same(trained, f"workers_{name}.0", f"workers_{name}.1")
    if name != "foreign":
        assert_same(trained, f"alone_{name}.alone", f"devices_{name}.alone", tolerance)


def test_trainings_differ_where_they_should(trained):
    # Otherwise the test above would hold of anything.
    with pytest.raises(AssertionError):
        assert_same(trained, "alone_full.alone", "alone_foreign.alone", TOLERANCE_OF_STATISTICS)


def test_only_the_chief_writes(trained):
    files = {path.name for path in (trained / "workers_plain").iterdir()}
    assert {"model.keras", "history.csv", "checkpoint.npz", "run.json"} <= files
    assert not [name for name in files if name.startswith(".") or name == "lock"]


def test_a_killed_worker_stops_the_others_which_resume(trained):
    job = {**WHOLE, "name": "killed"}
    started = time.monotonic()
    ended = team.run(trained, team.team([job], own_jobs={1: {"sabotage": [1, 1, "SIGKILL"]}}), 240)
    assert ended[1].code == -signal.SIGKILL
    assert ended[0].code == 1, ended[0].text[-3000:]
    assert "WorkerLostError: All workers must run until the training ends." in ended[0].text
    assert "no response from worker 1 (127.0.0.1:" in ended[0].text
    assert time.monotonic() - started < 240
    require_success(team.run(trained, team.team([{**job, "resume": True}]), 240))
    for index in (0, 1):
        assert_same(trained, "whole.0", f"killed.{index}")
        assert told(trained, f"killed.{index}") == told(trained, "whole.0")


def test_sigterm_on_a_worker_saves_and_stops_all(trained):
    job = {**WHOLE, "name": "told", "minutes": 10.0}
    ended = team.run(trained, team.team([job], own_jobs={1: {"sabotage": [1, 0, "SIGTERM"]}}), 240)
    for one in ended:
        assert one.code == 1, one.text[-3000:]
        assert "PreemptedError: All workers must run until the training ends." in one.text
        assert "Received: SIGTERM on a worker" in one.text
    assert (trained / "told" / "within_epoch.npz").exists()
    # With another number of workers.
    require_success(team.run(trained, [team.session([{**job, "resume": True}])], 240))
    assert_same(trained, "whole.0", "told.alone", TOLERANCE)


def test_all_workers_roll_back(folder):
    job = {**WHOLE, "name": "failing", "sabotage": [1, 1, "nan"]}
    require_success(team.run(folder, team.team([job]), 240))
    for index in (0, 1):
        (event,) = told(folder, f"failing.{index}")[2]
        assert "in epoch 2 a weight became infinite or NaN" in event
    assert_same(folder, "failing.0", "failing.1")


def test_a_worker_that_hangs_stops_the_others(folder):
    job = {**WHOLE, "name": "still", "timeout": 25.0}
    # The stopped process is killed after the deadline.
    ended = team.run(folder, team.team([job], own_jobs={1: {"sabotage": [1, 1, "SIGSTOP"]}}), 120)
    # TensorFlow's heartbeat or the library's watchdog, whichever notices first.
    assert ended[0].code in (1, 75), ended[0].text[-3000:]
    words = ("WorkerLostError", "has waited 25 s for a step of all workers")
    assert any(word in ended[0].text for word in words)
    assert ended[1].code is None


@pytest.mark.parametrize(
    ("own", "difference"),
    [
        ({"filters": 3}, "weights"),
        ({"data_seed": 1}, "files"),
        ({"scenes": "scenes5"}, "data.n_pairs=7 on worker 0 and 5 on worker 1"),
    ],
)
def test_workers_that_differ_raise_on_all(folder, own, difference):
    job = {**WHOLE, "name": "differing"}
    ended = team.run(folder, team.team([job], own_jobs={1: own}), 120)
    for one in ended:
        assert one.code == 1, one.text[-3000:]
        assert "worker 1 (127.0.0.1:" in one.text
        assert "differs from worker 0: " in one.text
        assert difference in one.text


def test_a_folder_in_use_is_refused_by_all(folder):
    job = {**WHOLE, "name": "in_use"}
    (folder / "in_use").mkdir(exist_ok=True)
    from unetv2.training.checkpoint import locked

    with locked(folder / "in_use"):
        ended = team.run(folder, team.team([job]), 120)
    for one in ended:
        assert one.code == 1
        assert "`output_dir` must not be in use by another training" in one.text


def test_a_port_in_use_is_an_error_everywhere(folder):
    sessions = team.team([WHOLE], timeout=10.0)
    host, port = sessions[1]["workers"][1].split(":")
    with socket.create_server((host, int(port))):
        ended = team.run(folder, sessions, 90)
    assert [one.code for one in ended] == [1, 1]
    assert "Worker 1 must be able to listen at '127.0.0.1:" in ended[1].text
    assert "another program uses the port" in ended[0].text
