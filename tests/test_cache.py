from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import save
from full_disks import full_disk
from test_dataset import collect

import unetv2
from unetv2.data import pipeline
from unetv2.data.cache import FolderCache
from unetv2.data.preprocess import read_pair


@pytest.fixture
def reads(monkeypatch):
    """The pairs that are read from their files."""
    read = []

    def spy(source, pair, *args, **options):
        read.append(pair.key)
        return read_pair(source, pair, *args, **options)

    monkeypatch.setattr(pipeline, "read_pair", spy)
    return read


def load(folders, cache, **options):
    options = {"image_size": (6, 8), "shuffle": False, **options}
    return collect(unetv2.make_dataset(*folders, cache=cache, **options))


def test_a_second_run_reads_no_file_and_returns_the_same(write_pairs, tmp_path, reads):
    folders = write_pairs(40)
    first = load(folders, tmp_path / "cache")
    assert len(reads) == 40
    second = load(folders, tmp_path / "cache")
    assert len(reads) == 40
    for one, two, plain in zip(first, second, load(folders, None), strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, plain)


def test_added_removed_and_changed_files_are_detected(write_pairs, tmp_path, reads):
    images, masks = write_pairs(4)
    load((images, masks), tmp_path / "cache")
    for directory in (images, masks):
        (directory / "0001.png").unlink()
    write_pairs(1, seed=9, directory=tmp_path / "more")
    for name in ("images", "masks"):
        (tmp_path / "more" / name / "0000.png").rename(tmp_path / name / "0009.png")
    changed = np.full((12, 16), 2, np.uint8)
    save(changed, masks / "0002.png")
    reads.clear()
    _, found = load((images, masks), tmp_path / "cache")
    assert sorted(reads) == ["0002", "0009"]
    assert len(found) == 4
    assert (found[1] == 2).all()


def test_a_file_replaced_by_one_of_its_size_is_detected(write_pairs, tmp_path):
    images, masks = write_pairs(1)
    path = masks / "0000.png"
    save(np.zeros((12, 16), np.uint8), path, compress_level=0)
    assert (load((images, masks), tmp_path / "cache")[1] == 0).all()
    size = path.stat().st_size
    save(np.ones((12, 16), np.uint8), path, compress_level=0)
    assert path.stat().st_size == size
    assert (load((images, masks), tmp_path / "cache")[1] == 1).all()


@pytest.mark.parametrize(
    "options",
    [{"image_size": (3, 4)}, {"interpolation": "nearest"}, {"channels": 1}, {"n_classes": 9},
     {"label_map": {1: 0, 0: 0}}, {"resize": "crop"}],
)  # fmt: skip
def test_another_preprocessing_has_another_entry(write_pairs, tmp_path, reads, options):
    folders = write_pairs(2)
    load(folders, tmp_path / "cache")
    reads.clear()
    load(folders, tmp_path / "cache", **options)
    assert len(reads) == 2


def test_data_sets_share_a_folder_and_subsets_share_entries(write_pairs, tmp_path, reads):
    folders = write_pairs(30)
    load(folders, tmp_path / "cache", subset="train")
    seen = len(reads)
    load(folders, tmp_path / "cache")
    assert len(reads) == 30
    assert 0 < seen < 30


def test_a_damaged_entry_is_read_again(write_pairs, tmp_path, reads):
    folders = write_pairs(2)
    expected = load(folders, tmp_path / "cache")
    entries = sorted((tmp_path / "cache").rglob("*.pair"))
    entries[0].write_bytes(entries[0].read_bytes()[:-7])
    entries[1].write_bytes(b"")
    reads.clear()
    for one, two in zip(expected, load(folders, tmp_path / "cache"), strict=True):
        np.testing.assert_array_equal(one, two)
    assert len(reads) == 2


def test_a_failed_write_leaves_no_file_and_raises(tmp_path):
    path = str(save(np.zeros((2, 2), np.uint8), tmp_path / "a.png"))
    cache = FolderCache(tmp_path / "cache", "")
    with (
        full_disk(),
        pytest.raises(OSError, match="The folder of `cache` must be writable.*too large"),
    ):
        cache.store(cache.entry([path]), (np.zeros(300), np.zeros(300)))
    assert not [entry for entry in (tmp_path / "cache").rglob("*") if entry.is_file()]


def test_a_full_disk_skips_no_pair(write_pairs, tmp_path):
    folders = write_pairs(3)
    with (
        full_disk(),
        pytest.raises(OSError, match="The folder of `cache` must be writable.*too large"),
    ):
        unetv2.make_dataset(*folders, cache=tmp_path / "cache", on_error="skip", max_skipped=0.9)


