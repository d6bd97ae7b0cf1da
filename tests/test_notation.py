"""Formats of masks: palettes, channels, and consistency within a data set."""

from __future__ import annotations

import contextlib
import io
import itertools
import zlib

import numpy as np
import pytest
from checked_folders import SIZE, check, kinds, regions
from conftest import png, save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import unetv2
from unetv2.data import mask_format
from unetv2.data.labels import Labels

LIMIT = 10_000
VOC = [value for number in range(256) for value in unetv2.classes._voc_color(number)]


def paletted(indices, palette):
    """Palette indices and the palette."""
    image = Image.fromarray(np.asarray(indices, np.uint8)).convert("P")
    image.putpalette([value for color in palette for value in color])
    return image


def reindexed(mask, order, extension, path, **options):
    """Stores colors ``(height, width, 3)`` with a palette in another order, as optimizers do."""
    colors = sorted({tuple(color) for color in mask.reshape(-1, 3).tolist()})
    palette = [colors[place % len(colors)] for place in order if place < len(colors)]
    palette += [color for color in colors if color not in palette]
    places = {color: place for place, color in enumerate(palette)}
    rows = [[places[tuple(color)] for color in row] for row in mask.tolist()]
    image = paletted(rows, palette)
    path = path.with_suffix(f".{extension}")
    image.save(path, **options)
    return str(path)


FORMATS = [
    ("png", {}), ("png", {"bits": 4}), ("png", {"bits": 8}), ("gif", {}), ("tif", {}),
    ("tif", {"compression": "tiff_lzw"}), ("bmp", {}),
]  # fmt: skip


@pytest.mark.parametrize("channels", [(0, 1, 2), (0,), (2,)], ids=["gray", "red", "blue"])
@pytest.mark.parametrize(("extension", "options"), FORMATS)
@given(
    ids=st.lists(st.integers(0, 15), min_size=12, max_size=12),
    order=st.permutations(range(16)),
)
def test_ids_stored_as_colors_are_the_same_with_a_palette_in_any_order(
    tmp_path, extension, options, channels, ids, order
):
    ids = np.array(ids, np.uint8).reshape(3, 4)
    mask = np.zeros((3, 4, 3), np.uint8)
    mask[..., list(channels)] = ids[..., np.newaxis]
    path = reindexed(mask, order, extension, tmp_path / "m", **options)
    plain = str(save(mask, tmp_path / "plain.png"))
    labels = Labels().with_format_of([plain, path], LIMIT)
    np.testing.assert_array_equal(labels.read(plain, LIMIT), ids)
    np.testing.assert_array_equal(labels.read(path, LIMIT), ids)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("white", [1, 255])
@pytest.mark.parametrize(("extension", "options"), [*FORMATS, ("png", {"bits": 1})])
def test_a_palette_that_begins_with_white_inverts_no_binary_mask(
    tmp_path, extension, options, white, order
):
    mask = np.zeros((4, 5, 3), np.uint8)
    mask[1:3, 2:] = white
    path = reindexed(mask, order, extension, tmp_path / "m", **options)
    found = Labels("binary", 2).read(path, LIMIT)
    np.testing.assert_array_equal(found, mask[..., 0] > 0)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_white_of_any_depth_is_the_foreground(tmp_path, bits):
    ids = np.array([[0, 1, 1], [0, 0, 1]])
    (tmp_path / "m.png").write_bytes(png(ids * (2**bits - 1), bits))
    assert Labels("binary", 2).read(str(tmp_path / "m.png"), LIMIT).tolist() == ids.tolist()


def test_the_palette_of_voc_stores_ids_even_if_only_grays_are_used(tmp_path):
    # 7, the car, is drawn in (128, 128, 128).
    ids = np.array([[0, 7], [7, 0]], np.uint8)
    image = Image.fromarray(ids).convert("P")
    image.putpalette(VOC)
    image.save(tmp_path / "m.png")
    for classes in (None, unetv2.PASCAL_VOC):
        found = Labels(classes=classes).read(str(tmp_path / "m.png"), LIMIT)
        np.testing.assert_array_equal(found, ids)


def test_a_palette_in_the_order_of_a_table_stores_ids(tmp_path):
    table = unetv2.ClassTable(("ground", "object"), ((0, 0, 0), (255, 255, 255)))
    paletted([[0, 1]], table.colors).save(tmp_path / "m.png")
    found = Labels(n_classes=2, classes=table).read(str(tmp_path / "m.png"), LIMIT)
    assert found.tolist() == [[0, 1]]


def test_a_palette_of_a_tables_colors_in_another_order_is_refused(tmp_path):
    table = unetv2.PASCAL_VOC
    path = str(tmp_path / "m.png")
    # What an optimizer leaves of a mask of bottles and persons.
    paletted([[0, 1, 2]], [table.colors[number] for number in (5, 0, 15)]).save(path)
    with pytest.raises(ValueError, match="index 0 .* of id 5 in .*m.png'. Pass encoding='colors'"):
        Labels(n_classes=21, classes=table).read(path, LIMIT)
    assert Labels("colors", 21, 255, classes=table).read(path, LIMIT).tolist() == [[5, 0, 15]]


