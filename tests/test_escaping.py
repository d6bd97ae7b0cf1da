"""Names of files and classes are escaped in all output."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import os
import unicodedata

import numpy as np
import pytest
from evaluations import evaluated, images
from hypothesis import given
from hypothesis import strategies as st

import unetv2
from unetv2.cli import _show, main
from unetv2.data.dataset import check_dataset
from unetv2.evaluation.report import render
from unetv2.text import one_line, printable, printable_lines

# Control sequences, a line break, a change of direction, and bytes that are not UTF-8.
NAMES = ["\x1b]0;owned\x07\x1b[2J", "x: fine\nerror: forged (9)", "\u202egnp.a", "\udcff\udc80"]
SHOWN = [r"\x1b]0;owned\x07\x1b[2J", r"x: fine\nerror: forged (9)", r"\u202egnp.a", r"\udcff\udc80"]
_BIDI = {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"}


def acts(character):
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or unicodedata.bidirectional(character) in _BIDI
    )


def require_shown(text, name):
    assert not any(map(acts, text.replace("\n", ""))), text
    assert SHOWN[NAMES.index(name)] in text
    assert not any(line.startswith("error: forged") for line in text.split("\n"))


@given(text=st.text(alphabet=st.characters(), max_size=20) | st.text(alphabet="a\x1b\n\x85\u2066"))
def test_output_contains_no_control_characters(text):
    assert not any(map(acts, printable(text)))
    assert not any(map(acts, one_line(text)))
    assert printable_lines(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(
    "name",
    ["a b-1.png", "straße", "日本", "می‌خواهم", "שלום", "👩‍👩‍👧", r"C:\masks\n.png", "1\u202f%"],
)
def test_names_in_any_script_are_shown_as_they_are(name):
    assert printable(name) == printable_lines(name) == name


def test_errors_are_one_line():
    assert one_line(ValueError("two\n  lines\x1b")) == r"two lines\x1b"


@pytest.fixture(params=NAMES)
def broken(request, write_pairs):
    """A data set with an invalid image for each name."""
    folders = write_pairs(2)
    for folder in folders:
        try:
            (folder / f"{request.param}.png").write_bytes(b"no")
        except (OSError, ValueError):
            pytest.skip("the file system does not accept this name")
    return request.param, *map(str, folders)


def test_check_shows_names_escaped_and_keeps_them_in_its_json(broken, tmp_path, capsys):
    name, *folders = broken
    assert main(["check", *folders, "--quiet", "--report", str(tmp_path / "report")]) == 1
    require_shown(capsys.readouterr().out, name)
    require_shown((tmp_path / "report" / "report.txt").read_text(encoding="utf-8"), name)
    content = (tmp_path / "report" / "report.json").read_bytes()
    assert content.isascii()
    paths = {problem["path"] for problem in json.loads(content)["problems"]}
    assert any(path and os.path.basename(path) == f"{name}.png" for path in paths)  # noqa: PTH119 - a name may contain bytes that are no text


@pytest.mark.parametrize("name", NAMES)
def test_an_error_shows_names_escaped(name, tmp_path, capsys):
    assert main(["export", str(tmp_path / f"{name}.keras"), "--format", "saved_model"]) == 2
    _, err = capsys.readouterr()
    require_shown(err.replace("fine error", r"fine\nerror"), name)
    assert err.count("\n") == 1


def test_a_log_shows_names_escaped(broken, caplog):
    name, images, masks = broken
    with caplog.at_level(logging.WARNING, "unetv2"):
        data = unetv2.make_dataset(images, masks, on_error="skip", max_skipped=0.5, batch_size=1)
        assert len(list(data)) == 2
    require_shown(caplog.messages[0].replace("fine error", r"fine\nerror"), name)
    assert "\n" not in caplog.messages[0]


def test_usage_errors_show_arguments_escaped(capsys):
    assert main(["check", "a", "b", f"--\x1b[2J{NAMES[1]}"]) == 2
    err = capsys.readouterr().err
    assert r"\x1b[2Jx: fine\nerror: forged" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("name", NAMES)
def test_classes_are_shown_escaped(write, name):
    folders = write(np.ones((24, 32), np.uint8))
    table = unetv2.ClassTable(("void", name, "rare"), ((0, 0, 0), (9, 9, 9), (7, 7, 7)))
    require_shown(str(check_dataset(*folders, classes=table, progress=False)), name)
    scores = unetv2.metrics.Scores(np.diag([1, 2, 3]))
    require_shown(scores.table(table.names), name)
    evaluation = dataclasses.replace(evaluated(images(2, n_classes=3), n_classes=3), classes=table)
    page = render([evaluation])
    assert not any(map(acts, page.replace("\n", "")))


def test_classes_that_never_occur_are_shown_escaped(write):
    folders = write(np.zeros((24, 32), np.uint8))
    table = unetv2.ClassTable(("void", NAMES[1]), ((0, 0, 0), (9, 9, 9)))
    require_shown(str(check_dataset(*folders, classes=table, progress=False)), NAMES[1])


@pytest.mark.parametrize("name", NAMES)
def test_predicted_names_are_shown_escaped(name):
    path = f"{name}.png"
    require_shown(str(unetv2.PredictedDirectory(failed={path: "no image"})), name)
    require_shown(str(unetv2.PredictedVideo(path, 3, (4, 4), 1.0, 1.0, None, None)), name)


def test_characters_outside_the_encoding_of_the_terminal_are_escaped():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    _show("ü \x1b\nß", stream)
    assert stream.buffer.getvalue() == b"\\xfc \\x1b\n\\xdf\n"


def test_a_closed_pipe_is_not_an_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        _show("text", stream)


def test_names_in_the_images_of_a_report_are_short(tmp_path, write):
    mask = np.full((24, 32), 9, np.uint8)
    name = "n" * 251
    folders = write(mask, names=[name])
    check_dataset(*folders, n_classes=3, output=tmp_path / "report", progress=False)
    assert len(list((tmp_path / "report" / "worst").iterdir())) == 1
