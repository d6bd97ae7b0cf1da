from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_files import find_pairs

from unetv2.data.pairs import SUBSETS, Pair, split_pairs
from unetv2.data.sources.folders import match_images


def touch(directory, *names):
    directory.mkdir(exist_ok=True, parents=True)
    for name in names:
        (directory / name).write_bytes(b"")
    return directory


def made_up(n, start=0):
    return [Pair(f"{number:06d}", f"i/{number}", f"m/{number}") for number in range(start, n)]


def test_files_are_paired_by_name_without_extension_never_by_order(tmp_path):
    images = touch(tmp_path / "i", "b.JPG", "a.png", "10.jpeg", "9.png")
    masks = touch(tmp_path / "m", "9.png", "a.PNG", "b.png", "10.png")
    found = find_pairs(images, masks)
    assert [pair.key for pair in found] == ["10", "9", "a", "b"]
    for pair in found:
        for path in (pair.image, pair.mask):
            assert Path(path).stem == pair.key


def test_hidden_and_other_files_and_folders_are_ignored(tmp_path):
    images = touch(tmp_path / "i", "a.png", ".b.png", "notes.txt", "Thumbs.db")
    (images / "c.png").mkdir()
    masks = touch(tmp_path / "m", "a.png", ".DS_Store")
    assert [pair.key for pair in find_pairs(images, masks)] == ["a"]


@pytest.mark.parametrize("name", ["with space", "quote'\"", "straße", "日本", "line\nbreak", "a.b"])
def test_unusual_names_are_paired(tmp_path, name):
    images, masks = touch(tmp_path / "i", f"{name}.jpg"), touch(tmp_path / "m", f"{name}.png")
    assert [pair.key for pair in find_pairs(images, masks)] == [name]


def test_images_without_a_partner_are_refused(tmp_path):
    images = touch(tmp_path / "i", *(f"{number}.png" for number in range(8)), "both.png")
    masks = touch(tmp_path / "m", "lonely.png", "both.png")
    message = (
        r"Every image needs a mask with the same file name, extensions and suffixes aside. "
        r"Received: 8 images without a mask in '.*m' \('0.png', '1.png', '2.png', '3.png', "
        r"'4.png', ...\), 1 mask without an image in '.*i' \('lonely.png'\)"
    )
    with pytest.raises(ValueError, match=message):
        find_pairs(images, masks)


def test_two_images_of_one_name_are_refused(tmp_path):
    images = touch(tmp_path / "i", "a.png", "a.jpg")
    masks = touch(tmp_path / "m", "a.png")
    with pytest.raises(
        ValueError, match="`image_dir` must hold one image of each name.*a.png.*Remove one|a.jpg"
    ):
        find_pairs(images, masks)


def test_missing_and_empty_folders_are_refused(tmp_path):
    images = touch(tmp_path / "i", "a.png")
    empty = touch(tmp_path / "e", "a.txt")
    with pytest.raises(FileNotFoundError, match="`mask_dir` must be an existing folder.*nowhere"):
        find_pairs(images, tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="`image_dir` must be a folder.*a.png"):
        find_pairs(images / "a.png", images)
    with pytest.raises(ValueError, match=r"`mask_dir` must hold images \(.png, .jpg, .*\)"):
        find_pairs(images, empty)


def test_the_same_folder_for_both_is_an_error(tmp_path):
    images = touch(tmp_path / "i", "a.png")
    with pytest.raises(ValueError, match="`mask_dir` must be another folder than `image_dir`"):
        find_pairs(images, images / ".." / "i")


@given(n=st.integers(40, 300), seed=st.integers(0, 99))
def test_the_subsets_are_disjoint_and_cover_all(n, seed):
    pairs = made_up(n)
    subsets = [split_pairs(pairs, name, split=(0.5, 0.25, 0.25), seed=seed) for name in SUBSETS]
    together = [pair for subset in subsets for pair in subset]
    assert len(together) == len(set(together)) == n
    assert set(together) == set(pairs)


@given(seed=st.integers(0, 99))
def test_adding_files_changes_no_subset(seed):
    before = split_pairs(made_up(500), "validation", seed=seed)
    after = split_pairs(made_up(900), "validation", seed=seed)
    assert [pair for pair in after if int(pair.key) < 500] == before


def test_fractions_of_the_split_hold_on_average():
    pairs = made_up(20_000)
    shares = [len(split_pairs(pairs, name, split=(0.7, 0.2, 0.1))) / 20_000 for name in SUBSETS]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.01)


def test_the_split_is_the_same_on_all_machines():
    # So that a model evaluated on another machine never sees what it was trained on.
    chosen = [pair.key for pair in split_pairs(made_up(40), "test", seed=0)]
    assert chosen == ["000002", "000009", "000016", "000017", "000026"]
    assert chosen != [pair.key for pair in split_pairs(made_up(40), "test", seed=1)]


