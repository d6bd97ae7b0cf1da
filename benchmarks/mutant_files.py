"""A valid file of each kind that the library reads, and its reader."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import unetv2
from unetv2.data.cache import Entry, FolderCache
from unetv2.data.io.open import decode_image, decode_mask, read_header
from unetv2.exporting.artifact import Description, merge, read, write_description
from unetv2.exporting.formats.base import DESCRIPTION, get_format
from unetv2.keras_files import load_weights
from unetv2.prediction.predictor import load
from unetv2.prediction.video_file import open_video
from unetv2.training.checkpoint import RUN, TrainingState, open_folder

SIZE = (24, 32)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        name: str.
        write: Writes a valid one, and what belongs to it, into a folder; returns its path.
        read: The library's reader, of the path.
        sealed: bool. Whether a checksum is over all of it, so that no change of the bytes may
            change what is read.
        digest: bool. Whether that is the library's own digest, which a forged checksum of the
            format does not fit.
        share: float. How many mutants it gets, compared with others.
        named: Which name an error must have; the file's by default.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], Any]
    sealed: bool = False
    digest: bool = False
    share: float = 1.0
    named: Callable[[Path], str] = lambda path: path.name


def summary(value: Any) -> str:
    """Returns a digest of what a reader returned."""
    digest = hashlib.sha256()
    _add(digest, value)
    return digest.hexdigest()


def _add(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            _add(digest, (key, value[key]))
    elif isinstance(value, list | tuple):
        digest.update(f"({len(value)}".encode())
        for one in value:
            _add(digest, one)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        _add(digest, [getattr(value, one.name) for one in dataclasses.fields(value)])
    else:
        digest.update(f"{type(value).__name__}:{value!r};".encode("utf-8", "surrogatepass"))


def _ids(classes: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, classes, SIZE).astype(dtype)


def _colors() -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([rows * 10, columns * 7, rows * columns % 251], axis=-1).astype(np.uint8)


def _pillow(name: str, image: Image.Image, **options: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        image.save(folder / name, **options)
        return folder / name

    return write


def _mask(path: Path) -> Any:
    return read_header(str(path), lossless=True), decode_mask(str(path))


def _image(path: Path) -> Any:
    return read_header(str(path)), decode_image(str(path), channels=3)


def _array(path: Path) -> Any:
    return decode_image(str(path), channels=5)


def _images() -> list[Kind]:
    palette = Image.fromarray(_ids(9))
    palette.putpalette(np.random.default_rng(1).integers(0, 256, 27).astype(np.uint8).tobytes())
    ids, color = Image.fromarray(_ids(5)), Image.fromarray(_colors())
    wide = Image.fromarray(_ids(60_000, np.uint16))
    alpha = Image.fromarray(np.dstack([_colors(), _ids(256)]))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = [
        Kind("PNG, gray", _pillow("a.png", ids), _mask, sealed=True),
        Kind("PNG, palette", _pillow("a.png", palette), _mask, sealed=True),
        Kind("PNG, 16 bits", _pillow("a.png", wide), _mask, sealed=True),
        Kind("PNG, 1 bit", _pillow("a.png", ids.convert("1")), _mask, sealed=True),
        Kind("PNG, RGB", _pillow("a.png", color), _image, sealed=True),
        Kind("PNG, RGBA, EXIF", _pillow("a.png", alpha, exif=exif), _image, sealed=True),
        Kind("JPEG", _pillow("a.jpg", color, exif=exif), _image),
        Kind("JPEG, progressive", _pillow("a.jpg", color, progressive=True), _image),
        Kind("BMP", _pillow("a.bmp", color), _image),
        Kind("GIF", _pillow("a.gif", palette), _mask),
        Kind("WebP", _pillow("a.webp", color), _image),
        Kind("WebP, lossless", _pillow("a.webp", color, lossless=True), _image),
    ]
    for compression in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        write = _pillow("a.tif", color, compression=compression)
        kinds.append(Kind(f"TIFF, {compression.removeprefix('tiff_')}", write, _image))
    kinds.append(Kind("TIFF, 16 bits", _pillow("a.tif", wide), _mask))
    return kinds


def _npy(name: str, array: np.ndarray) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.save(folder / name, array)
        return folder / name

    return write


def _table(suffix: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / f"classes{suffix}"
        if suffix == ".json":
            path.write_text(json.dumps(unetv2.CITYSCAPES.as_dict()))
        else:
            rows = zip(unetv2.CARLA.names, unetv2.CARLA.colors, strict=True)
            lines = [f"{name},{','.join(map(str, color))}" for name, color in rows]
            path.write_text("\n".join(["name,red,green,blue", *lines]))
        return path

    return write


def _described(folder: Path, format: str) -> Path:
    """Writes an artifact of a format, whose network is no network."""
    place = folder / "artifact"
    place.mkdir()
    (place / get_format(format).main).write_bytes(np.random.default_rng(0).bytes(2000))
    description = Description(
        name="cells", format=format, precision="float32", n_classes=23, frame_size=(48, 64),
        network_size=SIZE, resizes=True,
        preprocessing=unetv2.Preprocessing(image_size=SIZE, classes=unetv2.CARLA),
    )  # fmt: skip
    write_description(place, description)
    return place


def _artifact(folder: Path) -> Path:
    return _described(folder, "saved_model") / DESCRIPTION


def _network(folder: Path) -> Path:
    return _described(folder, "saved_model") / "saved_model.pb"


def _single(format: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = merge(_described(folder, format), format)
        return path.rename(folder / path.name)

    return write


def _read_artifact(path: Path) -> Any:
    place = path if path.suffix in (".tflite", ".onnx") else path.parent
    description, files = read(place)
    main = get_format(description.format).main
    return description, files[main].read_bytes()[: description.files[main]["bytes"]]


def _evaluation(folder: Path) -> Path:
    images, masks = unetv2.synthetic.write_driving_scenes(folder / "scenes", 3, image_size=SIZE)
    model = unetv2.build_unetv2((*SIZE, 3), 23, filters=2, depth=2, seed=0)
    data = unetv2.make_dataset(images, masks, n_classes=23, image_size=SIZE, shuffle=False)
    unetv2.evaluate(model, data, progress=False).save(folder)
    return folder / "evaluation.npz"


def _read_evaluation(path: Path) -> Any:
    found = unetv2.Evaluation.load(path.parent)
    rows = (
        found.counts.names,
        found.counts.pixels,
        found.counts.boundaries,
        found.counts.calibration,
    )
    return found.confusion, rows, list(map(tuple, found.examples)), repr(found.settings)


def _checkpoint(folder: Path) -> Path:
    random = np.random.default_rng(0)
    variables = {"model": [random.normal(size=(3, 3, 3, 4)), random.normal(size=4)]}
    TrainingState(epoch=3, best=0.5, history=[{"epoch": 0, "loss": 1.5}], variables=variables).save(
        folder / "checkpoint.npz"
    )
    return folder / "checkpoint.npz"


_DESCRIBED_RUN = {"recipe": {"name": "fast", "epochs": 9}, "seed": 0, "weights": [["a", [3, 4]]]}


def _run(folder: Path) -> Path:
    open_folder(folder, _DESCRIBED_RUN, resume=False, overwrite=False)
    return folder / RUN


def _read_run(path: Path) -> Any:
    open_folder(path.parent, _DESCRIBED_RUN, resume=True, overwrite=False)
    return "the same run"


def _entry(folder: Path) -> Path:
    FolderCache(folder / "cache", "").store(Entry(folder / "a.pair", 0), (_colors(), _ids(5)))
    return folder / "a.pair"


def _read_entry(path: Path) -> Any:
    found = FolderCache(path.parent / "cache", "").load(Entry(path, 0))
    if found is None:
        raise ValueError(f"a miss: {path.name}")
    return list(found)


def _keras(folder: Path) -> Path:
    model = _network_of_three()
    model.preprocessing = unetv2.Preprocessing(image_size=SIZE)
    model.save(folder / "model.keras")
    return folder / "model.keras"


def _read_keras(path: Path) -> Any:
    model = load(path)
    layers = [json.dumps(layer.get_config(), sort_keys=True, default=str) for layer in model.layers]
    return layers, model.get_weights(), repr(model.preprocessing)


def _network_of_three() -> Any:
    return unetv2.build_unetv2((*SIZE, 3), 3, filters=2, depth=2, seed=0)


def _weights(folder: Path) -> Path:
    _network_of_three().save_weights(folder / "a.weights.h5")
    return folder / "a.weights.h5"


def _read_weights(path: Path) -> Any:
    model = _network_of_three()
    load_weights(model, path)
    return model.get_weights()


def _video(folder: Path) -> Path:
    import av

    with av.open(str(folder / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width = SIZE
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(np.roll(_colors(), number, axis=0), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder / "a.mp4"


def _read_video(path: Path) -> Any:
    with open_video(path, 3) as film:
        return [tuple(frame) for frame in film]


def kinds() -> list[Kind]:
    """Returns all kinds; videos where PyAV is installed."""
    artifact: dict[str, Any] = {"sealed": True, "digest": True, "read": _read_artifact}
    found = [
        *_images(),
        Kind("NPY, image", _npy("a.npy", np.dstack([_colors(), _colors()[..., :2]])), _array),
        Kind("NPY, mask", _npy("a.npy", _ids(300, np.uint16)), _mask),
        Kind("classes, JSON", _table(".json"), unetv2.ClassTable.from_file),
        Kind("classes, CSV", _table(".csv"), unetv2.ClassTable.from_file),
        Kind("artifact, description", _artifact, named=lambda p: p.parent.name, **artifact),
        Kind("artifact, network", _network, named=lambda p: p.parent.name, **artifact),
        Kind("artifact, .tflite", _single("litert"), **artifact),
        Kind("artifact, .onnx", _single("onnx"), **artifact),
        Kind("evaluation", _evaluation, _read_evaluation, sealed=True, digest=True),
        Kind("checkpoint", _checkpoint, TrainingState.load, sealed=True, digest=True),
        Kind("run.json", _run, _read_run, sealed=True, digest=True),
        Kind("cache", _entry, _read_entry, sealed=True, digest=True),
        Kind(".keras", _keras, _read_keras, sealed=True, share=0.4),
        Kind(".weights.h5", _weights, _read_weights, share=0.3),
    ]
    with contextlib.suppress(ImportError):
        if importlib.util.find_spec("av"):
            found.append(Kind("video", _video, _read_video, share=0.3))
    return found
