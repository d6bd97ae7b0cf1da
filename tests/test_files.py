"""Atomic writes by any number of writers, and recovery after kills."""

from __future__ import annotations

import ast
import errno
import os
import re
import threading
import time
from pathlib import Path

import pytest
from full_disks import full_disk
from leftovers import left_behind
from test_house import SOURCES

from unetv2 import files
from unetv2.files import (
    atomic_folder,
    atomic_path,
    clean_up,
    move_into_place,
    recover,
    temporary_file,
    temporary_folder,
    write_atomically,
)

LONGEST = 255


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, text):
    write_atomically(path, lambda file: file.write(text.encode()))


def put_folder(path, text):
    with temporary_folder(path.parent) as work:
        (work / "0").mkdir()
        (work / "0" / "file").write_text(text)
        move_into_place(work / "0", path)


@pytest.fixture(params=[True, False], ids=["exchanging", "renaming"])
def _systems(request, monkeypatch):
    """Systems that can exchange two folders in one step, and others."""
    if not request.param:
        monkeypatch.setattr(files, "_exchanged", lambda *_: False)


on_any_system = pytest.mark.usefixtures("_systems")


def committed(folder, **files):
    """Returns the leftovers of a process that was killed during a commit."""
    with temporary_folder(folder) as work:
        pass
    (work / "commit").mkdir(parents=True)
    (work / "lock").touch()
    for name, text in files.items():
        (work / "commit" / name).write_text(text)
    return work


def test_a_failed_write_leaves_the_existing_file(tmp_path):
    write(tmp_path / "a.txt", "old")

    def fail(file):
        with file:
            file.write(b"half")
        raise ValueError("half")

    def fail_together():
        with atomic_folder(tmp_path) as new:
            fail((new / "a.txt").open("wb"))

    for function in (lambda: write_atomically(tmp_path / "a.txt", fail), fail_together):
        with pytest.raises(ValueError, match="half"):
            function()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_full_disk_raises_with_the_path_and_leaves_the_existing_file(tmp_path):
    def write_both():
        with atomic_folder(tmp_path) as new:
            (new / "a.txt").write_text("new")
            (new / "b.txt").write_text("x" * 5000)

    write(tmp_path / "a.txt", "old")
    message = re.escape(f"'{tmp_path / 'a.txt'}' must be written to continue. Received: ")
    with full_disk():
        with pytest.raises(OSError, match=f"{message}.*Free some space"):
            write(tmp_path / "a.txt", "x" * 5000)
        with pytest.raises(OSError, match=f"'{tmp_path}' must be written.*Free some space"):
            write_both()
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_missing_folder_raises_with_its_path(tmp_path):
    folder = tmp_path / "folder"
    with pytest.raises(FileNotFoundError, match=f"'{folder}/a.txt' must be written"):
        write(folder / "a.txt", "new")
    folder.mkdir()

    def remove(_):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    with pytest.raises(FileNotFoundError, match=f"'{folder}/a.txt' must be written"):
        write_atomically(folder / "a.txt", remove)


def test_a_file_does_not_replace_a_folder(tmp_path):
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "a.txt" / "thesis").touch()
    with pytest.raises(OSError, match="a.txt' must be written"):
        write(tmp_path / "a.txt", "new")
    assert names(tmp_path / "a.txt") == ["thesis"]
    assert names(tmp_path) == ["a.txt"]


@on_any_system
@pytest.mark.parametrize("name", ["a" * 251 + ".txt", "a." + "b" * 253, "." + "ä" * 127])
def test_names_may_be_as_long_as_the_system_allows(tmp_path, name):
    assert len(name.encode()) == LONGEST
    write(tmp_path / name, "file")
    put_folder(tmp_path / "other", "folder")
    with atomic_folder(tmp_path) as new:
        (new / name).write_text("together")
        (new / "b").write_text("together")
    assert (tmp_path / name).read_text() == "together"
    (tmp_path / name).unlink()
    for text in ("old", "new"):
        put_folder(tmp_path / name, text)
        assert (tmp_path / name / "file").read_text() == text


def test_scratch_names_keep_the_extension_and_are_hidden(tmp_path):
    with atomic_path(tmp_path / "a.b.keras") as other:
        other.write_text("new")
        assert other.suffix == ".keras"
        assert other.name.startswith(".")
        assert len(other.name) < 50


@on_any_system
def test_a_folder_replaces_an_existing_one(tmp_path):
    path = tmp_path / "place"
    for text in ("one", "two", "three"):
        put_folder(path, text)
        assert (path / "file").read_text() == text
    (tmp_path / "link").symlink_to(path)
    put_folder(tmp_path / "link", "own")
    assert (path / "file").read_text() == "three"
    assert (tmp_path / "link" / "file").read_text() == "own"
    write(tmp_path / "was_a_file", "file")
    put_folder(tmp_path / "was_a_file", "folder")
    assert names(tmp_path) == ["link", "place", "was_a_file"]


@on_any_system
def test_several_threads_write_the_same_target(tmp_path):
    failed = []

    def writer(number):
        try:
            for _ in range(10):
                write(tmp_path / "alone", str(number))
                put_folder(tmp_path / "folder", str(number))
                with atomic_folder(tmp_path) as new:
                    (new / "one").write_text(str(number))
                    (new / "two").write_text(str(number))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert names(tmp_path) == ["alone", "folder", "one", "two"]
    assert (tmp_path / "one").read_text() == (tmp_path / "two").read_text()


