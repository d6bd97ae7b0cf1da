"""The reference training, from its command line to its files."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
from PIL import Image

import unetv2

SCRIPT = Path(__file__).parents[1] / "examples" / "train_carseg.py"
TINY = ["--epochs", "2", "--filters", "2", "--image-size", "24", "32", "--batch-size", "8"]
OUTPUTS = {
    "accuracy.png", "best.png", "checkpoint.npz", "curves.png", "history.csv", "metrics.json",
    "model.keras", "images", "predictions.png", "report", "run.json",
}  # fmt: skip


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The script as a module, with few tiny scenes and a cache folder of its own."""
    spec = importlib.util.spec_from_file_location("train_carseg", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "train_carseg", module)
        spec.loader.exec_module(module)
        patch.setattr(module, "N_SCENES", 30)
        patch.setattr(module, "SCENE_SIZE", (24, 32))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield module


class Run(NamedTuple):
    output: Path
    printed: str
    masks: dict[str, set[bytes]]  # The masks of each subset.


@pytest.fixture(scope="module")
def run(example, tmp_path_factory):
    """A run without arguments for the data."""
    output, masks, printed = tmp_path_factory.mktemp("run"), {}, io.StringIO()
    make = unetv2.make_dataset

    def recording(*folders, subset, **options):
        dataset = make(*folders, subset=subset, **options)
        masks[subset] = {mask.numpy().tobytes() for _, mask in dataset.unbatch()}
        return dataset

    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(unetv2, "make_dataset", recording)
        example.main([*TINY, "--output", str(output)])
    return Run(output, printed.getvalue(), masks)


def test_without_arguments_it_trains_on_scenes_that_it_writes_once(example, run, capsys):
    output = run.output
    assert "Writing 30 driving scenes" in run.printed
    assert {path.name for path in output.iterdir()} - {"tensorboard"} == OUTPUTS

    with (output / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert {"accuracy", "mean_iou", "val_accuracy", "val_mean_iou"} <= rows[0].keys()

    metrics = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
    assert 0 <= metrics["mean_iou"] <= metrics["pixel_accuracy"] <= 1
    assert list(metrics["iou_per_class"]) == list(unetv2.CARLA.names)
    # No pixel is unlabeled, so the class has no IoU unless the model predicts it.
    assert metrics["iou_per_class"]["Unlabeled"] in (None, 0.0)

    evaluation = unetv2.Evaluation.load(output / "report")
    assert evaluation.mean_iou == metrics["mean_iou"]
    assert evaluation.settings["training"]["recipe"]["name"] == "reference"
    assert "</html>" in (output / "report" / "report.html").read_text(encoding="utf-8")

    for name in ("accuracy.png", "predictions.png"):
        with Image.open(output / name) as image:
            assert np.ptp(np.asarray(image.convert("L"))) > 100
    model = keras.saving.load_model(output / "model.keras")
    assert model.output_shape == (None, 24, 32, 23)

    example.find_task(example.parse_arguments(TINY))
    assert "Writing" not in capsys.readouterr().out


@pytest.mark.slow
def test_the_fast_recipe_trains_and_resumes(example, tmp_path, capsys):
    words = [*TINY, "--recipe", "fast", "--output", str(tmp_path / "run")]
    example.main([*words, "--epochs", "1"])
    assert "Recipe 'fast'" in capsys.readouterr().out
    example.main([*words, "--epochs", "2", "--resume"])
    with (tmp_path / "run" / "history.csv").open(encoding="utf-8", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]


def test_metrics_are_computed_on_images_that_training_did_not_use(run):
    assert not run.masks["test"] & (run.masks["train"] | run.masks["validation"])
    metrics = json.loads((run.output / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["images"] == len(run.masks["test"])


def test_any_two_folders_train_in_a_process_of_their_own(write_pairs, tmp_path):
    images, masks = write_pairs(30, n_classes=4)
    command = [sys.executable, SCRIPT, *TINY, "--image-dir", images, "--mask-dir", masks]
    command += ["--n-classes", "3", "--ignore-class", "3", "--output", tmp_path / "run"]
    command += ["--precision", "float32", "--epochs", "1"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Held-out: pixel accuracy" in result.stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert set(metrics["iou_per_class"]) == {"class 0", "class 1", "class 2"}


def test_held_out_folders_are_used_for_validation_and_test(example, write_pairs, tmp_path):
    train = write_pairs(5, n_classes=11, directory=tmp_path / "train")
    held_out = write_pairs(3, n_classes=11, seed=1, directory=tmp_path / "val")
    names = ("--image-dir", "--mask-dir", "--val-image-dir", "--val-mask-dir")
    folders = [str(word) for pair in zip(names, (*train, *held_out), strict=True) for word in pair]
    example.main(
        [*TINY, "--epochs", "1", *folders, "--classes", "camvid", "--output", str(tmp_path / "run")]
    )
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["images"] == 3
    assert list(metrics["iou_per_class"]) == list(unetv2.CAMVID.names)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image-dir", "i"], "pass --image-dir and --mask-dir together"),
        (["--image-dir", "i", "--mask-dir", "m"], "--image-dir needs --n-classes or --classes"),
        (["--data-dir", "d", "--image-dir", "i"], "pass --data-dir, or --image-dir and --mask-dir"),
        (["--val-image-dir", "i"], "pass --val-image-dir and --val-mask-dir together"),
        (["--epochs", "0"], "--epochs must be 1 or more, not 0"),
        (["--precision", "int8"], "invalid choice: 'int8'"),
    ],
)
def test_wrong_arguments_are_refused(example, capsys, words, message):
    with pytest.raises(SystemExit) as stop:
        example.parse_arguments(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_wrong_data_ends_with_one_line(example, tmp_path):
    with pytest.raises(SystemExit, match="error: `image_dir` must be an existing folder"):
        example.main([*TINY, "--data-dir", str(tmp_path / "none"), "--output", str(tmp_path)])
