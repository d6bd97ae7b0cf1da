"""The saved, drawn and printed report of the validation."""

from __future__ import annotations

import json

import numpy as np
from checked_folders import SIZE, TABLE, check, regions
from PIL import Image

import unetv2
from unetv2.data.dataset import check_dataset


def test_the_report_is_text_json_and_images(write, tmp_path):
    image = np.zeros((*SIZE, 3), np.uint8)
    broken = write(*[regions(0, 1, 7)] * 12, images=[image] * 12)
    (broken[0] / "0.png").write_bytes(b"")
    output = tmp_path / "new" / "report"
    report = check(broken, n_classes=3, output=output)
    assert (output / "report.txt").read_text() == f"{report}\n"
    content = json.loads((output / "report.json").read_text())
    assert content == json.loads(report.to_json())
    assert content["ok"] is False
    assert len(content["problems"]) == len(report.problems)
    assert {"id": 1, "images": 12}.items() <= content["classes"][1].items()
    assert sorted(path.name for path in output.iterdir()) == ["report.json", "report.txt", "worst"]
    images = sorted((output / "worst").iterdir())
    assert len(images) == 8
    for path in images:
        with Image.open(path) as picture:
            assert picture.size == (64, 24)
    assert "... and 9 more" in str(report)


def test_saving_again_replaces_the_report_and_leaves_other_files(write, tmp_path):
    output = tmp_path / "report"
    check(write(regions(0, 7)), n_classes=3, output=output)
    (output / "notes.txt").write_text("mine")
    report = check(write(regions(0, 1, 2)), n_classes=3, output=output)
    assert (output / "report.txt").read_text() == f"{report}\n"
    assert not any((output / "worst").iterdir())
    names = ["notes.txt", "report.json", "report.txt", "worst"]
    assert sorted(path.name for path in output.iterdir()) == names


def test_masks_of_every_encoding_can_be_drawn(write, tmp_path):
    colors = unetv2.visualization.colorize(regions(0, 1, 2), TABLE)
    folders = write(colors, regions(0, 128, 255), regions(0, 1, 300, dtype=np.uint16))
    for options in ({"n_classes": 2}, {"encoding": "binary"}, {"classes": TABLE}):
        check(folders, output=tmp_path / "report", **options)
        assert len(list((tmp_path / "report" / "worst").iterdir())) >= 2


def test_ids_without_a_table_have_the_colors_of_other_overlays(write, tmp_path):
    image = np.full((*SIZE, 3), 60, np.uint8)
    mask = regions(0, 1, 7)
    folders = write(mask, images=[image])
    check(folders, n_classes=3, ignore_class=1, output=tmp_path / "report")
    (path,) = (tmp_path / "report" / "worst").iterdir()
    with Image.open(path) as picture:
        drawn = np.asarray(picture)[:, SIZE[1] :]
    table = unetv2.ClassTable.numbered(8, ignore_class=1)
    expected = unetv2.visualization.overlay(image, mask, table, opacity=0.6)
    assert np.abs(drawn - expected.astype(int)).max() <= 1


def test_the_order_of_problems_is_the_same_in_every_run(write):
    folders = write(*[regions(0, number) for number in range(1, 30)])
    first, second = check(folders, n_classes=3), check(folders, n_classes=3)
    assert first.problems == second.problems
    paths = [problem.path for problem in first.problems if problem.kind == "out_of_range"]
    assert paths == sorted(paths)


def test_progress_is_silent_if_disabled_or_quick(write, capsys):
    folders = write(regions(0, 1))
    check_dataset(*folders, progress=False)
    check_dataset(*folders)
    assert capsys.readouterr() == ("", "")


def test_progress_is_one_line_on_a_terminal(write, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    check_dataset(*write(regions(0, 1), regions(0, 2)))
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "2 of 2 pairs, 0 problems" in shown
