"""Plans: from two folders to a trained model, as JSON, and on the command line."""

from __future__ import annotations

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image

import unetv2
from unetv2.cli import main

TINY = {"filters": 2, "depth": 2, "batch_size": 4}
WORDS = ["--filters", "2", "--depth", "2", "--batch-size", "4", "--quiet"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    scenes = tmp_path_factory.mktemp("scenes")
    return unetv2.synthetic.write_driving_scenes(scenes / "all", 12, image_size=(48, 64))


@pytest.fixture(scope="module")
def data(folders):
    return unetv2.SegmentationDataset.from_folders(*folders, classes=unetv2.CARLA)


@pytest.fixture(scope="module")
def plan(data):
    return unetv2.plan(data, minutes=1, progress=False, **TINY)


def test_a_plan_is_complete_and_gives_reasons(plan):
    assert plan.recipe.model["filters"] == 2
    assert plan.recipe.augmentation.vertical_flip == 0
    text = str(plan)
    assert "ends after 1 minutes" in text
    for name in ("image size", "crops", "validation", "filters", "loss", "steps", "prediction"):
        assert f"\n{name}" in f"\n{text}"


def test_the_validation_images_are_not_trained_on(plan, data):
    train, validation = (set(_keys(plan, name)) for name in ("train", "validation"))
    assert validation == set(plan.validation)
    assert not train & validation
    assert train | validation == {pair.key for pair in data.pairs}


def _keys(plan, subset):
    return [pair.key for pair in plan.dataset.subset(subset).pairs]


def test_all_images_are_trained_on_with_other_images_for_validation(data):
    plan = unetv2.plan(data, minutes=1, validation=data, progress=False, **TINY)
    assert len(_keys(plan, "train")) == data.n_images
    images, _ = next(iter(plan.batches("validation")))
    assert len(images)


def test_given_splits_and_groups_are_kept(data):
    halves = dataclasses.replace(data, split=(0.5, 0.5, 0.0))
    plan = unetv2.plan(halves, minutes=1, progress=False, **TINY)
    for name in ("train", "validation"):
        assert _keys(plan, name) == [pair.key for pair in halves.subset(name).pairs]
    # Pairs of scenes.
    grouped = dataclasses.replace(data, group_by=lambda key: str(int(key) // 2))
    chosen = {int(key) for key in unetv2.plan(grouped, progress=False, **TINY).validation}
    assert chosen == {number ^ 1 for number in chosen}


def test_without_minutes_a_time_is_stated(data):
    plan = unetv2.plan(data, progress=False, **TINY)
    assert plan.minutes is None
    assert plan.expected_minutes >= 1
    assert "takes about" in plan.summary()


def test_a_plan_is_json_and_can_be_edited(plan, data, tmp_path):
    path = tmp_path / "plan.json"
    plan.save(path)
    assert unetv2.Plan.load(path, data) == plan
    content = json.loads(path.read_text(encoding="utf-8"))
    content["batch_size"], content["recipe"]["learning_rate"] = 2, 0.5
    path.write_text(json.dumps(content), encoding="utf-8")
    edited = unetv2.Plan.load(path, data)
    assert (edited.batch_size, edited.recipe.learning_rate) == (2, 0.5)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"image_size": [8, 8], "size": 1}', '{"image_size": "large"}']
)
def test_a_file_that_is_no_plan_is_refused(data, tmp_path, content):
    path = tmp_path / "plan.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"`plan` must be .*plan\.json"):
        unetv2.Plan.load(path, data)


def test_a_plan_of_other_images_holds_out_some_of_these(plan, tmp_path):
    other = unetv2.synthetic.write_driving_scenes(tmp_path / "more", 15, image_size=(48, 64))
    data = unetv2.SegmentationDataset.from_folders(*other, classes=unetv2.CARLA)
    changed = dataclasses.replace(plan, validation=("nowhere",), data=plan.data)
    changed.save(tmp_path / "plan.json")
    loaded = unetv2.Plan.load(tmp_path / "plan.json", data)
    assert loaded.validation
    assert set(loaded.validation) <= {pair.key for pair in data.pairs}


def test_given_decisions_are_kept(data):
    plan = unetv2.plan(
        data, minutes=1, progress=False, image_size=(24, 32), normalization="group",
        augmentation=None, learning_rate=1e-4, epochs=3, steps_per_epoch=2, tta=(), **TINY,
    )  # fmt: skip
    assert plan.image_size == (24, 32)
    assert plan.recipe.model["normalization"] == "group"
    assert (plan.recipe.augmentation, plan.recipe.learning_rate) == (None, 1e-4)
    assert (plan.epochs, plan.steps_per_epoch, plan.tta) == (3, 2, ())


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"minutes": 0}, ValueError, "`minutes`"),
        ({"memory": -1}, ValueError, "`memory`"),
        ({"fold": (3, 3)}, ValueError, "`fold`"),
        ({"fold": 3}, TypeError, "`fold`"),
        ({"size": 3}, TypeError, "size"),
        ({"filters": 0}, ValueError, "`filters`"),
        ({"crop_size": (100, 100), "image_size": (24, 32)}, ValueError, "`crop_size`"),
    ],
)
def test_wrong_arguments_are_refused(data, options, error, name):
    with pytest.raises(error, match=name):
        unetv2.plan(data, progress=False, **{**TINY, **options})


