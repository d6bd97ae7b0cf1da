"""``import unetv2`` is fast, changes nothing, and offers every public name."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import unetv2

INIT = Path(unetv2.__file__)
HEAVY = ("tensorflow", "keras", "numpy", "PIL", "matplotlib")


def run(code, *words):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_loads_nothing_heavy_and_changes_nothing():
    code = f"""
import logging, os, signal, sys, threading, warnings
def state():
    return (
        dict(os.environ), list(sys.path), signal.getsignal(signal.SIGINT), threading.active_count(),
        list(warnings.filters), list(logging.root.handlers), logging.root.level, sys.stdout,
        sys.stderr, sys.excepthook, os.getcwd(),
    )
before = state()
import unetv2
assert state() == before
from unetv2.cli import main
for words in (["--version"], ["train", "--help"], ["check", "a", "b"], ["predict", "m", "i"]):
    main(words)
loaded = [name for name in {HEAVY[:2]!r} if name in sys.modules]
assert not loaded, loaded
"""
    run(code)


def test_numpy_is_not_needed_to_import():
    run(f"import sys, unetv2; assert not [n for n in {HEAVY!r} if n in sys.modules]")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    unetv2.build_unetv2((8, 8, 3), 3, filters=2, depth=1).save(path)
    return path


@pytest.mark.parametrize(
    "imports",
    [
        "import unetv2; import keras",
        "import keras; import unetv2",
        # The library itself imports Keras.
        "import unetv2; unetv2.metrics; import keras",
    ],
)
def test_keras_loads_a_saved_model_whatever_is_imported_first(saved, imports):
    load = "keras.models.load_model(sys.argv[1], compile=False)"
    code = f"import sys\n{imports}\nassert type({load}) is unetv2.SegmentationModel"
    run(code, saved)


def test_public_names_can_be_imported_in_every_way():
    code = """
import pickle, threading
import unetv2
assert set(unetv2.__all__) <= set(dir(unetv2))
found = []
threads = [
    threading.Thread(target=lambda: found.append(unetv2.losses.Dice)) for _ in range(8)
]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(found) == 8 and len(set(found)) == 1
from unetv2 import *
assert all(name in globals() for name in unetv2.__all__)
assert build_unetv2 is unetv2.build_unetv2
assert pickle.loads(pickle.dumps(unetv2.Preprocessing)) is Preprocessing
assert pickle.loads(pickle.dumps(unetv2.CARLA)) == CARLA
assert hasattr(unetv2, "train") and not hasattr(unetv2, "trian")
"""
    run(code)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'unetv2' has no attribute 'Unet'"):
        _ = unetv2.Unet


def test_type_checkers_see_the_names_of_the_tables():
    tree = ast.parse(INIT.read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    seen = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        for alias in node.names:
            # `as` makes it a public name for type checkers.
            assert alias.asname == alias.name
            seen[alias.name] = node.module
    modules = {name: path.rpartition(".")[0] for name, path in unetv2._MODULES.items()}
    assert seen == {**modules, **unetv2._MODULE_OF}
    assert unetv2.__all__ == sorted(seen)
