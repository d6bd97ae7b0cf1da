from __future__ import annotations

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from unetv2.cli import main


@pytest.fixture
def folders(write_pairs):
    return [str(folder) for folder in write_pairs(n=3, n_classes=3)]


def test_check_prints_the_report_and_returns_0_without_errors(folders, capsys):
    assert main(["check", *folders, "--n-classes", "3"]) == 0
    out, err = capsys.readouterr()
    assert "0 errors" in out
    assert err == ""


def test_check_returns_1_with_errors(folders, capsys):
    assert main(["check", *folders, "--n-classes", "2"]) == 1
    assert "error: out_of_range (3)" in capsys.readouterr().out


def test_stdout_contains_only_json(folders, capsys):
    assert main(["check", *folders, "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["n_pairs"] == 3


def test_every_option_reaches_check_dataset(folders, capsys, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("name,red,green,blue\nsky,0,0,0\nroad,1,1,1\n")
    words = ["check", *folders, "--classes", str(table), "--ignore-class", "2", "--json"]
    words += ["--group-by", "0", "--seed", "3", "--report", str(tmp_path / "report")]
    words += ["--image-suffix", "0", "--mask-suffix", "0", "--encoding", "ids"]
    assert main(words) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["n_pairs"] == 1  # Of 0000, 0001 and 0002 the first ends with 0.
    assert [row["name"] for row in content["classes"]] == ["sky", "road", "ignored"]
    assert (tmp_path / "report" / "report.txt").exists()


def test_label_map_split_and_max_pixels(folders, capsys):
    words = ["check", *folders, "--json", "--n-classes", "2", "--split", "0", "0.5", "0.5"]
    assert main([*words, "--label-map", "2:1", "--label-map", "1:0", "--label-map", "0:0"]) == 0
    content = json.loads(capsys.readouterr().out)
    # 2 becomes 1 and 1 becomes 0, not 2 by way of 1.
    assert [row["id"] for row in content["classes"]] == [0, 1]
    assert content["subsets"]["train"] == 0
    assert main([*words, "--label-map", "2:1", "--max-pixels", "100"]) == 1
    assert "must have at most `max_pixels`=100 pixels" in capsys.readouterr().out


def test_channels_must_match_the_arrays(tmp_path, capsys):
    for number in range(2):
        for name, shape in (("images", (4, 6, 5)), ("masks", (4, 6))):
            (tmp_path / name).mkdir(exist_ok=True)
            pixels = np.random.default_rng(number).integers(0, 3, shape, dtype=np.uint8)
            np.save(tmp_path / name / f"{number}.npy", pixels)
    words = ["check", str(tmp_path / "images"), str(tmp_path / "masks"), "--json"]
    for channels in ([], ["--channels", "5"]):
        assert main([*words, *channels]) == 0
        assert len(json.loads(capsys.readouterr().out)["mean"]) == 5
    assert main([*words, "--channels", "3"]) == 1
    assert "Pass channels=5" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["carla", "camvid", "cityscapes", "pascal_voc"])
def test_class_tables_can_be_named(folders, capsys, name):
    assert main(["check", *folders, "--classes", name]) == 0
    assert "warning: absent_class (1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere", "nowhere"], "`IMAGES` must be an existing folder. Received: 'nowhere'"),
        (["--encoding", "colors"], "`--classes` must be a class table where masks hold colors"),
        (["--classes", "none.txt"], "A class table must be a .json or .csv file"),
        (["--classes", "none.csv"], "No such file"),
        (["--group-by", "("], "`--group-by` must be a regular expression"),
        (["--channels", "0"], "`--channels` must be a positive integer"),
        (["--max-pixels", "0"], "`--max-pixels` must be a positive integer"),
        (["--split", "1", "1", "1"], "`--split` must be three"),
        (["--label-map", "1:0", "--label-map", "1:2"], "`--label-map` must contain each id once"),
        (
            ["--label-map", "1:0", "--encoding", "binary"],
            "`--label-map` must come with --encoding ids",
        ),
        (["--seed", "-1"], "`--seed` must be a non-negative integer"),
    ],
)
def test_wrong_arguments_are_one_line_and_return_2(folders, capsys, words, message):
    places = [] if words[0] == "nowhere" else folders
    assert main(["check", *places, *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize("words", [[], ["chekc"], ["check"], ["check", "a", "b", "--nope"]])
def test_wrong_usage_returns_2(capsys, words):
    assert main(words) == 2
    assert "usage: unetv2" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["7", "7:", "a:b", "7:0:1", "7=0"])
def test_an_invalid_label_map_returns_2(folders, capsys, word):
    assert main(["check", *folders, "--label-map", word]) == 2
    message = f"argument --label-map: must be two ids, OLD:NEW, such as 7:0. Received: {word!r}."
    assert message in capsys.readouterr().err


def test_help_shows_an_example(capsys):
    assert main(["check", "--help"]) == 0
    out = capsys.readouterr().out
    assert "unetv2 check data/CameraRGB data/CameraMask --classes carla" in out
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in ("check", "train", "evaluate", "predict", "export"))