def test_without_a_subset_all_pairs_are_returned():
    assert split_pairs(made_up(9), None) == made_up(9)


def test_an_empty_subset_is_an_error():
    with pytest.raises(
        ValueError, match="`subset` must hold at least one pair. .*subset='test'.*2 pairs.*seed=0"
    ):
        split_pairs(made_up(2), "test")


@pytest.mark.parametrize("split", [(0.5, 0.5), (0.9, 0.2, -0.1), (0.5, 0.2, 0.2), (1, 1, 1)])
def test_the_split_must_be_three_fractions_with_sum_one(split):
    with pytest.raises(ValueError, match=r"`split` must be .* Received: split="):
        split_pairs(made_up(9), "train", split=split)


def test_subset_and_seed_are_checked():
    with pytest.raises(ValueError, match="`subset` must be one of 'train', 'validation', 'test'"):
        split_pairs(made_up(9), "val")
    with pytest.raises(ValueError, match="`seed` must be a non-negative integer"):
        split_pairs(made_up(9), "train", seed=-1)


def test_suffixes_are_not_part_of_the_key(tmp_path):
    images = touch(tmp_path / "i" / "aachen", "a_000_leftImg8bit.png", "b_000_leftImg8bit.png")
    masks = touch(
        tmp_path / "m" / "aachen",
        "a_000_gtFine_labelIds.png", "b_000_gtFine_labelIds.png",
        "a_000_gtFine_color.png", "a_000_gtFine_instanceIds.png",
    )  # fmt: skip
    found = find_pairs(
        images.parent, masks.parent,
        image_suffix="_leftImg8bit", mask_suffix="_gtFine_labelIds",
    )  # fmt: skip
    assert [pair.key for pair in found] == ["aachen/a_000", "aachen/b_000"]
    assert found[0].mask.endswith("a_000_gtFine_labelIds.png")


@pytest.mark.parametrize("suffixes", [("", "_mask"), ("_image", ""), ("_image", "_mask")])
def test_images_and_masks_may_be_in_one_folder_with_a_suffix(tmp_path, suffixes):
    names = [f"{stem}{suffix}.png" for stem in ("a", "b") for suffix in suffixes]
    both = touch(tmp_path / "both", *names)
    found = find_pairs(both, both, image_suffix=suffixes[0], mask_suffix=suffixes[1])
    assert [pair.key for pair in found] == ["a", "b"]
    assert found[0].mask.endswith(f"a{suffixes[1]}.png")
    assert found[0].image.endswith(f"a{suffixes[0]}.png")


def test_subfolders_are_paired_by_path(tmp_path):
    for side in ("i", "m"):
        for folder in ("day", "night/rain"):
            touch(tmp_path / side / folder, "0.png")
        touch(tmp_path / side / ".hidden", "1.png")
    found = find_pairs(tmp_path / "i", tmp_path / "m")
    assert [pair.key for pair in found] == ["day/0", "night/rain/0"]


def test_circular_links_are_followed_once(tmp_path):
    for side in ("i", "m"):
        folder = touch(tmp_path / side / "real", "0.png")
        (folder / "loop").symlink_to(tmp_path / side, target_is_directory=True)
        (tmp_path / side / "other").symlink_to(folder, target_is_directory=True)
    found = find_pairs(tmp_path / "i", tmp_path / "m")
    assert [pair.key for pair in found] == ["other/0", "real/0"]


def test_images_and_masks_without_a_partner_are_reported(tmp_path):
    images = touch(tmp_path / "i", "a.png", "b.png", "c.png")
    masks = touch(tmp_path / "m", "b.png", "d.png")
    found = match_images(images, masks)
    assert [pair.key for pair in found.pairs] == ["b"]
    assert [Path(path).name for path in found.images_alone] == ["a.png", "c.png"]
    assert [Path(path).name for path in found.masks_alone] == ["d.png"]


@given(seed=st.integers(0, 50), by_function=st.booleans())
def test_no_group_is_in_two_subsets(seed, by_function):
    pairs = [Pair(f"seq{n // 7:03d}_{n:05d}", "i", "m") for n in range(700)]
    group_by = (lambda key: key[:6]) if by_function else r"^(seq\d+)_"
    sides = [
        {pair.key[:6] for pair in split_pairs(pairs, name, seed=seed, group_by=group_by)}
        for name in SUBSETS
    ]
    assert sum(len(side) for side in sides) == len(set().union(*sides)) == 100


def test_group_by_must_match_and_be_a_pattern():
    with pytest.raises(ValueError, match="`group_by` must match the key of every pair. .*'000000'"):
        split_pairs(made_up(9), "train", group_by="^seq")
    with pytest.raises(ValueError, match="`group_by` must be a regular expression or a function"):
        split_pairs(made_up(9), "train", group_by="(")
