"""The house: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import unetv2

PACKAGE = Path(unetv2.__file__).parent

# From the ground up; a module imports from its own floor and below.
FLOORS = [
    {
        "arguments",
        "class_files",
        "classes",
        "dropout",
        "escaping",
        "files",
        "fingerprint",
        "frozen",
        "keras_files",
        "locks",
        "plurals",
        "precision",
        "preprocessing",
        "progress",
        "sealing",
        "renaming",
        "scratch",
        "startup",
        "versions",
    },
    {
        "augmentation",
        "block",
        "convolution",
        "data",
        "encoders",
        "layers",
        "losses",
        "metrics",
        "segmentation_model",
        "sizes",
        "visualization",
    },
    {"architecture", "artifacts", "inference", "models"},
    {
        "benchmarking",
        "distributed",
        "evaluation",
        "exporting",
        "recipes",
        "report",
        "training",
        "weighting",
    },
    {"cli", "__main__"},
]
# These run on every Keras backend.
WITHOUT_TENSORFLOW = {
    "architecture",
    "arguments",
    "block",
    "class_files",
    "classes",
    "convolution",
    "dropout",
    "encoders",
    "fingerprint",
    "frozen",
    "keras_files",
    "layers",
    "losses",
    "metrics",
    "models",
    "preprocessing",
    "sealing",
    "segmentation_model",
    "sizes",
    "visualization",
}


def sources():
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path != PACKAGE / "__init__.py"
    }


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            # `from unetv2 import x` is an import of unetv2.x.
            if node.module == "unetv2":
                yield from (f"unetv2.{alias.name}" for alias in node.names)
            else:
                yield node.module


def floor(module):
    name = module.split(".")[0]
    found = [number for number, names in enumerate(FLOORS) if name in names]
    assert found, f"unetv2.{name} stands on no floor of the house; put it on one"
    return found[0]


@pytest.mark.parametrize("module", list(sources()))
def test_imports_go_down_the_house(module):
    for name in imports(sources()[module]):
        if name.startswith("unetv2."):
            other = name.removeprefix("unetv2.")
            assert floor(other) <= floor(module), f"unetv2.{module} imports {name} above it"


def test_imports_have_no_cycle():
    modules = sources()
    graph = {
        module: {
            name.removeprefix("unetv2.")
            for name in imports(path)
            if name.removeprefix("unetv2.") in modules
        }
        for module, path in modules.items()
    }
    while graph:
        free = [module for module, others in graph.items() if not others & graph.keys()]
        assert free, f"a cycle among {sorted(graph)}"
        for module in free:
            del graph[module]


@pytest.mark.parametrize("module", list(sources()))
def test_only_public_keras_and_tensorflow_are_used(module):
    names = set(imports(sources()[module]))
    assert not {name for name in names if name.startswith(("keras.src", "tensorflow.python"))}
    if module.split(".")[0] in WITHOUT_TENSORFLOW:
        assert not {name for name in names if name.split(".")[0] == "tensorflow"}
