"""The structure of the library: which package may import which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import unetv2

ROOT = Path(unetv2.__file__).parent

# From the lowest to the highest. A package, or a single module, imports only from its own layer
# and the ones below. `__init__` imports names from everywhere, when they are used.
LAYERS = (
    {
        "arguments",
        "checksums",
        "classes",
        "files",
        "keras_files",
        "prefetch",
        "preprocessing",
        "progress",
        "registration",
        "runtime",
        "startup",
        "text",
    },
    {"data", "losses", "metrics", "models", "synthetic", "visualization"},
    {"distributed", "inference"},
    {"exporting", "training"},
    {"planning", "prediction"},
    {"evaluation"},
    {"benchmarking"},
    {"cli", "__main__"},
)
# These run on every Keras backend.
WITHOUT_TENSORFLOW = {"losses", "metrics", "models", "visualization"}
# Packages that must not import others, though these are in the same layer or below.
FORBIDDEN = {
    "arguments": {"tensorflow", "keras"},
    "cli": {"tensorflow", "keras"},
    "distributed": {"training"},
    "exporting": {"prediction", "synthetic"},
    "inference": {"exporting", "prediction"},
}


def name_of(path):
    return ".".join(("unetv2", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    )


SOURCES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}
del SOURCES["unetv2"]


def imports(path):
    """Yields the names of the modules that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                # `from unetv2.data import pairs` imports a module.
                name = f"{node.module}.{alias.name}"
                yield name if name in SOURCES else node.module


IMPORTS = {name: set(imports(path)) for name, path in SOURCES.items()}


def package(module):
    """Returns the package, or the single module, below ``unetv2`` that a module belongs to."""
    return module.split(".")[1]


def packages():
    """Returns the packages that each package imports."""
    graph = {package(module): set() for module in SOURCES}
    for module, names in IMPORTS.items():
        others = {package(name) for name in names if name.startswith("unetv2.")}
        graph[package(module)] |= others - {package(module)}
    return graph


def cycles(graph):
    """Returns the nodes of a graph that remain when nodes without edges are removed."""
    graph = {name: set(others) for name, others in graph.items()}
    while True:
        free = {name for name, others in graph.items() if not others & graph.keys()}
        if not free:
            return {name: sorted(others & graph.keys()) for name, others in graph.items()}
        for name in free:
            del graph[name]


def test_every_package_is_in_one_layer():
    names = [name for layer in LAYERS for name in layer]
    assert len(names) == len(set(names))
    assert set(packages()) == set(names)


def test_packages_import_only_from_their_own_layer_and_below():
    levels = {name: level for level, names in enumerate(LAYERS) for name in names}
    upward = [
        f"{name} imports {other}"
        for name, others in packages().items()
        for other in sorted(others)
        if levels[other] > levels[name]
    ]
    assert not upward


def test_packages_have_no_cycle():
    assert not cycles(packages())


def test_files_have_no_cycle():
    modules = {
        name: {other for other in names if other in SOURCES and other != name}
        for name, names in IMPORTS.items()
    }
    assert not cycles(modules)


def test_only_the_command_line_uses_the_public_names():
    # Elsewhere, `unetv2.name` would hide an import of a higher layer. A benchmark runs a function
    # that imports the library in another process.
    users = {package(module) for module, names in IMPORTS.items() if "unetv2" in names}
    assert users <= {"cli", "benchmarking"}


def test_nothing_imports_the_synthetic_scenes():
    users = {name for name, others in packages().items() if "synthetic" in others}
    assert not users


@pytest.mark.parametrize("name", FORBIDDEN)
def test_forbidden_imports(name):
    libraries = {
        other.split(".")[0]
        for module, others in IMPORTS.items()
        if package(module) == name
        for other in others
    }
    assert not (packages()[name] | libraries) & FORBIDDEN[name]


def test_only_public_keras_and_tensorflow_are_used():
    private = ("keras.src", "tensorflow.python")
    for module, names in IMPORTS.items():
        assert not {name for name in names if name.startswith(private)}, module


def test_packages_for_every_backend_do_not_use_tensorflow():
    for module, names in IMPORTS.items():
        if package(module) in WITHOUT_TENSORFLOW:
            assert "tensorflow" not in {name.split(".")[0] for name in names}, module
