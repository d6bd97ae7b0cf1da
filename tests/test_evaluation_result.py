"""Text, ranking and files of an evaluation."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from evaluations import evaluated, images
from sklearn.metrics import jaccard_score

import unetv2
from unetv2.evaluation import evaluation as saving
from unetv2.evaluation.examples import N_EXAMPLES
from unetv2.evaluation.scores import SCALARS


def test_images_are_ranked_by_their_mean_iou():
    shown = list(images(20, error=0.6))
    evaluation = evaluated(shown)

    def mean_iou(image):
        pair = image.mask.ravel(), image.predicted.ravel()
        present = np.union1d(*pair)
        return jaccard_score(*pair, labels=present, average="macro")

    ranked = sorted(shown, key=lambda image: (mean_iou(image), image.name))
    assert [name for name, _ in evaluation.worst] == [p.name for p in ranked[:N_EXAMPLES]]
    assert [name for name, _ in evaluation.best] == [p.name for p in ranked[: -N_EXAMPLES - 1 : -1]]
    kept = [example.name for example in evaluation.examples]
    assert kept == [image.name for image in ranked[:N_EXAMPLES] + ranked[-N_EXAMPLES:]]
    example = evaluation.examples[0]
    assert example.mean_iou == evaluation.worst[0][1]
    np.testing.assert_array_equal(example.mask, ranked[0].mask)
    np.testing.assert_array_equal(example.image, ranked[0].image)


def test_an_ignored_image_is_neither_worst_nor_best():
    shown = list(images(3, ignore_class=9))
    shown[1].mask[:] = 9
    evaluation = evaluated(shown, ignore_class=9)
    assert len(evaluation.worst) == len(evaluation.best) == len(evaluation.examples) == 2
    assert evaluation.n_images == 3


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_examples_are_small_images_of_any_kind(channels, dtype):
    scale = {np.uint8: 255, np.uint16: 65535, np.float32: 1}[dtype]
    image = np.full((960, 600, channels), 0.4 * scale).astype(dtype)
    mask = np.full((960, 600), 3)
    (first,) = images(1)
    shown = first._replace(image=image, mask=mask, predicted=mask, confidence=mask / 3)
    (example,) = evaluated([shown]).examples
    assert example.image.shape == (480, 300, 3)
    assert example.image.dtype == np.uint8
    assert (example.image == 102).all()
    assert example.mask.shape == example.predicted.shape == (480, 300)


def test_the_table_shows_every_class_and_the_absent_ones():
    evaluation = evaluated(images(3, n_classes=4), n_classes=6)
    text = str(evaluation)
    assert "0 class 0" in text
    assert "3 images. Intervals are 95 % bootstrap intervals over the images." in text
    assert "absent from ground truth and prediction): 4 class 4, 5 class 5." in text
    assert f"Pixel accuracy          {evaluation.pixel_accuracy:.3f}" in text


def test_json_has_every_metric_and_no_nan():
    evaluation = evaluated(images(3, n_classes=4), n_classes=6)
    content = json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))
    assert content["n_images"] == 3
    assert set(content["metrics"]) == set(SCALARS)
    assert content["metrics"]["mean_iou"]["value"] == evaluation.mean_iou
    assert content["classes"][5]["iou"] == {"value": None, "low": None, "high": None}
    assert content["classes"][1]["boundary_f1"]["value"] == evaluation.boundary_f1_per_class[1]
    assert content["confusion"] == evaluation.confusion.tolist()
    assert content["worst"][0]["name"] == evaluation.worst[0][0]


def test_a_saved_evaluation_loads_as_it_was(tmp_path):
    shown = [image._replace(name=f"a/{image.name}\udcff<b>") for image in images(4)]
    evaluation = evaluated(shown, resolution="12x16")
    evaluation.save(tmp_path / "new")
    loaded = unetv2.Evaluation.load(tmp_path / "new")
    assert str(loaded) == str(evaluation)
    assert loaded.as_dict() == evaluation.as_dict()
    assert loaded.classes == evaluation.classes
    for one, other in zip(loaded.examples, evaluation.examples, strict=True):
        assert one[:2] == other[:2]
        for part in range(2, 5):
            np.testing.assert_array_equal(one[part], other[part])
    content = json.loads((tmp_path / "new" / "evaluation.json").read_text(encoding="utf-8"))
    # It names the file that it belongs to, too.
    named = content.pop("counts_sha256")
    assert hashlib.sha256((tmp_path / "new" / "evaluation.npz").read_bytes()).hexdigest() == named
    assert content == evaluation.as_dict()
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "evaluation.json", "evaluation.npz"
    }  # fmt: skip


def test_an_invalid_file_raises(tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must hold an evaluation"):
        unetv2.Evaluation.load(tmp_path)
    (tmp_path / "evaluation.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match="must be an evaluation of this version"):
        unetv2.Evaluation.load(tmp_path)
    np.savez(tmp_path / "evaluation.npz", content=np.zeros(3))
    with pytest.raises(ValueError, match="must be an evaluation of this version"):
        unetv2.Evaluation.load(tmp_path)


def test_files_of_different_evaluations_raise(tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "_RETRY_SECONDS", 0)
    one, other = (evaluated(images(3, seed=seed)) for seed in (0, 1))
    one.save(tmp_path / "one")
    other.save(tmp_path / "other")
    (tmp_path / "one" / "evaluation.npz").write_bytes(
        (tmp_path / "other" / "evaluation.npz").read_bytes()
    )
    with pytest.raises(ValueError, match="one/evaluation.npz' must belong to the 'evaluation.json"):
        unetv2.Evaluation.load(tmp_path / "one")
    # The counts alone are a whole evaluation.
    (tmp_path / "one" / "evaluation.json").unlink()
    assert unetv2.Evaluation.load(tmp_path / "one").as_dict() == other.as_dict()
