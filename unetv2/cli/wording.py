"""What the library says of its arguments, in the words of the command line."""

from __future__ import annotations

import argparse
import logging
import re
from collections import ChainMap
from collections.abc import MutableMapping
from typing import Any

from unetv2.escaping import printable_lines

# A tuple, list or map, a quoted text, or what goes on to the next space without a sentence's end.
_VALUE = r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}|'[^']*'|[^\s,;()]+?(?=[.,;:)]*(?:\s|$))"


class Wording(logging.Formatter):
    """Names arguments as a command does: ``image_dir`` is IMAGES, ``resume=True`` is --resume.

    Args:
        command: The command; an argument that has an option's name is that option.
        names: Words for other arguments.
    """

    def __init__(self, command: argparse.ArgumentParser, names: MutableMapping[str, str]) -> None:
        super().__init__()
        own = {
            action.dest: action.option_strings[-1] if action.option_strings else action.metavar
            for action in command._actions
        }
        # The command may come to mean other words by some name.
        self._words: MutableMapping[str, Any] = ChainMap(names, own)
        # Not within a path, a call or another name.
        self._argument = re.compile(rf"(?<![^\s(])({'|'.join(self._words)})=({_VALUE})")

    def format(self, record: logging.LogRecord) -> str:
        """Returns what is logged in the command's words."""
        return printable_lines(self.of(super().format(record)))

    def of(self, text: str) -> str:
        """Returns a text of the library in the command's words.

        Args:
            text: str. Arguments stand in backticks, or before ``=`` and their value.
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
        # As one would type it.
        if value[0] == "{":
            # An option for each entry.
            entries = value[1:-1].replace(" ", "").split(",")
            return " ".join(f"{word} {entry}" for entry in entries)
        if value[0] in "([":
            value = value[1:-1].replace(",", "")
        elif " " not in value:
            value = value.strip("'")
        # As an option's value, not as another option.
        return f"{word}={value}" if value.startswith("-") else f"{word} {value}"
