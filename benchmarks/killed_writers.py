"""Writers of the library for ``kills.py``: old content, new content, and how to read it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import unetv2
import unetv2.training.trainer
from unetv2.benchmarking import Benchmark, Row
from unetv2.data.cache import Entry, FolderCache
from unetv2.data.sources.folders import FolderSource
from unetv2.evaluation.evaluation import Evaluation
from unetv2.exporting import artifact as storage
from unetv2.exporting import export as writing
from unetv2.exporting.formats import FORMATS
from unetv2.exporting.formats.base import get_format
from unetv2.files import atomic_path, clean_up
from unetv2.inference.mask_file import encode, mask_writer, read_note
from unetv2.training.checkpoint import TrainingState

SIZE = (24, 32)
N_CLASSES = 3
HAS_AV = importlib.util.find_spec("av") is not None


@dataclasses.dataclass(frozen=True)
class Writer:
    """A writer and its output.

    Attributes:
        name: str.
        write: Writes the content of a version, 0 or 1, to a folder.
        read: Returns the parts of a folder's content; raises where one is damaged.
        share: int. How many kills it gets, beside the others.
        may_lack: bool. Whether a part may be missing after a kill, as the next run does it again.
        before: Returns whether what is read without the library is whole, at once after a kill.
        fresh: bool. Whether the folder is empty before.
        between: Values of a part that are whole too, of a run that writes several in turn.
    """

    name: str
    write: Callable[[Path, int], Any]
    read: Callable[[Path], dict[str, Any]]
    share: int = 3
    may_lack: bool = False
    before: Callable[[Path], bool] = lambda _: True
    fresh: bool = False
    between: tuple[Any, ...] = ()


def tree(folder: Path) -> dict[str, str]:
    """Returns the digest of each file in a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".unetv2-" not in path.as_posix()
    }


def as_a_whole(folder: Path) -> dict[str, Any]:
    """Returns all files as one part, after the recovery by the next run."""
    for one in (folder, *folder.iterdir()):
        clean_up(one)
    found = tree(folder)
    return {"all files": found} if found else {}


def network(version: int) -> keras.Model:
    """Returns a different model for each version."""
    model = unetv2.build_unetv2((*SIZE, 3), N_CLASSES, filters=2, depth=1, seed=version)
    model.name = f"version_{version}"
    model.preprocessing = unetv2.Preprocessing(image_size=SIZE)
    return model


def ids(version: int) -> np.ndarray:
    """Returns a mask."""
    return np.random.default_rng(version).integers(0, 9, (60, 80)).astype(np.uint8)


