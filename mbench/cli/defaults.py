"""Defaults of options that are set elsewhere: in the tables of `mbench.toml`, and by environment variables.

The command line wins over a variable, and a variable over the file. In the file a table is called after its command
and a key after its option: `[run]` with `threads = 4`, `[history.list]` with `branch = "main"`. A variable is called
after both: `MBENCH_RUN_THREADS`. The networks that a command takes have a default as an option has: `networks`.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from mbench.core import errors
from mbench.core.errors import MbenchError, UsageError, did_you_mean

FILE = "mbench.toml"


NETWORK = "NETWORK"
"""What messages call the networks that a command takes."""
_NETWORKS = ("networks", "families")
"""Arguments that can have a default: networks, and families of them."""


class Default(NamedTuple):
    """What an option is where the command line does not name it."""

    path: tuple[str, ...]
    """The words of the command."""
    option: click.Parameter
    value: Any
    """As the file has it, or the text of a variable."""
    origin: str
    """The key in the file, or the variable."""
    typed: bool
    """Whether the value has a type, as in the file; a variable is text."""

    def refuse(self, what: str) -> UsageError:
        """Return the error that says what is wrong with it."""
        return UsageError(f"{self.origin}: {what}")


# ------------------------------------------------------------------------------------------------------------- names
def path(context: click.Context) -> tuple[str, ...]:
    """Return the words of a command, without the program's own."""
    words: list[str] = []
    while context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    return tuple(words)


def key(option: click.Parameter) -> str:
    """Return what an option is called in the file: `max-latency`."""
    return max(option.opts, key=len).lstrip("-")


def flag(option: click.Parameter) -> str:
    """Return what an option is called on the command line and in messages: `--max-latency`, `NETWORK`."""
    return NETWORK if isinstance(option, click.Argument) else max(option.opts, key=len)


def variable(words: tuple[str, ...], option: click.Parameter) -> str:
    """Return the environment variable of an option: `MBENCH_RUN_MAX_LATENCY`."""
    return "_".join(("mbench", *words, key(option))).replace("-", "_").upper()


def options(command: click.Command) -> dict[str, click.Parameter]:
    """Return the options of a command that can have defaults, by key; the networks that it takes among them."""
    found = (each for each in command.params if not each.is_eager)
    return {key(each): each for each in found if isinstance(each, click.Option) or each.name in _NETWORKS}


def commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command below a group with its words, groups among them."""
    for name, each in group.commands.items():
        yield (*words, name), each
        if isinstance(each, click.Group):
            yield from commands(each, (*words, name))


def taken_back(command: click.Command) -> dict[click.Option, str]:
    """Return the word that takes back each flag of a command: `--no-quick`, and `--cache` for `--no-cache`."""
    taken = {word for each in command.params for word in (*each.opts, *each.secondary_opts)}
    found: dict[click.Option, str] = {}
    for name, option in options(command).items():
        word = f"--{name.removeprefix('no-')}" if name.startswith("no-") else f"--no-{name}"
        if isinstance(option, click.Option) and _is_flag(option) and not option.secondary_opts and word not in taken:
            found[option] = word
    return found


# ------------------------------------------------------------------------------------------------------------ look-up
def of(context: click.Context) -> dict[str, Default]:
    """Return the defaults of a command that is about to be parsed, by the names of its parameters.

    Raises:
        UsageError: `mbench.toml` cannot be read, or has a key that no command has.
    """
    words = path(context)
    root = context.find_root().command
    if not words or not isinstance(root, click.Group):
        return {}
    found = (each for each in (*of_file(root), *of_variables(root)) if each.path == words)
    return {each.option.name or "": each for each in found}


def of_file(root: click.Group, file: Path = Path(FILE)) -> list[Default]:
    """Return what `mbench.toml` in this folder says of options; nothing where there is no file.

    Raises:
        UsageError: it cannot be read, or has a table or a key that no command has.
    """
    if not file.is_symlink() and not file.exists():
        return []
    from mbench.core import project_file, toml_files

    source = toml_files.Source(file)
    return list(_in_table(root, toml_files.load(source), (), source, project_file.OWN))


def _in_table(
    command: click.Command, table: Mapping[str, Any], words: tuple[str, ...], source: Any, own: Mapping[Any, Any]
) -> Iterator[Default]:
    """Yield the options of a command's table, and of the tables of its commands in it."""
    from mbench.core import toml_files

    below = command.commands if isinstance(command, click.Group) else {}
    known = options(command)
    for name, value in table.items():
        where = toml_files.joined(".".join(words), name)
        if name in own.get(words, ()) and (isinstance(value, dict) or name not in known):
            continue
        if name in below:
            if not isinstance(value, dict):
                raise source.refuse(f"{where}: got {toml_files.shown(value)}, expected a table: [{where}]")
            yield from _in_table(below[name], value, (*words, name), source, own)
        elif name in known:
            yield Default(words, known[name], value, f"{source.file}: {where}", typed=True)
        else:
            near = did_you_mean(name, (*below, *known, *own.get(words, ())))
            raise source.refuse(f"{where}: unknown key{near or f'; see {_help(words)}'}")


