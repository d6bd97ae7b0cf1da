"""The choices and defaults of the command line are those of the library."""

from __future__ import annotations

import inspect

import pytest
from command_lines import subcommands

import unetv2
from unetv2.cli import options, parser, train
from unetv2.data.labels import ENCODINGS
from unetv2.data.pairs import SUBSETS

COMMANDS = subcommands(parser())
FUNCTIONS = {
    "check": (unetv2.check_dataset,),
    "plan": (unetv2.plan,),
    "train": (unetv2.make_dataset, unetv2.build_unetv2, unetv2.train),
    "evaluate": (unetv2.evaluate,),
    "predict": (unetv2.predict_directory, unetv2.predict_video),
    "export": (unetv2.export,),
    "benchmark": (unetv2.benchmark,),
}
# Options whose default depends on others, or which the command always passes.
OTHERS = {"batch_size", "cache", "classes", "normalization", "recipe", "seed"}


def test_choices_are_the_librarys():
    assert options.ENCODINGS == ENCODINGS
    assert options.SUBSETS == SUBSETS
    assert train.RECIPES == unetv2.recipes.NAMES
    for name in options._TABLES:
        assert isinstance(options.table(name), unetv2.ClassTable)


@pytest.mark.parametrize("name", COMMANDS)
def test_defaults_are_the_librarys(name):
    for function in FUNCTIONS[name]:
        for parameter in inspect.signature(function).parameters.values():
            default = COMMANDS[name].get_default(parameter.name)
            if default is None or parameter.default is inspect.Parameter.empty:
                continue
            if parameter.name not in OTHERS:
                assert default == parameter.default, parameter.name


@pytest.mark.parametrize(
    "words",
    [
        ["check", "a", "b"],
        ["plan", "a", "b"],
        ["train", "a", "b", "--output", "c"],
        ["evaluate", "m", "a", "b"],
        ["predict", "m", "a", "--output", "c"],
        ["export", "m", "--format", "onnx"],
        ["benchmark", "m"],
    ],
)
def test_names_that_a_command_loads_are_public(words):
    chosen = parser().parse_args(words)
    assert chosen.uses
    assert set(chosen.uses) <= set(unetv2.__all__)
