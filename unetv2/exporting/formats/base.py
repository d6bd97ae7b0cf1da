"""The interface of an export format."""

from __future__ import annotations

import abc
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unetv2.arguments import require_choice
from unetv2.exporting.formats import FORMATS
from unetv2.exporting.graph import Graph, Outputs

# The file that describes an artifact, in its folder or embedded in its only file.
DESCRIPTION = "unetv2.json"
# Maps uint8 frames (batch, height, width, channels) to masks, confidences and logits. It can be
# called from several threads.
Run = Callable[[np.ndarray], Outputs]
# uint8 (height, width, channels) each.
Frames = Sequence[np.ndarray]


class ExportFormat(abc.ABC):
    """A format of exported models: how it is written, loaded and run.

    Attributes:
        name: str. As passed to :func:`unetv2.export`.
        precisions: Supported precisions.
        main: str. Name of the file that contains the network.
        runtime: str. Module that runs the network.
        tools: Further modules that are needed to write it.
        extra: str. Extra of this package with these modules; empty if none is needed.
        suffix: str. File extension of an artifact that is a single file; empty if there is none.
        any_size: bool. Whether the graph may accept images of any size.
        runtime_files: Patterns of all file names in a folder that the runtime may read.
        threads_advice: str. Why the number of threads cannot be set per model, and how to set it;
            empty if it can be set.
    """

    name: str
    precisions: tuple[str, ...]
    main: str
    runtime: str
    tools: tuple[str, ...] = ()
    extra: str = ""
    suffix: str = ""
    any_size: bool = True
    runtime_files: tuple[str, ...] = ()
    threads_advice: str = ""

    def required_modules(self, precision: str) -> tuple[str, ...]:
        """Returns the modules that an export with a precision needs."""
        return (self.runtime, *self.tools)

    def network_dtype(self, precision: str) -> str:
        """Returns the dtype that the Keras layers compute in when the graph is converted.

        It is ``"float32"`` where the converter or the runtime changes the precision.
        """
        return "float32"

    @abc.abstractmethod
    def write(self, graph: Graph, folder: Path, precision: str, calibration: Frames) -> None:
        """Converts a graph and writes its files into a folder.

        Args:
            graph: The graph.
            folder: An empty folder.
            precision: str. One of ``precisions``.
            calibration: Frames for int8.
        """

    @abc.abstractmethod
    def load(self, network: Path, *, size: int, precision: str, threads: int | None) -> Run:
        """Loads an artifact with the runtime of the format.

        Args:
            network: The file of the network.
            size: int. Bytes of the network in it, without an embedded description.
            precision: str. Precision of the artifact.
            threads: int or None. Number of threads; None uses the runtime's default.

        Raises:
            ValueError: If the artifact contains unsupported ops.
        """

    @staticmethod
    @abc.abstractmethod
    def run_alone(file: str, frames: Any) -> Any:
        """Loads an artifact and runs it once with nothing but its runtime.

        The source code of this function runs in a process of its own, where
        :func:`unetv2.benchmark` measures memory and start-up time. It must import all that it uses.

        Args:
            file: str. The path that :meth:`network_path` returns.
            frames: uint8 ``(1, height, width, channels)``.
        """

    def network_path(self, path: Path) -> Path:
        """Returns the path that the runtime loads, for the path of an artifact."""
        return path if path.is_file() else path / self.main

    def embed(self, network: Path, description: bytes) -> None:
        """Appends a description to the file of a network, which the runtime ignores.

        Only formats of a single file, those with a ``suffix``, implement this and
        :meth:`read_embedded`; the description of the others is a file of its own.
        """
        raise NotImplementedError

    def read_embedded(self, path: Path, max_bytes: int) -> tuple[bytes, int]:
        """Returns the description in a single file, and the size of the network before it.

        Args:
            path: The file.
            max_bytes: int. Largest size of a description.

        Raises:
            Exception: If the file has no description, or a damaged one.
        """
        raise NotImplementedError

    def require_module(self, name: str, purpose: str) -> Any:
        """Imports an optional module, such as for the purpose ``"to run ONNX models"``.

        Raises:
            ImportError: If it is not installed; the message has the command that installs it.
        """
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise ImportError(
                f"`{name.split('.')[0]}` must be installed {purpose}. Received: {error}. "
                f'Run: pip install "unetv2[{self.extra}]"'
            ) from error


def get_format(name: object) -> ExportFormat:
    """Returns the format with a name.

    Raises:
        ValueError: If there is no such format.
    """
    require_choice("format", name, FORMATS)
    format: ExportFormat = importlib.import_module(f"unetv2.exporting.formats.{name}").FORMAT
    return format