@pytest.mark.parametrize("extension", ["png", "gif", "tif", "bmp"])
def test_padded_and_short_palettes_are_equal(write, extension):
    folders = write(*[regions(0)] * 3)
    colors = [(0, 0, 0), (255, 0, 0), (0, 0, 255), (0, 255, 0)]
    for number, ids in enumerate(([0, 1], [0, 1, 2, 2], [0, 1, 3, 3])):
        (folders[1] / f"{number}.png").unlink()
        mask = paletted(regions(*ids), colors[: max(ids) + 1])
        # Or else Pillow would number the colors of a GIF anew.
        mask.save(folders[1] / f"{number}.{extension}", optimize=False)
    report = check(folders, n_classes=4)
    assert report.ok, str(report)
    # Of 24 rows: 16 + 8 + 8 columns, as many, 16 and 16.
    assert [row.pixels for row in report.classes] == [768, 768, 384, 384]


def test_different_palettes_are_refused_in_any_mask(write):
    folders = write(*[regions(0)] * 40)
    for number in range(40):
        # The shortest shows nothing of the third color.
        palette = [(0, 0, 0), (255, 0, 0), (0, 0, 255), (9, 9, 0)][: 2 + number % 3]
        palette = [*palette[:3], (1, 2, 3)] if number == 38 else palette
        paletted(regions(0, 1), palette).save(folders[1] / f"{number}.png")
    report = check(folders, n_classes=2)
    assert [problem.path for problem in report.problems] == [str(folders[1] / "38.png")]
    assert report.problems[0].kind == "mixed_masks"
    # From the header: the pair is none of the first 32, in the order of names.
    paletted(regions(0, 1), palette).save(folders[1] / "38.png")
    paletted(regions(0, 1), [(0, 0, 0), (1, 2, 3)]).save(folders[1] / "9.png")
    with pytest.raises(ValueError, match=r"index 1 .*\(1, 2, 3\).*'.*9.png'.*encoding='colors'"):
        unetv2.make_dataset(*folders, n_classes=2, image_size=(4, 4))


def colored(color):
    mask = np.zeros((*SIZE, 3), np.uint8)
    mask[:9] = color
    return mask


TONES = st.tuples(*[st.sampled_from([0, 1, 128, 255])] * 3).filter(any)


@given(colors=st.lists(TONES, min_size=2, max_size=3, unique=True), n_classes=st.just(256))
@pytest.mark.parametrize("palette", [False, True])
def test_colors_of_different_masks_never_share_an_id(tmp_path, colors, n_classes, palette):
    paths = [str(tmp_path / f"{number}.png") for number in range(len(colors))]
    for path, color in zip(paths, colors, strict=True):
        image = Image.fromarray(colored(color))
        (image.quantize() if palette else image).save(path)
    labels = Labels(n_classes=n_classes).with_format_of(paths, LIMIT)
    ids = []
    for path in paths:
        with contextlib.suppress(ValueError):
            ids.append(int(labels.read(path, LIMIT)[0, 0]))
    # Some are refused, but for one channel, one gray or one palette.
    assert len(set(ids)) == len(ids)
    channels = {tuple(np.flatnonzero(color)) for color in colors}
    if channels in ({(0,)}, {(1,)}, {(2,)}) and not palette:
        assert len(ids) == len(colors)


@pytest.mark.parametrize("cache", [None, "memory", "folder"])
def test_masks_of_one_color_each_are_refused_with_any_cache(write, tmp_path, cache):
    cache = tmp_path / "cache" if cache == "folder" else cache
    options = {"n_classes": 201, "image_size": (6, 8), "cache": cache}
    # Each is right by itself, and then kept.
    unetv2.make_dataset(*write(colored((200, 200, 200)), names="b"), **options)
    folders = write(colored((200, 0, 0)), names="a")
    with pytest.raises(ValueError, match="ids in one format. .*in red alone|gray values"):
        unetv2.make_dataset(*folders, **options)
    assert "colors_for_ids" in kinds(check(folders))


def test_max_channel_uses_the_largest_channel(tmp_path):
    mask = np.array([[[7, 0, 0], [0, 7, 3]], [[7, 7, 7], [0, 0, 0]]], np.uint8)
    labels = Labels("max_channel", 8, label_map={7: 1, 0: 0})
    expected = [[1, 1], [1, 0]]
    assert labels.read(str(save(mask, tmp_path / "m.png")), LIMIT).tolist() == expected
    for extension in ("png", "gif", "tif", "bmp"):
        path = reindexed(mask, (2, 0, 1, 3), extension, tmp_path / "p")
        assert labels.read(path, LIMIT).tolist() == expected


