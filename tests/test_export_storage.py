from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from exporting import recorded, whole
from hypothesis import given
from hypothesis import strategies as st
from raising import refusal

import unetv2
from unetv2.checksums import add_checksum, verify_checksum
from unetv2.exporting.artifact import (
    Description,
    Parity,
    merge,
    read,
    write_description,
)
from unetv2.exporting.formats.base import DESCRIPTION, get_format

PARITY = Parity(
    agreement=1.0, max_difference=1e-6, mean_difference=1e-9, n_images=8, source="random images",
    min_agreement=0.9999,
)  # fmt: skip
SAVED = ("saved_model.pb", "fingerprint.pb", "variables/variables.index",
         "variables/variables.data-00000-of-00001")  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("artifact") / "model"
    unetv2.export(recorded(), path, format="saved_model")
    return path


@pytest.fixture
def artifact(written, tmp_path):
    return shutil.copytree(written, tmp_path / "model")


def described(format, **values):
    known = {
        "name": "model", "format": format, "precision": "float32", "n_classes": 5,
        "frame_size": (24, 32), "network_size": (24, 32), "resizes": False,
        "preprocessing": whole(), **values,
    }  # fmt: skip
    return Description(**known)


@given(st.integers(0, 300), st.text(max_size=400))
def test_a_single_file_contains_its_description(tmp_path_factory, length, name):
    for format, file in (("litert", "model.tflite"), ("onnx", "model.onnx")):
        folder = tmp_path_factory.mktemp("single")
        content = bytes(np.random.default_rng(length).integers(0, 256, length, np.uint8))
        (folder / file).write_bytes(content)
        write_description(folder, described(format, name=name))
        path = merge(folder, format)
        found, files = read(path)
        assert found.name == name
        assert found.preprocessing == whole()
        assert path.read_bytes()[: found.files[file]["bytes"]] == content
        assert files == {file: path}


def test_a_description_is_read_as_it_was_written(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"network")
    write_description(tmp_path, described("onnx", parity=PARITY))
    found, _ = read(tmp_path)
    assert found.parity == PARITY
    assert found.frame_size == (24, 32)
    digest = hashlib.sha256(b"network").hexdigest()
    assert found.files == {"model.onnx": {"bytes": 7, "sha256": digest}}


def refused(path, reason):
    message = f"(?s)`path` must be an artifact of `unetv2.export`. Received: .*{reason}.*again"
    with pytest.raises(ValueError, match=message):
        unetv2.load_exported(path)


@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_a_changed_bit_raises(artifact, where):
    path = artifact / "saved_model.pb"
    content = bytearray(path.read_bytes())
    content[int(where * len(content)) if where >= 0 else -1] ^= 1
    path.write_bytes(content)
    refused(artifact, "'saved_model.pb' is not the file that was written")


def test_missing_and_truncated_files_raise(artifact):
    path = artifact / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:-10])
    refused(artifact, "'saved_model.pb' is not the file that was written")
    path.unlink()
    refused(artifact, "'saved_model.pb' cannot be read")


def test_other_files_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist. Check the path"):
        unetv2.load_exported(tmp_path / "nowhere")
    refused(tmp_path, "it has no description")
    for name in ("foreign.tflite", "foreign.onnx"):
        (tmp_path / name).write_bytes(b"something else")
        refused(tmp_path / name, "it has no description")
    with zipfile.ZipFile(tmp_path / "foreign.tflite", "w") as archive:
        archive.writestr(DESCRIPTION, "{}")
    refused(tmp_path / "foreign.tflite", "its description cannot be read")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 99}, "its schema is 99, and this version reads 2: install a later"),
        ({"schema": 1}, "its schema is 1, and this version reads 2"),
        ({"schema": "2"}, "its schema is '2', and this version reads 2"),
        ({"format": "pickle"}, "its values have wrong types"),
        ({"precision": "int8"}, "its values have wrong types"),
        ({"n_classes": 1}, "its values have wrong types"),
        ({"n_classes": 10**9}, "its values have wrong types"),
        ({"n_classes": True}, "its values have wrong types"),
        ({"frame_size": [0, 4]}, r"\[0, 4\] is not a size"),
        ({"preprocessing": {}}, "`preprocessing` must be what"),
        ({"files": {}}, "it names no network"),
        ({"files": {"../other": {}}}, "it names the file '../other', outside"),
        ({"files": {"/etc/passwd": {}}}, "outside of it"),
        ({"files": {"saved_model.pb": {}}}, "'fingerprint.pb' is in it, and was not written"),
        ({"files": {name: {} for name in SAVED}}, "cannot be read"),
    ],
)
def test_a_forged_description_raises(artifact, change, reason):
    path = artifact / DESCRIPTION
    content = verify_checksum(json.loads(path.read_text()))
    path.write_text(json.dumps(add_checksum({**content, **change})))
    refused(artifact, reason)


