"""Prediction of folders."""

from __future__ import annotations

import dataclasses
import logging
import math
import shutil

import keras
import numpy as np
import pytest
from conftest import save
from hypothesis import given
from hypothesis import strategies as st
from image_folders import MASKS, NAMES, SIZES, files, predict, small_model, write_images
from leftovers import left_behind
from PIL import Image

import unetv2
from unetv2.data.io.open import decode_mask
from unetv2.data.sources.folders import take_shard
from unetv2.files import temporary_file
from unetv2.prediction import directory
from unetv2.prediction.output_files import write_outputs


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def images(tmp_path):
    return write_images(tmp_path)


@pytest.mark.parametrize(
    "options",
    [{}, {"batch_size": 2}, {"window": (16, 16), "tta": True}, {"mc_samples": 2, "seed": 3}],
)
def test_each_mask_equals_that_of_predict(model, images, tmp_path, options):
    result = predict(model, images, tmp_path / "masks", **options)
    assert files(tmp_path / "masks") == MASKS
    assert result.written == tuple(tmp_path / "masks" / name for name in MASKS)
    assert result.ok
    assert (result.skipped, result.failed) == ((), {})
    for name, mask, size in zip(NAMES, MASKS, SIZES, strict=True):
        ids = decode_mask(str(tmp_path / "masks" / mask))
        assert ids.shape == size
        alone = unetv2.predict(model, images / name, **options)
        np.testing.assert_array_equal(ids, alone.mask)