def _help(words: tuple[str, ...]) -> str:
    return f"'{' '.join(('mbench', *words, '--help'))}'"


def of_variables(root: click.Group) -> list[Default]:
    """Return what environment variables say of options; an empty one says nothing."""
    names = {name for name, value in os.environ.items() if name.startswith("MBENCH_") and value}
    if not names:
        return []
    return [
        Default(words, option, os.environ[name], name, typed=False)
        for words, command in commands(root)
        for option in options(command).values()
        if (name := variable(words, option)) in names
    ]


def check_names(context: click.Context, file: Path | None) -> None:
    """Refuse a file of thresholds with a table or a key that no command has; None: `mbench.toml`, which was read.

    Raises:
        UsageError: it has one.
    """
    root = context.find_root().command
    if file is not None and isinstance(root, click.Group):
        of_file(root, file)


def without_options(file: Path = Path(FILE)) -> dict[str, object]:
    """Return what the file says that is no option's, by key: thresholds, and where the history is.

    Raises:
        UsageError: it cannot be read, or holds what it may not.
    """
    from mbench.core import project_file

    if not file.exists():
        return {}
    found = project_file.read(file)
    tables = {"gate.thresholds": found.gate.thresholds, "gate.sensitivity": found.gate.sensitivity}
    values: dict[str, object] = {
        f"{name}.{key}": value for name, table in tables.items() for key, value in table.items()
    }
    return values | ({"history.store": _store(found.history.store)} if found.history.store else {})


def _store(address: str) -> str:
    """Return where a store is, without the user and the password that its address may have."""
    from mbench.history import store_address

    try:
        return store_address.parse(address).shown
    except MbenchError:
        return "an address that is no store's"


def shown(default: Default) -> str:
    """Return a default in a line; of a store no password."""
    value = default.value
    if key(default.option) == "store":
        return _store(str(value))
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def unknown_variables(root: click.Group) -> dict[str, str]:
    """Return variables that begin as those of a command do and are no option's, each with the nearest that is one."""
    known: dict[str, None] = {}
    begin: list[str] = []
    for words, command in commands(root):
        found = [variable(words, option) for option in options(command).values()]
        known |= dict.fromkeys(found)
        begin += ["_".join(("MBENCH", *words, "")).upper()] if found else []
    given = (name for name in os.environ if name.startswith(tuple(begin)) and name not in known)
    return {name: did_you_mean(name, known).removeprefix("; ") for name in sorted(given)}


# ----------------------------------------------------------------------------------------------------------- checking
def converted(default: Default, context: click.Context) -> Any:
    """Return a default as click takes it, once it is known that the option takes it.

    Raises:
        UsageError: it does not.
    """
    option, value = default.option, _as_written(default)
    try:
        option.type_cast_value(context, value)
    except click.UsageError as error:
        raise default.refuse(error.message.rstrip(".")) from error
    except MbenchError as error:
        raise default.refuse(str(error)) from error
    return value


def _as_written(default: Default) -> Any:
    """Return a default as the command line has it: a text, several of an option that can be repeated, or a flag."""
    option, value = default.option, default.value
    if isinstance(value, dict):
        raise default.refuse("got a table, expected a value")
    if not isinstance(option, click.Option) or option.multiple:
        return _several(default)
    if _is_flag(option):
        if default.typed and not isinstance(value, bool):
            raise default.refuse(f"got {errors.shown(value)}, expected true or false")
        return value
    if isinstance(value, list):
        if "[," not in (option.metavar or ""):
            raise default.refuse("got an array, expected one value")
        return ",".join(map(str, value))
    if isinstance(value, bool):
        if isinstance(option.flag_value, str):  # a flag with a value that may be left out, as --wait-quiet
            return option.flag_value if value else None
        raise default.refuse(f"got {str(value).lower()}, expected a value")
    return str(value)


def _several(default: Default) -> tuple[str, ...]:
    """Return the values of an option that can be repeated: an array or one value; a variable's words."""
    value = default.value
    if isinstance(value, list):
        return tuple(map(str, value))
    if default.typed:
        return (str(value),)
    try:
        return tuple(shlex.split(str(value)))
    except ValueError as error:
        raise default.refuse(f"{str(error).lower()}; expected words as a shell takes them") from error


def _is_flag(option: click.Option) -> bool:
    return option.is_flag and isinstance(option.type, click.types.BoolParamType)
