"""From a frozen dataclass to a command line and a YAML file with the same keys, by jsonargparse.

The help of an option is what the docstring of the dataclass says about the field. A field that is itself a
dataclass becomes a group of dotted options, or options without a prefix if it was declared with :data:`INLINED`.
"""

from __future__ import annotations

import argparse
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ActionYesNo, ArgumentParser, Namespace

from pyro_lcm.storage.text_files import read_yaml

T = TypeVar("T")

INLINED = {"inlined": True}
"""Metadata of a field that is a dataclass whose fields are options of their own, without a prefix."""


def grouped(title: str) -> dict[str, str]:
    """Metadata of a field whose option stands apart in the help, under a title; the first ten or so are enough."""
    return {"group": title}


REPEATED = {"repeated": True}
"""Metadata of a tuple of texts whose option comes once for each: ``--set a=1 --set b=2``."""


class UsageError(ValueError):
    """An option that is unknown, missing or of the wrong type."""


@dataclass(frozen=True)
class Option:
    """One option: its key in YAML, its type, what it is if not given, and its help."""

    key: str
    type: Any
    default: Any
    help: str
    repeated: bool
    positional: bool
    group: str | None

    @property
    def flag(self) -> str:
        """How it is written on the command line."""
        return self.key.upper() if self.positional else "--" + self.key.replace("_", "-")

    @property
    def many(self) -> bool:
        """Whether it takes several values, in YAML a list."""
        return _single(self.type)[1]

    @property
    def choices(self) -> tuple[Any, ...]:
        """The values that it may have, if they are few."""
        return _choices(_single(self.type)[0])

    @property
    def missing(self) -> str:
        """What is said if it is not there."""
        return f"{self.flag} is missing: {self.help}"

    @property
    def required(self) -> bool:
        """Whether it has to be given."""
        return self.default is MISSING


def parse(program: str, summary: str, options: type[T], positional: Sequence[str], argv: Sequence[str]) -> T:
    """Parse a command line.

    Args:
        program: Name of the program, for the usage.
        summary: One line on what it does.
        options: The dataclass of options.
        positional: Names of its fields that are given by place; one with a default may be left out.
        argv: Arguments.

    Returns:
        The options.

    Raises:
        UsageError: If an option is unknown, missing or of the wrong type; one line that names it.
        ValueError: If the dataclass itself does not take a value.
        SystemExit: After ``--help`` and ``--print-config``.

    >>> @dataclass(frozen=True)
    ... class Options:
    ...     '''Options.
    ...
    ...     Args:
    ...         dim_z: Number of variables.
    ...     '''
    ...     dim_z: int = 2
    >>> parse("pyro-lcm test", "Test.", Options, (), ["--dim-z", "3"])
    Options(dim_z=3)
    """
    table = {option.key: option for option in options_of(options, positional)}
    parser = ArgumentParser(
        prog=program,
        description=f"{summary}.",
        usage=" ".join([program, *(_usage(table[name]) for name in positional), "[options]"]),
        exit_on_error=False,
        print_config="--print-config",
        formatter_class=argparse.HelpFormatter,
    )
    for name in positional:
        _add_positional(parser, table[name])
    parser.add_argument("--config", action="config", help="YAML file of options; its keys are these options")
    groups = {title: parser.add_argument_group(title) for title in _titles(table.values())}
    for option in table.values():
        if not option.positional:
            _add_option(parser if option.group is None else groups[option.group], option)
    _check_config(argv, table)
    try:
        found = parser.parse_args(list(argv))
    except argparse.ArgumentError as error:
        raise UsageError(_one_line(str(error), table)) from error
    except Exception as error:  # what is given decides what jsonargparse stumbles over
        raise UsageError(f"cannot read the options ({type(error).__name__}: {error})") from error
    for option in table.values():
        if option.required and found.get(option.key) is None:
            raise UsageError(option.missing)
        if found.get(option.key) is None and option.default is not None:  # null, in a YAML file
            raise UsageError(f"{option.flag}: got null, expected {_describe(_single(option.type)[0])}")
        if option.key == "out" and found.get("out") == "":
            raise UsageError("--out: got an empty name, expected that of a file or folder")
    made: T = _instantiate(options, found, "")
    return made


def _check_config(argv: Sequence[str], table: Mapping[str, Option]) -> None:
    """Say what is wrong with the YAML files of options, with their names, before they are merged with the others."""
    following = zip(argv, [*argv[1:], ""], strict=True)
    given = [after if flag == "--config" else flag.removeprefix("--config=") for flag, after in following
             if flag == "--config" or flag.startswith("--config=")]  # fmt: skip
    groups = {key.split(".")[0] for key in table if "." in key}
    for name in given:
        if not Path(name).is_file():
            continue  # jsonargparse says so
        try:
            options = read_yaml(Path(name))
        except ValueError as error:
            raise UsageError(f"--config: {error}") from error
        if wrong := [key for key in options if not isinstance(key, str)]:
            raise UsageError(f"--config: {name}: got the key {wrong[0]!r}, expected some of {', '.join(table)}")
        for key in sorted(groups & options.keys()):
            if not isinstance(options[key], dict):
                own = [option for option in table if option.startswith(f"{key}.")]
                raise UsageError(f"--config: {name}: {key}: got {options[key]!r}, expected some of {', '.join(own)}")
        nested = {f"{group}.{key}": value for group in groups for key, value in options.get(group, {}).items()}
        flat = {**options, **nested}
        for key in sorted(table.keys() & flat.keys()):
            if table[key].many and not isinstance(flat[key], list | None):
                raise UsageError(f"--config: {name}: {key}: got {flat[key]!r}, expected a list, [{flat[key]!r}]")