def test_leftovers_of_kills_are_removed_and_files_in_use_stay(tmp_path):
    left = [left_behind(tmp_path), committed(tmp_path)]
    (left[1] / "commit").rmdir()
    mine = [tmp_path / ".unetv2-notes", tmp_path / ".7.a.png"]
    for path in mine:
        path.write_text("mine")
    files._cleaned.clear()
    with temporary_file(tmp_path) as file, temporary_folder(tmp_path) as folder:
        write(tmp_path / "a.txt", "new")
        clean_up(tmp_path)
        assert file.exists()
        assert folder.exists()
        assert not any(path.exists() for path in left)
    assert names(tmp_path) == sorted(["a.txt", *(path.name for path in mine)])


@pytest.mark.parametrize("locked", [True, False], ids=["another machine's", "without locks"])
def test_leftovers_without_reliable_locks_are_removed_after_an_hour(tmp_path, monkeypatch, locked):
    left = [left_behind(tmp_path), committed(tmp_path)]
    (left[1] / "commit").rmdir()
    if locked:
        monkeypatch.setattr(files, "_kernel", lambda: "00000000")
    else:
        monkeypatch.setattr(files, "fcntl", None)
    clean_up(tmp_path)
    assert all(path.exists() for path in left)
    before = time.time() - 4000
    for path in (left[0], left[1] / "lock", left[1]):
        os.utime(path, (before, before))
    clean_up(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="shows open files on Linux only")
def test_files_are_closed_before_renaming_without_locks(tmp_path, monkeypatch):
    # Windows has no locks and cannot rename open files.
    monkeypatch.setattr(files, "fcntl", None)
    with temporary_file(tmp_path) as file, temporary_folder(tmp_path) as folder:
        file.write_bytes(b"new")
        opened = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
        assert not [path for path in opened if path.startswith((str(file), str(folder)))]


@pytest.mark.parametrize("system", [True, False], ids=["file system", "operating system"])
def test_file_systems_without_locks_are_supported(tmp_path, monkeypatch, system):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    if system:
        monkeypatch.setattr(files.fcntl, "flock", flock)
    else:
        monkeypatch.setattr(files, "fcntl", None)
    write(tmp_path / "a.txt", "new")
    put_folder(tmp_path / "b", "new")
    with atomic_folder(tmp_path) as new:
        (new / "a.txt").write_text("newer")
        (new / "c.txt").write_text("newer")
    assert (tmp_path / "a.txt").read_text() == "newer"
    assert names(tmp_path) == ["a.txt", "b", "c.txt"]


def test_an_interrupted_commit_is_finished(tmp_path):
    for name in ("one", "two", "three"):
        (tmp_path / name).write_text("old")
    committed(tmp_path, two="new", three="new")
    (tmp_path / "one").write_text("new")  # As if it was renamed already.
    os.utime(tmp_path / "one")
    recover(tmp_path / "four")
    assert names(tmp_path) == ["one", "three", "two"]
    assert {(tmp_path / name).read_text() for name in names(tmp_path)} == {"new"}


def test_a_folder_is_recovered_after_a_kill_between_two_renames(tmp_path):
    put_folder(tmp_path / "place", "old")
    work = committed(tmp_path)
    (work / "old").mkdir()
    (work / "commit" / "place").mkdir()
    (work / "commit" / "place" / "file").write_text("new")
    (tmp_path / "place").rename(work / "old" / "place")
    recover(tmp_path / "place")
    assert (tmp_path / "place" / "file").read_text() == "new"
    assert names(tmp_path) == ["place"]


def test_newer_files_survive_the_recovery_of_an_older_commit(tmp_path):
    committed(tmp_path, one="killed", two="killed")
    # Later than the kill, also if the clock is coarse.
    time.sleep(0.02)
    for name in ("one", "two"):
        write(tmp_path / name, "later")
    clean_up(tmp_path)
    assert names(tmp_path) == ["one", "two"]
    assert {(tmp_path / name).read_text() for name in names(tmp_path)} == {"later"}


def test_files_of_other_users_in_a_sticky_folder_are_not_removed(tmp_path, monkeypatch):
    work = committed(tmp_path, mask="theirs")
    left = left_behind(tmp_path)
    tmp_path.chmod(0o1777)
    owner = os.geteuid()
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: owner + 1)
        clean_up(tmp_path)
        assert names(tmp_path) == sorted([work.name, left.name])
    clean_up(tmp_path)
    assert names(tmp_path) == ["mask"]


def test_only_this_module_renames_files_and_creates_temporary_ones():
    # These rename files within a temporary folder, or write the process's id into a lock.
    others = {"unetv2.exporting.export", "unetv2.synthetic.scene", "unetv2.training.checkpoint"}
    calls = {"rename", "renames", "mkstemp", "mkdtemp", "NamedTemporaryFile", "mktemp", "getpid"}
    callers = {
        module
        for module, path in SOURCES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in calls
    }
    assert callers - others == {"unetv2.files"}