def test_an_interruption_is_one_line_and_returns_130(folders, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("unetv2.SegmentationDataset.check", interrupted)
    assert main(["check", *folders]) == 130
    assert capsys.readouterr().err.startswith("\ninterrupted: ")


def test_the_module_is_the_command(folders):
    words = [sys.executable, "-m", "unetv2", "check", *folders, "--n-classes", "2", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["n_pairs"] == 3
    # No messages of TensorFlow either.
    assert done.stderr == ""


def test_train_trains_and_resumes(folders, tmp_path, capsys):
    words = ["train", *folders, "--n-classes", "23", "--image-size", "12", "16", "--filters", "2"]
    words += ["--val-images", folders[0], "--val-masks", folders[1]]
    words += ["--output", str(tmp_path / "run"), "--recipe", "reference"]
    assert main([*words, "--epochs", "1"]) == 0
    assert "Best validation mean IoU" in capsys.readouterr().out
    assert main([*words, "--epochs", "1"]) == 2
    err = capsys.readouterr().err
    assert "error: `--output` must" in err
    assert "--resume" in err
    assert "--overwrite" in err
    assert main([*words, "--epochs", "2", "--resume"]) == 0
    assert len((tmp_path / "run" / "history.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_train_needs_no_number_of_classes_for_black_and_white(write, tmp_path, capsys):
    folders = write(*[np.repeat(np.uint8([[0, 255]]), 16, axis=1).repeat(24, axis=0)] * 3)
    words = ["train", *map(str, folders), "--epochs", "1", "--quiet"]
    words += ["--recipe", "reference"]
    words += ["--image-size", "12", "16", "--filters", "2", "--output", str(tmp_path / "run")]
    words += ["--val-images", str(folders[0]), "--val-masks", str(folders[1])]
    assert main([*words, "--n-classes", "3", "--encoding", "binary"]) == 2
    assert "`--encoding` must be another one than" in capsys.readouterr().err
    assert main(words) == 0
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert (model.output_shape[-1], model.preprocessing.encoding) == (2, "binary")


def test_train_reports_missing_options(folders, tmp_path, capsys):
    words = ["train", *folders, "--output", str(tmp_path / "run")]
    assert main([*words, "--val-images", folders[0]]) == 2
    assert "`--val-images` and `--val-masks` must come together" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["check", "", "masks"], "IMAGES"),
        (["train", "images", "masks", "--n-classes", "2", "--output", ""], "--output"),
        (["predict", "model.keras", "a.png", "", "--output", "out"], "INPUT"),
        (["benchmark", "model.keras", "--data", "images", ""], "--data"),
    ],
)
def test_an_empty_path_is_not_the_working_directory(tmp_path, monkeypatch, capsys, words, name):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert f"`{name}` must be a path. Received: an empty string." in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