def test_the_number_of_classes_must_be_known(data):
    labels = dataclasses.replace(data.source.labels, n_classes=None, classes=None)
    source = dataclasses.replace(data.source, labels=labels)
    with pytest.raises(ValueError, match="n_classes=None"):
        unetv2.plan(dataclasses.replace(data, source=source))


def test_data_must_be_a_data_set(folders):
    with pytest.raises(TypeError, match="`data`"):
        unetv2.plan(folders[0])


def test_training_by_a_plan_gives_a_model_that_predicts_as_planned(plan, data, tmp_path):
    short = dataclasses.replace(plan, minutes=None, epochs=2, steps_per_epoch=3)
    result = unetv2.train(short, output_dir=tmp_path / "run", progress=False)
    assert result.epoch == [0, 1]
    model = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
    assert model.preprocessing == plan.preprocessing
    assert unetv2.Plan.load(tmp_path / "run" / "plan.json", data) == short
    prediction = unetv2.predict(model, data.pairs[0].image)
    assert prediction.mask.shape == (48, 64)
    np.testing.assert_array_equal(
        prediction.mask, unetv2.predict(result.model, data.pairs[0].image, tta=plan.tta).mask
    )


def test_decisions_of_a_plan_cannot_be_given_to_train(plan, data, tmp_path):
    for options in ({"recipe": "fast"}, {"train": data}, {"steps_per_epoch": 3}, {"seed": 1}):
        (name,) = options
        with pytest.raises(ValueError, match=f"`{name}`"):
            unetv2.train(plan, output_dir=tmp_path / "run", **options)
    with pytest.raises(ValueError, match="`train`"):
        unetv2.train(plan.build(), output_dir=tmp_path / "run")


@pytest.mark.slow
def test_few_images_are_trained_without_validation(tmp_path):
    folders = unetv2.synthetic.write_driving_scenes(tmp_path / "few", 3, image_size=(32, 48))
    data = unetv2.SegmentationDataset.from_folders(*folders, classes=unetv2.CARLA)
    plan = unetv2.plan(data, progress=False, epochs=1, steps_per_epoch=1, **TINY)
    assert plan.validation == ()
    result = unetv2.train(plan, output_dir=tmp_path / "run", progress=False)
    assert result.best is None


@pytest.mark.slow
def test_images_of_many_sizes_and_small_ones_are_planned(tmp_path):
    rng = np.random.default_rng(0)
    sizes = [(40, 300), (300, 40), (64, 64), (200, 210), (90, 500), (50, 50)]
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number, size in enumerate(sizes):
        for name, high in (("images", 256), ("masks", 3)):
            pixels = rng.integers(0, high, size).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.png")
    data = unetv2.SegmentationDataset.from_folders(tmp_path / "images", tmp_path / "masks")
    assert (data.n_classes, data.preprocessing.channels) == (3, 1)
    plan = unetv2.plan(data, minutes=1, progress=False, **TINY)
    for subset in ("train", "validation"):
        images, _ = next(iter(plan.batches(subset)))
        assert images.shape[-1] == data.preprocessing.channels
    short = dataclasses.replace(plan, minutes=None, epochs=1, steps_per_epoch=1)
    result = unetv2.train(short, output_dir=tmp_path / "run", progress=False)
    predictions = unetv2.predict(result.model, [pair.image for pair in data.pairs])
    assert [p.mask.shape for p in predictions] == [data.read_mask(p).shape for p in data.pairs]


def test_the_command_plans_without_training(folders, tmp_path, capsys):
    words = ["plan", *map(str, folders), *WORDS, "--minutes", "1"]
    assert main([*words, "--output", str(tmp_path / "plan.json")]) == 0
    out = capsys.readouterr().out
    assert "12 images" in out
    assert "image size" in out
    assert main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["recipe"]["model"]["filters"] == 2
    assert {path.name for path in tmp_path.iterdir()} == {"plan.json"}


@pytest.mark.slow
def test_the_command_trains_by_a_plan_with_overrides_and_resumes(folders, tmp_path, capsys):
    plan, run = tmp_path / "plan.json", tmp_path / "run"
    main(["plan", *map(str, folders), *WORDS, "--output", str(plan)])
    words = ["train", *map(str, folders), "--plan", str(plan), "--output", str(run), "--quiet"]
    words += ["--image-size", "16", "24", "--epochs", "1"]
    assert main(words) == 0
    capsys.readouterr()
    content = json.loads((run / "plan.json").read_text(encoding="utf-8"))
    assert (content["image_size"], content["epochs"]) == ([16, 24], 1)
    assert (run / "report" / "report.html").exists()
    assert main(words) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*words, "--resume"]) == 0
    assert f"images: {run}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["--minutes", "0"], "--minutes"),
        (["--plan", "plan.json", "--recipe", "fast"], "--recipe"),
        (["--plan", "nowhere.json"], "--plan"),
        (["--cache", "cache"], "--cache"),
        (["--workers", "auto"], "--workers"),
        (["--recipe", "fast", "--depth", "3"], "--depth"),
        (["--val-images", "."], "--val-images"),
    ],
)
def test_options_that_exclude_each_other_are_refused_at_once(folders, words, name, capsys):
    assert main(["train", *map(str, folders), "--output", "run", *words]) == 2
    assert name in capsys.readouterr().err
