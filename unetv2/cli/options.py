"""Options that several commands share."""

from __future__ import annotations

import argparse
import logging
import re
from collections import ChainMap
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from unetv2.classes import CAMVID, CARLA, CITYSCAPES, PASCAL_VOC, ClassTable
from unetv2.data.labels import ENCODINGS
from unetv2.data.pairs import SPLIT
from unetv2.text import printable_lines

_PATHS = ("FOLDER", "IMAGES", "INPUT", "MASKS", "MODEL", "PATH", "TABLE")
_TABLES = {"carla": CARLA, "camvid": CAMVID, "cityscapes": CITYSCAPES, "pascal_voc": PASCAL_VOC}


@dataclass(frozen=True)
class Answer:
    """The result of a command.

    Args:
        text: str. Printed to stdout; may be empty.
        content: Printed instead of ``text`` with ``--json``; of JSON types.
        note: str. Printed to stderr, such as the location of files.
        code: int. The exit code.
    """

    text: str
    content: Any
    note: str = ""
    code: int = 0


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    *,
    purpose: str,
    description: str,
    epilog: str,
    run: Callable[[argparse.Namespace], Answer],
    names: dict[str, str],
    after_interruption: str = "no results were saved",
) -> argparse.ArgumentParser:
    """Adds a command with the options of all commands, ``--json`` and ``--quiet``.

    Args:
        commands: The subparsers to add it to.
        name: str. Name of the command.
        purpose: str. Summary in a few words.
        description: str. Summary in one or two sentences.
        epilog: str. Examples and exit codes.
        run: Function that runs the command.
        names: Arguments of the library, mapped to options with another name.
        after_interruption: str. State after Ctrl-C, and how to continue.

    Returns:
        argparse.ArgumentParser. The parser of the command.
    """
    command = commands.add_parser(
        name,
        help=purpose,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(
        run=run, command=command, names=names, after_interruption=after_interruption
    )
    command.add_argument(
        "--json", action="store_true", help="print JSON to stdout and other output to stderr"
    )
    command.add_argument("--quiet", action="store_true", help="do not report progress")
    return command


def add_folders(command: argparse.ArgumentParser, *, of_model: bool = False) -> None:
    """Adds the arguments for two folders and for pairing and splitting their files.

    Args:
        command: The parser to add them to.
        of_model: bool. Whether the model provides the default values.
    """
    default, note = (None, " (default: the model's)") if of_model else ("", "")
    command.add_argument("images", metavar="IMAGES", help="folder of the images")
    command.add_argument("masks", metavar="MASKS", help="folder of the masks")
    command.add_argument(
        "--image-suffix",
        default=default,
        metavar="TEXT",
        help=f"suffix of image file names before the extension{note}",
    )
    command.add_argument(
        "--mask-suffix",
        default=default,
        metavar="TEXT",
        help=f"suffix of mask file names before the extension{note}",
    )
    command.add_argument(
        "--group-by",
        metavar="REGEX",
        help="pattern for the part of the name that is equal within a group; groups are not split",
    )
    command.add_argument(
        "--split",
        type=float,
        nargs=3,
        default=SPLIT,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help=f"fractions of the subsets (default: {' '.join(map(str, SPLIT))})",
    )


def add_labels(command: argparse.ArgumentParser, *, of_model: bool = False) -> None:
    """Adds the options for the labels in masks.

    Args:
        command: The parser to add them to.
        of_model: bool. Whether the model provides the default values.
    """
    encoding, note = (None, "the model's") if of_model else ("ids", "ids")
    command.add_argument("--ignore-class", type=int, metavar="ID", help="id of unlabeled pixels")
    command.add_argument(
        "--classes",
        metavar="TABLE",
        help=f"class table: {', '.join(_TABLES)}, or a .json or .csv file",
    )
    command.add_argument(
        "--encoding",
        choices=ENCODINGS,
        default=encoding,
        help=f"encoding of the masks (default: {note})",
    )
    command.add_argument(
        "--label-map",
        type=_ids,
        action="append",
        metavar="OLD:NEW",
        help="replace an id in the files by another one; may be repeated",
    )


def add_data(command: argparse.ArgumentParser) -> None:
    """Adds all arguments for a data set in two folders."""
    add_folders(command)
    add_labels(command)
    command.add_argument("--n-classes", type=int, metavar="N", help="number of classes")
    command.add_argument(
        "--channels", type=int, default=3, metavar="N", help="channels of the images (default: 3)"
    )


def data_options(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the options of :func:`add_data` as keyword arguments."""
    return {
        "n_classes": options.n_classes,
        "classes": table(options.classes),
        "channels": options.channels,
        **folder_options(options),
    }


def folder_options(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the options of :func:`add_folders` and :func:`add_labels` as keyword arguments."""
    return {
        "ignore_class": options.ignore_class,
        "encoding": options.encoding,
        "label_map": _label_map(options.label_map),
        "image_suffix": options.image_suffix,
        "mask_suffix": options.mask_suffix,
        "split": options.split,
        "group_by": options.group_by,
        "seed": options.seed,
    }


def table(name: str | None) -> ClassTable | None:
    """Returns the class table with a name or from a file."""
    if name is None:
        return None
    return _TABLES[name] if name in _TABLES else ClassTable.from_file(name)


def require_paths(options: argparse.Namespace) -> None:
    """Raises a ValueError for an empty path, which would be the working directory."""
    for action in options.command._actions:
        value = getattr(options, action.dest, None)
        values = value if isinstance(value, list) else [value]
        metavars = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
        if "" in values and any(metavar in _PATHS for metavar in metavars):
            name = action.option_strings[-1] if action.option_strings else action.metavar
            raise ValueError(
                f"`{name}` must be a path. Received: an empty text. "
                "Check the variable that it comes from."
            )


def shard(word: str) -> tuple[int, int]:
    """Returns the two numbers of ``INDEX/COUNT``."""
    form = "INDEX/COUNT, such as 0/8, and 7/8 for the last"
    index, count = _two_numbers(word, "/", form)
    if not 0 <= index < count:
        raise argparse.ArgumentTypeError(f"must be {form}. Received: {word!r}.")
    return index, count


def _ids(word: str) -> tuple[int, int]:
    return _two_numbers(word, ":", "two ids, OLD:NEW, such as 7:0")


def _two_numbers(word: str, separator: str, form: str) -> tuple[int, int]:
    try:
        first, second = map(int, word.split(separator))
    except ValueError as error:
        message = f"must be {form}. Received: {word!r}."
        raise argparse.ArgumentTypeError(message) from error
    return first, second


def _label_map(pairs: Sequence[tuple[int, int]] | None) -> dict[int, int] | None:
    if pairs is None:
        return None
    label_map = dict(pairs)
    if len(label_map) < len(pairs):
        raise ValueError(
            "`--label-map` must name an id once. "
            f"Received: {' '.join(f'{old}:{new}' for old, new in pairs)}. Leave one out."
        )
    return label_map


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
