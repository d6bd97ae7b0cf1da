"""The output folder: locks, resuming, overwriting and atomic files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from small_training import N_CLASSES, PLAIN, SIZE, batches, network, train

import unetv2
from unetv2.training.checkpoint import TrainingState, write_whole


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that no test changes."""
    folder = tmp_path_factory.mktemp("finished")
    train(folder, epochs=1)
    return folder


@pytest.fixture
def untouched(finished):
    """Fails a test that changes the run."""

    def content():
        return {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}

    before = content()
    yield finished
    assert content() == before


def test_another_run_is_not_overwritten(untouched):
    message = (
        f"`output_dir` must not contain another run. Received: '{untouched}', which contains one. "
        "Pass resume=True to continue it, overwrite=True to remove it, or another folder."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        train(untouched)


def test_resume_and_overwrite_conflict(untouched):
    with pytest.raises(ValueError, match="`resume` and `overwrite` must not both be True"):
        train(untouched, resume=True, overwrite=True)


def test_output_dir_must_be_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`output_dir` must be a folder. Received: the file '"):
        train(tmp_path / "file")


def larger():
    return keras.Sequential(
        [keras.Input((*SIZE, 3)), keras.layers.Conv2D(N_CLASSES, 5, padding="same")]
    )


def other_activation():
    model = network()
    model.layers[1].activation = keras.activations.tanh
    return model


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"recipe": unetv2.recipes.get(PLAIN, learning_rate=0.5)},
         "recipe.learning_rate=0.003 before and 0.5 now"),
        ({"recipe": "reference"}, "recipe.schedule='constant' before and 'cosine' now"),
        ({"recipe": unetv2.recipes.get(PLAIN, class_weights=(1, 2, 3))},
         "class_weights=None before and [1.0, 2.0, 3.0] now"),
        ({"seed": 7}, "seed=0 before and 7 now"),
        ({"data": batches(5)}, "data.n_pairs=6 before and 5 now"),
        ({"data": batches(6, 3)}, "data.batch_size=2 before and 3 now"),
        ({"validation": None}, "data.validated=True before and False now"),
        ({"model": network(dtype="mixed_bfloat16")},
         "precision='float32' before and 'mixed_bfloat16' now"),
        ({"model": larger()}, "4 weights before and 2 now"),
        ({"model": other_activation()}, "layers such as conv2d.activation="),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_different_run_is_not_resumed(untouched, options, difference):
    message = "A run must be resumed with the arguments of its start. Received: .*" + re.escape(
        difference
    )
    with pytest.raises(ValueError, match=message):
        train(untouched, resume=True, **options)


@pytest.mark.parametrize("content", ["{", "[]", "", "\x00\xff", '{"epochs": 2}', "[" * 99_999])
def test_an_invalid_run_json_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_text(content, encoding="latin-1")
    message = "run.json' must describe the run. Received: .* overwrite=True to start"
    with pytest.raises(ValueError, match=message):
        train(tmp_path, resume=True)
    assert train(tmp_path, epochs=1, overwrite=True).epoch == [0]


@pytest.mark.parametrize("left", [0, 10, 1000, -30], ids=lambda left: f"{left} bytes")
def test_a_truncated_checkpoint_is_refused(tmp_path, finished, left):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes((finished / "checkpoint.npz").read_bytes()[:left])
    with pytest.raises(
        ValueError, match="' must be a checkpoint of a training. Received: .* bytes"
    ):
        TrainingState.load(path)


@pytest.mark.parametrize("content", [b"garbage", b"PK\x03\x04" + bytes(99)])
def test_other_files_are_refused_as_checkpoints(tmp_path, content):
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="must be a checkpoint .* again with overwrite=True; mode"):
        TrainingState.load(path)
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(ValueError, match="other.npz' must be a checkpoint of a training."):
        TrainingState.load(tmp_path / "other.npz")


def test_a_checkpoint_with_a_wrong_digest_is_refused(tmp_path, finished):
    with np.load(finished / "checkpoint.npz") as stored:
        arrays = dict(stored)
    arrays["model/000000"] = arrays["model/000000"] + 1
    np.savez(tmp_path / "checkpoint.npz", **arrays)
    with pytest.raises(ValueError, match="checkpoint.npz' must be a checkpoint .* their SHA-256"):
        TrainingState.load(tmp_path / "checkpoint.npz")


def test_a_run_json_with_a_wrong_digest_is_refused(untouched, tmp_path):
    shutil.copytree(untouched, tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(text.replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ValueError, match="run.json' must describe the run. Received: its content"):
        train(tmp_path, resume=True)


def test_a_checkpoint_round_trips(finished, tmp_path):
    state = TrainingState.load(finished / "checkpoint.npz")
    assert (state.epoch, state.step, state.best_epoch, state.rate_factor) == (1, 0, 0, 1.0)
    state.save(tmp_path / "copy.npz")
    copy = TrainingState.load(tmp_path / "copy.npz")
    for kind, arrays in state.variables.items():
        for one, other in zip(arrays, copy.variables[kind], strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_overwrite_removes_only_the_run(tmp_path):
    train(tmp_path, epochs=3, images_every=1)
    (tmp_path / "within_epoch.npz").write_bytes(b"old")
    (tmp_path / "notes.txt").write_text("mine")
    training = train(tmp_path, epochs=1, overwrite=True)
    assert training.epoch == [0]
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["epoch_0001.png"]
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 2
    assert not (tmp_path / "within_epoch.npz").exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert json.loads((tmp_path / "run.json").read_text())["epochs"] == 1


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "file"
    write_whole(path, lambda file: file.write(b"old"))

    def fails(file):
        file.write(b"half of it")
        with Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"rest")

    message = (
        "file' must be written to continue. Received: No space left on device. Free some space,"
    )
    with pytest.raises(OSError, match=message):
        write_whole(path, fails)
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    with pytest.raises(OSError, match="Received: No such file or directory. Make its folder, and"):
        write_whole(tmp_path / "none" / "file", lambda file: file.write(b"new"))


class SmallDisk(keras.callbacks.Callback):
    """Limits the size of files from the second epoch on."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def on_epoch_begin(self, epoch, logs=None):
        import resource

        if epoch == 1:
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, hard))


# NumPy 1 leaves the archive that it could not write to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <function ZipFile.__del__")
@pytest.mark.parametrize(
    ("rate", "name"), [(3e-3, "model.keras"), (0.0, "checkpoint.npz")], ids=lambda value: str(value)
)
def test_a_full_disk_raises_and_loses_nothing(tmp_path, rate, name):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    recipe = unetv2.recipes.get(PLAIN, learning_rate=rate)
    # Without validation each epoch's model is saved; without learning no later one's.
    options = {"recipe": recipe, "epochs": 3} | ({"validation": None} if rate else {})
    files = [tmp_path / "run" / file for file in ("model.keras", "checkpoint.npz")]

    def model():
        image = keras.Input((*SIZE, 3))
        options = {"padding": "same", "data_format": "channels_last"}
        features = keras.layers.Conv2D(200, 3, **options)(image)
        return keras.Model(image, keras.layers.Conv2D(N_CLASSES, 7, **options)(features))

    try:
        message = f"{name}' must be written to continue. Received: File too large. Free some space"
        with pytest.raises(OSError, match=message):
            train(tmp_path / "run", model(), callbacks=[SmallDisk(100_000)], **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert TrainingState.load(files[1]).epoch == 1
    keras.models.load_model(files[0])
    assert not list((tmp_path / "run").glob(".*"))
    assert train(tmp_path / "run", model(), resume=True, **options).epoch == [0, 1, 2]
