from __future__ import annotations

import json

import numpy as np
import pytest
from exporting import N_CLASSES, recorded

import unetv2
from unetv2.benchmarking import call_in_turns
from unetv2.cli import main


def test_functions_are_called_in_turns():
    calls = []
    seconds = call_in_turns([lambda: calls.append("a"), lambda: calls.append("b")], 12)
    # 12 runs in rounds of 5 are 15 timed calls. An untimed call comes first, and before each round.
    assert [len(one) for one in seconds] == [15, 15]
    assert calls == ["a", "b", *(["a"] * 6 + ["b"] * 6) * 3]
    assert all((one > 0).all() for one in seconds)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    model = recorded()
    model.save(folder / "model.keras")
    unetv2.export(model, folder / "artifact", format="saved_model")
    rng = np.random.default_rng(0)
    for name in ("images", "masks"):
        (folder / name).mkdir()
    for number in range(2):
        np.save(folder / "images" / f"{number}.npy", rng.integers(0, 256, (30, 40, 3), np.uint8))
        np.save(folder / "masks" / f"{number}.npy", rng.integers(0, N_CLASSES, (30, 40), np.uint8))
    return folder


@pytest.mark.slow
def test_the_command_measures_keras_models_and_artifacts(files, tmp_path, capsys):
    words = ["benchmark", str(files / "model.keras"), str(files / "artifact")]
    words += ["--data", str(files / "images"), str(files / "masks"), "--runs", "5"]
    words += ["--batch-size", "3", "--output", str(tmp_path / "out"), "--quiet"]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert [line.split()[0] for line in table.splitlines()[1:]] == [
        "model.predict",
        "tf.function",
        "artifact",
    ]
    found = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    assert found["settings"]["batch_size"] == 3
    for row in found["rows"]:
        median, high, highest = row["latency_ms"]
        assert 0 < median <= high <= highest
        assert row["throughput"] > 0
        assert row["startup_s"] > 0
        assert row["file_bytes"] > 1000
        # TensorFlow alone takes more.
        assert row["peak_bytes"] > 1e8
    scores = [row["mean_iou"] for row in found["rows"]]
    assert scores[0] == scores[1] == pytest.approx(scores[2], abs=1e-3)
    image = (tmp_path / "out" / "benchmark.png").read_bytes()
    assert image.startswith(b"\x89PNG")


def test_wrong_arguments_are_refused(files, capsys):
    with pytest.raises(ValueError, match="`models` must contain a model. Received: none"):
        unetv2.benchmark([])
    with pytest.raises(ValueError, match="`runs` must be a positive integer"):
        unetv2.benchmark(str(files / "artifact"), runs=0)
    with pytest.raises(
        OSError, match="(?s)must be written to save the benchmark. Received: .*writable"
    ):
        unetv2.benchmark(str(files / "artifact"), output=files / "model.keras" / "figures")
    assert main(["benchmark", "nowhere.keras"]) == 2
    assert "Check the path" in capsys.readouterr().err
