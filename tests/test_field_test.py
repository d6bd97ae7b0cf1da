"""The data, the splits and the scores of the field test."""

from __future__ import annotations

import json

import field_data
import field_test
import numpy as np
import pytest
from benchmark_tables import section
from field_masks import Labels, confusion, pairs, read_image, scores
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import unetv2

FAST = sorted(set(field_data.KINDS) - {"tiles"})


def write(path, values, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8), mode).save(path)
    return path


@pytest.mark.parametrize("name", FAST)
def test_equal_seeds_draw_equal_images_with_several_classes(name):
    (image, mask), again = (field_data.KINDS[name].draw(np.random.default_rng(3)) for _ in "ab")
    assert np.array_equal(image, again[0])
    assert np.array_equal(mask, again[1])
    assert image.dtype == mask.dtype == np.uint8
    assert image.shape[:2] == mask.shape[:2]
    assert len(np.unique(mask.reshape(mask.shape[0] * mask.shape[1], -1), axis=0)) > 1


@pytest.mark.slow
def test_tiles_have_more_than_8_bits():
    image, mask = field_data.tiles(np.random.default_rng(0))
    assert image.dtype == np.uint16
    assert 255 < np.median(image) <= image.max() < 4096
    assert set(np.unique(mask)) == {0, 1, 2, 3}


def test_a_set_is_written_with_its_suffixes(tmp_path, monkeypatch):
    kind = field_data.Kind(field_data.harbor, 2, 1, ".jpg", "_mask.png")
    monkeypatch.setitem(field_data.KINDS, "harbor", kind)
    field_data.generate("harbor", tmp_path / "sea")
    data = field_test.DataSet.of(tmp_path / "sea", tmp_path / "copies", None)
    found = pairs(data.train / "images", data.train / "masks")
    assert [(image.name, mask.name) for image, mask in found] == [
        ("harbor_000.jpg", "harbor_000_mask.png"), ("harbor_001.jpg", "harbor_001_mask.png"),
    ]  # fmt: skip
    assert read_image(found[0][0]).shape == (288, 384, 3)
    assert {0, 1} <= set(Labels.of([found[0][1]]).values) <= set(range(6))
    assert len(pairs(data.test / "images", data.test / "masks")) == 1


def test_every_fifth_pair_of_an_unsplit_set_is_held_out(tmp_path):
    for at in range(10):
        write(tmp_path / "eyes" / "images" / f"{at}_eye.png", np.zeros((2, 2)))
        write(tmp_path / "eyes" / "manual" / f"{at}_manual1.png", np.zeros((2, 2)))
    data = field_test.DataSet.of(tmp_path / "eyes", tmp_path / "copies", None)
    held_out = [
        (image.name, mask.name) for image, mask in pairs(data.test / "images", data.test / "masks")
    ]
    assert held_out == [("4_eye.png", "4_manual1.png"), ("9_eye.png", "9_manual1.png")]
    assert len(pairs(data.train / "images", data.train / "masks")) == 8


def test_images_that_share_a_mask_are_an_error(tmp_path):
    for name in ("images/a_1.png", "images/a_2.png", "masks/a.png"):
        write(tmp_path / name, np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"a mask of its own\. Received: .*images"):
        pairs(tmp_path / "images", tmp_path / "masks")


def test_a_folder_without_masks_is_an_error(tmp_path):
    write(tmp_path / "images" / "a.png", np.zeros((2, 2)))
    with pytest.raises(ValueError, match="one folder of masks. Received: "):
        field_test.DataSet.of(tmp_path, tmp_path / "copies", None)


@pytest.mark.parametrize(
    ("mask", "values", "ids", "as_values"),
    [
        ([[0, 255]], (0, 255), [0, 1], [0, 255]),
        ([[0, 1, 3, 255]], (0, 1, 3), [0, 1, 3], [0, 1, 3]),
        ([[0, 100, 200]], (0, 100, 200), [0, 1, 2], [0, 100, 200]),
        ([[[0, 0, 0], [1, 2, 3]]], (0, 66051), [0, 1], [0, 66051]),
    ],
)
def test_values_of_masks(tmp_path, mask, values, ids, as_values):
    labels = Labels.of([write(tmp_path / "mask.png", mask)])
    assert labels.values == values
    assert labels.of_ids(np.array(ids)).tolist() == as_values
    assert labels.indices(np.array([*values, 77])).tolist() == [*range(len(values)), -1]