def test_any_changed_byte_of_a_description_raises(artifact):
    path = artifact / DESCRIPTION
    content, expected = path.read_bytes(), read(artifact)
    for where in range(0, len(content), 7):
        changed = bytearray(content)
        changed[where] ^= 1
        path.write_bytes(changed)
        message = refusal(lambda: read(artifact))
        assert str(artifact) in message if message else read(artifact) == expected
    path.write_bytes(content.replace(b"\n", b"\r\n"))
    assert read(artifact) == expected


@pytest.mark.parametrize("format", ["litert", "onnx"])
def test_any_changed_byte_of_a_single_file_raises_or_has_no_effect(tmp_path, format):
    (tmp_path / get_format(format).main).write_bytes(b"network" * 9)
    write_description(tmp_path, described(format))
    path = merge(tmp_path, format)
    content, expected = path.read_bytes(), read(path)
    size = expected[0].files[get_format(format).main]["bytes"]
    network = path.read_bytes()[:size]
    # Every byte around the description, and some within it.
    n = len(content)
    steps = sorted({*range(150), *range(0, n, 11), *range(n - 150, n)})
    changes = [
        *(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in steps),
        *(content[:at] + b"more" + content[at:] for at in steps[::5]),
        *(content[:at] for at in steps[::5]),
    ]  # fmt: skip
    for changed in changes:
        path.write_bytes(changed)
        message = refusal(lambda: read(path))
        assert str(path) in message if message else read(path) == expected
        assert message or path.read_bytes()[:size] == network


@pytest.mark.parametrize("name", ["saved_model.cpb", "variables/other.data", "assets/words.txt"])
def test_a_file_that_was_not_written_with_it_is_not_read(artifact, name):
    (artifact / name).parent.mkdir(exist_ok=True)
    (artifact / name).write_bytes(b"other")
    refused(artifact, f"'{name}' is in it, and was not written with it")


def test_notes_beside_the_network_are_ignored(artifact):
    (artifact / "README.md").write_text("mine")
    (artifact / "variables" / ".DS_Store").write_bytes(b"a file manager's")
    assert unetv2.load_exported(artifact).n_classes == 5


def forged(artifact, module, **signature):
    """Replaces the SavedModel of an artifact, with a matching description."""
    description, _ = read(artifact)
    for name in ("saved_model.pb", "fingerprint.pb"):
        (artifact / name).unlink()
    shutil.rmtree(artifact / "variables")
    tf.saved_model.save(module, str(artifact), signatures=signature or None)
    write_description(artifact, description)


def test_a_graph_that_writes_files_raises_before_it_is_loaded(artifact, tmp_path):
    module = tf.Module()
    target = str(tmp_path / "written")

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)])
    def serve(frames):
        tf.io.write_file(target, "gotcha")
        return {"mask": frames[..., 0]}

    module.serve = serve
    forged(artifact, module, serving_default=serve)
    refused(artifact, "it contains unsupported ops: WriteFile")
    assert not (tmp_path / "written").exists()


def test_a_table_that_is_read_at_loading_raises(artifact, tmp_path):
    (tmp_path / "words").write_text("one\n")
    module = tf.Module()
    initializer = tf.lookup.TextFileInitializer(
        str(tmp_path / "words"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
        tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
    )  # fmt: skip
    module.table = tf.lookup.StaticHashTable(initializer, -1)
    forged(artifact, module)
    refused(artifact, "it contains")


def test_calls_of_functions_that_write_variables_raise(artifact):
    from tensorflow.core.protobuf import saved_model_pb2

    description, _ = read(artifact)
    path = artifact / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    library = message.meta_graphs[0].graph_def.library.function
    save = next(one.signature.name for one in library if "traced_save" in one.signature.name)
    other = next(one for one in library if "traced" not in one.signature.name)
    node = other.node_def.add(name="call", op="PartitionedCall")
    node.attr["f"].func.name = save
    path.write_bytes(message.SerializeToString())
    write_description(artifact, description)
    refused(artifact, "it contains unsupported ops: __inference__traced_save")


def test_threads_of_tensorflow_are_set_elsewhere(written):
    with pytest.raises(ValueError, match="`threads` must be None for format='saved_model'"):
        unetv2.load_exported(written, threads=2)
    with pytest.raises(ValueError, match="`threads` must be a positive integer"):
        unetv2.load_exported(written, threads=0)


def test_no_other_runtime_is_imported(written):
    # In a new process: other tests import them if they are installed.
    program = (
        f"import sys, unetv2; print(unetv2.load_exported({str(written)!r}).n_classes); "
        "print(*{'onnxruntime', 'openvino', 'ai_edge_litert'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output == "5\n\n"
