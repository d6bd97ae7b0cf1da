"""Findings of the validation in folders, files and images."""

from __future__ import annotations

import numpy as np
import pytest
from checked_folders import SIZE, TABLE, check, kinds, only, regions
from conftest import save

import unetv2
from unetv2.data.dataset import check_dataset


def test_a_clean_data_set_has_no_problem(write):
    report = check(write(regions(0, 1, 2), regions(2, 1)), n_classes=3)
    assert report.ok
    assert report.problems == ()
    assert report.n_pairs == sum(report.subsets.values()) == 2
    assert "0 errors, 0 warnings" in str(report)


def test_images_without_a_partner_are_errors(write):
    folders = write(regions(0, 1), regions(0, 1), regions(0, 1))
    (folders[1] / "0.png").unlink()
    (folders[0] / "2.png").unlink()
    report = check(folders)
    assert kinds(report) == ["missing_mask", "missing_image"]
    assert [problem.path for problem in report.problems] == [
        str(folders[0] / "0.png"),
        str(folders[1] / "2.png"),
    ]
    assert not report.ok
    assert report.n_pairs == 1


def test_folders_without_any_pair_are_an_error(write):
    folders = write(regions(0, 1))
    (folders[1] / "0.png").rename(folders[1] / "0_mask.png")
    report = check(folders)
    assert kinds(report) == ["no_pairs", "missing_mask", "missing_image"]
    assert "Pass `image_suffix` or `mask_suffix`" in str(report)
    assert check(folders, mask_suffix="_mask").ok


