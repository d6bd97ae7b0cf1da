"""``unetv2 predict``."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from conftest import save
from PIL import Image

import unetv2
from unetv2.cli import main


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.keras"
    unetv2.build_unetv2((None, None, 3), 4, filters=2, depth=1).save(path)
    return str(path)


@pytest.fixture
def images(write_pairs):
    return write_pairs(n=3, size=(20, 24))[0]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_predicted_to_a_folder(model, images, tmp_path, capsys):
    words = ["predict", model, str(images), "--output", str(tmp_path / "out"), "--quiet"]
    assert main(words) == 0
    assert capsys.readouterr().out == "3 written, 0 skipped, 0 failed\n"
    assert names(tmp_path / "out") == ["0000.png", "0001.png", "0002.png"]
    assert main(words) == 0
    assert capsys.readouterr().out == "0 written, 3 skipped, 0 failed\n"
    assert main([*words, "--overwrite", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [len(content[name]) for name in ("written", "skipped", "failed")] == [3, 0, 0]


def test_an_image_is_predicted_to_a_file(model, images, tmp_path, capsys):
    (tmp_path / "masks.png").mkdir()
    path = tmp_path / "mask.png"
    words = ["predict", model, str(images / "0001.png"), "--quiet", "--output"]
    assert main([*words, str(path)]) == 0
    assert capsys.readouterr().out == f"{path} written\n"
    expected = unetv2.predict(model, images / "0001.png").mask
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)
    assert main([*words, str(path)]) == 2
    assert "`--output` must not exist already" in capsys.readouterr().err
    assert main([*words, str(path), "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": [str(path)]}
    assert main([*words, str(tmp_path / "mask.npy")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), expected)
    # An existing folder is one, whatever its name.
    assert main([*words, str(tmp_path / "masks.png")]) == 0
    assert names(tmp_path / "masks.png") == ["0001.png"]


def test_an_output_file_is_for_one_mask(model, images, tmp_path, capsys):
    one, out = str(images / "0001.png"), str(tmp_path / "mask.png")
    for words, message in (
        ([one, str(images / "0000.png")], "`--output` must be a folder for several images"),
        ([str(images)], "`--output` must be a folder for several images"),
        ([one, "--overlays", "x"], "`--output` must be a folder together with `--overlays`"),
        ([one, "--output", str(tmp_path / "mask.jpg")], "`--output` must end in .npy, .png"),
        ([one, "--output", str(tmp_path / "no" / "mask.png")], "`--output` must be in an existing"),
        ([one, "--output", one], "`--output` must not exist already"),
        ([one, "--output", one, "--overwrite"], "`--output` must be another file than the image"),
    ):
        assert main(["predict", model, "--output", out, *words]) == 2
        assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("mask*.*"))


def test_test_time_augmentation_of_the_model_is_the_default(images, tmp_path):
    model = unetv2.build_unetv2((None, None, 3), 4, filters=2, depth=1, seed=0)
    model.preprocessing = unetv2.Preprocessing(window=(16, 16), tta=("horizontal", "transpose"))
    model.save(tmp_path / "model.keras")
    options = {"": None, "--no-tta": False, "--tta=vertical": ("vertical",)}
    image = images / "0000.png"
    for word, tta in options.items():
        out = tmp_path / f"mask{word}.npy"
        words = ["predict", str(tmp_path / "model.keras"), str(image), "--output", str(out)]
        assert main([*words, *([word] if word else [])]) == 0
        np.testing.assert_array_equal(np.load(out), unetv2.predict(model, image, tta=tta).mask)
    assert main([*words, "--tta=vertical", "--no-tta"]) == 2


def test_failed_images_return_1(model, images, tmp_path, capsys):
    (images / "0001.png").write_bytes(b"nothing")
    assert main(["predict", model, str(images), "--output", str(tmp_path / "out")]) == 1
    out = capsys.readouterr().out
    assert out.startswith("2 written, 0 skipped, 1 failed\n")
    assert "0001.png' must be a readable image" in out


def test_every_option_reaches_predict(model, images, tmp_path):
    folders = {name: tmp_path / name for name in ("colors", "overlays", "uncertainty")}
    words = ["predict", model, str(images / "0000.png"), str(images / "0002.png")]
    words += ["--output", str(tmp_path / "out"), "--shard", "1/2", "--seed", "3", "--scale", "0.8"]
    words += ["--window", "12", "14", "--overlap", "0.5", "--tta", "vertical,1.25"]
    words += ["--mc-samples", "2", "--batch-size", "3", "--max-pixels", "1000", "--quiet"]
    for name, folder in folders.items():
        words += [f"--{name}", str(folder)]
    assert main(words) == 0
    assert all(names(folder) == ["0002.png"] for folder in (tmp_path / "out", *folders.values()))
    alone = unetv2.predict(
        model, images / "0002.png", window=(12, 14), overlap=0.5, scale=0.8,
        tta=("vertical", 1.25), mc_samples=2, batch_size=3, seed=3,
    )  # fmt: skip
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "0002.png")), alone.mask)
    assert main([*words, "--max-pixels", "100", "--overwrite"]) == 1


def test_a_video_is_predicted_to_a_video(model, tmp_path, capsys):
    av = pytest.importorskip("av")
    path = tmp_path / "drive.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 16, 24, "yuv420p"
        for number in range(3):
            pixels = np.full((16, 24, 3), 40 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())
    words = ["predict", model, str(path), "--output", str(tmp_path / "out"), "--quiet"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 3
    assert names(tmp_path / "out") == ["drive.mp4"]
    assert main(words) == 2
    assert "`--output` must not exist already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert "3 frames" in capsys.readouterr().out
    assert main([*words[:-2], str(tmp_path / "colored.mkv"), "--quiet"]) == 0
    assert (tmp_path / "colored.mkv").is_file()
    assert "3 frames" in capsys.readouterr().out
    assert main([*words, "--colors", "x"]) == 2
    assert "`--colors` must not be given for a video" in capsys.readouterr().err
    assert main(["predict", model, str(path), str(path), "--output", "x"]) == 2
    assert "`INPUT` must be one video, or images" in capsys.readouterr().err


def test_a_missing_package_is_one_line_and_returns_2(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "drive.mp4").write_bytes(b"")
    words = ["predict", model, str(tmp_path / "drive.mp4"), "--output", str(tmp_path / "out")]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: Videos need PyAV, which is not installed. Run `pip install")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "`INPUT` must be files or one folder"),
        (["nowhere.mp4"], "`INPUT` must be a video file"),
        (["{images}", "{images}"], "`INPUT` must be one folder, or files"),
        (["{images}", "--shard", "2"], "argument --shard: must be INDEX/COUNT, such as 0/8"),
        (["{images}", "--tta", "sideways"], "`--tta` must be a bool, or hold"),
        (["{images}", "--mc-samples", "-1"], "`--mc-samples` must be a non-negative integer"),
    ],
)
def test_wrong_arguments_return_2_and_write_nothing(
    model, images, tmp_path, capsys, words, message
):
    given = [word.format(images=images) for word in words]
    assert main(["predict", model, *given, "--output", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_writing_over_the_images_is_refused(model, tmp_path, capsys):
    save(np.zeros((8, 8, 3), np.uint8), tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    for given in (tmp_path, tmp_path / "a.png"):
        assert main(["predict", model, str(given), "--output", str(tmp_path)]) == 2
        assert "error: `--output` must" in capsys.readouterr().err
    assert (tmp_path / "a.png").read_bytes() == before


def test_help_shows_examples(capsys):
    assert main(["predict", "--help"]) == 0
    assert "unetv2 predict model.keras drive.mp4 --output videos" in capsys.readouterr().out
