"""The published results of the benchmarks, and the page that shows them."""

from __future__ import annotations

import json
from pathlib import Path

import deployment
import pytest
import stability
import time_to_accuracy
from benchmark_fields import number
from benchmark_layouts import LAYOUTS
from benchmark_tables import LINE, page, section
from publish import RESULTS, paths, publish

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "benchmarks.rst").read_text(encoding="utf-8")
MACHINE = {
    "machine": "x86_64", "cores": 2, "avx512_bf16": False, "gpus": 0, "python": "3.11.7",
    "tensorflow": "2.21.0", "keras": "3.15.1", "torch": "2.13.0",
}  # fmt: skip
HEAD = {"command": "python benchmarks/pairing.py", "machine": MACHINE}
PAIRING = {"pairs": 1000, "train": 800, "seconds_pairing": 0.0123, "megabytes_peak": 1234.5}


def write(folder, name, **fields):
    (folder / f"{name}.json").write_text(json.dumps(HEAD | fields), encoding="utf-8")


def trained(name, seed, scores):
    seconds = [10.0 for _ in scores]
    return {
        "recipe": {"name": name}, "seed": seed, "epochs": len(scores), "precision": "float32",
        "loss": [1.0 for _ in scores], "val_mean_iou": scores, "training_seconds": seconds,
        "processor_seconds": seconds, "total_seconds": seconds, "events": [], "collapses": 0,
    }  # fmt: skip


def test_every_benchmark_is_on_the_page():
    sources = (ROOT / "benchmarks").glob("*.py")
    named = {path.stem for path in sources if '"--json"' in path.read_text(encoding="utf-8")}
    assert named == set(LAYOUTS) == set(LINE.findall(PAGE))


def test_every_published_file_is_on_the_page():
    text = page(PAGE)
    published = sorted(RESULTS.glob("*.json"))
    assert published
    for path in published:
        assert text.count(f"<../benchmarks/results/{path.name}>") == 1
        assert json.loads(path.read_text(encoding="utf-8"))["command"] in text
    assert text.count("Not published yet") == len(LAYOUTS) - len(published)


def test_a_file_that_no_line_names_is_an_error(tmp_path):
    write(tmp_path, "pairing", **PAIRING)
    for source in ("Benchmarks\n", ".. benchmark:: pairing\n\n.. benchmark:: pairing\n"):
        with pytest.raises(ValueError, match=r"must name each file .* lines for pairing\."):
            page(source, tmp_path)


def test_an_unknown_benchmark_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"names unknown benchmarks: speed\."):
        page(".. benchmark:: speed\n", tmp_path)


def test_a_missing_file_is_shown_as_not_published(tmp_path):
    text = page("Before\n\n.. benchmark:: pairing\n\nAfter\n", tmp_path)
    assert "Not published yet" in text
    assert "$ python benchmarks/pairing.py --json pairing.json" in text
    assert text.startswith("Before")
    assert text.endswith("After\n")


def test_a_section_shows_the_command_and_the_machine(tmp_path):
    write(tmp_path, "pairing", date="2026-11-25", note="A_b.", **PAIRING)
    text = section("pairing", tmp_path)
    assert "   $ python benchmarks/pairing.py\n" in text
    assert (
        "On 2 cores of x86_64, no GPU, Python 3.11.7, TensorFlow 2.21.0, Keras 3.15.1, "
        "PyTorch 2.13.0, measured on 2026-11-25."
    ) in text
    assert "\nA\\_b.\n" in text
    assert "   * - seconds\\_pairing\n     - 0.0123\n" in text
    assert "   * - megabytes\\_peak\n     - 1,234\n" in text


