"""Training on a SegmentationDataset, and on data derived from one."""

from __future__ import annotations

import pytest
from small_training import N_CLASSES, PLAIN, SIZE, network

import unetv2


@pytest.fixture
def data(write_pairs):
    folders = write_pairs(n=12, size=SIZE)
    return unetv2.SegmentationDataset.from_folders(
        *folders, n_classes=N_CLASSES, image_size=SIZE, split=(0.5, 0.25, 0.25)
    )


def test_a_segmentation_dataset_provides_its_subsets(tmp_path, data):
    recipe = unetv2.recipes.get(PLAIN, batch_size=2)
    by_object, by_batches = network(), network()
    options = {"recipe": recipe, "epochs": 1, "progress": False}
    training = unetv2.train(by_object, data, data, output_dir=tmp_path / "object", **options)
    expected = unetv2.train(
        by_batches,
        data.batches(subset="train", batch_size=2),
        data.batches(subset="validation", batch_size=2),
        output_dir=tmp_path / "batches",
        **options,
    )
    assert training.history == expected.history
    assert by_object.preprocessing == data.preprocessing


def test_a_subset_is_trained_on_unchanged(tmp_path, data):
    recipe = unetv2.recipes.get(PLAIN, batch_size=data.subset("test").n_images)
    unetv2.train(
        network(), data.subset("test"), None, recipe=recipe, epochs=1, output_dir=tmp_path / "run",
        progress=False,
    )  # fmt: skip
    run = (tmp_path / "run" / "run.json").read_text()
    assert f'"n_pairs": {data.subset("test").n_images},' in run
