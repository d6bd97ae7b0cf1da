"""Options that several commands share."""

from __future__ import annotations

import argparse
import logging
import re
from collections import ChainMap
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import unetv2
from unetv2.arguments import require_integer
from unetv2.text import printable_lines

if TYPE_CHECKING:
    from unetv2.classes import ClassTable

# Defaults and choices of the library, which are written here so that help needs no TensorFlow;
# tests compare them.
MAX_PIXELS = 89_478_485
ENCODINGS = ("ids", "colors", "binary", "max_channel")
SPLIT = (0.8, 0.1, 0.1)
SUBSETS = ("train", "validation", "test")
# Paths that must exist.
_INPUTS = {
    "IMAGES": "an existing folder",
    "MASKS": "an existing folder",
    "MODEL": "a file or a folder",
}
_PATHS = ("FOLDER", "IMAGES", "INPUT", "MASKS", "MODEL", "PATH", "TABLE")
_TABLES = ("carla", "camvid", "cityscapes", "pascal_voc")


@dataclass(frozen=True)
class CommandResult:
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
    run: Callable[[argparse.Namespace], CommandResult],
    uses: Sequence[str],
    names: dict[str, str],
    check: Callable[[argparse.Namespace], None] | None = None,
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
        uses: Names of :mod:`unetv2` that ``run`` uses, which are loaded before it is called.
        names: Arguments of the library, mapped to options with another name.
        check: Function that checks the options before TensorFlow is loaded, or None.
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
        run=run,
        check=check,
        uses=uses,
        command=command,
        names=names,
        after_interruption=after_interruption,
    )
    command.add_argument(
        "--json", action="store_true", help="print JSON to stdout and other output to stderr"
    )
    command.add_argument("--quiet", action="store_true", help="do not report progress")
    return command


class _Integer:
    """The type of an option that is an integer of at least ``least``."""

    # argparse shows it in errors.
    __name__ = "int"

    def __init__(self, least: int) -> None:
        self.least = least

    def __call__(self, word: str) -> int:
        return int(word)


def add_number(
    command: argparse.ArgumentParser,
    name: str,
    purpose: str,
    *,
    default: int | None = None,
    least: int = 1,
) -> None:
    """Adds an option that is an integer; :func:`check_options` checks its minimum."""
    if default is not None:
        purpose += f" (default: {default})"
    command.add_argument(name, type=_Integer(least), default=default, metavar="N", help=purpose)


def add_folders(command: argparse.ArgumentParser, *, of_model: bool = False) -> None:
    """Adds the arguments for two folders and for pairing and splitting their files.

    Args:
        command: The parser to add them to.
        of_model: bool. Whether the model provides the default values.
    """
    note = " (default: the model's)" if of_model else " (default: inferred)"
    command.add_argument("images", metavar="IMAGES", help="folder of the images")
    command.add_argument("masks", metavar="MASKS", help="folder of the masks")
    command.add_argument(
        "--image-suffix",
        metavar="TEXT",
        help=f"suffix of image file names before the extension{note}",
    )
    command.add_argument(
        "--mask-suffix",
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
    note = "the model's" if of_model else "inferred"
    command.add_argument("--ignore-class", type=int, metavar="ID", help="id of unlabeled pixels")
    command.add_argument(
        "--classes",
        metavar="TABLE",
        help=f"class table: {', '.join(_TABLES)}, or a .json or .csv file",
    )
    command.add_argument(
        "--encoding",
        choices=ENCODINGS,
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
    command.add_argument(
        "--n-classes", type=int, metavar="N", help="number of classes (default: inferred)"
    )
    add_number(command, "--channels", "channels of the images (default: inferred)")


def add_tta(command: argparse.ArgumentParser) -> None:
    """Adds the options of test-time augmentation."""
    options = command.add_mutually_exclusive_group()
    options.add_argument(
        "--no-tta",
        dest="tta",
        action="store_const",
        const=False,
        help="no test-time augmentation",
    )
    # After the other one, so that messages name it.
    options.add_argument(
        "--tta",
        type=_transforms,
        metavar="TRANSFORMS",
        help="test-time augmentation: horizontal, vertical, transpose and scales, separated by "
        "commas (default: the model's)",
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
    if name in _TABLES:
        return getattr(unetv2, name.upper())
    return unetv2.ClassTable.from_file(name)


def require_together(options: argparse.Namespace, first: str, second: str) -> None:
    """Raises a ValueError if only one of two options is given."""
    given = getattr(options, first), getattr(options, second)
    if (given[0] is None) != (given[1] is None):
        raise ValueError(
            f"`{first}` and `{second}` must come together. "
            f"Received: {first}={given[0]} and {second}={given[1]}."
        )


def check_options(options: argparse.Namespace) -> None:
    """Checks paths, numbers, class tables and label maps, which needs no TensorFlow.

    Raises:
        ValueError: If a path is empty, which would be the working directory, or a value is wrong.
        FileNotFoundError: If a folder or a model does not exist.
    """
    for name, _, value in _paths(options):
        if value == "":
            raise ValueError(
                f"`{name}` must be a path. Received: an empty string. "
                "Check the shell variable that you pass."
            )
    for name, kind, value in _paths(options):
        rule = _INPUTS.get(kind)
        if rule and not Path(value).exists():
            raise FileNotFoundError(
                f"`{name}` must be {rule}. Received: '{value}', which does not exist. "
                "Check the path."
            )
    for action in options.command._actions:
        number = getattr(options, action.dest, None)
        if isinstance(action.type, _Integer) and number is not None:
            require_integer(action.dest, number, action.type.least, "")
    _label_map(getattr(options, "label_map", None))
    table(getattr(options, "classes", None))


def _paths(options: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Yields the name, the metavariable and the value of each path."""
    for action in options.command._actions:
        value = getattr(options, action.dest, None)
        metavars = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
        if value is None or not any(metavar in _PATHS for metavar in metavars):
            continue
        values = value if isinstance(value, list) else [value]
        name = action.option_strings[-1] if action.option_strings else str(action.metavar)
        # All values of a list have the same metavariable, unless there is one for each.
        kinds = metavars if len(metavars) > 1 else metavars * len(values)
        yield from zip([name] * len(values), kinds, values, strict=True)


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


def _transforms(word: str) -> tuple[str | float, ...]:
    return tuple(map(_transform, word.split(",")))


def _transform(word: str) -> str | float:
    try:
        return float(word)
    except ValueError:
        return word


def _label_map(pairs: Sequence[tuple[int, int]] | None) -> dict[int, int] | None:
    if pairs is None:
        return None
    label_map = dict(pairs)
    if len(label_map) < len(pairs):
        raise ValueError(
            "`--label-map` must contain each id once. "
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
        return printable_lines(self.translate(super().format(record)))

    def translate(self, text: str) -> str:
        """Returns a message of the library in terms of the command line.

        Args:
            text: str. Arguments are in backticks, or followed by ``=`` and a value.
        """
        parts = text.split("`")
        for number, part in enumerate(parts):
            if number % 2 == 0:
                parts[number] = self._argument.sub(self._option, part)
            elif part in self._words:
                parts[number] = self._words[part]
            elif match := self._argument.fullmatch(part):
                parts[number] = self._option(match)
        return "`".join(parts)

    def _option(self, argument: re.Match[str]) -> str:
        word: str = self._words[argument[1]]
        value = argument[2]
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