def test_an_unknown_field_is_an_error(tmp_path):
    write(tmp_path, "pairing", **PAIRING, speed=3.0)
    with pytest.raises(ValueError, match=r"pairing\.json has fields .* does not read: 'speed'\."):
        section("pairing", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"pairing\.json must be JSON\. Received: Expecting"),
        ("[]", r"pairing\.json must be a JSON object\. Received: \[\]\."),
        ("{}", r"must have a field 'command' of str\. Received: None\."),
        ('{"command": "a", "machine": {}}', r"'machine' of .* must have a field 'cores' of int"),
        (json.dumps(HEAD | {"pairs": True}), r"'pairs' of int or float or list\. Received: True"),
        (
            json.dumps(HEAD | {"note": "see /home/me/x"}),
            r"must not contain paths of a machine\. .* /home/me/x",
        ),
        (json.dumps(HEAD | {"pairs": 1, "date": 5}), r"a field 'date' of str\. Received: 5\."),
    ],
)
def test_a_malformed_file_is_an_error(tmp_path, content, message):
    (tmp_path / "pairing.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        section("pairing", tmp_path)


def test_results_of_time_to_accuracy(tmp_path):
    runs = {
        "reference": [trained("reference", 0, [0.2, 0.4])],
        "short": [trained("fast", 0, [0.3, 0.5]), trained("fast", 1, [0.3, 0.35])],
        "long": [trained("fast", 0, [0.5, 0.7, 0.6])],
    }
    write(tmp_path, "time_to_accuracy", **time_to_accuracy.summarize(runs), runs=runs)
    text = section("time_to_accuracy", tmp_path)
    row = "   * - long, seed 0\n     - 3\n     - float32\n     - 30.0\n     - 30.0\n     - 0.600\n"
    assert row + "     - 0.700\n     - 0\n" in text
    assert "   * - short: epochs to goal\n     - 2, never\n" in text
    assert "   * - short: times less processor seconds\n     - 1.00, never\n" in text
    assert "   * - long: training seconds against reference\n     - 1.50\n" in text


def test_results_of_stability(tmp_path):
    runs = [
        trained("fast", 0, [0.4]), trained("fast", 1, [0.6]),
        {"recipe": {"name": "reference"}, "seed": 0, "failed": "after five rollbacks"},
    ]  # fmt: skip
    write(tmp_path, "stability", **stability.summarize(runs), runs=runs)
    text = section("stability", tmp_path)
    row = "   * - fast\n     - 2\n     - 0\n     - 0\n     - 0\n     - 0.500\n     - 0.141\n"
    assert row in text
    assert "   * - reference\n     - 1\n     - 1\n     - 0\n     - 0\n     -\n" in text


def test_results_of_train_step(tmp_path):
    write(tmp_path, "train_step", images_a_second={"plain": {"train": 13.04, "infer": 43.6}})
    assert "   * - plain\n     - 13.0\n     - 43.6\n" in section("train_step", tmp_path)


def test_results_of_accelerator_without_inference(tmp_path):
    write(tmp_path, "accelerator", batch_size=32, images_a_second={"plain": {"train": 13.04}})
    assert "   * - plain\n     - 13.0\n     -\n" in section("accelerator", tmp_path)


def test_results_of_inference(tmp_path):
    names = (
        "ms a frame, model(x)", "a frame's time, over model.predict's",
        "frames/s at 32, unetv2.predict", "windows/s, the network alone",
        "share of the network's, unetv2.predict", "GB resident at most, 1,000x1,000",
        "GB resident at most, nothing predicted", "seconds, 1,000x1,000",
    )  # fmt: skip
    settings = {"rounds": 9, "filters": 32, "memory_filters": 4, "channels": 3}
    write(tmp_path, "inference", **settings, **dict.fromkeys(names, 1.25))
    text = section("inference", tmp_path)
    assert all(f"   * - {name}\n     - 1.25\n" in text for name in names)


def test_the_table_of_formats_shows_the_published_file():
    figures = json.loads((RESULTS / "deployment.json").read_text(encoding="utf-8"))
    table = (ROOT / "docs" / "deployment_table.inc").read_text(encoding="utf-8")
    assert deployment.table(figures["rows"]) == table


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345, "12,345"), (1317.9, "1,318"), (198.53, "199"), (0.13092, "0.131"), (1.0, "1.00")],
)
def test_numbers_have_three_significant_digits(value, text):
    assert number(value) == text


def test_publishing_removes_paths_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setattr("publish.RESULTS", tmp_path / "results")
    source = tmp_path / "out.json"
    figures = {
        "data": "../data/camvid", "output": str(tmp_path / "runs"), "home": "~/x/y",
        "failed": "In '/tmp/a/b.json': no.", "list": [{"path": "C:\\a\\b"}],
        "10 Gbit/s, 50 us": 1, "frames/s": 2.5, "input": "runs/a",
    }  # fmt: skip
    source.write_text(json.dumps(figures), encoding="utf-8")
    path = publish(source, "python benchmarks/pairing.py --pairs 9", date="2026-11-25")
    assert path == tmp_path / "results" / "pairing.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "command": "python benchmarks/pairing.py --pairs 9", "date": "2026-11-25",
        "data": "camvid", "output": "runs", "home": "y", "failed": "In 'b.json': no.",
        "list": [{"path": "b"}], "10 Gbit/s, 50 us": 1, "frames/s": 2.5, "input": "runs/a",
    }  # fmt: skip


@pytest.mark.parametrize(
    "command", ["python speed.py", "python benchmarks/pairing.py --folder /tmp/x"]
)
def test_publishing_needs_the_command_of_a_benchmark(tmp_path, command):
    with pytest.raises(ValueError, match=r"`command` must run one of benchmarks/\*\.py"):
        publish(tmp_path / "out.json", command)


def test_published_files_contain_no_paths_of_a_machine():
    for path in RESULTS.glob("*.json"):
        assert paths(json.loads(path.read_text(encoding="utf-8"))) == []