def test_a_changed_file_of_equal_size_and_time_is_detected(write_pairs, tmp_path, reads):
    images, masks = write_pairs(1)
    path, times = masks / "0000.png", (315532800, 315532800)
    for value in (0, 1):
        # As archives are unpacked: beside, with the times of the archive, and renamed.
        other = save(np.full((12, 16), value, np.uint8), masks / "new.png", compress_level=0)
        os.utime(other, times)
        other.replace(path)
        assert (load((images, masks), tmp_path / "cache")[1] == value).all()
    # In place, so that the inode stays as well.
    content = save(np.full((12, 16), 2, np.uint8), tmp_path / "2.png", compress_level=0)
    path.write_bytes(content.read_bytes())
    os.utime(path, times)
    assert (load((images, masks), tmp_path / "cache")[1] == 2).all()
    assert len(reads) == 3


def test_no_file_is_read_within_a_tick_of_its_change(tmp_path, monkeypatch):
    # Until then another change has the same time.
    path = save(np.zeros((2, 2), np.uint8), tmp_path / "a.png")
    cache = FolderCache(tmp_path / "cache", "")
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    for age, seconds in ((0, 0.02), (5_000_000, 0.015), (30_000_000, None), (-(10**12), None)):
        entry = cache.entry([str(path)])
        monkeypatch.setattr(time, "time_ns", lambda age=age, entry=entry: entry.changed + age)
        waited.clear()
        assert cache.load(entry) is None
        assert waited == ([] if seconds is None else [pytest.approx(seconds)])
    coarse = entry._replace(changed=10**18)
    monkeypatch.setattr(time, "time_ns", lambda: coarse.changed)
    cache.load(coarse)
    assert waited == [2.0]


def test_a_changed_byte_invalidates_an_entry(write_pairs, tmp_path, reads):
    folders = write_pairs(1)
    expected = load(folders, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").rglob("*.pair")
    whole = entry.read_bytes()
    for place in (0, 31, 33, 60, 100, len(whole) // 2, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 0x80
        entry.write_bytes(damaged)
        reads.clear()
        for one, two in zip(expected, load(folders, tmp_path / "cache"), strict=True):
            np.testing.assert_array_equal(one, two)
        assert len(reads) == 1
        assert entry.read_bytes() == whole
    entry.write_bytes(whole + b"more")
    load(folders, tmp_path / "cache")
    assert entry.read_bytes() == whole


def test_entries_keep_dtype_and_shape(tmp_path):
    path = str(save(np.zeros((2, 2), np.uint8), tmp_path / "a.png"))
    cache = FolderCache(tmp_path / "cache", "")
    for dtype, channels in ((np.uint8, 3), (np.uint16, 7)):
        kept = (np.ones((4, 6, channels), dtype), np.ones((4, 6, 1), np.int32))
        entry = cache.entry([path])
        cache.store(entry, kept)
        for one, two in zip(kept, cache.load(entry), strict=True):
            assert one.dtype == two.dtype
            assert two.flags.writeable
            np.testing.assert_array_equal(one, two)
    cache.store(entry, (np.ones((4, 6, 3)), np.ones((6, 4, 1))))
    assert cache.load(entry) is None


def test_a_file_that_changes_while_it_is_read_is_read_again(write_pairs, tmp_path, monkeypatch):
    images, masks = write_pairs(1)

    def slow(*args, **options):
        images = read_pair(*args, **options)
        save(np.full((12, 16), 2, np.uint8), masks / "0000.png")
        return images

    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "read_pair", slow)
        load((images, masks), tmp_path / "cache")
    assert (load((images, masks), tmp_path / "cache")[1] == 2).all()


def test_the_cache_folder_must_not_be_a_file(write_pairs, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="`cache` must be 'memory', None or a folder"):
        load(write_pairs(2), tmp_path / "file")


FILL = """
import sys, unetv2
for _ in unetv2.make_dataset(sys.argv[1], sys.argv[2], image_size=(96, 128), cache=sys.argv[3]):
    print("batch", flush=True)
print("done", flush=True)
"""


def test_a_killed_process_leaves_complete_entries_only(write_pairs, tmp_path):
    folders = write_pairs(400, size=(60, 80))
    command = [sys.executable, "-c", FILL, *map(str, folders), str(tmp_path / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(list((tmp_path / "cache").rglob("*.pair"))) > 40:
                break
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    kept = len(list((tmp_path / "cache").rglob("*.pair")))
    assert kept > 40
    options = {"image_size": (96, 128)}
    for one, two in zip(
        load(folders, tmp_path / "cache", **options), load(folders, None, **options), strict=True
    ):
        np.testing.assert_array_equal(one, two)