class Doubled(keras.layers.Layer):
    """A layer that Keras cannot serialize, as it has no ``get_config`` for its function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def test_a_model_that_cannot_be_saved_predicts_a_folder(images, tmp_path):
    image = keras.Input((None, None, 3))
    outputs = keras.layers.Conv2D(4, 1)(Doubled(lambda values: 2 * values)(image))
    model = unetv2.SegmentationModel(image, outputs, preprocessing=unetv2.Preprocessing())
    assert len(predict(model, images, tmp_path / "masks").written) == len(MASKS)
    assert len(predict(model, images, tmp_path / "masks").skipped) == len(MASKS)
    model.layers[-1].bias.assign([0, 1, 0, 0])
    with pytest.raises(ValueError, match="`output_dir`.*another model"):
        predict(model, images, tmp_path / "masks")


def test_images_and_masks_form_a_data_set(model, images, tmp_path):
    predict(model, images, tmp_path / "masks")
    report = unetv2.check_dataset(images, tmp_path / "masks", n_classes=4, progress=False)
    assert report.n_pairs == len(NAMES)
    assert not [one for one in report.problems if one.severity == "error"]


def test_colors_overlays_and_uncertainty_equal_those_of_predict(model, images, tmp_path):
    folders = {f"{name}_dir": tmp_path / name for name in ("colors", "overlays", "uncertainty")}
    predict(model, images, tmp_path / "masks", **folders)
    for name, mask in zip(NAMES, MASKS, strict=True):
        alone = unetv2.predict(model, images / name)
        shown = {kind: np.asarray(Image.open(folder / mask)) for kind, folder in folders.items()}
        colors = unetv2.visualization.colorize(alone.mask, alone.classes)
        np.testing.assert_array_equal(shown["colors_dir"], colors)
        np.testing.assert_array_equal(shown["overlays_dir"], alone.overlay())
        share = shown["uncertainty_dir"] / 65535
        np.testing.assert_allclose(share, alone.uncertainty / math.log(4), atol=1e-5)
    assert all(files(folder) == MASKS for folder in folders.values())


def test_masks_of_a_list_are_named_after_the_files(model, images, tmp_path):
    result = predict(model, [images / "in" / "a.png", str(images / "b.jpg")], tmp_path / "masks")
    assert files(tmp_path / "masks") == ["a.png", "b.png"]
    assert len(result.written) == 2


def test_a_second_run_writes_nothing(model, images, tmp_path):
    predict(model, images, tmp_path / "masks")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "masks").rglob("*")}
    result = predict(model, images, tmp_path / "masks")
    assert result.written == ()
    assert len(result.skipped) == len(MASKS)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "masks").rglob("*")} == before


def test_images_with_a_missing_output_are_predicted_again(model, images, tmp_path):
    predict(model, images, tmp_path / "masks")
    (tmp_path / "masks" / "z.png").unlink()
    assert len(predict(model, images, tmp_path / "masks").written) == 1
    result = predict(model, images, tmp_path / "masks", overlays_dir=tmp_path / "overlays")
    assert len(result.written) == len(MASKS)


def test_overwrite_predicts_all_images_again(model, images, tmp_path):
    save(np.zeros((2, 2), np.uint8), tmp_path / "masks" / "a.png")
    result = predict(model, images, tmp_path / "masks", overwrite=True)
    assert len(result.written) == len(MASKS)
    assert decode_mask(str(tmp_path / "masks" / "a.png")).shape == SIZES[0]


def test_an_interrupted_run_leaves_complete_files_and_can_be_resumed(
    model, images, tmp_path, monkeypatch
):
    calls = []
    write = directory.write_outputs

    def interrupted(prediction, outputs, note):
        calls.append(outputs)
        if len(calls) == 3:
            raise KeyboardInterrupt
        write(prediction, outputs, note)

    with monkeypatch.context() as patched:
        patched.setattr(directory, "write_outputs", interrupted)
        with pytest.raises(KeyboardInterrupt):
            predict(model, images, tmp_path / "masks")
    there = files(tmp_path / "masks")
    assert 2 <= len(there) < len(MASKS)
    assert set(there) <= set(MASKS)
    result = predict(model, images, tmp_path / "masks")
    assert len(result.skipped) == len(there)
    assert files(tmp_path / "masks") == MASKS


def test_partial_files_are_ignored_and_removed(model, images, tmp_path):
    # As a killed process leaves them, and another shard that is alive.
    (tmp_path / "masks").mkdir()
    left_behind(tmp_path / "masks")
    with temporary_file(tmp_path / "masks", ".png") as other:
        assert len(predict(model, images, tmp_path / "masks").written) == len(MASKS)
        assert files(tmp_path / "masks") == sorted([*MASKS, other.name])
    left_behind(tmp_path / "masks")
    assert not predict(model, images, tmp_path / "masks").written
    assert files(tmp_path / "masks") == MASKS


def test_outputs_of_two_models_are_never_mixed(model, images, tmp_path, monkeypatch):
    options = {"colors_dir": tmp_path / "colors", "overlays_dir": tmp_path / "overlays"}
    predict(model, images, tmp_path / "masks", **options)
    other, replaced = small_model(1), []

    def killed(source, target):
        # In the middle of the second image.
        if len(replaced) == 4:
            raise KeyboardInterrupt
        replaced.append(target)
        shutil.move(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(type(tmp_path), "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            predict(other, images, tmp_path / "masks", overwrite=True, **options)
    # One has an overlay there, and the other its mask.
    for one in (model, other):
        with pytest.raises(ValueError, match="made with another model"):
            predict(one, images, tmp_path / "masks", **options)
    assert predict(other, images, tmp_path / "masks", overwrite=True, **options).ok


CHANGES = {
    "weights": (lambda: small_model(1), {}, "another model"),
    "activation": (lambda: small_model(activation="elu"), {}, "another model"),
    "preprocessing": (lambda: small_model(size=(20, 24)), {}, "another preprocessing"),
    "window": (small_model, {"window": (16, 16)}, "window=None"),
    "tta": (small_model, {"tta": True}, "tta=None"),
    "scale": (small_model, {"scale": 0.5}, "scale=None"),
    "samples": (small_model, {"mc_samples": 2}, "mc_samples=0, seed=None"),
}


@pytest.mark.parametrize(("build", "options", "found"), CHANGES.values(), ids=CHANGES)
def test_masks_of_another_model_or_other_options_are_refused(
    model, images, tmp_path, build, options, found
):
    predict(model, images, tmp_path / "masks")
    before = {path: path.read_bytes() for path in (tmp_path / "masks").rglob("*.png")}
    with pytest.raises(
        ValueError,
        match=rf"`output_dir` must hold no files of .* Received: 6 files, such as '.*a.png', made "
        rf"with {found}. Pass overwrite=True",
    ):
        predict(build(), images, tmp_path / "masks", **options)
    assert {path: path.read_bytes() for path in (tmp_path / "masks").rglob("*.png")} == before
    assert len(predict(build(), images, tmp_path / "masks", overwrite=True, **options).written) == 6
    assert len(predict(build(), images, tmp_path / "masks", **options).skipped) == 6


def test_the_same_model_and_options_resume_a_run(images, tmp_path):
    options = {"window": (16, 16), "tta": True, "overlap": 0.5}
    predict(small_model(), images, tmp_path / "masks", **options)
    (tmp_path / "masks" / "z.png").unlink()
    small_model().save(tmp_path / "model.keras")
    again = {"window": [16, 16], "tta": ["horizontal"], "overlap": np.float64(0.5), "batch_size": 1}
    result = predict(tmp_path / "model.keras", images, tmp_path / "masks", **again)
    assert (len(result.written), len(result.skipped)) == (1, 5)


def test_masks_record_the_augmentation_that_is_stored_with_the_model(images, tmp_path):
    model = small_model()
    model.preprocessing = dataclasses.replace(model.preprocessing, tta=("horizontal", "vertical"))
    predict(model, images, tmp_path / "masks")
    options = {"tta": ["vertical", "horizontal"]}
    assert len(predict(model, images, tmp_path / "masks", **options).skipped) == len(MASKS)
    for name, mask in zip(NAMES, MASKS, strict=True):
        alone = unetv2.predict(small_model(), images / name, **options)
        found = np.asarray(Image.open(tmp_path / "masks" / mask))
        np.testing.assert_array_equal(found, alone.mask)
    with pytest.raises(ValueError, match=r"made with tta=\['vertical', 'horizontal'\]. Pass ove"):
        predict(model, images, tmp_path / "masks", tta=False)


def test_a_mask_of_unknown_origin_is_refused(model, images, tmp_path):
    path = tmp_path / "masks" / "in" / "a.png"
    for content in (b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(30)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"`output_dir` must hold .*in/a.png', without a note"):
            predict(model, images, tmp_path / "masks")
    save(np.zeros((13, 31), np.uint8), path)
    with pytest.raises(ValueError, match=r"`output_dir` must hold .*in/a.png', without a note"):
        predict(model, images, tmp_path / "masks")
    assert decode_mask(str(path)).max() == 0


def test_an_overlay_of_another_model_is_refused(model, images, tmp_path):
    predict(small_model(1), images, tmp_path / "one", overlays_dir=tmp_path / "overlays")
    with pytest.raises(ValueError, match="`overlays_dir` must hold no files of another model"):
        predict(model, images, tmp_path / "masks", overlays_dir=tmp_path / "overlays")


def test_a_replaced_image_is_predicted_again(model, images, tmp_path):
    predict(model, images, tmp_path / "masks")
    (images / "b.jpg").write_bytes((images / "b.jpg").read_bytes() + b"more")
    result = predict(model, images, tmp_path / "masks")
    assert result.written == (tmp_path / "masks" / "b.png",)


def test_an_image_replaced_during_prediction_is_predicted_again(
    model, images, tmp_path, monkeypatch
):
    def replaced(prediction, outputs, note):
        (images / "b.jpg").write_bytes(before + b"more")
        write_outputs(prediction, outputs, note)

    before = (images / "b.jpg").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(directory, "write_outputs", replaced)
        predict(model, [images / "b.jpg"], tmp_path / "masks")
    assert predict(model, [images / "b.jpg"], tmp_path / "masks").written


def test_an_interrupted_overwrite_is_noticed_by_the_next_run(model, images, tmp_path):
    predict(small_model(1), images, tmp_path / "masks")
    predict(model, images, tmp_path / "masks", overwrite=True, shard=(0, 2))
    with pytest.raises(ValueError, match="Received: 3 files, .*b.png', made with another"):
        predict(model, images, tmp_path / "masks")
    assert len(predict(model, images, tmp_path / "masks", shard=(0, 2)).skipped) == 3


def test_a_large_mask_has_a_note(model, images, tmp_path, monkeypatch):
    monkeypatch.setattr(directory, "_LARGEST_IN_MEMORY", 1)
    predict(model, images, tmp_path / "masks")
    assert len(predict(model, images, tmp_path / "masks").skipped) == 6


@given(n=st.integers(0, 30), count=st.integers(1, 9))
def test_shards_are_a_balanced_partition(n, count):
    parts = [take_shard(range(n), (index, count), "images") for index in range(count)]
    assert sorted(number for part in parts for number in part) == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_shards_together_equal_one_run(model, images, tmp_path):
    predict(model, images, tmp_path / "one")
    for index in range(4):
        result = predict(model, images, tmp_path / "masks", shard=(index, 4))
        assert (len(result.written), len(result.skipped)) == ((2, 2, 1, 1)[index], 0)
    for name in MASKS:
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("one", "masks"))
        assert one == other


def test_an_empty_shard_writes_nothing(model, images, tmp_path):
    result = predict(model, images, tmp_path / "masks", shard=(7, 8))
    assert (result.written, result.failed) == ((), {})


def test_damaged_images_are_listed_and_the_others_predicted(model, images, tmp_path, caplog):
    (images / "a.png").write_bytes(b"nothing")
    whole = (images / "in" / "a.png").read_bytes()
    (images / "in" / "a.png").write_bytes(whole[: len(whole) // 2])
    with caplog.at_level(logging.WARNING, "unetv2"):
        result = predict(model, images, tmp_path / "masks")
    broken = [str(images / "a.png"), str(images / "in" / "a.png")]
    assert list(result.failed) == broken
    assert not result.ok
    assert files(tmp_path / "masks") == [name for name in MASKS if not name.endswith("a.png")]
    for path in broken:
        assert f"'{path}' must be a readable image" in result.failed[path]
        assert f"Could not predict '{path}'" in caplog.text
    assert str(result).startswith("4 written, 0 skipped, 2 failed\n  '")
    assert result.as_dict()["failed"] == result.failed


def test_images_that_are_too_large_fail(model, images, tmp_path):
    result = predict(model, images, tmp_path / "masks", max_pixels=500)
    assert len(result.failed) == 1
    assert (
        "must have at most `max_pixels`=500 pixels" in result.failed[str(images / "in/deep/d.bmp")]
    )


def test_large_masks_written_in_rows_are_the_same(model, images, tmp_path, monkeypatch):
    predict(model, images, tmp_path / "one")
    monkeypatch.setattr(directory, "_LARGEST_IN_MEMORY", 1)
    colors = tmp_path / "colors"
    predict(model, images, tmp_path / "masks", colors_dir=colors)
    assert files(colors) == files(tmp_path / "masks") == MASKS
    for name in MASKS:
        one, other = (decode_mask(str(tmp_path / folder / name)) for folder in ("one", "masks"))
        np.testing.assert_array_equal(one, other)


def test_progress_counts_images(model, images, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("unetv2.progress._SECONDS_IN_A_LOG", 0.0)
    (images / "a.png").write_bytes(b"nothing")
    unetv2.predict_directory(model, images, tmp_path / "masks")
    assert "5 of 6 images, 1 failed" in capsys.readouterr().err


def test_arrays_may_have_any_number_of_channels(tmp_path):
    keras.utils.set_random_seed(0)
    model = unetv2.build_unetv2((16, 16, 5), 3, filters=2, depth=1)
    (tmp_path / "images").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (9, 14, 5), np.uint8)
        np.save(tmp_path / "images" / f"{number}.npy", pixels)
    predict(model, tmp_path / "images", tmp_path / "masks", overlays_dir=tmp_path / "overlays")
    assert files(tmp_path / "overlays") == files(tmp_path / "masks") == ["0.png", "1.png", "2.png"]


def test_links_to_folders_are_followed_and_written_as_folders(model, images, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shutil.move(images / "z.png", tmp_path / "elsewhere" / "z.png")
    (images / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    predict(model, images, tmp_path / "masks")
    assert "linked/z.png" in files(tmp_path / "masks")
    assert files(tmp_path / "elsewhere") == ["z.png"]


def test_a_write_error_leaves_no_partial_files(model, images, tmp_path):
    # A folder where a file should be.
    (tmp_path / "masks" / "z.png" / "x").mkdir(parents=True)
    with pytest.raises(OSError, match="'.*z.png' must be written"):
        predict(model, images, tmp_path / "masks", overwrite=True)
    assert set(files(tmp_path / "masks")) <= set(MASKS)