def test_a_large_set_of_colors_is_refused_without_reading_all_of_it(write, monkeypatch):
    colors = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    folders = write(*[colors] * 100)
    opened, open_file = [], mask_format.open_file
    monkeypatch.setattr(
        mask_format, "open_file", lambda *given: opened.append(given) or open_file(*given)
    )
    with pytest.raises(ValueError, match="Masks must hold class ids"):
        unetv2.make_dataset(*folders)
    assert len(opened) < 50


def test_mixed_1_bit_and_8_bit_masks_are_refused(write):
    # What an optimizer makes of 0 and 255: 255 would become 1.
    folders = write(regions(0, 1, 255), regions(0))
    (folders[1] / "1.png").write_bytes(png(regions(0), 1))
    assert check(folders, n_classes=2, ignore_class=255).ok
    (folders[1] / "1.png").write_bytes(png(regions(0, 1), 1))
    problem = check(folders, n_classes=2, ignore_class=255).problems[0]
    assert (problem.kind, problem.path) == ("mixed_masks", str(folders[1] / "1.png"))
    with pytest.raises(ValueError, match="gray of 1 bit, in other masks of 8, in .*1.png"):
        unetv2.make_dataset(*folders, n_classes=2, ignore_class=255, image_size=(6, 8))


def test_indices_that_share_their_gray_are_refused(tmp_path):
    paletted([[0, 1, 2]], [(0, 0, 0), (5, 5, 5), (5, 5, 5)]).save(tmp_path / "m.png")
    with pytest.raises(ValueError, match="another color for each id. Received: .*m.png"):
        Labels().read(str(tmp_path / "m.png"), LIMIT)


def test_an_index_without_a_color_is_refused(tmp_path):
    stored = io.BytesIO()
    paletted([[0, 1, 2, 3]], [(9, 9, 9), (5, 5, 5), (0, 0, 0), (1, 1, 1)]).save(stored, "png")
    content = stored.getvalue()
    start = content.index(b"PLTE")
    # Two colors less, and the checksum of it.
    chunk = content[start : start + 4 + 6]
    short = (6).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    (tmp_path / "m.png").write_bytes(content[: start - 4] + short + content[start + 4 + 12 + 4 :])
    for labels in (Labels(), Labels("binary", 2), Labels("max_channel")):
        with pytest.raises(ValueError, match="index 3 and 2 colors in '.*m.png'"):
            labels.read(str(tmp_path / "m.png"), LIMIT)


def alpha_masks():
    """Masks of one color with an alpha channel, by file name."""
    alpha = np.array([[0, 255], [128, 255]], np.uint8)
    for value, extension in itertools.product((0, 255), ("png", "tif", "webp")):
        color = np.full((2, 2, 3), value, np.uint8)
        yield f"rgba{value}.{extension}", Image.fromarray(np.dstack([color, alpha])), {}
        if extension != "webp":
            gray = Image.fromarray(np.dstack([color[..., 0], alpha]))
            yield f"la{value}.{extension}", gray, {}
    palette = paletted([[0, 1], [2, 1]], [(255, 255, 255)] * 3)
    yield "p.png", palette, {"transparency": bytes([0, 255, 128])}
    yield "one.gif", palette.copy(), {"transparency": 1}


@pytest.mark.parametrize(
    ("name", "image", "options"), [pytest.param(*case, id=case[0]) for case in alpha_masks()]
)
@pytest.mark.parametrize("encoding", ["ids", "binary", "colors", "max_channel"])
def test_a_mask_drawn_in_alpha_alone_is_refused(tmp_path, name, image, options, encoding):
    options = {**options, "lossless": True, "exact": True} if "webp" in name else options
    image.save(tmp_path / name, **options)
    table = unetv2.ClassTable(("black", "white"), ((0, 0, 0), (255, 255, 255)))
    with pytest.raises(ValueError, match=f"alpha from 0 to 255, .* in '.*{name}'"):
        Labels(encoding, 2, classes=table).read(str(tmp_path / name), LIMIT)


def test_alpha_channels_are_ignored(tmp_path):
    ids = np.array([[0, 1], [2, 1]], np.uint8)
    for mode, color in (("RGBA", ids), ("LA", ids)):
        pixels = np.dstack([color] * (len(mode) - 1) + [ids * 100])
        path = str(save(pixels, tmp_path / f"{mode}.png"))
        np.testing.assert_array_equal(Labels().read(path, LIMIT), ids)
    mask = paletted(ids, [(0, 0, 0), (255, 0, 0), (0, 255, 0)])
    mask.save(tmp_path / "p.png", transparency=bytes([0, 255, 255]))
    np.testing.assert_array_equal(Labels().read(str(tmp_path / "p.png"), LIMIT), ids)
