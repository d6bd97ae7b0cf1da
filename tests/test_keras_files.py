"""Loading of files that Keras saved, and errors for damaged ones."""

from __future__ import annotations

import io
import json
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
from image_folders import small_model
from raising import refusal

import unetv2
from unetv2 import cli, keras_files
from unetv2.prediction.predictor import load


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    small_model().save(path)
    return path


def rewritten(saved, path, change=lambda _, content: content, method=zipfile.ZIP_STORED):
    """Writes a copy of an archive, with changed members; those that are None are removed."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", method) as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path


def refused(path, found="", advice=""):
    message = f"`model` must be a file that Keras saved. Received: '{re.escape(str(path))}'"
    with pytest.raises(ValueError, match=rf"{message}.*{found}.*{advice}"):
        load(path)


def test_stored_and_compressed_archives_are_loaded(saved, tmp_path):
    packed = rewritten(saved, tmp_path / "packed.keras", method=zipfile.ZIP_DEFLATED)
    models = [keras.models.load_model(saved, compile=False), load(saved), load(packed)]
    for model in models[1:]:
        assert model.preprocessing == models[0].preprocessing
        for one, other in zip(model.get_weights(), models[0].get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("content", "found", "advice"),
    [
        (b"", "an empty file", "Copy it again"),
        (b"some text", "not a ZIP archive", "Copy it again"),
        (b"PK\x03\x04" + bytes(99), "not a ZIP archive", "Copy it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer", "lfs pull"),
    ],
    ids=["empty", "text", "cut", "lfs"],
)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_that_are_no_models_raise(tmp_path, content, found, advice, suffix):
    (tmp_path / f"model{suffix}").write_bytes(content)
    if suffix == ".h5" and "LFS" not in found:
        found = "file signature not found"
    refused(tmp_path / f"model{suffix}", found, advice)


def test_other_suffixes_and_folders_raise(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04")
    refused(tmp_path / "model.pt", "ends with neither .keras nor .h5")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(FileNotFoundError, match="`model` must be a file. .* a folder. Pass the"):
        load(tmp_path / "folder.keras")


@pytest.mark.parametrize("share", np.linspace(0, 0.999, 12))
def test_a_changed_byte_raises_with_the_path(saved, tmp_path, share):
    content = bytearray(saved.read_bytes())
    content[int(share * len(content))] ^= 0x10
    (tmp_path / "model.keras").write_bytes(content)
    message = refusal(lambda: load(tmp_path / "model.keras"))
    if message:
        assert "model.keras'" in message
        return
    model = load(tmp_path / "model.keras")
    for one, other in zip(model.get_weights(), load(saved).get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("member", ["config.json", "metadata.json", "model.weights.h5"])
def test_a_missing_member_raises_with_its_name(saved, tmp_path, member):
    def change(name, content):
        return None if name == member else content

    refused(rewritten(saved, tmp_path / "m.keras", change), f"it has no member '{member}'")


def test_the_size_of_documents_is_limited(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_files, "_MAX_JSON_BYTES", 10_000)

    def larger(name, content):
        return content + b" " * 100_000 if name == "config.json" else content

    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = rewritten(saved, tmp_path / "m.keras", larger, method)
        refused(path, "'config.json' has more than 10000 bytes")


def test_members_larger_than_declared_are_not_expanded(saved, tmp_path):
    packed = rewritten(
        saved, tmp_path / "m.keras", lambda _, content: content + bytes(2**20), zipfile.ZIP_DEFLATED
    )
    content = packed.read_bytes()
    with zipfile.ZipFile(packed) as archive:
        size = archive.getinfo("config.json").file_size.to_bytes(4, "little")
    packed.write_bytes(content.replace(size, (10).to_bytes(4, "little")))
    refused(packed, "cannot be loaded: .*CRC")


def test_weights_larger_than_their_file_raise(saved, tmp_path):
    hollow = io.BytesIO()
    with h5py.File(hollow, "w") as file:
        file.create_dataset("weights", shape=(10**11,), dtype="f4", chunks=(1024,))

    def change(name, content):
        return hollow.getvalue() if name.endswith(".h5") else content

    refused(rewritten(saved, tmp_path / "m.keras", change), "arrays are larger than its .* bytes")
    (tmp_path / "m.h5").write_bytes(hollow.getvalue())
    refused(tmp_path / "m.h5", "its arrays are larger than its .* bytes")


def test_weights_in_another_file_raise(tmp_path):
    with h5py.File(tmp_path / "m.h5", "w") as file:
        external = [(str(tmp_path / "other"), 0, 400)]
        file.create_dataset("weights", shape=(100,), dtype="f4", external=external)
    refused(tmp_path / "m.h5", "its array 'weights' is in another file")


def test_member_names_outside_the_archive_raise(saved, tmp_path):
    path = rewritten(saved, tmp_path / "m.keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("assets/../../words.txt", "x")
    refused(path, "outside of it")


def test_errors_for_custom_code_explain_how_to_load_it(tmp_path):
    class Unregistered(keras.layers.Layer):
        def call(self, inputs):
            return inputs

    image = keras.Input((8, 8, 3))
    for name, layer, found, advice in (
        ("lambda", keras.layers.Lambda(lambda x: 2 * x), "Lambda", "safe_mode=False"),
        ("class", Unregistered(), "Could not locate class 'Unregistered'", "custom_objects=..."),
    ):
        keras.Model(image, layer(image)).save(tmp_path / f"{name}.keras")
        refused(tmp_path / f"{name}.keras", found, advice)


def test_an_archive_of_a_layer_is_no_model(saved, tmp_path):
    config = keras.saving.serialize_keras_object(keras.layers.Dense(2))

    def change(name, content):
        return json.dumps(config).encode() if name == "config.json" else content

    refused(rewritten(saved, tmp_path / "m.keras", change), "")


def test_the_error_of_the_command_is_one_line(saved, tmp_path, capsys):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "model.keras").write_bytes(content)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"")
    words = ["predict", str(tmp_path / "model.keras"), str(tmp_path / "images")]
    assert cli.main([*words, "--output", str(tmp_path / "masks")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert (
        message.startswith("error: `MODEL` must be a file that Keras saved")
        or "model.keras" in message
    )
    assert "Traceback" not in message


def test_damaged_weights_of_a_run_raise_with_their_path(saved, tmp_path):
    (tmp_path / "model.keras").write_bytes(saved.read_bytes()[:-500])
    with pytest.raises(ValueError, match="`path` must be a file that Keras saved. .*model.keras'"):
        keras_files.load_weights(small_model(), tmp_path / "model.keras")
    other = unetv2.build_unetv2((16, 24, 3), 4, filters=3, depth=2)
    with pytest.raises(ValueError, match="`path` must be a file that Keras saved. .*model.keras'"):
        keras_files.load_weights(other, saved)
