"""The Python blocks of the README use existing names, and run."""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import re

import pytest
from documentation import ROOT, python_blocks, resolve

import unetv2

SIZE = (24, 32)
BLOCKS = python_blocks(ROOT / "README.md")
TREES = [ast.parse(block) for block in BLOCKS]


def dotted(node):
    """Returns the text of an expression such as ``unetv2.a.b``, or None for another one."""
    text = ast.unparse(node)
    return text if re.fullmatch(r"unetv2(\.\w+)+", text) else None


CALLS = {
    ast.unparse(node): node
    for tree in TREES
    for node in ast.walk(tree)
    if isinstance(node, ast.Call) and dotted(node.func)
}
NAMES = sorted(
    {
        dotted(node)
        for tree in TREES
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and dotted(node)
    }
)


@pytest.mark.parametrize("name", NAMES)
def test_names_in_the_readme_exist(name):
    resolve(name)


@pytest.mark.parametrize("call", CALLS)
def test_calls_in_the_readme_match_the_signatures(call):
    node = CALLS[call]
    signature = inspect.signature(resolve(dotted(node.func)))
    signature.bind(*node.args, **{keyword.arg: keyword.value for keyword in node.keywords})


def test_blocks_and_names_are_found():
    assert len(BLOCKS) > 3
    assert len(NAMES) > 5


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Makes the synthetic scenes, the networks and the trainings of the README small."""
    monkeypatch.chdir(tmp_path)
    synthetic = unetv2.synthetic
    for name, size in (("write_driving_scenes", SIZE), ("driving_scene", (40, 60))):
        smaller_scenes = functools.partial(getattr(synthetic, name), image_size=size)
        monkeypatch.setattr(synthetic, name, smaller_scenes)
    make = functools.partial(unetv2.make_dataset, image_size=SIZE)
    monkeypatch.setattr(unetv2, "make_dataset", make)
    build = functools.partial(unetv2.build_unetv2, filters=2, depth=1)
    monkeypatch.setattr(unetv2, "build_unetv2", build)
    monkeypatch.setattr(unetv2.recipes, "build_unetv2", build)


def smaller(block):
    """Returns a block with one epoch, few samples, small images, and a format without an extra."""
    block = block.replace("96, 128", "{}, {}".format(*SIZE))
    block = re.sub(r"epochs=\d+", "epochs=1", block)
    block = re.sub(r"minutes=\d+", "minutes=0.05, filters=2, depth=2", block)
    block = re.sub(r"mc_samples=\d+", "mc_samples=2", block)
    # After one epoch the classes are nearly tied: eight bits may change many of them.
    block = block.replace('precision="int8"', 'precision="int8", min_agreement=0.1')
    if importlib.util.find_spec("nncf") is None:
        block = re.sub(r'format="\w+", precision="int8"', 'format="saved_model"', block)
    return block


@pytest.mark.usefixtures("small")
def test_the_readme_runs_from_its_first_block_to_its_last(capsys):
    known = {}
    for block in BLOCKS:
        exec(compile(smaller(block), "README.md", "exec"), known)
    assert "Mean IoU" in capsys.readouterr().out
