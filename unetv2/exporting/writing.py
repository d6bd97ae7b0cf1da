"""Writes an artefact: beside its place, checked there, and renamed into it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from unetv2.artefacts.formats import Format
from unetv2.artefacts.storage import is_artefact, read
from unetv2.files import publish, told
from unetv2.scratch import recover, scratch_folder


def require_place(path: Path, format: Format, *, overwrite: bool) -> None:
    """Raises unless an artefact can be written to a path.

    Args:
        path: Where to.
        format: Of the artefact.
        overwrite: bool. Whether an artefact there may be replaced.

    Raises:
        ValueError: If there is something that is to stay, or the suffix is another format's.
    """
    if path.suffix in (".tflite", ".onnx", ".keras", ".h5") and path.suffix != format.suffix:
        raise ValueError(
            f"`path` must be a folder{f' or end in {format.suffix}' if format.suffix else ''} for "
            f"format='{format.name}'. Received: path='{path}'. Pass another path."
        )
    recover(path)
    if not path.exists():
        return
    if not overwrite:
        raise ValueError(
            f"`path` must not exist. Received: path='{path}', which does. "
            "Pass overwrite=True to replace it, or another path."
        )
    if is_artefact(path):
        with contextlib.suppress(ValueError):
            read(path)
            return
    raise ValueError(
        f"`path` must be an artefact to be overwritten. Received: path='{path}', which is "
        "something else. Pass another path."
    )


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Gives a folder to write into, beside a path."""
    with told(path, "to export the model"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(path.parent) as folder:
            yield folder


def put(written: Path, path: Path) -> None:
    """Puts what was written into its place, where an earlier artefact may be.

    Args:
        written: A folder in that of :func:`beside`, or a file in such a folder.
        path: Where to.
    """
    if written.is_file():
        written = written.rename(written.parent.parent / "file")
    publish(written, path)
