"""Registration of the library's layers, losses and metrics with Keras.

Keras can load a saved model only if its classes have been imported. The library imports Keras when
it is needed, so its classes are imported together with Keras, whichever of the two comes first.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

# Imports the losses and metrics, too.
_CLASSES = "unetv2.models"


def register_with_keras() -> None:
    """Imports the classes now if Keras is loaded, otherwise when Keras is imported."""
    if "keras" in sys.modules:
        importlib.import_module(_CLASSES)
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


class _KerasFinder:
    """Imports the classes after Keras, and removes itself."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the specification of Keras with a loader that also imports the classes."""
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_with_classes(module: ModuleType) -> None:
            load(module)
            # Where a module of the library imports Keras, it is not complete yet;
            # `unetv2.__getattr__` imports the classes after it.
            if not _is_importing():
                importlib.import_module(_CLASSES)

        spec.loader.exec_module = load_with_classes  # type: ignore[method-assign]
        return spec


def _is_importing() -> bool:
    """Returns whether a module of the library is being imported by this thread."""
    return any(
        frame.f_code.co_name == "<module>"
        and str(frame.f_globals.get("__name__")).startswith("unetv2.")
        for frame, _ in traceback.walk_stack(None)
    )
