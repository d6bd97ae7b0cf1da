"""Size of the source tree, and the files that a call passes.

Counts files and lines, cycles of packages, wide signatures and start-up time, and traces one call
of each of `make_dataset`, `predict`, `train`, `evaluate` and `export` on a few small images: the
number of files of the library that run, and of calls from one of its files to another.

    python benchmarks/structure.py --names
    python benchmarks/structure.py --calls train predict --names
"""

from __future__ import annotations

import argparse
import ast
import inspect
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1] / "unetv2"
STARTS = 5
CALLS = ("make_dataset", "predict", "train", "evaluate", "export")


def lines_of_docstrings(tree: ast.Module) -> int:
    """Counts the lines of all docstrings."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return sum(len(text.splitlines()) for text in texts if text)


def size() -> dict[str, float]:
    """Counts files and lines."""
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    lengths = [len(text.splitlines()) for text in texts.values()]
    return {
        "files": len(texts),
        "lines": sum(lengths),
        "docstring_lines": sum(lines_of_docstrings(ast.parse(text)) for text in texts.values()),
        "median_lines": statistics.median(lengths),
        "files_under_60_lines": sum(length < 60 for length in lengths),
    }


def packages() -> dict[str, tuple[int, int]]:
    """Returns the numbers of files and of lines of each package; ``.`` is the top level."""
    result: dict[str, tuple[int, int]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).parts
        name = parts[0] if len(parts) > 1 else "."
        files, lines = result.get(name, (0, 0))
        result[name] = (files + 1, lines + len(path.read_text(encoding="utf-8").splitlines()))
    return result


def package_of(module: str) -> str:
    """Returns the package, or the file, directly below the library that a module belongs to."""
    return ".".join(module.split(".")[:2])


def imported(path: Path) -> Iterator[str]:
    """Yields the library's modules that a file imports, also within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("unetv2"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                path = PACKAGE.parent / name.replace(".", "/")
                is_module = path.is_dir() or path.with_suffix(".py").exists()
                yield name if is_module else str(node.module)


def package_cycles() -> list[list[str]]:
    """Returns the groups of packages that import each other."""
    graph: dict[str, set[str]] = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        own = package_of(module.removesuffix(".__init__"))
        if own != "unetv2":
            graph[own] |= {package_of(name) for name in imported(path)} - {own, "unetv2"}

    def reachable(start: str) -> set[str]:
        names: set[str] = set()
        left = [start]
        while left:
            for name in graph[left.pop()] - names:
                names.add(name)
                left.append(name)
        return names

    above = {name: reachable(name) for name in list(graph)}
    groups = {
        tuple(sorted({name, *(other for other in above[name] if name in above[other])}))
        for name in graph
        if name in above[name]
    }
    return [list(group) for group in sorted(groups)]


def widest_signatures(count: int = 10) -> dict[str, int]:
    """Returns the functions with the most parameters."""
    widths = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                parameters = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                names = [item.arg for item in parameters if item.arg not in ("self", "cls")]
                where = f"{path.relative_to(PACKAGE.parent)}:{node.lineno}:{node.name}"
                widths[where] = len(names)
    widest = sorted(widths.items(), key=lambda item: -item[1])
    return dict(widest[:count])


def seconds_to_start(arguments: list[str]) -> float:
    """Returns the median wall-clock seconds that a process of Python takes."""
    taken = []
    for _ in range(STARTS):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def start_up() -> dict[str, float]:
    """Returns the seconds that Python, the import and the command take to start."""
    return {
        "python": seconds_to_start(["-c", "pass"]),
        "import unetv2": seconds_to_start(["-c", "import unetv2"]),
        "unetv2 --version": seconds_to_start(["-m", "unetv2", "--version"]),
        "unetv2 train --help": seconds_to_start(["-m", "unetv2", "train", "--help"]),
    }


