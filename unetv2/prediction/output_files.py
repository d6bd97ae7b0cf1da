"""Where what is predicted of many images is written."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np
from PIL import Image

from unetv2.data.listing import EXTENSIONS, composed, list_images, require_folder, take_shard
from unetv2.files import atomic_path, clean_up, explain_write_errors
from unetv2.inference.prediction import Made, Maker, Prediction, encode, with_note
from unetv2.text import counted
from unetv2.visualization import colorize


class Job(NamedTuple):
    """An image to predict.

    Attributes:
        image: str. Its path.
        outputs: dict. What is written, by kind, and where; the mask is the last.
    """

    image: str
    outputs: dict[str, Path]


def find_images(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
) -> list[tuple[str, str]]:
    """Finds the images to predict.

    Args:
        images: A folder, or a list of files.

    Returns:
        list of ``(key, path)``, sorted: the key is the path relative to the folder, or the name of
        the file, without the extension.

    Raises:
        FileNotFoundError: If the folder or a file is missing.
        NotADirectoryError: If the folder is a file.
        ValueError: If there is no image, or two have the same key.
    """
    if isinstance(images, str | os.PathLike):
        require_folder("images", Path(images))
        return sorted(list_images("images", Path(images)).items())
    found: dict[str, str] = {}
    for image in images:
        path = os.fspath(image)
        if not Path(path).is_file():
            raise FileNotFoundError(
                f"`images` must be files or one folder. Received: '{path}', which is no file. "
                "Check the path."
            )
        key = composed(Path(path).stem)
        if Path(path).suffix.lower() not in EXTENSIONS:
            raise ValueError(
                f"`images` must be images ({', '.join(EXTENSIONS)}). Received: '{path}'."
            )
        if key in found:
            raise ValueError(
                "`images` must hold one image of each name, folders and extensions aside: their "
                f"masks would be one file. Received: '{found[key]}' and '{path}'. "
                "Predict them to different folders."
            )
        found[key] = path
    if not found:
        raise ValueError("`images` must hold an image. Received: an empty list.")
    return sorted(found.items())


def plan_jobs(
    images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    folders: Mapping[str, Path],
    shard: Sequence[int] | None,
) -> list[Job]:
    """Plans what is written where, the same relative path as the image's.

    Args:
        images: A folder, or a list of files.
        folders: By the argument's name; that of the masks is the last.
        shard: ``(index, count)`` or None.

    Returns:
        list of Job, sorted; empty if there are fewer images than shards.

    Raises:
        FileNotFoundError: If the folder or a file is missing.
        NotADirectoryError: If a folder is a file.
        ValueError: If there is no image, two have the same name, or a file would be written where
            images are read or outside its folder.
    """
    found = find_images(images)
    source = Path(images) if isinstance(images, str | os.PathLike) else None
    _require_apart(folders)
    for argument, folder in folders.items():
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(
                f"`{argument}` must be a folder. Received: '{folder}', which is a file. "
                "Pass another path."
            )
        if source is not None:
            _require_outside(argument, folder, source)
    jobs: Sequence[Job] = [
        Job(path, {kind: folder / f"{key}.png" for kind, folder in folders.items()})
        for key, path in found
    ]
    # All of them, also where this is one shard: each says the same.
    for argument, folder in folders.items():
        for parent in {job.outputs[argument].parent for job in jobs}:
            _require_inside(argument, parent, folder)
            if source is not None:
                _require_outside(argument, parent, source)
        if source is None:
            _require_others(argument, jobs)
    return list(jobs if shard is None else take_shard(jobs, shard, "images"))


def done(jobs: Sequence[Job], maker: Maker) -> set[int]:
    """Returns the numbers of the jobs of which every file is there, of the same maker.

    Removes what a killed run left there.

    Args:
        jobs: The images, and what is written of each.
        maker: Who predicts them.

    Raises:
        ValueError: If a file is there that something else made.
    """
    there: dict[Path, set[str]] = {}
    for parent in {path.parent for job in jobs for path in job.outputs.values()}:
        clean_up(parent)
        with contextlib.suppress(FileNotFoundError), os.scandir(parent) as entries:
            there[parent] = {composed(entry.name) for entry in entries}
    ready: set[int] = set()
    others: list[tuple[str, Path]] = []
    for number, job in enumerate(jobs):
        found = {
            argument: maker.made(path, job.image)
            for argument, path in job.outputs.items()
            if path.name in there.get(path.parent, ())
        }
        others += [
            (argument, job.outputs[argument])
            for argument, made in found.items()
            if made is Made.OTHER
        ]
        if len(found) == len(job.outputs) and set(found.values()) == {Made.SAME}:
            ready.add(number)
    if others:
        _refuse(others, maker)
    return ready


def _refuse(others: Sequence[tuple[str, Path]], maker: Maker) -> NoReturn:
    argument, path = others[0]
    differences = maker.differences(path)
    made = (
        "without a note of the model and the options that made it"
        if differences is None
        else f"made with {', '.join(differences)}"
    )
    count = counted(sum(name == argument for name, _ in others), "file")
    raise ValueError(
        f"`{argument}` must hold no files of another model or of other options. "
        f"Received: {count}, such as '{path}', {made}. "
        "Pass overwrite=True to predict all of them again, or another folder."
    )


def make_folders(jobs: Sequence[Job]) -> None:
    """Makes the folders of all that is written.

    Raises:
        OSError: If that cannot be done.
    """
    for parent in {path.parent for job in jobs for path in job.outputs.values()}:
        with explain_write_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _require_apart(folders: Mapping[str, Path]) -> None:
    known: dict[Path, str] = {}
    for argument, folder in folders.items():
        for other, name in known.items():
            # One in the other would have files of the same name too, or look as if.
            if _real(folder) == other or other in _real(folder).parents:
                raise ValueError(
                    f"`{argument}` must be another folder than `{name}`, and not in it. "
                    f"Received: '{folder}' and '{folders[name]}'. Pass a folder of its own."
                )
            if _real(folder) in other.parents:
                raise ValueError(
                    f"`{name}` must be another folder than `{argument}`, and not in it. "
                    f"Received: '{folders[name]}' and '{folder}'. Pass a folder of its own."
                )
        known[_real(folder)] = argument


def _require_outside(argument: str, folder: Path, source: Path) -> None:
    if _real(source) in (_real(folder), *_real(folder).parents):
        raise ValueError(
            f"`{argument}` must lie outside the folder of the images, or what is written there "
            f"would be read as images. Received: '{folder}', which is in '{source}'. "
            "Pass another folder."
        )


def _require_inside(argument: str, parent: Path, folder: Path) -> None:
    if _real(folder) not in (_real(parent), *_real(parent).parents):
        raise ValueError(
            f"`{argument}` must hold no link to a folder elsewhere that is written to. "
            f"Received: '{parent}', which is '{_real(parent)}'. Remove the link."
        )


def _require_others(argument: str, jobs: Sequence[Job]) -> None:
    images = {os.path.realpath(job.image): job.image for job in jobs}
    for job in jobs:
        path = job.outputs[argument]
        if os.path.realpath(path) in images:
            raise ValueError(
                f"`{argument}` must be a folder where no image is written over. "
                f"Received: '{path}', which is an image to predict. Pass another folder."
            )


MASKS, COLORS, OVERLAYS, UNCERTAINTY = "output_dir", "colors_dir", "overlays_dir", "uncertainty_dir"


def _uncertainty(prediction: Prediction) -> np.ndarray:
    """Returns the entropy as a share of the highest possible one, of 16 bits."""
    assert prediction.uncertainty is not None
    share = prediction.uncertainty / math.log(len(prediction.classes))
    return np.rint(np.clip(share, 0, 1) * 65535).astype(np.uint16)


_IMAGES: Mapping[str, Callable[[Prediction], np.ndarray]] = {
    COLORS: lambda prediction: colorize(prediction.mask, prediction.classes),
    OVERLAYS: lambda prediction: prediction.overlay(),
    UNCERTAINTY: _uncertainty,
}


def write_products(
    prediction: Prediction, outputs: Mapping[str, Path], note: str | None = None
) -> None:
    """Writes what is asked for, each file whole or not at all.

    Args:
        prediction: The prediction; its mask is not written if it is in a file already.
        outputs: Where to, by kind.
        note: str or None. What made it, kept in each file.

    Raises:
        OSError: If a file cannot be written.
    """
    advice = "run it again: what is whole is kept"
    # What is opened first appears last.
    with contextlib.ExitStack() as files:
        if prediction.path is None:
            encode(prediction.mask, files.enter_context(atomic_path(outputs[MASKS], advice)), note)
        for kind, path in outputs.items():
            if kind in _IMAGES:
                other = files.enter_context(atomic_path(path, advice))
                # More compression takes longer than the prediction, for files an eighth smaller.
                image = Image.fromarray(_IMAGES[kind](prediction))
                image.save(other, compress_level=1, pnginfo=with_note(note))
