"""Messages of the library in terms of command line options."""

from __future__ import annotations

import argparse
import logging
import re
from collections import ChainMap
from collections.abc import MutableMapping
from typing import Any

from unetv2.escaping import printable_lines

# A tuple, list or dict, a quoted string, or the text up to a space or the end of a sentence.
_VALUE = r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|'[^']*'|[^\s,;()]+?(?=[.,;:)]*(?:\s|$))"


class Wording(logging.Formatter):
    """Replaces arguments by options: ``image_dir`` by IMAGES, ``resume=True`` by --resume.

    Args:
        command: The command; arguments and options of the same name correspond.
        names: Options of other arguments.
    """

    def __init__(self, command: argparse.ArgumentParser, names: MutableMapping[str, str]) -> None:
        super().__init__()
        own = {
            action.dest: action.option_strings[-1] if action.option_strings else action.metavar
            for action in command._actions
        }
        # A command may change these names later.
        self._words: MutableMapping[str, Any] = ChainMap(names, own)
        # Not in a path, a call or another name.
        self._argument = re.compile(rf"(?<![^\s(])({'|'.join(self._words)})=({_VALUE})")

    def format(self, record: logging.LogRecord) -> str:
        """Formats a log record in terms of the command line."""
        return printable_lines(self.of(super().format(record)))

    def of(self, text: str) -> str:
        """Returns a message of the library in terms of the command line.

        Args:
            text: str. Arguments are in backticks, or followed by ``=`` and a value.
        """
        parts = text.split("`")
        for number, part in enumerate(parts):
            if number % 2 == 0:
                parts[number] = self._argument.sub(self._said, part)
            elif part in self._words:
                parts[number] = self._words[part]
            elif found := self._argument.fullmatch(part):
                parts[number] = self._said(found)
        return "`".join(parts)

    def _said(self, found: re.Match[str]) -> str:
        word: str = self._words[found[1]]
        value = found[2]
        if value == "True":
            return word
        if value in ("False", "None"):
            return f"no {word}"
        # As typed on the command line.
        if value[0] == "{":
            # One option per entry.
            entries = value[1:-1].replace(" ", "").split(",")
            return " ".join(f"{word} {entry}" for entry in entries)
        if value[0] in "([":
            value = value[1:-1].replace(",", "")
        elif " " not in value:
            value = value.strip("'")
        # With `=`, so that it is not parsed as an option.
        return f"{word}={value}" if value.startswith("-") else f"{word} {value}"