class Trace:
    """Records which of the library's files run, on all threads that are started within it.

    Code that runs while a module is imported does not count.
    """

    def __init__(self) -> None:
        self.files: set[str] = set()
        self.cross_file_calls = 0
        self._root = str(PACKAGE)

    def __enter__(self) -> Trace:
        """Starts recording."""
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        """Stops recording."""
        sys.setprofile(None)
        threading.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(self._root):
            return
        # Bodies of modules and classes are no calls.
        if not frame.f_code.co_flags & inspect.CO_NEWLOCALS:
            return
        here = frame.f_code.co_filename
        caller = None
        above = frame.f_back
        while above is not None:
            if above.f_code.co_filename.startswith(self._root):
                if above.f_code.co_name == "<module>":
                    return
                caller = caller or above
            above = above.f_back
        self.files.add(here)
        if caller is not None and caller.f_code.co_filename != here:
            self.cross_file_calls += 1


def quiet(function: Callable[..., Any]) -> dict[str, Any]:
    """Returns the keyword argument that turns progress reports off."""
    names = inspect.signature(function).parameters
    return {name: False for name in ("progress", "verbose") if name in names}


def traced_calls(folder: Path, chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Traces one call of each entry point."""
    import unetv2

    size = (24, 32)
    images, masks = unetv2.synthetic.write_driving_scenes(folder / "data", 8, image_size=size)
    options: dict[str, Any] = {"n_classes": 23, "image_size": size, "batch_size": 4}
    dataset = unetv2.make_dataset(images, masks, **options)
    model = unetv2.build_unetv2((*size, 3), 23, filters=2, depth=2, seed=0)
    model.preprocessing = unetv2.Preprocessing(image_size=size, classes=unetv2.CARLA)
    image = sorted(Path(images).iterdir())[0]
    # Importing is not part of a call.
    functions = {name: getattr(unetv2, name) for name in CALLS}
    arguments: dict[str, tuple[list[Any], dict[str, Any]]] = {
        "make_dataset": ([images, masks], options),
        "predict": ([model, image], {}),
        "train": (
            [model, dataset, dataset],
            {"recipe": "reference", "epochs": 1, "output_dir": folder / "run"},
        ),
        "evaluate": ([model, (images, masks)], {}),
        "export": ([model, folder / "exported"], {"format": "saved_model"}),
    }
    result = {}
    for name in chosen:
        function = functions[name]
        positional, named = arguments[name]
        try:
            with Trace() as trace:
                function(*positional, **named, **quiet(function))
        except Exception as error:
            # So that an unfinished tree can be measured.
            print(f"{name} failed: {error!r}", file=sys.stderr)
        result[name] = {
            "files": len(trace.files),
            "cross_file_calls": trace.cross_file_calls,
            "names": sorted(str(Path(path).relative_to(PACKAGE)) for path in trace.files),
        }
    return result


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", action="store_true", help="also print the files of each call")
    parser.add_argument("--calls", nargs="*", choices=CALLS, default=CALLS, help="calls to trace")
    parser.add_argument("--no-start", action="store_true", help="do not measure start-up times")
    arguments = parser.parse_args()
    result: dict[str, Any] = {
        "size": size(),
        "package_cycles": package_cycles(),
        "widest_signatures": widest_signatures(),
        "seconds": {} if arguments.no_start else start_up(),
        "calls": {},
    }
    if arguments.calls:
        with tempfile.TemporaryDirectory() as folder:
            result["calls"] = traced_calls(Path(folder), arguments.calls)
    for name, value in result["size"].items():
        print(f"{name:24} {value:8g}")
    for name, (files, lines) in packages().items():
        print(f"  {name:22} {files:4} files {lines:8} lines")
    print(f"{'package cycles':24} {len(result['package_cycles']):8} {result['package_cycles']}")
    for name, value in result["widest_signatures"].items():
        print(f"{value:3} parameters  {name}")
    for name, value in result["seconds"].items():
        print(f"{name:24} {value:8.2f} s")
    for name, value in result["calls"].items():
        print(f"{name:24} {value['files']:4} files {value['cross_file_calls']:8} cross-file calls")
        if arguments.names:
            print("".join(f"    {path}\n" for path in value["names"]), end="")


if __name__ == "__main__":
    main()
