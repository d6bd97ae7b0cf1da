"""Which layer it was that a format could not take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from unetv2.exporting.graph import NETWORK, Graph

# In every graph, and in every message.
_COMMON = {"Const", "Identity", "NoOp", "Placeholder", "Cast", "Shape", "Pack", "Func", "If"}


def refusal(graph: Graph, format: str, error: Exception) -> ValueError:
    """Returns an error that names the layers whose operations a converter's error names.

    Args:
        graph: What was to be converted.
        format: str. To what.
        error: What the converter said.
    """
    text = str(error)
    words = set(re.findall(r"\w+", text))
    blamed = {kind for kind, _ in _operations(graph)} & words - _COMMON
    return ValueError(
        f"Every layer must be one that format='{format}' can take. "
        f"Received: {named(graph, blamed) or _shortened(text)}. "
        "Replace it, or export to another format."
    )


def named(graph: Graph, kinds: Iterable[str]) -> str:
    """Returns which layers hold operations of some kinds, as words; empty if none does."""
    layers = {layer.name: type(layer).__name__ for layer in graph.model.layers}
    found: dict[str, set[str]] = {}
    for kind, name in _operations(graph):
        if kind not in kinds or NETWORK not in name.split("/"):
            continue
        # Keras may have numbered the names of layers.
        parts = [re.sub(r"_\d+$", "", part) if part not in layers else part
                 for part in name.split("/")]  # fmt: skip
        layer = next((part for part in parts if part in layers), "")
        found.setdefault(layer, set()).add(kind)
    return "; ".join(
        f"the layer '{layer}' ({layers.get(layer, 'unknown')}) with {', '.join(sorted(kinds))}"
        for layer, kinds in sorted(found.items())
    )


def _operations(graph: Graph) -> Iterator[tuple[str, str]]:
    definition: Any = graph.concrete().graph.as_graph_def()
    for node in definition.node:
        yield node.op, node.name
    for function in definition.library.function:
        for node in function.node_def:
            yield node.op, node.name


def _shortened(text: str) -> str:
    return " ".join(text.split())[:500]
