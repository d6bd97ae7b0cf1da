from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import save
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import unetv2
from unetv2.data.checking import check_dataset
from unetv2.data.checking.runs import Runs
from unetv2.data.checking.smoothing import looks_smoothed
from unetv2.data.labels import Labels
from unetv2.data.pairs import find_pairs, split_pairs
from unetv2.data.reading import Preparation, read_pair

SIZE = (24, 32)
TABLE = unetv2.ClassTable(("sky", "road", "car"), ((0, 0, 200), (128, 64, 128), (200, 0, 0)))


def regions(*ids, size=SIZE, dtype=np.uint8):
    """A clean mask: upright bands of the ids."""
    columns = np.repeat(ids, -(-size[1] // len(ids)))[: size[1]]
    return np.tile(columns, (size[0], 1)).astype(dtype)


@pytest.fixture
def write(tmp_path):
    """Writes masks, each with an image of its own, and returns the two folders."""

    def write(*masks, images=None, names=None):
        for number, mask in enumerate(masks):
            name = f"{names[number] if names else number}.png"
            noise = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            save(images[number] if images else noise, tmp_path / "images" / name)
            save(np.asarray(mask), tmp_path / "masks" / name)
        return tmp_path / "images", tmp_path / "masks"

    return write


def check(folders, **options):
    return check_dataset(*folders, progress=False, **options)


def kinds(report):
    return [problem.kind for problem in report.problems]


def only(report, kind):
    """The message of the only problem, which is of that kind."""
    assert kinds(report) == [kind], str(report)
    return report.problems[0].message


def test_a_clean_data_set_has_no_problem(write):
    report = check(write(regions(0, 1, 2), regions(2, 1)), n_classes=3)
    assert report.ok
    assert report.problems == ()
    assert report.n_pairs == sum(report.subsets.values()) == 2
    assert "0 errors, 0 warnings" in str(report)


def test_pictures_without_a_partner_are_errors(write):
    folders = write(regions(0, 1), regions(0, 1), regions(0, 1))
    (folders[1] / "0.png").unlink()
    (folders[0] / "2.png").unlink()
    report = check(folders)
    assert kinds(report) == ["image_alone", "mask_alone"]
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
    assert kinds(report) == ["no_pair", "image_alone", "mask_alone"]
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
    assert "'1.png' must be a readable picture" in message
    assert report.problems[0].path == str(broken)
    assert {row.id for row in report.classes} >= {0, 1, 3}


def test_pictures_above_the_limit_are_errors(write):
    report = check(write(regions(0, 1)), max_pixels=100)
    assert kinds(report) == ["unreadable_image", "unreadable_mask"]
    assert "must have at most `max_pixels`=100 pixels" in report.problems[0].message


def test_two_sizes_in_a_pair_are_an_error(write):
    report = check(write(regions(0, 1, size=(24, 30))))
    assert only(report, "sizes_differ") == "the image has 24x32, the mask 24x30"


def test_jpeg_masks_are_errors(write):
    folders = write(regions(0, 1))
    (folders[1] / "0.png").unlink()
    save(regions(0, 1), folders[1] / "0.jpg")
    report = check(folders)
    assert only(report, "lossy_mask") == "JPEG loses ids at every edge"
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


def write_arrays(directory, images, masks):
    for name, arrays in (("images", images), ("masks", masks)):
        (directory / name).mkdir()
        for number, array in enumerate(arrays):
            np.save(directory / name / f"{number}.npy", array)
    return directory / "images", directory / "masks"


def bands(n, channels=5, dtype=np.uint8):
    shape = (*SIZE, channels)
    return [
        np.random.default_rng(number).integers(0, 200 + 9 * number, shape).astype(dtype)
        for number in range(n)
    ]


def test_arrays_have_figures_for_each_channel(tmp_path):
    images = bands(3)
    report = check(write_arrays(tmp_path, images, [regions(0, 1, 2)] * 3), channels=5)
    assert report.problems == ()
    pixels = np.concatenate(images).reshape(-1, 5) / 255
    np.testing.assert_allclose(report.mean, pixels.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(report.std, pixels.std(axis=0), rtol=1e-4)
    assert report.image_formats == {"NPY uint8 x 5": 3}
    assert report.mask_formats == {"NPY uint8": 3}
    assert report.image_sizes == {"24x32": 3}
    assert json.loads(report.to_json())["mean"] == list(report.mean)
    assert str(report).count(f"{report.mean[4]:.3f}") >= 1


def test_sixteen_bit_arrays_are_scaled_by_their_range(tmp_path):
    images = [image.astype(np.uint16) * 257 for image in bands(2)]
    report = check(write_arrays(tmp_path, images, [regions(0, 1)] * 2), channels=5)
    pixels = np.concatenate(images).reshape(-1, 5) / 65535
    np.testing.assert_allclose(report.mean, pixels.mean(axis=0), rtol=1e-5)
    assert report.image_formats == {"NPY uint16 x 5": 2}


def test_problems_of_arrays_are_found_and_the_rest_is_checked(tmp_path):
    images = [*bands(6), bands(1)[0]]
    images[1] = images[1][..., :4]
    images[2] = images[2].astype(np.float32)
    images[3][:] = 7
    masks = [regions(0, 1)] * 4 + [regions(0, 1).astype(float), np.zeros((*SIZE, 3), np.uint8)]
    folders = write_arrays(tmp_path, images, [*masks, regions(0, 9)])
    (folders[0] / "0.npy").rename(folders[0] / "7.npy")
    (folders[1] / "0.npy").rename(folders[1] / "7.npy")
    (folders[0] / "8.npy").write_bytes(b"")
    np.save(folders[1] / "8.npy", regions(0, 1))
    report = check(folders, channels=5, n_classes=3, split=(1, 0, 0))
    found = [(problem.kind, problem.path.rsplit("/", 1)[1][:1]) for problem in report.problems
             if problem.path]  # fmt: skip
    assert found == [
        ("unreadable_image", "1"), ("unreadable_image", "2"), ("unreadable_image", "8"),
        ("unreadable_mask", "4"), ("unreadable_mask", "5"), ("out_of_range", "6"),
        ("contradiction", "7"), ("duplicate", "7"), ("blank_image", "3"),
    ]  # fmt: skip
    messages = [problem.message for problem in report.problems]
    assert "Pass channels=4, or save the channels that you want" in messages[0]
    assert "must be uint8 or uint16. Received: float32 in '2.npy'" in messages[1]
    assert "'8.npy' must be a NumPy array. Received: 0 bytes" in messages[2]
    assert "must be of integers or bool" in messages[3]
    assert "Pass encoding='colors' with `classes`" in messages[4]


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint8), (2, np.uint16), (5, np.uint16)])
def test_arrays_are_drawn_by_three_channels_or_one(tmp_path, channels, dtype):
    images = bands(2, channels, dtype)
    scale = 256 if dtype == np.uint16 else 1
    images = [image * dtype(scale) for image in images]
    output = tmp_path / "report"
    folders = write_arrays(tmp_path, images, [regions(0, 7)] * 2)
    check(folders, channels=channels, n_classes=3, output=output)
    with Image.open(next((output / "worst").glob("*_0.png"))) as picture:
        drawn = np.asarray(picture)[:, : SIZE[1]]
    shown = [0, 1, 2] if channels == 5 else [0, 0, 0]
    np.testing.assert_array_equal(drawn, images[0][..., shown] // scale)


def test_masks_of_colours_in_arrays_are_read_and_drawn(tmp_path):
    colors = unetv2.visualization.colorize(regions(0, 1, 2), TABLE)
    wrong = np.where(colors == 200, 7, colors).astype(np.uint8)
    folders = write_arrays(tmp_path, bands(2, 3), [colors, wrong])
    report = check(folders, encoding="colors", classes=TABLE, output=tmp_path / "report")
    assert only(report, "foreign_colors").startswith("colours outside the table: (0, 0, 7)")
    assert len(list((tmp_path / "report" / "worst").iterdir())) == 1


def test_pictures_can_be_checked_as_grey_and_not_in_five_channels(write):
    folders = write(regions(0, 1))
    assert len(check(folders, channels=1).mean) == 1
    message = only(check(folders, channels=5), "unreadable_image")
    assert (
        "`channels` must be 1 to 4 for picture files. Received: channels=5 and '0.png'" in message
    )


def test_blank_images_are_named(write):
    image = np.full((*SIZE, 3), 9, np.uint8)
    assert only(check(write(regions(0, 1), images=[image])), "blank_image")


def test_ids_are_counted_in_pixels_and_pictures(write):
    report = check(write(regions(0, 1), regions(0, 2, 2, 2)), classes=TABLE)
    # Of 24 rows: 16 + 8 columns of 0, 16 of 1, 24 of 2.
    assert [(row.id, row.name, row.pixels, row.pictures) for row in report.classes] == [
        (0, "sky", 576, 2),
        (1, "road", 384, 1),
        (2, "car", 576, 1),
    ]
    assert [row.share for row in report.classes] == [0.375, 0.25, 0.375]


def test_weights_are_the_median_frequency_over_the_classs_own(write):
    report = check(write(regions(0, 1), regions(0, 2, 2, 2)), n_classes=3)
    # Frequencies where they occur: 0: 576/1536 = 3/8; 1: 1/2; 2: 3/4. The median is 1/2.
    assert report.class_weights == pytest.approx({0: 4 / 3, 1: 1.0, 2: 2 / 3})
    assert report.classes[0].root_weight == pytest.approx((4 / 3) ** 0.5)


def test_ids_out_of_range_are_errors_with_file_and_count(write):
    folders = write(regions(0, 1), regions(0, 1, 1, 7), regions(2, 1))
    report = check(folders, n_classes=3)
    assert only(report, "out_of_range") == "ids outside [0, 3): 7 in 192 pixels"
    assert report.problems[0].path == str(folders[1] / "1.png")
    assert check(folders, n_classes=3, label_map={7: 0}).ok
    assert check(folders, n_classes=3, ignore_class=7).ok


def test_colours_instead_of_ids_are_errors_and_are_counted(write):
    colors = unetv2.visualization.colorize(regions(0, 1, 1, 2), TABLE)
    report = check(write(colors, regions(0, 1)))
    message = only(report, "colors_for_ids")
    assert message.startswith("colours, not ids: (128, 64, 128) in 384 pixels")
    assert dict(report.colors) == {(128, 64, 128): 384, (0, 0, 200): 192, (200, 0, 0): 192}
    assert "(128, 64, 128)     384" in str(report)
    assert [row.id for row in report.classes] == [0, 1]


def test_pure_red_green_and_blue_are_colours_too(write):
    colors = np.eye(3, dtype=np.uint8)[regions(0, 1, 2)] * 255
    assert only(check(write(colors)), "colors_for_ids")


def test_the_largest_channel_may_be_meant_as_the_id(write):
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[..., 0], mask[..., 1] = 2, regions(0, 1)
    mask[:, :5, 0] = 1
    report = check(write(mask), n_classes=3)
    assert report.ok
    assert "colors_for_ids" in kinds(report)


def test_ids_in_the_red_channel_and_grey_stored_as_rgb_are_ids(write):
    red, grey = np.zeros((*SIZE, 3), np.uint8), np.repeat(regions(0, 2)[..., None], 3, axis=2)
    red[..., 0] = regions(0, 1, 2)
    report = check(write(red, grey))
    assert report.problems == ()
    assert [row.id for row in report.classes] == [0, 1, 2]


def test_colours_outside_the_table_are_errors_with_their_counts(write):
    colors = unetv2.visualization.colorize(regions(0, 1, 1, 2), TABLE)
    good = colors.copy()
    colors[3, :4] = (1, 2, 3)
    report = check(write(colors, good), encoding="colors", classes=TABLE)
    message = only(report, "foreign_colors")
    assert message == "colours outside the table: (1, 2, 3) in 4 pixels"
    assert report.colors == (((1, 2, 3), 4),)
    assert [row.pixels for row in report.classes] == [2 * 192 - 4, 2 * 384, 2 * 192]


def test_palette_masks_are_read_by_their_colours(write):
    folders = write(regions(0, 1))
    mask = Image.fromarray(regions(0, 1, 2)).convert("P")
    # Index 0 is the car, 1 the sky, 2 the road.
    mask.putpalette([value for number in (2, 0, 1) for value in TABLE.colors[number]])
    mask.save(folders[1] / "0.png")
    report = check(folders, encoding="colors", classes=TABLE)
    found = Labels("colors", 3, classes=TABLE).read(str(folders[1] / "0.png"), 10_000)
    assert [row.pixels for row in report.classes] == np.bincount(found.ravel()).tolist()


def test_black_and_white_masks_taken_for_ids_are_hinted_at(write):
    folders = write(regions(0, 255), regions(255, 0))
    report = check(folders)
    assert only(report, "binary_masks") == "all ids are 0 or 255"
    assert "encoding='binary'" in str(report)
    assert (report.suggested_n_classes, report.suggested_ignore_class) == (2, None)
    read = check(folders, encoding="binary")
    assert read.problems == ()
    assert [row.id for row in read.classes] == [0, 1]


def test_grey_in_a_binary_mask_is_an_error(write):
    report = check(write(regions(0, 0, 128, 255)), encoding="binary")
    message = only(report, "not_binary")
    assert message.startswith("other values than 0 and 255: 0 in 384 pixels")


def disc(size=(48, 64)):
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows - 24) ** 2 + (columns - 30) ** 2 < 200


