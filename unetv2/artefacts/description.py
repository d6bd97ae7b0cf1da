"""What an artefact tells of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from unetv2.arguments import MOST_CLASSES
from unetv2.artefacts.formats import FORMATS
from unetv2.preprocessing import Preprocessing
from unetv2.sealing import read_json, sealed, unsealed

# Of this layout. A later one that this version cannot read has a higher number. From 2 on it has a
# digest.
SCHEMA = 2
KEY = "unetv2"

Size = tuple[int | None, int | None]


@dataclass(frozen=True, kw_only=True)
class Description:
    """What an artefact is, as its JSON tells.

    Args:
        name: str. The model's.
        format: str.
        precision: str. Of the numbers in the network.
        n_classes: int.
        frame_size: ``(height, width)`` of the pictures that it takes, None where it is open.
        network_size: ``(height, width)`` of what the network in it is fed with.
        resizes: bool. Whether it brings pictures to that size, and the answer back, itself.
        preprocessing: Preprocessing.
        parity: How far it agrees with the Keras model.
        versions: What it was written with.
        files: Size in bytes and SHA-256 of each of its files.
    """

    name: str
    format: str
    precision: str
    n_classes: int
    frame_size: Size
    network_size: Size
    resizes: bool
    preprocessing: Preprocessing
    parity: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def to_json(self) -> str:
        """Returns it as JSON, with what a reader without this library needs, and a digest."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        classes = self.preprocessing.classes
        content = {
            "schema": SCHEMA,
            **values,
            "preprocessing": self.preprocessing.as_dict(),
            "input": "frames: uint8 (batch, height, width, channels)",
            "outputs": {
                "mask": "class ids (batch, height, width), of the frames' size",
                "confidence": "float32, the class's probability, of the frames' size",
                "logits": "float32 (batch, height, width, n_classes), of the network's size",
            },
            "class_names": None if classes is None else list(classes.names),
        }
        return json.dumps(sealed(content), indent=2)

    @classmethod
    def from_json(cls, text: str | bytes) -> Description:
        """Reads what :meth:`to_json` wrote.

        Raises:
            ValueError: If it is something else, damaged, or of another version.
        """
        document = read_json(text)
        schema = document.get("schema") if isinstance(document, dict) else None
        if isinstance(schema, int) and schema > SCHEMA:
            raise ValueError(
                f"its schema is {schema}, and this version reads {SCHEMA}: install a later unetv2"
            )
        values = unsealed(document)
        if schema != SCHEMA or isinstance(schema, bool):
            raise ValueError(f"its schema is {schema!r}, and this version reads {SCHEMA}")
        try:
            known = {one.name: values[one.name] for one in fields(cls)}
        except KeyError as error:
            raise ValueError(f"it lacks {error}") from error
        known["preprocessing"] = Preprocessing.from_dict(known["preprocessing"])
        for name in ("frame_size", "network_size"):
            known[name] = _size(known[name])
        if not (
            known["format"] in FORMATS
            and known["precision"] in FORMATS[known["format"]].precisions
            and isinstance(known["name"], str)
            and type(known["n_classes"]) is int
            and 2 <= known["n_classes"] <= MOST_CLASSES
            and isinstance(known["resizes"], bool)
            and all(isinstance(known[name], dict) for name in ("parity", "versions", "files"))
        ):
            raise ValueError("its values are of the wrong kind")
        return cls(**known)


def _size(value: Any) -> Size:
    if (
        not isinstance(value, list)
        or len(value) != 2
        or any(one is not None and (type(one) is not int or one < 1) for one in value)
    ):
        raise ValueError(f"{value!r} is no size")
    return value[0], value[1]
