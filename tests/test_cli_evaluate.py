from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import save

import unetv2
from unetv2.cli import main

TABLE = "name,red,green,blue\nsky,0,0,9\nroad,1,1,1\ncar,2,2,2\n"


@pytest.fixture
def words(write_pairs, tmp_path):
    folders = write_pairs(n=4, n_classes=3)
    model = unetv2.build_unetv2((12, 16, 3), 3, filters=2, depth=2, seed=0)
    model.preprocessing = unetv2.Preprocessing(image_size=(12, 16))
    model.save(tmp_path / "model.keras")
    return ["evaluate", str(tmp_path / "model.keras"), *map(str, folders), "--quiet"]


def test_it_prints_the_table(words, capsys):
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "Mean IoU" in out
    assert "4 images, evaluated at the masks' own size." in out
    assert err == ""


def test_test_time_augmentation_can_be_chosen(words, capsys):
    for options, settings in (
        (["--tta", "horizontal,vertical"], {"tta": ["vertical", "horizontal"]}),
        (["--no-tta"], None),
        ([], None),
    ):
        assert main([*words, *options, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["settings"].get("prediction") == settings


def test_stdout_is_json(words, capsys):
    assert main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    expected = unetv2.evaluate(words[1], words[2:4], progress=False)
    assert content["metrics"] == expected.as_dict()["metrics"]


def test_a_report_is_written_and_compared_with_another_one(words, capsys, tmp_path):
    folder = tmp_path / "report"
    assert main([*words, "--report", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == unetv2.Evaluation.load(folder).as_dict()
    assert f"Report: {folder / 'report.html'}" in err
    other = tmp_path / "other"
    assert main([*words, "--report", str(other), "--against", str(folder)]) == 0
    assert "compared with" in (other / "report.html").read_text(encoding="utf-8")
    assert unetv2.Evaluation.load(other).n_images == 4


def test_all_options_are_passed(words, capsys, tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    options = ["--classes", str(tmp_path / "table.csv"), "--json"]
    options += ["--label-map", "2:0", "--label-map", "0:0"]
    options += ["--ignore-class", "7", "--boundary-tolerance", "3", "--seed", "5"]
    options += ["--image-suffix", "", "--mask-suffix", "", "--encoding", "ids"]
    options += ["--group-by", "0", "--split", "0", "0", "1", "--subset", "test"]
    assert main([*words, *options]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in content["classes"]] == ["sky", "road", "car"]
    assert content["classes"][2]["pixels"] == 0
    assert content["ignore_class"] == 7
    settings = content["settings"]
    assert (settings["boundary_tolerance"], settings["seed"]) == (3, 5)
    assert settings["data_options"]["label_map"] == {"2": 0, "0": 0}
    assert settings["data_options"]["subset"] == "test"
    assert main([*words, "--json", "--boundary-tolerance", "0.25"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["settings"]["boundary_tolerance"] == 0.25


def test_omitted_options_are_those_of_the_model(words, capsys, tmp_path):
    model = unetv2.build_unetv2((12, 16, 3), 3, filters=2, depth=2, seed=0)
    model.preprocessing = unetv2.Preprocessing(
        image_size=(12, 16), label_map={0: 0, 2: 0}, mask_suffix="_label"
    )
    model.save(tmp_path / "model.keras")
    assert main(words) == 2
    assert "as in the model's training, --mask-suffix _label:" in capsys.readouterr().err
    for mask in Path(words[3]).iterdir():
        mask.rename(mask.with_name(f"{mask.stem}_label.png"))
    assert main([*words, "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings["data_options"] == {"label_map": {"0": 0, "2": 0}, "mask_suffix": "_label"}
    assert settings["as_in_training"] == ["label_map", "mask_suffix"]
    assert main([*words, "--json", "--label-map", "2:1", "--label-map", "1:1"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings["data_options"]["label_map"] == {"2": 1, "1": 1}


def test_shards_merge_to_the_whole(words, capsys, tmp_path):
    parts = []
    for index in range(2):
        folder = str(tmp_path / str(index))
        assert main([*words, "--shard", f"{index}/2", "--report", folder]) == 0
        parts.append(unetv2.Evaluation.load(folder))
    assert "A part of the data: shard 1 of 2" in capsys.readouterr().out
    whole = unetv2.evaluate(words[1], words[2:4], progress=False)
    np.testing.assert_array_equal(unetv2.Evaluation.merge(parts).confusion, whole.confusion)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--classes", "carla"], "`--classes` must have a name for each class of the model"),
        (["--against", "nowhere"], "`--against` must come with `--report`"),
        (
            ["--shard", "3"],
            "argument --shard: must be INDEX/COUNT, such as 0/8, and 7/8 for the last.",
        ),
        (["--boundary-tolerance", "x"], "argument --boundary-tolerance: invalid"),
        (["--boundary-tolerance", "1.5"], "`--boundary-tolerance` must be a share below 1"),
        (["--subset", "all"], "argument --subset: invalid choice"),
    ],
)
def test_wrong_arguments_return_2(words, capsys, options, message):
    assert main([*words, *options]) == 2
    assert message in capsys.readouterr().err


def test_errors_are_one_line(words, capsys, tmp_path):
    missing = [*words[:1], str(tmp_path / "none.keras"), *words[2:]]
    assert main(missing) == 2
    assert "`MODEL` must be a file" in capsys.readouterr().err
    save(np.full((12, 16), 9, np.uint8), tmp_path / "masks" / "0001.png")
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "0001.png': Mask ids must be in [0, 3)" in err
    assert err.count("\n") == 1


def test_help_shows_an_example(capsys):
    assert main(["evaluate", "--help"]) == 0
    assert "unetv2 evaluate runs/carseg/model.keras data/CameraRGB" in capsys.readouterr().out
