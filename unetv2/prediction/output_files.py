"""Output files of a predicted folder: paths, checks, provenance, and writing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from unetv2.checksums import read_json
from unetv2.data.io.open import EXTENSIONS
from unetv2.data.sources.folders import composed, list_images, require_folder, take_shard
from unetv2.files import atomic_path, clean_up, explain_write_errors
from unetv2.inference.mask_file import encode, png_note, read_note
from unetv2.inference.prediction import Prediction
from unetv2.text import counted
from unetv2.visualization import colorize

# The kinds of outputs, by the argument of their folder.
MASKS, COLORS, OVERLAYS, UNCERTAINTY = "output_dir", "colors_dir", "overlays_dir", "uncertainty_dir"

PathLike = str | os.PathLike[str]


class Job(NamedTuple):
    """The path of an image to predict, and those of its output files by kind, the mask last."""

    image: str
    outputs: dict[str, Path]


def plan_jobs(
    images: PathLike | Sequence[PathLike],
    output_dir: PathLike,
    colors_dir: PathLike | None = None,
    overlays_dir: PathLike | None = None,
    uncertainty_dir: PathLike | None = None,
    shard: Sequence[int] | None = None,
) -> list[Job]:
    """Returns the images with their output files, which have the same relative paths.

    Arguments and errors are those of :meth:`unetv2.Predictor.predict_directory`. The list is empty
    if there are fewer images than shards.
    """
    # The mask is the last file to appear, so an image with a mask is complete.
    dirs = {
        COLORS: colors_dir, OVERLAYS: overlays_dir, UNCERTAINTY: uncertainty_dir, MASKS: output_dir,
    }  # fmt: skip
    folders = {kind: Path(folder) for kind, folder in dirs.items() if folder is not None}
    source = Path(images) if isinstance(images, str | os.PathLike) else None
    if isinstance(images, str | os.PathLike):
        require_folder("images", Path(images))
        paths = sorted(list_images("images", Path(images)).items())
    else:
        paths = _list_files(images)
    _require_separate(folders)
    for argument, folder in folders.items():
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(
                f"`{argument}` must be a folder. Received: '{folder}', which is a file. "
                "Pass another path."
            )
        if source is not None:
            _require_outside(argument, folder, source)
    jobs = [
        Job(path, {kind: folder / f"{key}.png" for kind, folder in folders.items()})
        for key, path in paths
    ]
    # All images, so that the result does not depend on the shard.
    for argument, folder in folders.items():
        for parent in {job.outputs[argument].parent for job in jobs}:
            _require_inside(argument, parent, folder)
            if source is not None:
                _require_outside(argument, parent, source)
        if source is None:
            _require_no_image(argument, jobs)
    return jobs if shard is None else list(take_shard(jobs, shard, "images"))


def _list_files(images: Sequence[PathLike]) -> list[tuple[str, str]]:
    """Returns the name without extension and the path of each image of a list, sorted."""
    paths: dict[str, str] = {}
    for image in images:
        path = os.fspath(image)
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"`images` must be files or one folder. Received: '{path}', which is not a file. "
                "Check the path."
            )
        key = composed(Path(path).stem)
        if Path(path).suffix.lower() not in EXTENSIONS:
            raise ValueError(
                f"`images` must be images ({', '.join(EXTENSIONS)}). Received: '{path}'."
            )
        if key in paths:
            raise ValueError(
                "`images` must have different names, folders and extensions aside, or their masks "
                f"would overwrite each other. Received: '{paths[key]}' and '{path}'. "
                "Predict them to different folders."
            )
        paths[key] = path
    if not paths:
        raise ValueError("`images` must hold an image. Received: an empty list.")
    return sorted(paths.items())


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _require_separate(folders: Mapping[str, Path]) -> None:
    """Raises if an output folder is or contains another: equal names would collide."""
    items = list(folders.items())
    for number, (argument, folder) in enumerate(items):
        for name, other in items[:number]:
            for outer, inner, first, second in (
                (other, folder, argument, name),
                (folder, other, name, argument),
            ):
                if _real(outer) in (_real(inner), *_real(inner).parents):
                    raise ValueError(
                        f"`{first}` must be another folder than `{second}`, and not in it. "
                        f"Received: '{folders[first]}' and '{folders[second]}'. "
                        "Pass a separate folder."
                    )


def _require_outside(argument: str, folder: Path, source: Path) -> None:
    if _real(source) in (_real(folder), *_real(folder).parents):
        raise ValueError(
            f"`{argument}` must be outside the folder of the images, or outputs would be read as "
            f"images. Received: '{folder}', which is in '{source}'. Pass another folder."
        )


def _require_inside(argument: str, parent: Path, folder: Path) -> None:
    if _real(folder) not in (_real(parent), *_real(parent).parents):
        raise ValueError(
            f"`{argument}` must not contain links to other folders that are written to. "
            f"Received: '{parent}', which is '{_real(parent)}'. Remove the link."
        )


def _require_no_image(argument: str, jobs: Sequence[Job]) -> None:
    images = {os.path.realpath(job.image) for job in jobs}
    for job in jobs:
        path = job.outputs[argument]
        if os.path.realpath(path) in images:
            raise ValueError(
                f"`{argument}` must be a folder in which no image is overwritten. "
                f"Received: '{path}', which is an image to predict. Pass another folder."
            )


class Provenance:
    """The model and the options of a run, stored as a note in each output file."""

    def __init__(
        self, model: str, preprocessing: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        content = json.dumps(preprocessing, sort_keys=True).encode("ascii")
        digest = hashlib.sha256(content).hexdigest()
        self._values = {"model": model, "preprocessing": digest, **options}

    def note(self, image: str) -> str:
        """Returns the note of an image's outputs; its file size identifies the image."""
        return json.dumps({"made_with": self._values, "image_bytes": Path(image).stat().st_size})

    def differences(self, note: str | None) -> list[str] | None:
        """Returns the differences of another note; None if it is not valid."""
        try:
            values = read_json(note or "")["made_with"]
        except (ValueError, KeyError, TypeError):
            return None
        if not isinstance(values, dict):
            return None
        names = sorted({*values, *self._values})
        return [
            # Digests are not shown.
            f"another {name}"
            if name in ("model", "preprocessing")
            else f"{name}={values.get(name)}"
            for name in names
            if values.get(name) != self._values.get(name)
        ]