def test_an_ignored_id_is_no_class(tmp_path):
    mask = write(tmp_path / "mask.png", [[0, 1, 2]])
    assert Labels.of([mask], ignore=2).values == (0, 1)


def test_scores_by_hand():
    labels = Labels((0, 5, 9), in_color=False)
    truth = np.array([[0, 0, 0, 5], [5, 5, 3, 3]])
    predicted = np.array([[0, 0, 5, 5], [5, 77, 0, 5]])
    matrix = confusion(truth, predicted, labels)
    # Pixels of the unknown value 3 are left out; the unknown prediction 77 is an error.
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 2, 0, 1], [0, 0, 0, 0]]
    iou, dice, mean_iou = scores(matrix)
    assert iou == [pytest.approx(2 / 3), pytest.approx(2 / 4), None]
    assert dice == [pytest.approx(4 / 5), pytest.approx(4 / 6), None]
    assert mean_iou == pytest.approx((2 / 3 + 1 / 2) / 2)
    with pytest.raises(ValueError, match=r"size of the masks\. Received: \(1, 2\) for \(2, 4\)"):
        confusion(truth, predicted[:1, :2], labels)


@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_scores_agree_with_the_library(seed, n_classes):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.integers(0, n_classes, (2, 6, 7))
    _, _, found = scores(confusion(truth, predicted, Labels(tuple(range(n_classes)), False)))
    counts = np.zeros((n_classes, n_classes), np.int64)
    np.add.at(counts, (truth, predicted), 1)
    assert found == pytest.approx(unetv2.metrics.Scores(counts).mean_iou)


def result(mean_iou, dice):
    return {
        "training_seconds": 600.0, "training_processor_seconds": 1140.0, "prediction_seconds": 20.0,
        "mean_iou": mean_iou, "iou": {"0": 0.9, "255": dice / (2 - dice)},
        "dice": {"0": 0.95, "255": dice}, "pixels": {"0": 900, "255": 100},
    }  # fmt: skip


def test_a_finished_run_is_read_and_a_failure_is_shown(tmp_path, capsys, monkeypatch):
    for part in ("train", "test"):
        write(tmp_path / "eyes" / part / "images" / "1.png", np.zeros((2, 2)))
        write(tmp_path / "eyes" / part / "masks" / "1.png", [[0, 255], [0, 0]])
    settings = {"minutes": 1.0, "train_options": ""}
    finished = {"settings": settings, **result(0.8, 0.75)}
    field_test.write_json(tmp_path / "runs" / "eyes" / "unetv2.json", finished)
    words = [str(tmp_path / "eyes"), "--output", str(tmp_path / "runs"), "--minutes", "1"]
    words += ["--torch-python", "false", "--json", str(tmp_path / "out.json")]
    monkeypatch.setattr("sys.argv", ["field_test.py", *words])
    assert field_test.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split()[:5] == ["eyes", "unetv2", "0.8000", "255", "0.7500"]
    assert lines[-1].split()[:3] == ["eyes", "smp", "failed:"]
    figures = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert figures["sets"]["eyes"]["rarest"] == "255"
    monkeypatch.setattr("sys.argv", ["field_test.py", "eyes", "--torch-python", "nowhere/python"])
    with pytest.raises(SystemExit):
        field_test.main()
    assert "Received: nowhere/python." in capsys.readouterr().err


def test_the_docs_show_every_data_set(tmp_path):
    machine = {
        "machine": "x86_64", "cores": 2, "avx512_bf16": True, "gpus": 0, "python": "3.11.7",
        "tensorflow": "2.21.0", "keras": "3.15.1", "torch": "2.14.1",
    }  # fmt: skip
    smp = {
        **result(0.7, 0.5),
        "settings": {"seed": 0},
        "steps": 9,
        "torch": "2.14.1",
        "segmentation_models_pytorch": "0.6",
    }
    sets = {
        "eyes": {
            "n_train": 16, "n_test": 4, "rarest": "255",
            "results": {"unetv2": result(0.8, 0.75), "smp": smp},
        },
    }  # fmt: skip
    figures = {"machine": machine, "minutes": 10, "smp": "0.6", "sets": sets}
    content = {"command": "python benchmarks/field_test.py eyes --minutes 10", **figures}
    (tmp_path / "field_test.json").write_text(json.dumps(content), encoding="utf-8")
    text = section("field_test", tmp_path)
    assert "   * - eyes\n     - 16 + 4\n     - unetv2\n     - 0.800\n     - 0.750\n" in text
    assert "     - PyTorch\n     - 0.700\n     - 0.500\n     - 10.0\n     - 19.0\n" in text