def to_plain(options: Any) -> dict[str, Any]:
    """Options as the plain values of a YAML file that ``--config`` reads.

    Args:
        options: An instance of a dataclass of options.
    """
    result: dict[str, Any] = {}
    for item in fields(options):
        value = getattr(options, item.name)
        if item.metadata.get("inlined"):
            result |= to_plain(value)
        elif is_dataclass(value):
            result[item.name] = to_plain(value)
        else:
            result[item.name] = list(value) if isinstance(value, tuple) else value
    return result


def _usage(option: Option) -> str:
    return option.flag if option.required else f"[{option.flag}]"


def _titles(options: Iterable[Option]) -> list[str]:
    """Titles of groups, each once, in the order of the options."""
    return list(dict.fromkeys(option.group for option in options if option.group is not None))


def options_of(
    options: type, positional: Sequence[str], prefix: str = "", group: str | None = None
) -> Iterator[Option]:
    """List the options of a dataclass, those of nested dataclasses included, which are groups of their own."""
    hints = get_type_hints(options)
    documented = docstring_parser.parse(options.__doc__ or "").params
    texts = {item.arg_name: " ".join((item.description or "").replace("``", "").split()) for item in documented}
    for item in fields(options):
        hint = hints[item.name]
        if is_dataclass(hint) and isinstance(hint, type):
            title = (hint.__doc__ or "").strip().splitlines()[0].rstrip(".").lower()
            yield from options_of(hint, (), _inner_prefix(item, prefix), item.metadata.get("group", title))
        else:
            text = texts.get(item.name, "")
            repeated = bool(item.metadata.get("repeated"))
            by_place = item.name in positional
            apart = item.metadata.get("group", group)
            yield Option(prefix + item.name, hint, _default(item), text, repeated, by_place, apart)


def _default(item: Field[Any]) -> Any:
    if item.default_factory is not MISSING:
        return item.default_factory()
    return item.default


def _add_positional(parser: ArgumentParser, option: Option) -> None:
    # A required one may come from a YAML file too: jsonargparse looks for it after both are read.
    extra: dict[str, Any] = {} if option.required else {"nargs": "?", "default": option.default}
    parser.add_argument(option.key, type=_single(option.type)[0], metavar=option.key.upper(), help=option.help, **extra)


def _add_option(parser: Any, option: Option) -> None:
    default = None if option.required else option.default
    text = option.help.replace("%", "%%")
    if option.required:
        text += " (required)"
    elif not (default is None or default is False or default == ()):
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        text += f" (default: {shown})"
    single, many = _single(option.type)
    if option.type is bool:
        parser.add_argument(option.flag, action=ActionYesNo(no_prefix="no-"), default=default, help=text)
        return
    extra: dict[str, Any] = {}
    if option.repeated:
        extra = {"action": "append"}
    elif many:
        extra = {"nargs": "+"}
    choices = ",".join(map(str, _choices(single)))
    metavar = f"{{{choices}}}" if choices else option.key.rsplit(".", 1)[-1].upper()
    parser.add_argument(
        option.flag,
        type=single,
        default=list(default) if isinstance(default, tuple) else default,
        help=text,
        metavar=metavar,
        **extra,
    )


def _single(hint: Any) -> tuple[Any, bool]:
    """The type of one value, and whether there are several: of ``tuple[int, ...] | None`` (int, True)."""
    members = [part for part in _members(hint) if part is not type(None)]
    if len(members) == 1 and get_origin(members[0]) is tuple:
        return get_args(members[0])[0], True
    return hint, False


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values of a Literal, also of one that may be left out."""
    members = [part for part in _members(hint) if part is not type(None)]
    return get_args(members[0]) if len(members) == 1 and get_origin(members[0]) is Literal else ()


def _instantiate(options: type[Any], found: Namespace, prefix: str) -> Any:
    hints = get_type_hints(options)
    values: dict[str, Any] = {}
    for item in fields(options):
        hint = hints[item.name]
        if is_dataclass(hint) and isinstance(hint, type):
            values[item.name] = _instantiate(hint, found, _inner_prefix(item, prefix))
        else:
            value = found[prefix + item.name]
            values[item.name] = tuple(value) if isinstance(value, list) else value
    return options(**values)


def _inner_prefix(item: Field[Any], prefix: str) -> str:
    return prefix if item.metadata.get("inlined") else f"{prefix}{item.name}."


def _one_line(message: str, table: Mapping[str, Option]) -> str:
    """Say in one line which option was wrong, what came and what was expected."""
    found = re.match(r'Parser key "([\w.\-\[\]]+)"', message)
    value = re.search(r"(?:Given value|Got value): (.*)", message)
    if found and value:
        key = re.sub(r"\[\d+\]$", "", found[1])
        if key in table:
            return f"{table[key].flag}: got {value[1]!r}, expected {_describe(_single(table[key].type)[0])}"
    missing = re.match(r"the following arguments are required: (\w+)", message)
    if missing and missing[1] in table:
        return table[missing[1]].missing
    unknown = re.match(r"Option '([\w.\-]+)' is not accepted", message)
    if unknown:
        return f"--config: got the key {unknown[1]!r}, expected some of {', '.join(table)}"
    return " ".join(message.split())


def _describe(hint: Any) -> str:
    words = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    if _choices(hint):
        return f"one of {', '.join(map(str, _choices(hint)))}"
    parts = [words.get(part, str(part)) for part in _members(hint) if part is not type(None)]
    return " or ".join(parts)
