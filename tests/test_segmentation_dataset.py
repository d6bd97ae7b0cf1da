"""SegmentationDataset: sources, subsets and derived data sets."""

from __future__ import annotations

import dataclasses
import gc
import inspect
import logging
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import tensorflow as tf
from conftest import save
from test_dataset import collect

import unetv2
from unetv2.data.dataset_info import info_of
from unetv2.data.io.open import Header
from unetv2.data.labels import Labels
from unetv2.data.pairs import LabelSource, Pair
from unetv2.preprocessing import Preprocessing, of_dataset

SIZE = (6, 8)


@dataclass(frozen=True)
class MemorySource(LabelSource):
    """Images in files, and class ids in memory."""

    labels: Labels
    images: dict
    masks: dict
    description = "memory"

    @property
    def pairs(self):
        return tuple(Pair(key, path, "") for key, path in sorted(self.images.items()))

    def files(self, pair):
        return (pair.image,)

    def mask_header(self, pair):
        return Header("memory", "L", self.masks[pair.key].shape, 8)

    def read_mask(self, pair):
        return self.masks[pair.key]


@pytest.fixture
def memory(tmp_path):
    rng = np.random.default_rng(0)
    images, masks = {}, {}
    for number in range(5):
        key = f"frame{number}"
        images[key] = str(tmp_path / f"{key}.png")
        save(rng.integers(0, 255, (*SIZE, 3), np.uint8), tmp_path / f"{key}.png")
        masks[key] = rng.integers(0, 3, SIZE, np.uint8)
    return MemorySource(Labels(n_classes=3), images, masks)


@pytest.mark.parametrize("cache", ["memory", None, "folder"])
def test_a_source_provides_only_pairs_and_masks(memory, tmp_path, cache):
    data = unetv2.SegmentationDataset(
        source=memory, preprocessing=Preprocessing(image_size=SIZE, resize="stretch")
    )
    assert (data.n_classes, data.n_images, data.ignore_class, data.classes) == (3, 5, None, None)
    options = {"cache": tmp_path / "cache" if cache == "folder" else cache, "shuffle": False}
    for _ in range(2):
        _, masks = collect(data.batches(batch_size=2, **options))
        for pair, mask in zip(data.pairs, masks, strict=True):
            np.testing.assert_array_equal(mask[..., 0], memory.masks[pair.key])
    with pytest.raises(ValueError, match="`check` must .* Received: .*MemorySource"):
        data.check()


def test_make_dataset_is_from_folders_and_batches(write_pairs):
    folders = write_pairs(9)
    options = {"n_classes": 3, "image_size": SIZE, "seed": 4, "crop_size": (3, 4)}
    batching = {"batch_size": 2, "subset": "train", "augmentation": "light"}
    expected = collect(unetv2.make_dataset(*folders, **options, **batching))
    data = unetv2.SegmentationDataset.from_folders(*folders, **options)
    for arrays in zip(expected, collect(data.batches(**batching)), strict=True):
        np.testing.assert_array_equal(*arrays)
    assert list(data.subset("train").pairs) == [
        p for p in data.pairs if p in set(data.subset("train").pairs)
    ]


def test_make_dataset_has_the_options_of_from_folders_and_batches():
    def options(function):
        return {
            name: value.default
            for name, value in inspect.signature(function).parameters.items()
            if name != "self"
        }

    make = options(unetv2.make_dataset)
    # `from_folders` infers these from the files.
    explicit = {"encoding": "ids", "channels": 3, "image_suffix": "", "mask_suffix": ""}
    made = options(unetv2.SegmentationDataset.from_folders)
    assert {name: made.pop(name) for name in explicit} == dict.fromkeys(explicit)
    assert made.pop("subset_keys") is None
    made |= explicit
    batches = options(unetv2.SegmentationDataset.batches)
    # It names pairs of a data set that exists.
    assert batches.pop("frequencies") is None
    assert make == made | batches
    assert (
        options(unetv2.check_dataset).items() <= {**made, "output": None, "progress": True}.items()
    )


def test_a_data_set_lists_no_file_before_it_is_needed(write_pairs):
    images, masks = write_pairs(3)
    data = unetv2.SegmentationDataset.from_folders(
        images, masks, n_classes=3, encoding="ids", channels=3, image_suffix="", mask_suffix=""
    )
    (images / "0001.png").unlink()
    assert (
        "1 mask without an image" in str(data.check(progress=False))
        or not data.check(progress=False).ok
    )
    with pytest.raises(ValueError, match="1 mask without an image"):
        _ = data.pairs
    with pytest.raises(FileNotFoundError, match="`mask_dir` .* Received: .*nowhere"):
        unetv2.SegmentationDataset.from_folders(images, masks / "nowhere")


KEYS = {"train": ["0003", "0000"], "test": ["0002"]}


def test_subsets_are_those_of_the_keys(write_pairs):
    data = unetv2.SegmentationDataset.from_folders(*write_pairs(5), subset_keys=KEYS)
    found = {name: [pair.key for pair in data.subset(name).pairs] for name in KEYS}
    assert found == {"train": ["0000", "0003"], "test": ["0002"]}
    # All pairs, also those in no subset.
    assert data.n_images == 5
    with pytest.raises(ValueError, match=r"subset='validation'.* `subset_keys`"):
        _ = data.subset("validation").pairs
    report = data.check(progress=False)
    assert dict(report.subsets) == {"train": 2, "validation": 0, "test": 1}
    batches = data.batches("train", batch_size=1, shuffle=False)
    assert len(list(batches)) == 2
    assert pickle.loads(pickle.dumps(data)) == data
    whole = dataclasses.replace(data, subset_keys=None)
    assert whole.subset("train").n_images > 2