class Guesser:
    """Segments by brightness, without a network."""

    n_classes = 23
    preprocessing = unetv2.Preprocessing(image_size=SIZE)

    def __init__(self, version: int) -> None:
        self._version = version

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        """Returns probabilities ``(height, width, n_classes)``."""
        chosen = (image[..., 0].astype(int) // 11 + self._version) % self.n_classes
        return np.eye(self.n_classes, dtype=np.float32)[chosen]


def writers(data: Path) -> list[Writer]:
    """Returns all writers; ``data`` holds pairs and an artifact of each version."""
    folders = (data / "pairs" / "CameraRGB", data / "pairs" / "CameraMask")
    image_dir, mask_dir = map(str, folders)
    images = sorted(folders[0].iterdir())

    def cache(folder: Path, version: int) -> None:
        kept = FolderCache(folder, str(version))
        for pair in FolderSource(image_dir, mask_dir).pairs:
            entry = kept.entry((pair.image, pair.mask))
            if kept.load(entry) is None:
                kept.store(entry, (np.full((9, 9, 3), version, np.uint8), np.ones((9, 9, 1))))

    def cached(folder: Path) -> dict[str, Any]:
        kept, found = FolderCache(folder, ""), {}
        for path in folder.rglob("*.pair"):
            loaded = kept.load(Entry(path, 0))
            assert loaded is not None, f"{path} is damaged"
            found[path.name] = int(loaded[0][0, 0, 0])
        return found

    def check(folder: Path, version: int) -> None:
        n_classes = 23 - 20 * version
        unetv2.check_dataset(*folders, n_classes=n_classes, output=folder / "out", progress=False)

    def evaluation(version: int) -> Evaluation:
        return unetv2.evaluate(Guesser(version), folders, classes=unetv2.CARLA, progress=False)

    def report(folder: Path, version: int) -> None:
        unetv2.evaluate(
            Guesser(version), folders, classes=unetv2.CARLA, report=folder, progress=False
        )

    def evaluated(folder: Path) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):
            Evaluation.load(folder)
        return as_a_whole(folder)

    def masks(folder: Path, version: int) -> None:
        for suffix in ("npy", "png", "tif"):
            with atomic_path(folder / f"small.{suffix}") as path:
                encode(ids(version), path)
            with mask_writer(folder / f"large.{suffix}", (60, 80), np.dtype(np.uint8)) as write:
                for row in range(0, 60, 20):
                    write(0, ids(version)[row : row + 20])

    def directory(folder: Path, version: int) -> None:
        unetv2.predict_directory(
            network(version), folders[0], folder / "masks", colors_dir=folder / "colors",
            overlays_dir=folder / "overlays", uncertainty_dir=folder / "uncertainty",
            overwrite=version == 1, progress=False,
        )  # fmt: skip

    def products(folder: Path) -> dict[str, Any]:
        found = tree(folder)
        parts = ("masks", "colors", "overlays", "uncertainty")
        whole = {}
        for path in images:
            files = [folder / part / path.name for part in parts]
            # Files of two models are not taken for one prediction, by their notes.
            notes = {read_note(file) for file in files}
            if len(notes) == 1 and None not in notes:
                whole[path.name] = tuple(found[f"{part}/{path.name}"] for part in parts)
        return whole

    def video(folder: Path, version: int) -> None:
        unetv2.predict_video(
            network(version), data / "drive.mp4", folder / "out.mp4", overwrite=True,
            progress=False,
        )  # fmt: skip

    def train(folder: Path, version: int) -> None:
        keras.utils.set_random_seed(0)
        batches = unetv2.make_dataset(*folders, n_classes=23, image_size=SIZE, batch_size=2)
        model = unetv2.build_unetv2((*SIZE, 3), 23, filters=2, depth=1, seed=0)
        unetv2.train(
            model, batches, batches, recipe="reference", epochs=1 + version, output_dir=folder,
            resume=True, checkpoint_minutes=0, progress=False,
        )  # fmt: skip

    def trained(folder: Path) -> dict[str, Any]:
        if not (folder / "checkpoint.npz").exists():
            return {}
        found = TrainingState.load(folder / "checkpoint.npz").epoch
        if (folder / "within_epoch.npz").exists():
            TrainingState.load(folder / "within_epoch.npz")
        if found:
            with zipfile.ZipFile(folder / "model.keras") as archive:
                assert archive.testzip() is None
        return {"epochs": found} if found else {}

    def scenes(folder: Path, version: int) -> None:
        if not (folder / "scenes").exists():
            unetv2.synthetic.write_driving_scenes(
                folder / "scenes", 2, image_size=SIZE, seed=version
            )

    def benchmark(folder: Path, version: int) -> None:
        row = Row(
            name="model", format="keras", precision="float32", latency_ms=(1.0, 2.0, 3.0),
            throughput=9.0, peak_bytes=1, file_bytes=1, startup_s=0.1 + version, mean_iou=0.5,
        )  # fmt: skip
        Benchmark(rows=[row], settings={"batch_size": 1}).save(folder)

    def page(folder: Path, version: int) -> None:
        loaded = Evaluation.load(data / f"evaluation_{version}")
        unetv2.write_report(loaded, folder / "report.html")

    def swap(folder: Path, version: int) -> None:
        place = folder / "artifact"
        writing.require_path(place, get_format("saved_model"), overwrite=True)
        with writing.scratch_beside(place) as written:
            shutil.copytree(data / f"artifact_{version}", written / "0")
            storage.write_description(written / "0", storage.read(written / "0")[0])
            writing.move(written / "0", place)

    def renamed(folder: Path, version: int) -> None:
        unetv2.files._exchanged = lambda *_: False  # As on systems that cannot.
        swap(folder, version)

    def artifact(folder: Path) -> dict[str, Any]:
        found = {}
        for name in ("artifact", "artifact.tflite", "artifact.onnx"):
            try:
                found[name] = storage.read(folder / name)[0].name
            except FileNotFoundError:
                continue
        return found

    def at_its_path(folder: Path) -> bool:
        return (folder / "artifact" / "unetv2.json").exists()

    def export(format: str) -> Callable[[Path, int], None]:
        path = f"artifact{get_format(format).suffix}"

        def write(folder: Path, version: int) -> None:
            unetv2.export(
                network(version), folder / path, format=format, overwrite=True,
                image_size=SIZE, frame_size=SIZE,
            )  # fmt: skip

        return write

    found = [
        Writer("cache", cache, cached),
        Writer("check --report", check, as_a_whole),
        Writer("Evaluation.save", lambda f, v: evaluation(v).save(f), evaluated),
        Writer("evaluate(report=)", report, evaluated),
        Writer("write_report", page, tree),
        Writer("masks", masks, tree, share=4),
        Writer("write_driving_scenes", scenes, as_a_whole, fresh=True),
        Writer("Benchmark.save", benchmark, as_a_whole),
        Writer("artifact put in place", swap, artifact, share=5, before=at_its_path),
        Writer("... by renaming", renamed, artifact, share=5),
        Writer("predict_directory", directory, products, share=3, may_lack=True),
        Writer("train, resumed", train, trained, share=3, between=(1,)),
    ]
    if HAS_AV:
        found.append(Writer("predict_video", video, tree, share=1))
    for name in FORMATS:
        modules = get_format(name).required_modules("float32")
        if all(importlib.util.find_spec(module.split(".")[0]) for module in modules):
            found.append(Writer(f"export {name}", export(name), artifact, share=1))
    return found


def prepare(data: Path) -> None:
    """Writes the input of the writers."""
    folders = unetv2.synthetic.write_driving_scenes(data / "pairs", 4, image_size=SIZE)
    for version in range(2):
        unetv2.evaluate(
            Guesser(version), folders, classes=unetv2.CARLA, progress=False
        ).save(data / f"evaluation_{version}")  # fmt: skip
        unetv2.export(network(version), data / f"artifact_{version}", format="saved_model")
    if not HAS_AV:
        return
    import av

    with av.open(str(data / "drive.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for path in sorted(folders[0].iterdir()):
            pixels = tf.io.decode_png(path.read_bytes(), channels=3).numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
