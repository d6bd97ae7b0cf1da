"""Fingerprints of data sets, and the warning of a small image size."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import save
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import unetv2
from unetv2.data import fingerprint as module
from unetv2.data.ceiling import interpolated, overlaps
from unetv2.data.pairs import subset_of_keys
from unetv2.data.regions import find_regions
from unetv2.data.similarity import asymmetries, class_maps, thumbnail

MASKS = arrays(
    np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 2)
)


def dataset(folder, images, masks, names=None, **options):
    """Writes pairs, and returns their data set."""
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        name = f"{number:04d}" if names is None else names[number]
        save(np.asarray(image, np.uint8), folder / "images" / f"{name}.png")
        save(np.asarray(mask, np.uint8), folder / "masks" / f"{name}.png")
    return unetv2.SegmentationDataset.from_folders(
        folder / "images", folder / "masks", **{"n_classes": 2, **options}
    )


def noise(seed, size=(32, 48), channels=3):
    return np.random.default_rng(seed).integers(0, 256, (*size, channels))


def measured(data, **options):
    return data.fingerprint(progress=False, **{"cache": False, **options})


def blobs(rng, size=(64, 64)):
    """A mask of squares at random positions."""
    mask = np.zeros(size, np.uint8)
    for _ in range(6):
        row, column = rng.integers(0, size[0] - 8), rng.integers(0, size[1] - 8)
        mask[row : row + 8, column : column + 8] = 1
    return mask


def street(rng, size=(64, 64)):
    """A mask of a sky, 1, above an uneven horizon, with a box at a random position."""
    mask = np.zeros(size, np.uint8)
    mask[: int(rng.integers(24, 40))] = 1
    column = rng.integers(0, size[1] - 10)
    mask[20:50, column : column + 10] = 0
    return mask


# Regions


def flooded(mask):
    """The id, area and boundary edges of each region, by flood fill."""
    seen = np.zeros(mask.shape, bool)
    found = []
    for start in zip(*np.nonzero(mask >= 0), strict=True):
        if seen[start]:
            continue
        seen[start] = True
        todo, area, edges = [start], 0, 0
        while todo:
            row, column = todo.pop()
            area += 1
            for other in ((row + y, column + x) for y in (-1, 0, 1) for x in (-1, 0, 1)):
                if not (0 <= other[0] < mask.shape[0] and 0 <= other[1] < mask.shape[1]):
                    continue
                if mask[other] != mask[start]:
                    edges += other[0] == row or other[1] == column
                elif not seen[other]:
                    seen[other] = True
                    todo.append(other)
        limit = min(mask.shape)
        thickness = min(limit, 2 * area / edges * 4 / np.pi) if edges else limit
        found.append((int(mask[start]), area, round(float(thickness), 6)))
    return sorted(found)


@given(mask=MASKS)
def test_regions_are_those_of_a_flood_fill(mask):
    regions = find_regions(mask)
    found = zip(
        regions.ids.tolist(), regions.areas.tolist(), regions.thickness.round(6).tolist(),
        strict=True,
    )  # fmt: skip
    assert sorted(found) == flooded(mask)


def test_the_thickness_of_a_disk_is_its_radius_and_of_a_diagonal_line_its_width():
    rows, columns = np.mgrid[:200, :200]
    disk = (rows - 100) ** 2 + (columns - 100) ** 2 < 60**2
    line = np.abs(rows - 2 * columns) < 10 * 5**0.5 / 2
    for mask, expected in ((disk, 60), (line, 10)):
        regions = find_regions(mask.astype(np.uint8))
        (thickness,) = regions.thickness[regions.ids == 1]
        assert thickness == pytest.approx(expected, rel=0.12)


# Ceiling


def directly(mask, size):
    """The mask shrunk by areas and enlarged bilinearly, with loops and full matrices."""
    ids = np.unique(mask)
    down, up = [], []
    for length, target in zip(mask.shape, size, strict=True):
        edges = np.arange(target + 1) * length / target
        pixels = np.arange(length)
        shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        down.append(np.clip(shared, 0, None) * target / length)
        centers = np.clip((pixels + 0.5) * target / length - 0.5, 0, target - 1)
        up.append(np.clip(1 - np.abs(centers[:, None] - np.arange(target)), 0, None))
    planes = [up[0] @ (down[0] @ (mask == n) @ down[1].T) @ up[1].T for n in ids]
    return ids, np.array(planes)


@given(mask=MASKS, size=st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_the_overlap_is_that_of_full_matrices(mask, size):
    size = tuple(map(min, size, mask.shape))
    ids, planes = directly(mask, size)
    (shared,) = overlaps(mask, [size], ids.astype(np.int64))
    best = planes.max(axis=0)
    # Of equal values, rounding decides.
    can_be = planes > best - 1e-5
    must_be = can_be & (can_be.sum(axis=0) == 1)
    for number, possible, certain, (intersection, union) in zip(
        ids, can_be, must_be, shared, strict=True
    ):
        truth = mask == number
        assert (truth & certain).sum() <= intersection <= (truth & possible).sum()
        assert (truth | certain).sum() <= union <= (truth | possible).sum()


def test_pixels_of_other_ids_are_not_counted():
    mask = np.repeat([[0, 1, 255]], 6, axis=0).repeat(6, axis=1).astype(np.uint8)
    (shared,) = overlaps(mask, [(6, 18)], np.array([0, 1]))
    assert shared.tolist() == [[36, 36], [36, 36]]


def test_a_line_has_a_low_ceiling_and_a_half_a_high_one(tmp_path):
    line = np.zeros((96, 96), int)
    line[:, 48:50] = 1
    half = np.zeros((96, 96), int)
    half[:, 48:] = 1
    thin, thick = (
        measured(dataset(tmp_path / name, [noise(n, (96, 96)) for n in range(3)], [mask] * 3))
        for name, mask in (("line", line), ("half", half))
    )
    assert thick.classes[1].ceiling[-1] > 0.95
    assert thin.classes[1].ceiling[-1] < 0.3
    assert thin.classes[1].thickness == pytest.approx(2 * 4 / np.pi, rel=0.05)
    assert thin.mean_ceiling(0.125) < thick.mean_ceiling(0.125)
    assert thin.ceiling_of_size((96, 96)) == (1.0, 1.0)
    assert thin.ceiling_of_size((12, 12))[1] == pytest.approx(thin.classes[1].ceiling[-1])
    assert thin.ceiling_of_size((1, 1))[1] == 0


@given(
    first=st.floats(0.01, 2),
    second=st.floats(0.01, 2),
    drops=st.lists(st.floats(0, 0.16), min_size=6, max_size=6),
)
def test_the_ceiling_never_rises_at_smaller_scales(first, second, drops):
    ceilings = 1 - np.cumsum([0, *drops])
    low, high = (interpolated(scale, module.SCALES, ceilings) for scale in sorted((first, second)))
    assert 0 <= low <= high + 1e-12 <= 1 + 2e-12


# The fingerprint


def test_sizes_shares_and_regions(tmp_path):
    masks = [np.zeros((32, 48), int) for _ in range(4)]
    masks[0][4:8, 4:12] = 1
    masks[0][20:24, 4:12] = 1
    masks[1][:, :6] = 255
    images = [noise(number) for number in range(3)]
    images.append(noise(3, (48, 32)))
    masks[3] = np.zeros((48, 32), int)
    found = measured(dataset(tmp_path, images, masks, ignore_class=255))
    assert (found.n_images, found.n_sampled, found.n_groups) == (4, 4, 4)
    assert found.sizes == {"32x48": 3, "48x32": 1}
    assert (found.min_size, found.median_size) == ((32, 32), (32, 48))
    assert found.aspect_ratios == (2 / 3, 1.5, 1.5)
    assert (found.bits, found.encoding, found.ignore_class) == (8, "ids", 255)
    background, box = found.classes
    labeled = 4 * 32 * 48 - 32 * 6
    assert box.pixel_share == pytest.approx(64 / labeled)
    assert (box.image_share, box.regions_per_image, box.region_area) == (0.25, 2, 32)
    assert background.pixel_share == pytest.approx(1 - 64 / labeled)


def test_values_are_those_of_the_images(tmp_path):
    images = [np.full((8, 8, 3), value) for value in ((0, 51, 102), (255, 153, 102))]
    found = measured(dataset(tmp_path, images, [np.eye(8, dtype=int)] * 2))
    assert found.channels == 3
    assert found.value_range == (0, 1)
    assert found.mean == pytest.approx((0.5, 0.4, 0.4))
    assert found.std == pytest.approx((0.5, 0.2, 0), abs=1e-6)


def test_images_with_equal_channels_are_gray(tmp_path):
    images = [noise(number, channels=1).repeat(3, axis=2) for number in range(3)]
    assert measured(dataset(tmp_path, images, [np.eye(32, 48, dtype=int)] * 3)).channels == 1


def test_arrays_keep_their_channels_and_bits(tmp_path):
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 9000, (16, 16, 5), np.uint16)
        (tmp_path / "images").mkdir(exist_ok=True)
        np.save(tmp_path / "images" / f"{number}.npy", image)
        save(np.eye(16, dtype=np.uint8), tmp_path / "masks" / f"{number}.png")
    found = measured(
        unetv2.SegmentationDataset.from_folders(
            tmp_path / "images", tmp_path / "masks", n_classes=3, channels=5
        )
    )
    assert (found.channels, found.bits, len(found.mean)) == (5, 16, 5)
    # A class that does not occur loses nothing.
    assert found.classes[2].pixel_share == 0
    assert set(found.classes[2].ceiling) == {1.0}


def test_without_a_number_of_classes_there_is_one_row_for_each_id(tmp_path):
    masks = [np.full((16, 16), 7), np.full((16, 16), 3)]
    data = dataset(tmp_path, [noise(n, (16, 16)) for n in range(2)], masks, n_classes=8)
    # As in `make_dataset`, which allows any id.
    labels = dataclasses.replace(data.source.labels, n_classes=None)
    source = dataclasses.replace(data.source, labels=labels)
    data = dataclasses.replace(data, source=source)
    found = measured(data)
    assert [row.id for row in found.classes] == [3, 7]
    assert found.n_classes == 8


def test_large_masks_are_measured_in_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_REGION_WINDOW", 64)
    mask = np.zeros((700, 700), int)
    mask[11:20, 10:21] = 1
    found = measured(dataset(tmp_path, [noise(0, (700, 700))], [mask]))
    assert found.classes[1].region_area == 99
    assert found.classes[1].ceiling[-1] < 0.5 < found.classes[1].ceiling[2] < 1


def test_the_dict_is_json_and_gives_the_same_fingerprint(tmp_path):
    rng = np.random.default_rng(0)
    data = dataset(tmp_path, [noise(n) for n in range(3)], [blobs(rng, (32, 48))] * 3)
    found = measured(data)
    content = json.loads(json.dumps(found.as_dict()))
    assert content == found.as_dict()
    assert unetv2.Fingerprint.from_dict(content) == found
    del content["sizes"]
    with pytest.raises(ValueError, match="`content` must .*Received: 'sizes'"):
        unetv2.Fingerprint.from_dict(content)


def test_the_text_names_classes_and_escapes_them(tmp_path):
    table = unetv2.ClassTable(("sky\n", "road"), ((0, 0, 200), (128, 64, 128)))
    data = dataset(tmp_path, [noise(0)], [np.eye(32, 48, dtype=int)], classes=table, n_classes=None)
    text = str(measured(data))
    assert "sky\\n" in text
    assert "ceiling" in text
    assert "1 32x48" in text


def test_sizes_and_scales_must_be_positive(tmp_path):
    found = measured(dataset(tmp_path, [noise(0)], [np.eye(32, 48, dtype=int)]))
    with pytest.raises(ValueError, match="`scale` must .*scale=0"):
        found.mean_ceiling(0)
    with pytest.raises(ValueError, match=r"`size` must .*size=\(0, 4\)"):
        found.ceiling_of_size((0, 4))


def test_different_sizes_of_image_and_mask_are_an_error(tmp_path):
    data = dataset(tmp_path, [noise(0)], [np.eye(16, dtype=int)])
    with pytest.raises(ValueError, match=r"32x48 in '.*0000.png' and 16x16"):
        measured(data)


def test_the_sample_is_spread_and_of_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MAX_PAIRS", 5)
    monkeypatch.setattr(module, "_MIN_PAIRS", 2)
    monkeypatch.setattr(module, "_MAX_THUMBNAILS", 16)
    images = [noise(n, (8, 8)) for n in range(30)]
    found = measured(dataset(tmp_path, images, [np.eye(8, dtype=int)] * 30))
    assert (found.n_images, found.n_sampled, found.sizes) == (30, 5, {"8x8": 30})
    parts = module._spread(30, 5)
    assert [index // 6 for index in parts] == [0, 1, 2, 3, 4]


# Symmetries


@pytest.mark.parametrize("n", [5, 40])
@pytest.mark.parametrize("kind", [blobs, street])
def test_streets_have_a_direction_and_blobs_have_none(kind, n):
    rng = np.random.default_rng(0)
    masks = [kind(rng) for _ in range(n)]
    images = [(mask * 100 + rng.integers(0, 100, mask.shape)).astype(np.uint8) for mask in masks]
    results = asymmetries(
        [class_maps(mask) for mask in masks],
        [thumbnail(image[..., np.newaxis]) for image in images],
        [0, 1],
    )
    allowed = {name: symmetric for name, (_, symmetric) in results.items()}
    any_way = kind is blobs
    assert allowed == {"horizontal_flip": True, "vertical_flip": any_way, "transpose": any_way}


# Sequences and near-duplicates


def drifting(rng, n_frames):
    """Frames of a slowly changing image."""
    frame = rng.integers(0, 256, (16, 16, 3)).astype(float)
    for _ in range(n_frames):
        frame = frame + rng.normal(0, 12, frame.shape)
        yield np.clip(frame, 0, 255).repeat(2, axis=0).repeat(2, axis=1)


def test_sequences_are_found_in_names_and_images(tmp_path):
    rng = np.random.default_rng(0)
    images = [frame for _ in range(3) for frame in drifting(rng, 6)]
    names = [f"Seq{video}_f{10 * frame:04d}" for video in range(3) for frame in range(6)]
    data = dataset(tmp_path, images, [np.eye(32, dtype=int)] * 18, names)
    found = measured(data)
    assert found.n_groups == 3
    assert {re.search(found.group_by, name)[1][:4] for name in names} == {"Seq0", "Seq1", "Seq2"}
    # It is valid for the split, which keeps the groups together.
    subsets = subset_of_keys(data.pairs, split=(0.5, 0.5, 0), seed=0, group_by=found.group_by)
    assert len({(key[:4], subset) for key, subset in subsets.items()}) == 3


def test_names_alone_are_no_sequences(tmp_path):
    names = [f"Seq{video}_f{frame}" for video in range(3) for frame in range(6)]
    images = [noise(number, (32, 32)) for number in range(18)]
    found = measured(dataset(tmp_path, images, [np.eye(32, dtype=int)] * 18, names))
    assert (found.group_by, found.n_groups) == (None, 18)


def test_kinds_of_images_are_no_sequences(tmp_path):
    rng = np.random.default_rng(0)
    kinds = [rng.integers(60, 196, (16, 16, 3)) for _ in range(2)]
    images = [
        np.clip(kind + rng.normal(0, 40, kind.shape), 0, 255).repeat(2, axis=0).repeat(2, axis=1)
        for kind in kinds
        for _ in range(10)
    ]
    names = [f"{name}_{number}" for name in ("beach", "forest") for number in range(10)]
    found = measured(dataset(tmp_path, images, [np.eye(32, dtype=int)] * 20, names))
    assert found.group_by is None


def test_near_duplicates_are_found_under_other_names(tmp_path):
    images = [noise(number // 2 if number < 2 else number, (32, 32)) for number in range(8)]
    images[1] = np.clip(images[0] + 1, 0, 255)
    names = ["first", "other", *"abcdef"]
    found = measured(dataset(tmp_path, images, [np.eye(32, dtype=int)] * 8, names))
    assert found.near_duplicates == (("first", "other"),)


# Cache


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A data set, its cache folder, and a function that counts measurements."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = dataset(tmp_path, [noise(n) for n in range(2)], [np.eye(32, 48, dtype=int)] * 2)
    calls = []
    real = module._Measurement.result

    def result(self, progress):
        calls.append(1)
        return real(self, progress)

    monkeypatch.setattr(module._Measurement, "result", result)
    return data, tmp_path / "cache" / "unetv2" / "fingerprints", calls


def test_a_second_call_reads_the_cache(cached):
    data, folder, calls = cached
    assert measured(data, cache=True) == measured(data, cache=True)
    assert len(calls) == 1
    assert len(list(folder.iterdir())) == 1
    measured(data, cache=False)
    assert len(calls) == 2


def test_changed_files_and_options_are_not_in_the_cache(cached):
    data, _, calls = cached
    measured(data, cache=True)
    save(noise(7).astype(np.uint8), Path(data.pairs[0].image))
    changed = measured(data, cache=True)
    assert len(calls) == 2
    source = dataclasses.replace(
        data.source, labels=dataclasses.replace(data.source.labels, ignore_class=1)
    )
    other = measured(dataclasses.replace(data, source=source), cache=True)
    assert other.ignore_class == 1
    assert changed.ignore_class is None
    assert len(calls) == 3


@pytest.mark.parametrize("damage", [lambda text: text[:-9], lambda text: text.replace("0.", "1.")])
def test_a_damaged_entry_is_measured_again(cached, damage):
    data, folder, calls = cached
    first = measured(data, cache=True)
    (entry,) = folder.iterdir()
    entry.write_text(damage(entry.read_text()))
    assert measured(data, cache=True) == first
    assert len(calls) == 2
    assert measured(data, cache=True) == first
    assert len(calls) == 2


def test_an_unwritable_cache_is_only_logged(cached, monkeypatch, tmp_path, caplog):
    data, _, _ = cached
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert measured(data, cache=True).n_images == 2
    assert "The fingerprint is not cached" in caplog.text


# The validation report


def test_the_validation_report_contains_the_fingerprint(tmp_path):
    data = dataset(tmp_path, [noise(n) for n in range(3)], [np.eye(32, 48, dtype=int)] * 3)
    report = data.check(output=tmp_path / "report", progress=False)
    assert report.fingerprint == measured(data)
    assert str(report.fingerprint) in str(report)
    stored = json.loads((tmp_path / "report" / "report.json").read_text())["fingerprint"]
    assert unetv2.Fingerprint.from_dict(stored) == report.fingerprint


def test_pairs_with_errors_are_not_in_the_fingerprint(tmp_path):
    masks = [np.eye(32, 48, dtype=int), np.full((32, 48), 9), np.eye(32, 48, dtype=int)]
    data = dataset(tmp_path, [noise(n) for n in range(3)], masks)
    assert data.check(progress=False).fingerprint.n_images == 2
    for path in (tmp_path / "masks").iterdir():
        save(np.full((32, 48), 9, np.uint8), path)
    report = data.check(progress=False)
    assert report.fingerprint is None
    assert json.loads(report.to_json())["fingerprint"] is None


# The warning of a small image size


def vessels(seed, size=(256, 256)):
    mask = np.zeros(size, int)
    for row in np.random.default_rng(seed).integers(0, size[0] - 2, 12):
        mask[row : row + 2] = 1
    return mask


@pytest.mark.parametrize(
    ("mask", "options", "warns"),
    [
        (vessels, {}, True),
        (vessels, {"image_size": (64, 256)}, True),
        (vessels, {"resize": "crop", "image_size": (48, 96)}, True),
        (vessels, {"image_size": (256, 256)}, False),
        (vessels, {"image_size": None}, False),
        (vessels, {"subset": "test", "split": (0, 0, 1)}, False),
        (lambda seed: street(np.random.default_rng(seed), (256, 256)), {}, False),
    ],
)
def test_a_size_that_loses_a_class_is_logged(tmp_path, caplog, mask, options, warns):
    table = unetv2.ClassTable(("background", "vessel"), ((0, 0, 0), (255, 255, 255)))
    masks = [mask(number) for number in range(4)]
    for number in range(4):
        save(noise(number, (256, 256)).astype(np.uint8), tmp_path / "i" / f"{number}.png")
        save(masks[number].astype(np.uint8), tmp_path / "m" / f"{number}.png")
    with caplog.at_level(logging.WARNING, "unetv2"):
        unetv2.make_dataset(tmp_path / "i", tmp_path / "m", classes=table, **options)
    found = [record.getMessage() for record in caplog.records]
    assert len(found) == warns
    if warns:
        assert "class 1 ('vessel')" in found[0]
        assert "256x256" in found[0]
        assert "crop_size" in found[0]