def complete_jobs(jobs: Sequence[Job], provenance: Provenance) -> set[int]:
    """Returns the indices of the jobs whose files all exist with the same provenance.

    Temporary files of killed runs are removed.

    Raises:
        ValueError: If a file has another provenance.
    """
    existing: dict[Path, set[str]] = {}
    for parent in {path.parent for job in jobs for path in job.outputs.values()}:
        clean_up(parent)
        with contextlib.suppress(FileNotFoundError), os.scandir(parent) as entries:
            existing[parent] = {composed(entry.name) for entry in entries}
    complete: set[int] = set()
    others: list[tuple[str, Path, list[str] | None]] = []
    for number, job in enumerate(jobs):
        n_complete = 0
        for kind, path in job.outputs.items():
            if path.name not in existing.get(path.parent, ()):
                continue
            note = read_note(path)
            if note == provenance.note(job.image):
                n_complete += 1
            # Without differences, the image was replaced.
            elif (differences := provenance.differences(note)) != []:
                others.append((kind, path, differences))
        if n_complete == len(job.outputs):
            complete.add(number)
    if others:
        argument, path, differences = others[0]
        origin = (
            "without a note on the model and the options"
            if differences is None
            else f"made with {', '.join(differences)}"
        )
        count = counted(sum(kind == argument for kind, _, _ in others), "file")
        raise ValueError(
            f"`{argument}` must hold no files of another model or of other options. "
            f"Received: {count}, such as '{path}', {origin}. "
            "Pass overwrite=True to predict all of them again, or another folder."
        )
    return complete


def make_folders(jobs: Sequence[Job]) -> None:
    """Creates the folders of all output files."""
    for parent in {path.parent for job in jobs for path in job.outputs.values()}:
        with explain_write_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)


def _uncertainty(prediction: Prediction) -> np.ndarray:
    """Returns the entropy as 16-bit integers, 65535 at its maximum."""
    assert prediction.uncertainty is not None
    fraction = prediction.uncertainty / math.log(len(prediction.classes))
    return np.rint(np.clip(fraction, 0, 1) * 65535).astype(np.uint16)


_RENDERERS: Mapping[str, Callable[[Prediction], np.ndarray]] = {
    COLORS: lambda prediction: colorize(prediction.mask, prediction.classes),
    OVERLAYS: lambda prediction: prediction.overlay(),
    UNCERTAINTY: _uncertainty,
}


def write_outputs(prediction: Prediction, outputs: Mapping[str, Path], note: str) -> None:
    """Writes the output files of an image, each atomically, with a note.

    A mask that is in its file already is not written again.

    Raises:
        OSError: If a file cannot be written.
    """
    advice = "run it again: finished files are kept"
    # The files appear in reverse order: the mask last.
    with contextlib.ExitStack() as files:
        if prediction.path is None:
            encode(prediction.mask, files.enter_context(atomic_path(outputs[MASKS], advice)), note)
        for kind, path in outputs.items():
            if kind in _RENDERERS:
                temporary = files.enter_context(atomic_path(path, advice))
                # Higher levels take longer than the prediction for files an eighth smaller.
                image = Image.fromarray(_RENDERERS[kind](prediction))
                image.save(temporary, compress_level=1, pnginfo=png_note(note))
