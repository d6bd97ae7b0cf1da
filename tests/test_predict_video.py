"""Prediction of videos."""

from __future__ import annotations

import struct
import sys
from fractions import Fraction

import av
import keras
import numpy as np
import pytest

import unetv2
from unetv2.prediction import video
from unetv2.prediction.video import Flicker

RATE = Fraction(30000, 1001)
CLOCK = Fraction(1, 30000)
# The matrix in a track's header that turns images by a quarter of a circle to the right, and the
# one that leaves them, after ISO/IEC 14496-12: numbers of 16.16 bits, the last column of 2.30.
TURNED = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
UPRIGHT = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    network = unetv2.build_unetv2((None, None, 3), 23, filters=2, depth=2)
    network.preprocessing = unetv2.Preprocessing(image_size=(24, 32), classes=unetv2.CARLA)
    return network


def write(path, size=(48, 64), times=range(7)):
    """Writes a video of scenes, one for every second frame, in the finest quality."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p"
        stream.options = {"qp": "0"}
        stream.codec_context.time_base = CLOCK
        for number, time in enumerate(times):
            pixels = unetv2.synthetic.driving_scene(number // 2, image_size=size)[0]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[..., :3]))
            frame.pts, frame.time_base = time * 1001, CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def read(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        seconds = [frame.pts * stream.time_base for frame in frames]
        pixels = [frame.to_ndarray(format="rgb24") for frame in frames]
        return pixels, seconds, stream.average_rate


def predict(model, path, output, **options):
    return unetv2.predict_video(model, path, output, progress=False, **options)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_frame_times_rate_and_size_are_kept(model, tmp_path, suffix):
    # A frame is shown for longer than the others.
    path = write(tmp_path / f"drive{suffix}", times=[0, 1, 2, 5, 6])
    result = predict(model, path, tmp_path / f"classes{suffix}")
    frames, seconds, rate = read(path)
    shown, shown_seconds, shown_rate = read(result.path)
    assert [image.shape for image in shown] == [image.shape for image in frames]
    assert shown_rate == rate
    # Matroska counts in milliseconds.
    np.testing.assert_allclose([*map(float, shown_seconds)], [*map(float, seconds)], atol=1e-3)
    assert (result.frames, result.size) == (5, (48, 64))
    assert result.frame_rate == pytest.approx(float(rate))
    assert result.frames_per_second > 0
    assert sorted(tmp_path.iterdir()) == sorted([path, result.path])


def test_the_color_space_is_stored(model, tmp_path):
    path = write(tmp_path / "drive.mp4", times=range(1))
    predict(model, path, tmp_path / "classes.mp4", opacity=0.0)
    with av.open(str(tmp_path / "classes.mp4")) as container:
        (frame,) = container.decode(video=0)
        assert (frame.colorspace, frame.color_range) == (6, 1)
    ((one,), _, _), ((other,), _, _) = read(path), read(tmp_path / "classes.mp4")
    assert np.abs(one.astype(int) - other).mean() < 5


@pytest.mark.parametrize("options", [{}, {"batch_size": 3, "tta": True}, {"window": (24, 24)}])
def test_each_frame_has_the_colors_of_predict(model, tmp_path, options):
    path = write(tmp_path / "drive.mp4")
    result = predict(model, path, tmp_path / "classes.mp4", opacity=1.0, **options)
    for frame, shown in zip(read(path)[0], read(result.path)[0], strict=True):
        alone = unetv2.predict(model, frame, **options)
        colors = unetv2.visualization.colorize(alone.mask, alone.classes)
        # H.264 keeps the brightness of each pixel, and the colors at half resolution.
        brightness = np.array([0.299, 0.587, 0.114])
        assert np.abs((shown - colors.astype(float)) @ brightness).mean() < 8


def test_odd_sizes_are_supported(model, tmp_path):
    path = write(tmp_path / "drive.mp4", size=(25, 33))
    assert predict(model, path, tmp_path / "classes.mp4").size == (25, 33)
    assert read(tmp_path / "classes.mp4")[0][0].shape == (25, 33, 3)


def test_rotated_videos_are_written_upright(model, tmp_path):
    path = write(tmp_path / "drive.mp4")
    result = predict(model, path, tmp_path / "upright.mp4", opacity=0.0)
    content = path.read_bytes()
    place = content.index(UPRIGHT, content.index(b"tkhd"))
    path.write_bytes(content[:place] + TURNED + content[place + len(TURNED) :])
    turned = predict(model, path, tmp_path / "turned.mp4", opacity=0.0)
    assert (result.size, turned.size) == ((48, 64), (64, 48))
    for one, other in zip(read(result.path)[0], read(turned.path)[0], strict=True):
        # To the right: the top is on the right then.
        assert np.abs(np.rot90(one, -1).astype(int) - other).mean() < 6


def test_models_of_one_channel_get_gray_frames(tmp_path):
    model = unetv2.build_unetv2((24, 32, 1), 3, filters=2, depth=1)
    path = write(tmp_path / "drive.mp4", times=range(2))
    result = predict(model, path, tmp_path / "classes.mp4")
    assert (result.frames, result.blinking) == (2, None)


def test_flicker_matches_values_derived_by_hand():
    # Two pixels in four frames. The first is 0 1 0 0: it blinks in the second frame, of the two
    # inner ones. The second is 0 1 1 2: it changes, and stays.
    flicker = Flicker()
    still = np.zeros((1, 2, 3), np.uint8)
    # Of the second pixel one channel changes by 9 between the second frame and the third, and by 8
    # before.
    frames = [still.copy() for _ in range(4)]
    frames[1][0, 1, 2] = 8
    frames[2][0, 1, 2] = frames[3][0, 1, 2] = 17
    for ids, frame in zip(([0, 0], [1, 1], [0, 1], [0, 2]), frames, strict=True):
        flicker.add(np.array([ids], np.uint8), frame)
    assert flicker.blinking == 1 / 4
    # Three steps of two pixels, one of them moving; changes of still ones: both in the first step,
    # the first in the second, the second in the third.
    assert flicker.unsteady == 4 / 5


def test_a_constant_video_does_not_flicker(model, tmp_path):
    path = tmp_path / "still.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8))
        for number in range(5):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    result = predict(model, path, tmp_path / "classes.mp4")
    assert (result.blinking, result.unsteady) == (0, 0)
    assert str(result).endswith("a second, 0.00% blinking, 0.00% unsteady")


def test_flicker_of_no_frames_is_none():
    assert (Flicker().blinking, Flicker().unsteady) == (None, None)


def test_progress_counts_frames(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("unetv2.progress._SECONDS_IN_A_LOG", 0.0)
    path = write(tmp_path / "drive.mp4")
    unetv2.predict_video(model, path, tmp_path / "classes.mp4")
    assert "6 of 7 frames" in capsys.readouterr().err


def test_an_interruption_leaves_no_partial_file(model, tmp_path, monkeypatch):
    class Interrupted(video.Progress):
        def update(self, done, note=""):
            if done == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(video, "Progress", Interrupted)
    path = write(tmp_path / "drive.mp4")
    with pytest.raises(KeyboardInterrupt):
        predict(model, path, tmp_path / "classes.mp4")
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "classes.mp4").write_bytes(b"before")
    with pytest.raises(KeyboardInterrupt):
        predict(model, path, tmp_path / "classes.mp4", overwrite=True)
    assert (tmp_path / "classes.mp4").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 2


def refused(path, output, error, message, model="model.keras", **options):
    before = sorted(path.parent.iterdir())
    with pytest.raises(error, match=message):
        predict(model, path, output, **options)
    assert sorted(path.parent.iterdir()) == before


def test_invalid_arguments_raise_before_the_model_is_loaded(model, tmp_path):
    path = write(tmp_path / "drive.mp4")
    output = tmp_path / "classes.mp4"
    refused(tmp_path / "no.mp4", output, FileNotFoundError, "`path` must be a video file")
    refused(path, path, ValueError, "`output` must be another file than the video")
    refused(path, tmp_path / "x.gif", ValueError, "`output` must end in .mp4, .mkv, .mov")
    refused(
        path, tmp_path / "no" / "x.mp4", FileNotFoundError, "`output` must be in an existing folder"
    )
    refused(path, output, ValueError, "`opacity` must be a number in", opacity=2)
    refused(path, output, FileNotFoundError, "`model` must be a file")
    output.write_bytes(b"before")
    refused(path, output, ValueError, "`output` must not exist already.*overwrite=True")
    assert predict(model, path, output, overwrite=True).frames == 7


def test_damaged_videos_raise(model, tmp_path):
    for content in (b"", b"no video at all", write(tmp_path / "x.mp4").read_bytes()[:900]):
        path = tmp_path / "broken.mp4"
        path.write_bytes(content)
        refused(
            path,
            tmp_path / "o.mp4",
            ValueError,
            "`path` must be a video. Received: '.*broken.mp4'",
            model,
        )


def test_a_file_without_a_video_stream_raises(model, tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    refused(path, tmp_path / "o.mp4", ValueError, "must be a video.*without an image", model)


def test_a_truncated_video_raises(model, tmp_path):
    path = write(tmp_path / "drive.mp4", times=range(30))
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    middle = (start + end) // 2
    content[middle:end] = b"\xff" * (end - middle)
    path.write_bytes(bytes(content))
    message = "'.*drive.mp4' must be a complete video"
    refused(path, tmp_path / "o.mp4", ValueError, message, model)


def test_models_of_other_channels_raise(tmp_path):
    model = unetv2.build_unetv2((24, 32, 5), 3, filters=2, depth=1)
    path = write(tmp_path / "drive.mp4", times=range(1))
    message = "`model` must take images of 1 or 3 channels"
    refused(path, tmp_path / "o.mp4", ValueError, message, model)


def test_a_missing_extra_names_the_command(model, tmp_path, monkeypatch):
    path = write(tmp_path / "drive.mp4", times=range(1))
    monkeypatch.setitem(sys.modules, "av", None)
    message = r"Videos need PyAV, which is not installed. Run `pip install 'unetv2\[video\]'`"
    refused(path, tmp_path / "o.mp4", ImportError, message, model)