def test_a_copy_in_another_subset_is_leakage_only_if_both_are_in_one(write):
    image = np.zeros((24, 32, 3), np.uint8)
    image[0] = 9
    folders = write(*[np.eye(24, 32, dtype=np.uint8)] * 2, images=[image] * 2)
    kinds = []
    for keys in ({"train": ["0"], "test": ["1"]}, {"train": ["0"]}):
        data = unetv2.SegmentationDataset.from_folders(*folders, subset_keys=keys)
        kinds.append([problem.kind for problem in data.check(progress=False).problems])
    assert kinds == [["leakage"], ["duplicate"]]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"train": ["0000", "0009"]}, "`subset_keys` must hold keys of pairs.*'0009' in 'train'"),
        ({"train": ["0000"], "test": ["0000"]}, "a key once. Received: '0000' 2 times"),
        ({"test": ["0000", "0000"]}, "a key once. Received: '0000' 2 times"),
        ({"val": ["0000"]}, "`subset_keys` must be .* Received: subset_keys='val'"),
        ({"train": "0000"}, "`subset_keys` must hold lists of str. Received: '0000' in 'train'"),
        ({"train": [0]}, r"`subset_keys` must hold lists of str. Received: \[0\] in 'train'"),
        ({"train": 7}, "`subset_keys` must hold lists of str. Received: 7 in 'train'"),
        (["0000"], "`subset_keys` must be a mapping"),
    ],
)
def test_unknown_and_repeated_keys_are_errors(write_pairs, keys, message):
    folders = write_pairs(2)
    with pytest.raises((TypeError, ValueError), match=message):
        _ = unetv2.SegmentationDataset.from_folders(*folders, subset_keys=keys).pairs


def make(folders, **options):
    return unetv2.make_dataset(*folders, n_classes=3, image_size=SIZE, batch_size=2, **options)


SAME = {
    "take": lambda data: data.take(1),
    "map": lambda data: data.map(lambda image, mask: (1 - image, mask)),
    "skip, cache, prefetch": lambda data: data.skip(1).cache().prefetch(1),
    "rebatch": lambda data: data.unbatch().batch(3),
    "repeat": lambda data: data.repeat(),
}
OTHER = {
    "size": lambda data: data.map(lambda image, mask: (image[:, ::2], mask[:, ::2])),
    "dtype": lambda data: data.map(lambda image, mask: (tf.cast(image, tf.uint8), mask)),
    "channels": lambda data: data.map(lambda image, mask: (image[..., :1], mask)),
    "images alone": lambda data: data.map(lambda image, _: image),
    "dict": lambda data: data.map(lambda image, mask: {"image": image, "mask": mask}),
}


@pytest.mark.parametrize("name", SAME)
def test_the_preprocessing_of_a_derived_data_set_is_assumed_and_logged(write_pairs, caplog, name):
    data = make(write_pairs(4))
    known = of_dataset(data)
    derived = SAME[name](data)
    del data
    gc.collect()
    assert not caplog.messages
    with caplog.at_level(logging.WARNING, "unetv2"):
        assert of_dataset(derived) == known
    assert "derived from one of `make_dataset`" in caplog.text
    assert info_of(derived) is None


@pytest.mark.parametrize("name", OTHER)
def test_the_preprocessing_of_other_images_is_unknown(write_pairs, name):
    derived = OTHER[name](make(write_pairs(4)))
    assert of_dataset(derived) is None
    assert info_of(derived) is None


def test_no_attribute_is_added_to_data_sets(write_pairs):
    data = make(write_pairs(4))
    assert not [name for name in dir(data) if "unetv2" in name]
    assert of_dataset(np.zeros(3)) is info_of(tf.data.Dataset.range(3)) is None


def test_crop_size_and_padding_are_validated(write_pairs):
    folders = write_pairs(2)
    with pytest.raises(
        ValueError,
        match="`crop_size` must .* Received: crop_size=(7, 8)".replace("(", r"\(").replace(
            ")", r"\)"
        ),
    ):
        unetv2.SegmentationDataset.from_folders(*folders, image_size=SIZE, crop_size=(7, 8))
    with pytest.raises(ValueError, match="`ignore_class` must .* Received: resize='pad'"):
        unetv2.SegmentationDataset.from_folders(*folders, resize="pad")
    with pytest.raises(ValueError, match="`subset` must .* Received: subset='val'"):
        unetv2.SegmentationDataset.from_folders(*folders).subset("val")


def test_frequencies_repeat_pairs_within_epochs_of_the_same_length(tmp_path):
    folders = unetv2.synthetic.write_driving_scenes(tmp_path / "s", 8, image_size=(8, 8))
    data = unetv2.SegmentationDataset.from_folders(*folders, classes=unetv2.CARLA, image_size=None)
    masks = {data.read_mask(pair).tobytes(): pair.key for pair in data.pairs}
    batches = data.batches(batch_size=1, frequencies={"000003": 4.0})
    epochs = [
        [masks[mask.numpy().astype(np.uint8).tobytes()] for _, mask in batches] for _ in range(11)
    ]
    assert {len(epoch) for epoch in epochs} == {8}
    # 4 of 11 parts.
    assert sum(epoch.count("000003") for epoch in epochs) in range(29, 36)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    with pytest.raises(ValueError, match=r"`frequencies\['000003'\]`"):
        data.batches(frequencies={"000003": 0})
