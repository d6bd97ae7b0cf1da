"""Replacing an artifact while it is read, and recovery after kills."""

from __future__ import annotations

import dataclasses
import shutil
import threading

import pytest
from exporting import recorded
from full_disks import full_disk

import unetv2
from unetv2 import files as renaming
from unetv2.exporting import artifact as storage
from unetv2.exporting import export as writing
from unetv2.exporting.formats.base import DESCRIPTION


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    path = tmp_path_factory.mktemp("artifact") / "model"
    unetv2.export(recorded(), path, format="saved_model")
    return path


def put(artifact, path, name):
    """Writes an artifact with another model name."""
    with writing.scratch_beside(path) as folder:
        shutil.copytree(artifact, folder / "0")
        description = dataclasses.replace(storage.read(artifact)[0], name=name)
        storage.write_description(folder / "0", description)
        writing.move(folder / "0", path)


@pytest.mark.parametrize("exchanging", [True, False], ids=["exchanging", "renaming"])
def test_an_artifact_loads_while_others_replace_it(artifact, tmp_path, monkeypatch, exchanging):
    if not exchanging:
        monkeypatch.setattr(renaming, "_exchanged", lambda *_: False)
    path = tmp_path / "model"
    put(artifact, path, "0")
    over = threading.Event()

    def replace():
        number = 0
        while not over.is_set():
            number += 1
            put(artifact, path, str(number))

    threads = [threading.Thread(target=replace) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(4):
            loaded = unetv2.load_exported(path)
            assert loaded.description.name.isdecimal()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert [one.name for one in tmp_path.iterdir()] == ["model"]


def test_an_artifact_is_recovered_after_a_kill_between_two_renames(artifact, tmp_path, monkeypatch):
    monkeypatch.setattr(renaming, "_exchanged", lambda *_: False)
    path = tmp_path / "model"
    put(artifact, path, "old")
    left = tmp_path / "left"
    whole = type(path).replace

    def killed(source, target):
        if source.parent.name == "commit" and not left.exists():
            # The state at a kill is the current one.
            shutil.copytree(tmp_path, left)
        return whole(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(type(path), "replace", killed)
        put(artifact, path, "new")
    assert not (left / "model").exists()
    assert storage.read(left / "model")[0].name == "new"
    assert [one.name for one in left.iterdir()] == ["model"]


def test_a_full_disk_is_reported_as_such(tmp_path):
    with (
        full_disk(2000),
        pytest.raises(OSError, match="model' must be written to export the model.*Free some space"),
    ):
        unetv2.export(recorded(), tmp_path / "model", format="saved_model")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_existing_artifact(artifact, tmp_path):
    path = tmp_path / "model"
    put(artifact, path, "old")
    content = DESCRIPTION, (artifact / DESCRIPTION).read_bytes()

    def fail():
        with writing.scratch_beside(path) as folder, full_disk():
            (folder / content[0]).write_bytes(content[1])

    with pytest.raises(OSError, match="model' must be written to export the model.*Free some sp"):
        fail()
    assert storage.read(path)[0].name == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["model"]
