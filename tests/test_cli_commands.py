"""Behavior that all commands share."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time

import pytest
from exporting import recorded

import unetv2
from unetv2 import startup
from unetv2.cli import main, parser

COMMANDS = ("check", "plan", "train", "evaluate", "predict", "export", "benchmark")


@pytest.fixture
def folders(write_pairs):
    return [str(folder) for folder in write_pairs(n=8, n_classes=3)]


@pytest.fixture
def training(folders, tmp_path):
    words = ["train", *folders, "--n-classes", "23", "--image-size", "12", "16", "--filters", "2"]
    words += ["--val-images", folders[0], "--val-masks", folders[1], "--epochs", "1"]
    words += ["--recipe", "fast"]
    return [*words, "--output", str(tmp_path / "run")]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_examples_and_exit_codes(name, capsys):
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"  unetv2 {name} " in out
    assert "exit code: 0" in out
    assert "--json" in out
    assert "--quiet" in out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"unetv2 {unetv2.__version__}\n"


def test_an_option_has_the_same_type_in_every_command():
    commands = next(
        action.choices for action in parser()._actions if isinstance(action.choices, dict)
    )
    assert tuple(commands) == COMMANDS
    kinds = {}
    for command in commands.values():
        for action in command._actions:
            for option in action.option_strings:
                kind = (action.nargs, getattr(action.type, "__name__", None))
                assert kinds.setdefault(option, kind) == kind, option


def test_train_prints_json_to_stdout_and_other_output_to_stderr(training, capsys):
    assert main([*training, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["epoch"] == [0]
    assert len(found["history"]["loss"]) == 1
    assert found["output_dir"] == training[-1]
    assert "Recipe 'fast'" in err
    assert "1/1" in err


def test_a_quiet_training_prints_its_result_and_warnings(training, capsys):
    assert main([*training, "--quiet", "--recipe", "reference"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Best validation mean IoU: ")
    assert out.count("\n") == 1
    *warnings, last = err.splitlines()
    assert last.endswith(f": {training[-1]}")
    # The warning names the options of the command.
    assert "learns little in 1 step (1 epoch of 1). Pass --epochs 500 or more" in warnings[0]
    assert "Recipe '" not in err


def test_export_prints_json_to_stdout_and_other_output_to_stderr(tmp_path, capsys):
    recorded().save(tmp_path / "model.keras")
    words = ["export", str(tmp_path / "model.keras"), "--format", "saved_model"]
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["path"] == str(tmp_path / "model-saved_model-float32")
    assert found["parity"]["agreement"] > 0.9999
    assert "of the pixels agree" in err
    assert main([*words, "--quiet", "--overwrite"]) == 0
    assert capsys.readouterr().out == ""


def test_a_command_restores_the_log(folders):
    log = logging.getLogger("unetv2")
    before = (list(log.handlers), log.level)
    assert main(["check", *folders, "--n-classes", "3"]) == 0
    assert (log.handlers, log.level) == before


@pytest.mark.parametrize(
    ("words", "original", "expected"),
    [
        (["/usr/bin/unetv2", "check"], [], True),
        (["C:/Scripts/unetv2.exe"], [], True),
        (["lib/unetv2/__main__.py", "check"], ["python", "-m", "unetv2", "check"], True),
        (["lib/unetv2/__main__.py"], ["python", "-m", "pytest"], False),
        (["train.py"], ["python", "train.py"], False),
        ([""], ["python"], False),
        ([], [], False),
    ],
)
def test_only_the_command_starts_quietly(monkeypatch, words, original, expected):
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys, "orig_argv", original)
    monkeypatch.setattr(os, "environ", {})
    startup.load_tensorflow_quietly()
    assert startup.is_command() is expected
    assert os.environ == ({"TF_CPP_MIN_LOG_LEVEL": "3"} if expected else {})


def test_the_users_level_of_tensorflows_messages_is_kept(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["unetv2"])
    monkeypatch.setattr(os, "environ", {"TF_CPP_MIN_LOG_LEVEL": "0"})
    startup.load_tensorflow_quietly()
    assert os.environ == {"TF_CPP_MIN_LOG_LEVEL": "0"}


def test_an_import_that_fails_shows_its_messages(monkeypatch, capfd):
    def fails(name):
        os.write(2, b"message of the loader")
        raise ImportError(name)

    monkeypatch.setattr(sys, "argv", ["unetv2"])
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr("importlib.import_module", fails)
    with pytest.raises(ImportError, match="tensorflow"):
        startup.load_tensorflow_quietly()
    assert capfd.readouterr().err == "message of the loader"


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_saves_the_step_and_prints_how_to_resume(training, tmp_path, capsys):
    training += ["--recipe", "reference"]
    words = [sys.executable, "-m", "unetv2", *training, "--batch-size", "1"]
    words[words.index("--epochs") + 1] = "2000"
    folder = tmp_path / "run"
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        patience = time.monotonic() + 300
        while not (folder / "history.csv").exists() and child.poll() is None:
            assert time.monotonic() < patience
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=300)
    finally:
        child.kill()
    assert child.returncode == 130, err
    assert "--resume" in err.partition("interrupted: ")[2]
    assert "Traceback" not in err
    # Saved at a step within an epoch, or at the end of one.
    epochs = len((folder / "history.csv").read_text(encoding="utf-8").splitlines()) - 1
    assert 1 <= epochs < 2000
    training[training.index("--epochs") + 1] = str(epochs + 1)
    assert main([*training, "--batch-size", "1", "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epoch"] == list(range(epochs + 1))