@pytest.mark.parametrize("values", [(0, 255), (2, 9), ((0, 0, 200), (128, 64, 128))])
@pytest.mark.parametrize("factor", [0.6, 2.5])
@pytest.mark.parametrize("how", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_masks_resized_with_interpolation_are_suspected_and_by_nearest_are_not(
    write, values, factor, how
):
    mask = Image.fromarray(np.array(values, np.uint8)[disc().astype(int)])
    size = (int(64 * factor), int(48 * factor))
    smoothed, clean = mask.resize(size, how), mask.resize(size, Image.Resampling.NEAREST)
    folders = write(smoothed, clean, images=[np.zeros((*size[::-1], 3), np.uint8)] * 2)
    found = [problem for problem in check(folders).problems if problem.kind == "antialiased"]
    assert [problem.path for problem in found] == [str(folders[1] / "0.png")]


def smoothed_by_its_pixels(mask):
    """The rule of ``looks_smoothed``, triple by triple."""
    edges = different = between = 0
    for lines in (mask, mask.T):
        for line in lines.astype(int).tolist():
            for first, middle, last in zip(line, line[1:], line[2:], strict=False):
                edges += first != last
                different += len({first, middle, last}) == 3
                between += first < middle < last or first > middle > last
    return between >= max(8, 0.17 * edges, 0.5 * different)


@given(
    small=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
                     elements=st.integers(0, 5)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    how=st.sampled_from([Image.Resampling.NEAREST, Image.Resampling.BILINEAR]),
    dtype=st.sampled_from([np.uint8, np.int32]),
)  # fmt: skip
@settings(max_examples=150)
def test_runs_tell_smoothing_as_pixels_do(small, size, how, dtype):
    mask = np.asarray(Image.fromarray(small * 40).resize(size, how)).astype(dtype)
    runs = Runs.of(mask)
    np.testing.assert_array_equal(np.repeat(runs.found[runs.values], runs.lengths), mask.ravel())
    np.testing.assert_array_equal(runs.counts(), np.unique(mask, return_counts=True)[1])
    assert looks_smoothed(runs, runs.found[:, np.newaxis]) == smoothed_by_its_pixels(mask)


def test_noise_and_thin_objects_are_not_taken_for_smoothing(write):
    noise = np.random.default_rng(0).integers(0, 20, SIZE, dtype=np.uint8)
    posts = regions(1, 1, 7, 7)
    posts[4:, [5, 9, 20]], posts[2:5, 3] = 5, 12
    assert check(write(noise, posts)).problems == ()


def test_masks_of_one_kind_of_pixel_are_named(write):
    folders = write(regions(0), regions(1), regions(255), regions(0, 255), regions(0, 1))
    report = check(folders, n_classes=3, ignore_class=255, classes=TABLE)
    found = {(problem.kind, problem.message) for problem in report.problems}
    assert found == {
        ("empty_mask", "only id 0 (sky)"),
        ("empty_mask", "every pixel is ignored"),
        ("single_class", "only id 1 (road)"),
        ("absent_class", "no pixel of car"),
    }
    assert report.ok


def names_in(subset, n=40):
    """Names of pairs that are in a subset."""
    keys = [unetv2.data.pairs.Pair(f"frame{number}", "", "") for number in range(n)]
    return [pair.key for pair in split_pairs(keys, subset)]


def test_one_image_twice_is_a_warning_and_in_two_subsets_an_error(write):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    train, validation = names_in("train"), names_in("validation")
    folders = write(*[regions(0, 1)] * 2, images=[image] * 2, names=train[:2])
    report = check(folders)
    assert only(report, "duplicate").startswith("the same pixels as ")
    assert report.ok
    write(*[regions(0, 1)] * 2, images=[image] * 2, names=[train[0], validation[0]])
    report = check(folders)
    assert kinds(report) == ["leakage", "duplicate"]
    assert not report.ok
    assert "in train" in report.problems[0].message
    assert "in validation" in report.problems[0].message


def test_leakage_follows_groups_and_split(write):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    names = [names_in("train")[0], names_in("validation")[0]]
    folders = write(*[regions(0, 1)] * 2, images=[image] * 2, names=names)
    assert kinds(check(folders)) == ["leakage"]
    assert kinds(check(folders, group_by="frame")) == ["duplicate"]
    assert kinds(check(folders, split=(0, 0, 1))) == ["duplicate"]


def test_one_image_with_two_masks_is_a_contradiction(write):
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    as_rgb = np.repeat(regions(0, 1)[..., None], 3, axis=2)
    masks = [regions(0, 1), as_rgb, regions(1, 0)]
    report = check(write(*masks, images=[image] * 3), split=(1, 0, 0))
    # The second mask is stored otherwise, but says the same.
    assert kinds(report) == ["contradiction", "duplicate", "duplicate"]
    assert report.problems[0].path.endswith("2.png")


@pytest.mark.parametrize(
    ("ids", "options", "ignored", "n_classes"),
    [
        ((0, 1, 2, 255), {}, 255, 3),
        ((0, 1, 33, 255), {}, 255, 34),
        ((0, 1, 2, 200), {}, 200, 3),
        ((0, 7, 22), {}, None, 23),
        ((0, 1, 254, 255), {}, None, 256),
        ((0, 1, 2, 3), {"n_classes": 3}, 3, 3),
        ((0, 1, 2, 9), {"n_classes": 3}, None, 10),
        ((0, 1, 2, 9, 255), {"n_classes": 10}, 255, 10),
        ((0, 1, 2, 7, 9), {"n_classes": 3}, None, 10),
        ((0, 1, 2, 255), {"ignore_class": 255}, None, 3),
        ((0, 1, 255), {"classes": TABLE}, 255, 3),
    ],
)
def test_ignored_id_and_number_of_classes_are_suggested(write, ids, options, ignored, n_classes):
    report = check(write(regions(*ids)), **options)
    assert (report.suggested_ignore_class, report.suggested_n_classes) == (ignored, n_classes)


@pytest.mark.parametrize("options", [{}, {"n_classes": 3}, {"encoding": "binary"}])
def test_a_mask_has_an_error_exactly_where_reading_raises(write, options):
    folders = write(
        regions(0, 1),
        regions(0, 255),
        regions(0, 1, 7),
        regions(0, 1).astype(bool),
        regions(0, 300, dtype=np.uint16),
        unetv2.visualization.colorize(regions(0, 1, 2), TABLE),
        np.repeat(regions(0, 1)[..., None], 3, axis=2),
        regions(0, 1, size=(24, 30)),
    )
    preparation = Preparation(labels=Labels(**options))
    refused = set()
    for pair in find_pairs(*folders):
        try:
            read_pair(pair, preparation)
        except ValueError:
            refused.add(pair.mask)
    problems = check(folders, **options).problems
    assert {problem.mask for problem in problems if problem.severity == "error"} == refused


@pytest.mark.parametrize(
    "options", [{"n_classes": 3, "ignore_class": -1}, {"encoding": "colors", "classes": TABLE}]
)
def test_a_masks_array_has_an_error_exactly_where_reading_raises(tmp_path, options):
    masks = [
        regions(0, 1),
        regions(0, 1)[..., None],
        regions(0, -1, dtype=np.int64),
        regions(0, 1).astype(bool),
        regions(0, 5, dtype=np.uint32),
        regions(0, 2**40, dtype=np.int64),
        regions(0, 1).astype(np.float32),
        np.eye(3, dtype=np.uint8)[regions(0, 1, 2)],
        np.eye(5, dtype=np.uint8)[regions(0, 1, 2)],
        unetv2.visualization.colorize(regions(0, 1, 2), TABLE),
        unetv2.visualization.colorize(regions(0, 1, 2), TABLE).astype(np.int16),
    ]
    folders = write_arrays(tmp_path, bands(len(masks)), masks)
    labels = Labels(**options)
    refused = set()
    for pair in find_pairs(*folders):
        try:
            read_pair(pair, Preparation(channels=5, labels=labels))
        except ValueError:
            refused.add(pair.mask)
    problems = check(folders, channels=5, **options).problems
    assert {problem.mask for problem in problems if problem.severity == "error"} == refused
    assert 0 < len(refused) < len(masks)


def test_the_report_is_text_json_and_pictures(write, tmp_path):
    image = np.zeros((*SIZE, 3), np.uint8)
    broken = write(*[regions(0, 1, 7)] * 12, images=[image] * 12)
    (broken[0] / "0.png").write_bytes(b"")
    output = tmp_path / "new" / "report"
    report = check(broken, n_classes=3, output=output)
    assert (output / "report.txt").read_text() == f"{report}\n"
    content = json.loads((output / "report.json").read_text())
    assert content == json.loads(report.to_json())
    assert content["ok"] is False
    assert len(content["problems"]) == len(report.problems)
    assert {"id": 1, "pictures": 12}.items() <= content["classes"][1].items()
    assert sorted(path.name for path in output.iterdir()) == ["report.json", "report.txt", "worst"]
    pictures = sorted((output / "worst").iterdir())
    assert len(pictures) == 8
    for path in pictures:
        with Image.open(path) as picture:
            assert picture.size == (64, 24)
    assert "... and 9 more" in str(report)


def test_saving_again_replaces_the_report_and_leaves_other_files(write, tmp_path):
    output = tmp_path / "report"
    check(write(regions(0, 7)), n_classes=3, output=output)
    (output / "notes.txt").write_text("mine")
    report = check(write(regions(0, 1, 2)), n_classes=3, output=output)
    assert (output / "report.txt").read_text() == f"{report}\n"
    assert not any((output / "worst").iterdir())
    names = ["notes.txt", "report.json", "report.txt", "worst"]
    assert sorted(path.name for path in output.iterdir()) == names


def test_masks_of_every_encoding_can_be_drawn(write, tmp_path):
    colors = unetv2.visualization.colorize(regions(0, 1, 2), TABLE)
    folders = write(colors, regions(0, 128, 255), regions(0, 1, 300, dtype=np.uint16))
    for options in ({"n_classes": 2}, {"encoding": "binary"}, {"classes": TABLE}):
        check(folders, output=tmp_path / "report", **options)
        assert len(list((tmp_path / "report" / "worst").iterdir())) >= 2


def test_the_order_of_problems_is_the_same_in_every_run(write):
    folders = write(*[regions(0, number) for number in range(1, 30)])
    first, second = check(folders, n_classes=3), check(folders, n_classes=3)
    assert first.problems == second.problems
    paths = [problem.path for problem in first.problems if problem.kind == "out_of_range"]
    assert paths == sorted(paths)


def test_progress_is_silent_where_it_is_switched_off_or_quick(write, capsys):
    folders = write(regions(0, 1))
    check_dataset(*folders, progress=False)
    check_dataset(*folders)
    assert capsys.readouterr() == ("", "")


def test_progress_is_one_line_on_a_terminal(write, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    check_dataset(*write(regions(0, 1), regions(0, 2)))
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "2 of 2 pairs, 0 problems" in shown


def test_wrong_arguments_raise_before_anything_is_read(write, tmp_path):
    folders = write(regions(0, 1))
    with pytest.raises(FileNotFoundError, match="`mask_dir` must be an existing folder"):
        check_dataset(folders[0], tmp_path / "nowhere")
    with pytest.raises(ValueError, match="`encoding` must be one of"):
        check(folders, encoding="rgb")
    with pytest.raises(ValueError, match="`split` must be three shares"):
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
    # As CARLA stores ids, or as grey does.
    mask = np.pad(ids, ((0, 0), (0, 0), (0, 2))) if red else ids.repeat(3, axis=2)
    other = regions(2, 1)[..., np.newaxis].repeat(3, axis=2)
    plain = check(write(mask, other, images=[image, image[::-1]]), n_classes=3)
    folders = write(
        with_alpha(mask, 9), with_alpha(other, 255), names="ab",
        images=[with_alpha(image, 0), with_alpha(image[::-1], 128)],
    )  # fmt: skip
    report = check(folders, n_classes=3)
    # The four are two twice: by their colours and ids, whatever their alpha is.
    assert sorted(kinds(report)) == ["duplicate", "duplicate"], str(report)
    assert report.mean == pytest.approx(plain.mean)
    assert report.std == pytest.approx(plain.std)
    assert [row.pixels for row in report.classes] == [2 * row.pixels for row in plain.classes]
