"""Damaged and malicious files are errors with the path."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from conftest import png, save
from PIL import Image
from test_decoding_orientation import chunk

from unetv2.data.io.open import MAX_PIXELS, decode_colors, decode_image, decode_mask, read_header
from unetv2.data.labels import Labels

READERS = (decode_image, decode_mask, decode_colors)
PIXELS = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)


def refusal(read, path):
    """Returns the error message of a refused file, or None."""
    try:
        read(str(path))
    except ValueError as error:
        return str(error)
    return None


def chunks(content):
    """Yields name, start and end of each chunk of a PNG."""
    place = 8
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        yield content[place + 4 : place + 8], place, place + 12 + length
        place += 12 + length


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_a_png_with_a_wrong_checksum_is_never_read(tmp_path, mode):
    image = Image.fromarray(PIXELS)
    if mode == "I;16":
        image = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
    content = save(np.asarray(image), tmp_path / "a.png").read_bytes()
    if mode != "I;16":
        image.convert(mode).save(tmp_path / "a.png")
        content = (tmp_path / "a.png").read_bytes()
    for _, start, end in chunks(content):
        if end - start == 12:
            continue
        for place in (end - 5, end - 1):
            damaged = bytearray(content)
            damaged[place] ^= 1
            (tmp_path / "a.png").write_bytes(damaged)
            for read in READERS:
                with pytest.raises(ValueError, match="'.*a.png' must be a readable image"):
                    read(str(tmp_path / "a.png"))
    for read in READERS[:2]:
        (tmp_path / "a.png").write_bytes(content)
        read(str(tmp_path / "a.png"))


def test_pngs_with_missing_or_misplaced_chunks_are_refused(tmp_path):
    content = png(PIXELS, 8)
    header, data, end = (content[start:stop] for _, start, stop in chunks(content))
    empty, unknown = chunk(b"tEXt", b"a\0b"), chunk(b"CgBI", bytes(4))
    for parts in (
        (header, data),
        (header, end),
        (data, header, end),
        (header, data, header, end),
        (unknown, header, data, end),
        (header, data, empty, data, end),
        (header, data[:-4] + empty, end),
    ):
        (tmp_path / "a.png").write_bytes(content[:8] + b"".join(parts))
        with pytest.raises(ValueError, match="'.*a.png' must be a readable image"):
            decode_image(str(tmp_path / "a.png"))
    # What is behind the end is no part of it.
    (tmp_path / "a.png").write_bytes(content + b"more")
    np.testing.assert_array_equal(decode_image(str(tmp_path / "a.png")), PIXELS)


def test_pngs_too_short_for_their_size_are_refused_before_decoding(tmp_path):
    header = struct.pack(">IIBBBBB", 8000, 8000, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    with pytest.raises(ValueError, match=r"a.png' .* too few for 8000x8000 pixels"):
        decode_image(str(tmp_path / "a.png"))


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
@pytest.mark.parametrize("behind", [False, True])
def test_bombs_in_metadata_are_refused_or_not_unpacked(tmp_path, name, behind):
    bomb = zlib.compress(bytes(2 << 20))
    keyword = {b"zTXt": b"c\0\0", b"iTXt": b"c\0\1\0\0\0", b"iCCP": b"c\0\0"}[name]
    content = png(PIXELS, 8)
    place = len(content) - 12 if behind else 33
    content = content[:place] + chunk(name, keyword + bomb) + content[place:]
    (tmp_path / "a.png").write_bytes(content)
    for read in (read_header, *READERS):
        said = refusal(read, tmp_path / "a.png")
        assert said is None or "a.png' must be a readable image" in said


def jpeg(**options):
    stored = io.BytesIO()
    Image.fromarray(PIXELS).save(stored, "JPEG", **options)
    return stored.getvalue()


def test_jpegs_of_many_scans_are_refused_and_others_are_read(tmp_path):
    path = tmp_path / "a.jpg"
    content = jpeg(progressive=True, exif=b"Exif\0\0" + b"\xff\xda" * 999)
    path.write_bytes(content)
    assert decode_image(str(path)).shape == PIXELS.shape
    last = content.rindex(b"\xff\xda")
    for copies, refused in ((50, False), (3000, True)):
        path.write_bytes(content[:-2] + content[last:-2] * copies + content[-2:])
        if refused:
            with pytest.raises(ValueError, match=r"a.jpg' must be .* of more than 100 scans"):
                decode_image(str(path))
        else:
            decode_image(str(path))
    # What is behind the end, such as a film of a phone's, is no part of it.
    path.write_bytes(content + content[last:-2] * 3000)
    decode_image(str(path))


def test_scans_of_baseline_jpegs_are_limited(tmp_path):
    # One scan of one component each; the decoder collects all of them.
    gray = io.BytesIO()
    Image.fromarray(PIXELS[..., 0]).save(gray, "JPEG")
    content = gray.getvalue()
    frame = content.index(b"\xff\xc0")
    segment = content[frame : frame + 13]
    colored = segment[:2] + b"\x00\x11" + segment[4:9] + b"\x03\x01\x11\0\x02\x11\0\x03\x11\0"
    scan = content.index(b"\xff\xda")
    scans = [content[scan : scan + 5] + bytes([1 + n % 3]) + content[scan + 6 : -2]
             for n in range(3000)]  # fmt: skip
    path = tmp_path / "a.jpg"
    start = content[:frame] + colored + content[frame + 13 : scan]
    path.write_bytes(start + b"".join(scans[:3]) + content[-2:])
    assert decode_image(str(path)).shape == PIXELS.shape
    path.write_bytes(start + b"".join(scans) + content[-2:])
    with pytest.raises(ValueError, match=r"a.jpg' must be .* of more than 100 scans"):
        decode_image(str(path))


@pytest.mark.parametrize("extension", ["gif", "png", "webp", "tif"])
def test_several_frames_are_refused(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    rng = np.random.default_rng(0)
    frames = [Image.fromarray(rng.integers(0, 256, (8, 9), dtype=np.uint8)) for _ in range(3)]
    options = {"lossless": True} if extension == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    for read in (read_header, *READERS):
        with pytest.raises(ValueError, match=r"a.\w+' must .* one image.* 3 (frames|pages)"):
            read(str(path))
    frames[0].save(path, save_all=True, **options)
    # A GIF has a palette, whose grays are the ids.
    np.testing.assert_array_equal(Labels().read(str(path), MAX_PIXELS), frames[0])


def test_other_views_in_a_jpeg_are_refused_and_thumbnails_are_not(tmp_path):
    path = tmp_path / "a.jpg"
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(path, "MPO", save_all=True, append_images=frames[1:])
    # Pillow writes a primary image and one of undefined kind, as phones do.
    assert read_header(str(path)).format == "JPEG"
    assert decode_image(str(path)).shape == PIXELS.shape
    with pytest.raises(ValueError, match="Masks must be stored losslessly: JPEG"):
        decode_mask(str(path))
    # Its index has 16 bytes an image, of which the first four say what it is.
    content = bytearray(path.read_bytes())
    second = content.index(b"\0\0\x03\0", content.index(b"MPF\0") + 16) + 16
    content[second : second + 4] = b"\x02\0\x02\0"  # A view for the other eye.
    path.write_bytes(content)
    for read in (read_header, *READERS):
        with pytest.raises(ValueError, match=r"a.jpg' must hold one image. Received: 2 frames"):
            read(str(path))


def test_lossless_webp_is_recognized_after_any_metadata(tmp_path):
    profile = np.random.default_rng(0).integers(0, 256, 9999, dtype=np.uint8).tobytes()
    for lossless in (True, False):
        options = {"lossless": lossless, "xmp": b"VP8L", "icc_profile": profile}
        path = save(PIXELS, tmp_path / "a.webp", **options)
        if lossless:
            np.testing.assert_array_equal(decode_mask(str(path)), PIXELS)
        else:
            with pytest.raises(ValueError, match="losslessly: lossy WebP"):
                decode_mask(str(path))


def bmp(bits, rows, palette):
    """Writes a BMP after its specification, with as many colors as it has."""
    height, width = rows.shape
    places = 8 // bits
    padded = np.pad(rows, ((0, 0), (0, -width % places))).reshape(height, -1, places)
    packed = (padded << np.arange(8 - bits, -1, -bits)).sum(2).astype(np.uint8)
    data = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 4)))[::-1].tobytes()
    colors = b"".join(bytes([*color, 0]) for color in palette)
    start = 54 + len(colors)
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(data), 0, 0, len(palette), 0
    )
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + colors + data


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("colors", ["black and white", "gray", "color"])
def test_a_bmp_is_read_as_it_is_stored_or_refused(tmp_path, bits, colors):
    count = 2 if colors == "black and white" else 2**bits
    indices = np.random.default_rng(0).integers(0, count, (5, 9))
    palette = {
        "black and white": [(0, 0, 0), (255, 255, 255)],
        "gray": [(n, n, n) for n in range(count)],
        "color": [(n, 0, 255 - n) for n in range(count)],
    }[colors]
    (tmp_path / "a.bmp").write_bytes(bmp(bits, indices, palette))
    path = tmp_path / "a.bmp"
    said = refusal(decode_mask, path)
    if said is None:
        np.testing.assert_array_equal(decode_mask(str(path)), indices)
    else:
        assert str(path) in said
        assert (bits, colors) in {(8, "black and white"), (4, "black and white"), (4, "gray")}


def test_a_mask_in_a_bmp_of_five_bits_a_color_is_refused(tmp_path):
    header = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 16, 0, 16, 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(
        b"BM" + struct.pack("<IHHI", 54 + 16, 0, 0, 54) + header + bytes(range(16))
    )
    assert decode_image(str(tmp_path / "a.bmp")).shape == (2, 4, 3)
    with pytest.raises(ValueError, match="losslessly: BMP of 16 bits"):
        decode_mask(str(tmp_path / "a.bmp"))


@pytest.mark.parametrize("error", [
    ValueError("said by nobody"), OverflowError("too far"), MemoryError(), RecursionError(),
    struct.error("short"), zlib.error("bad"), AssertionError(),
    UnicodeDecodeError("a", b"", 0, 0, ""),
])  # fmt: skip
def test_all_errors_of_decoders_contain_the_path(tmp_path, monkeypatch, error):
    path = save(PIXELS, tmp_path / "a.bmp")

    def load(_):
        raise error

    monkeypatch.setattr(Image.Image, "load", load)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    for read in READERS:
        with pytest.raises(ValueError, match="a.bmp' must be a readable image") as raised:
            read(str(path))
        assert (str(error) or type(error).__name__) in str(raised.value)
