"""The API pages list all public names, and docstrings agree with signatures."""

from __future__ import annotations

import dataclasses
import inspect
import re

import keras
import pytest
from documentation import (
    arguments,
    callables,
    described,
    entries,
    is_ours,
    listed_members,
    own_members,
    public,
    resolve,
    sections,
)
from raising import below, exceptions, raised_by, raised_in

PUBLIC = dict(public())
CALLABLES = dict(callables())
CLASSES = [name for name, thing in CALLABLES.items() if inspect.isclass(thing)]
# Methods that a new loss overrides; users of a loss do not call them.
HOOKS = {"class_losses", "image_values", "pooled", "sum_groups"}

every_callable = pytest.mark.parametrize("name", CALLABLES)
every_class = pytest.mark.parametrize("name", CLASSES)


def is_layer(cls):
    return issubclass(cls, keras.layers.Layer)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_on_one_api_page(name):
    found = entries().get(name, [])
    assert len(found) == 1, f"{name} has {len(found)} entries in docs/api/, and needs one"
    if found[0].kind == "data":
        assert found[0].text, f"{name} has an entry without a text"
    else:
        assert inspect.getdoc(PUBLIC[name]), f"{name} has no docstring"


@pytest.mark.parametrize("name", entries())
def test_every_entry_of_an_api_page_exists(name):
    resolve(name)


@every_class
def test_an_api_page_shows_every_member_of_a_class(name):
    cls = CALLABLES[name]
    shown = set(listed_members(entries()[name][0], cls))
    assert shown <= set(dir(cls)), f"{name} has no {sorted(shown - set(dir(cls)))}"
    # Keras documents its own members.
    foreign = {member for base in cls.__mro__ if not is_ours(base) for member in dir(base)}
    missing = set(own_members(cls)) - shown - foreign - HOOKS
    assert not missing, f"docs/api/ does not show {sorted(missing)} of {name}"


@every_class
def test_every_shown_member_has_a_docstring(name):
    for member in listed_members(entries()[name][0], CALLABLES[name]):
        assert inspect.getdoc(getattr(CALLABLES[name], member, None)), f"{name}.{member} has none"


@every_callable
def test_every_callable_has_a_summary_line(name):
    summary, *rest = sections(CALLABLES[name])[""].splitlines() or [""]
    assert summary.endswith("."), f"the first line of {name} is no sentence: {summary!r}"
    assert not rest or not rest[0], f"the first line of {name} goes on in the second"


@every_callable
def test_documented_arguments_agree_with_the_signature(name):
    thing = CALLABLES[name]
    told = sections(thing)
    documented = described(told.get("Args", ""))
    if dataclasses.is_dataclass(thing) and "Args" not in told:
        # A result, which users do not create.
        documented = described(told.get("Attributes", ""))
    if name.endswith((".call", ".__call__")):
        # The class documents them.
        return
    assert list(documented) == arguments(thing), name
    for argument, text in documented.items():
        assert text, f"{name} says nothing about `{argument}`"
        if argument.startswith("*"):
            # It must refer to the function that takes them.
            assert "`" in text, f"{name} does not say whose arguments `{argument}` are"


@every_class
def test_documented_call_arguments_agree_with_the_signature(name):
    cls = CALLABLES[name]
    call = inspect.getattr_static(cls, "call" if is_layer(cls) else "__call__", None)
    documented = described(sections(cls).get("Call arguments", ""))
    if not is_ours(call):
        assert not documented, f"{name} is not called, but documents how"
        return
    assert list(documented) == arguments(call), name
    assert all(documented.values()), f"{name} says nothing about one of {list(documented)}"


@every_class
def test_documented_attributes_exist(name):
    cls = CALLABLES[name]
    source = "".join(inspect.getsource(base) for base in cls.__mro__ if is_ours(base))
    fields = getattr(cls, "__dataclass_fields__", {})
    for attribute, text in described(sections(cls).get("Attributes", "")).items():
        assert text, f"{name} says nothing about `{attribute}`"
        known = attribute in fields or hasattr(cls, attribute)
        assert known or re.search(rf"\bself\.{attribute}\b.* =", source), f"{name}.{attribute}"


@every_callable
def test_return_values_are_documented(name):
    thing = CALLABLES[name]
    if inspect.isclass(thing):
        return
    told = sections(thing)
    annotation = inspect.signature(thing).return_annotation
    returns = annotation not in (None, "None", inspect.Signature.empty)
    # A short method may document it in its summary line.
    says = "Returns" in told or (told[""].startswith("Returns ") and "." in name)
    assert says == returns, f"{name} -> {annotation}"


@pytest.mark.parametrize("name", [name for name in PUBLIC if name in CALLABLES])
def test_every_public_class_and_function_has_an_example(name):
    assert ">>>" in sections(CALLABLES[name]).get("Example", ""), f"{name} has no example"


# Raised by Python and the system, without a `raise` in the code.
BY_ITSELF = {"FileNotFoundError", "KeyError", "NotADirectoryError", "OSError", "TypeError"}


@every_callable
def test_documented_exceptions_are_raised_by_the_module_or_what_it_imports(name):
    thing = CALLABLES[name]
    raised = BY_ITSELF.union(*(raised_in(module) for module in below(thing.__module__)))
    for error, text in described(sections(thing).get("Raises", "")).items():
        assert text, f"{name} does not say when it raises {error}"
        kinds = {one for one, bases in exceptions().items() if error in bases}
        assert kinds & raised, f"nothing that {name} calls raises {error}"


@every_callable
def test_exceptions_that_a_body_raises_are_documented(name):
    thing = CALLABLES[name]
    documented = described(sections(thing).get("Raises", "")).keys()
    for error in raised_by(inspect.unwrap(thing)):
        assert documented & set(exceptions()[error]), f"{name} does not document {error}"