@pytest.mark.parametrize("folder", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_broken_files_are_errors_with_their_text_and_the_rest_is_checked(write, folder, share):
    folders = write(regions(0, 1), regions(0, 2), regions(0, 3))
    broken = folders[folder] / "1.png"
    noise = np.random.default_rng(0).integers(0, 9, SIZE, dtype=np.uint8)
    save(noise, broken)
    content = broken.read_bytes()
    broken.write_bytes(content[: int(share * len(content))])
    report = check(folders)
    message = only(report, ("unreadable_image", "unreadable_mask")[folder])
    assert "'1.png' must be a readable image" in message
    assert report.problems[0].path == str(broken)
    assert {row.id for row in report.classes} >= {0, 1, 3}


def test_images_above_the_limit_are_errors(write):
    report = check(write(regions(0, 1)), max_pixels=100)
    assert kinds(report) == ["unreadable_image", "unreadable_mask"]
    assert "must have at most `max_pixels`=100 pixels" in report.problems[0].message


def test_two_sizes_in_a_pair_are_an_error(write):
    report = check(write(regions(0, 1, size=(24, 30))))
    assert only(report, "size_mismatch") == "the image is 24x32, the mask 24x30"


def test_jpeg_masks_are_errors(write):
    folders = write(regions(0, 1))
    (folders[1] / "0.png").unlink()
    save(regions(0, 1), folders[1] / "0.jpg")
    report = check(folders)
    assert only(report, "lossy_mask") == "JPEG changes ids at every edge"
    assert report.mask_formats == {"JPEG L": 1}


def test_formats_and_sizes_are_counted(write):
    folders = write(*[regions(0, 1)] * 3)
    save(np.random.default_rng(7).integers(0, 256, (*SIZE, 4), np.uint8), folders[0] / "0.png")
    save(np.random.default_rng(8).integers(0, 65536, SIZE, np.uint16), folders[0] / "1.png")
    report = check(folders)
    assert report.image_formats == {"PNG RGBA": 1, "PNG I;16, 16 bits": 1, "PNG RGB": 1}
    assert report.mask_formats == {"PNG L": 3}
    assert report.image_sizes == {"24x32": 3}


def test_mean_and_deviation_are_those_of_all_pixels(write):
    rng = np.random.default_rng(0)
    images = [rng.integers(low, 256, (200, 300, 3), dtype=np.uint8) for low in (0, 90, 200)]
    masks = [regions(0, 1, size=(200, 300))] * 3
    report = check(write(*masks, images=images))
    pixels = np.concatenate(images).reshape(-1, 3) / 255
    np.testing.assert_allclose(report.mean, pixels.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(report.std, pixels.std(axis=0), rtol=1e-4)
    assert report.value_range == (0.0, 1.0)


def test_images_can_be_checked_as_gray_and_not_in_five_channels(write):
    folders = write(regions(0, 1))
    assert len(check(folders, channels=1).mean) == 1
    message = only(check(folders, channels=5), "unreadable_image")
    assert "`channels` must be 1 to 4 for image files. Received: channels=5 and '0.png'" in message


def test_blank_images_are_reported(write):
    image = np.full((*SIZE, 3), 9, np.uint8)
    assert only(check(write(regions(0, 1), images=[image])), "blank_image")


def test_wrong_arguments_raise_before_anything_is_read(write, tmp_path):
    folders = write(regions(0, 1))
    with pytest.raises(FileNotFoundError, match="`mask_dir` must be an existing folder"):
        check_dataset(folders[0], tmp_path / "nowhere")
    with pytest.raises(ValueError, match="`encoding` must be one of"):
        check(folders, encoding="rgb")
    with pytest.raises(ValueError, match=r"`split` must be .* Received: split="):
        check(folders, split=(1, 1, 1))
    with pytest.raises(ValueError, match="`group_by` must match the key of every pair"):
        check(folders, group_by="x+")
    with pytest.raises(ValueError, match="`channels` must be a positive integer"):
        check(folders, channels=0)
    with pytest.raises(ValueError, match="`max_pixels` must be a positive integer"):
        check(folders, max_pixels=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError, match="file"):
        check(folders, output=tmp_path / "file")
    with pytest.raises(ValueError, match="`n_classes` must be the number of `classes`"):
        check(folders, n_classes=7, classes=TABLE)


def with_alpha(pixels, alpha):
    return np.concatenate([pixels, np.full((*SIZE, 1), alpha, np.uint8)], axis=2)


@pytest.mark.parametrize("red", [True, False])
def test_alpha_changes_nothing(write, red):
    image = np.random.default_rng(3).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    ids = regions(0, 1, 2)[..., np.newaxis]
    # As CARLA stores ids, or as gray does.
    mask = np.pad(ids, ((0, 0), (0, 0), (0, 2))) if red else ids.repeat(3, axis=2)
    other = np.pad(regions(2, 1)[..., np.newaxis], ((0, 0), (0, 0), (0, 2)))
    other = other if red else other[..., :1].repeat(3, axis=2)
    plain = check(write(mask, other, images=[image, image[::-1]]), n_classes=3)
    folders = write(
        with_alpha(mask, 9), with_alpha(other, 255), names="ab",
        images=[with_alpha(image, 0), with_alpha(image[::-1], 128)],
    )  # fmt: skip
    report = check(folders, n_classes=3)
    # The four are two twice: by their colors and ids, whatever their alpha is.
    assert sorted(kinds(report)) == ["duplicate", "duplicate"], str(report)
    assert report.mean == pytest.approx(plain.mean)
    assert report.std == pytest.approx(plain.std)
    assert [row.pixels for row in report.classes] == [2 * row.pixels for row in plain.classes]


@pytest.mark.parametrize("name", ["0.png", "0.npy"])
def test_git_lfs_pointers_are_recognized(write, name):
    folders = write(regions(0, 1))
    (folders[0] / "0.png").unlink()
    (folders[0] / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n")
    assert "git lfs pull" in only(check(folders), "unreadable_image")
    with pytest.raises(ValueError, match=f"{name}.*git lfs pull"):
        unetv2.make_dataset(*folders, n_classes=2, image_size=(8, 8))


def test_a_broken_link_is_an_error(tmp_path, write):
    # As git-annex has them where a file was not fetched.
    folders = write(regions(0, 1), regions(1, 0))
    for folder in folders:
        (folder / "1.png").unlink()
        (folder / "1.png").symlink_to(tmp_path / "annex" / "1.png")
    report = check(folders)
    assert [p.kind for p in report.problems if p.severity == "error"] == [
        "unreadable_image",
        "unreadable_mask",
    ]
    with pytest.raises(FileNotFoundError, match="1.png"):
        unetv2.make_dataset(*folders, n_classes=2, image_size=(8, 8))
