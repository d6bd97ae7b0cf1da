"""Messages of the library name the options of the command."""

from __future__ import annotations

import argparse

import pytest
from command_lines import subcommands
from hypothesis import given
from hypothesis import strategies as st
from small_networks import network

from unetv2.cli import main, parser
from unetv2.cli.options import Wording


@pytest.fixture(scope="module")
def wording():
    command = argparse.ArgumentParser()
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--image-size", nargs=2)
    command.add_argument("--resume", action="store_true")
    command.add_argument("--precision")
    command.add_argument("--label-map")
    return Wording(command, {"image_dir": "IMAGES"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`image_dir` must exist.", "`IMAGES` must exist."),
        ("`model` must be a file.", "`MODEL` must be a file."),
        ("Pass resume=True to continue.", "Pass --resume to continue."),
        ("Received: resume=False.", "Received: no --resume."),
        ("Received: precision=None, so", "Received: no --precision, so"),
        ("Received: precision='int9'.", "Received: --precision int9."),
        ("Received: precision='int 9'.", "Received: --precision 'int 9'."),
        ("Received: image_size=(3, 4).", "Received: --image-size 3 4."),
        ("Received: image_size=[3, 4, 5].", "Received: --image-size 3 4 5."),
        ("Pass label_map={7: 0, 254: -1}.", "Pass --label-map 7:0 --label-map 254:-1."),
        ("(image_size=0.5) is", "(--image-size 0.5) is"),
        ("Call it with `resume=True`.", "Call it with `--resume`."),
        # With `=`, because the value would otherwise be parsed as an option.
        ("Pass precision='-int8'.", "Pass --precision=-int8."),
        # Other texts are unchanged.
        ("`model.preprocessing` tells", "`model.preprocessing` tells"),
        ("Call `train(model, resume=True)`.", "Call `train(model, resume=True)`."),
        ("'runs/resume=True/model.keras' is", "'runs/resume=True/model.keras' is"),
        ("The model gives logits.", "The model gives logits."),
        ("do_resume=True", "do_resume=True"),
        ("one ` alone, resume=True", "one ` alone, resume=True"),
    ],
)
def test_arguments_are_replaced_by_options(wording, text, expected):
    assert wording.translate(text) == expected


@given(text=st.text(alphabet="`= (),.'_ab\n"))
def test_text_without_arguments_is_unchanged(wording, text):
    assert wording.translate(text) == text


def test_option_names_may_change_later():
    names = {"image_dir": "IMAGES"}
    wording = Wording(argparse.ArgumentParser(), names)
    names["image_dir"] = "--val-images"
    assert wording.translate("`image_dir` must exist.") == "`--val-images` must exist."


def test_the_names_of_every_command_are_its_options():
    for name, command in subcommands(parser()).items():
        options = {
            word
            for action in command._actions
            for word in (*action.option_strings, str(action.metavar))
        }
        option_names = set(command.get_default("names").values())
        for word in {part for names in option_names for part in names.split(" and ")}:
            assert word in options or word in ("IMAGES", "MASKS"), (name, word)


def test_errors_name_the_folders_of_the_validation(write_pairs, tmp_path, capsys):
    images, masks = map(str, write_pairs(n=3, n_classes=3))
    words = ["train", images, masks, "--n-classes", "3", "--output", str(tmp_path / "run")]
    assert main([*words, "--val-images", "nowhere", "--val-masks", masks]) == 2
    assert "error: `--val-images` must be an existing folder" in capsys.readouterr().err
    assert main(["train", "nowhere", masks, *words[3:]]) == 2
    assert "error: `IMAGES` must be an existing folder" in capsys.readouterr().err


def test_warnings_name_options(write_pairs, tmp_path, capsys):
    images, _ = write_pairs(n=1, size=(24, 32))
    model = tmp_path / "model.keras"
    network().save(model)
    words = ["predict", str(model), str(images), "--output", str(tmp_path / "out")]
    assert main([*words, "--max-pixels", "10"]) == 1
    assert "`--max-pixels`" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["2/2", "-1/2", "0/0", "1", "a/b"])
def test_an_invalid_shard_is_wrong_usage(shard, capsys):
    for words in (["predict", "m.keras", "images", "--output", "o"], ["evaluate", "m", "i", "k"]):
        assert main([*words, f"--shard={shard}"]) == 2
        message = f"must be INDEX/COUNT, such as 0/8, and 7/8 for the last. Received: '{shard}'."
        assert f"argument --shard: {message}" in capsys.readouterr().err
