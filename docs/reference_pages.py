"""The reference, generated from the code: the command line, Python, a record, a target's file, `mbench.toml`.

Nothing of it is written by hand, so that it cannot differ from what mbench does.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

import mbench
from mbench.cli import defaults, main
from mbench.core import machine_types, project_file
from mbench.core.records import Record

_NAMES: dict[Any, str] = {
    msgspec.inspect.StrType: "text",
    msgspec.inspect.BoolType: "true or false",
    msgspec.inspect.IntType: "whole number",
    msgspec.inspect.FloatType: "number",
    msgspec.inspect.NoneType: "null",
    msgspec.inspect.AnyType: "anything",
    msgspec.inspect.DateTimeType: "date and time",
    msgspec.inspect.DateType: "date",
}
_SECTION = re.compile(r"(Args|Returns|Yields|Raises|Example|Examples|Source):")
_ITEM = re.compile(r"    ([\w.*]+): (.*)")
LONGEST_LINE = 100


def write(folder: Path) -> None:
    """Write all pages into a folder; a page that is as it should be is left alone."""
    folder.mkdir(exist_ok=True)
    for name, text in pages().items():
        file = folder / f"{name}.md"
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Return the pages by name."""
    return {
        "command-line": command_line(),
        "python": python(),
        "record-fields": structs(Record, "Every field of a record", "[The record](../record.md) says what they mean."),
        "target-file": structs(
            machine_types.Target, "A target's file", "A `target.toml`; [Extending](../extending.md) shows two."
        ),
        "project-file": structs(
            project_file.ProjectFile,
            "mbench.toml",
            "Looked for in the folder in which a command runs. [CI](../ci.md) and [history](../history.md) show it.",
        )
        + default_keys(),
    }


# ------------------------------------------------------------------------------------------------------ command line
def command_line() -> str:
    """Return the page of all commands and their options."""
    parts = ["# Command line\n\n`mbench COMMAND --help` prints the same."]
    context = click.Context(main.main, info_name="mbench", **main.main.context_settings)
    for command, inside in commands(main.main, context):
        parts.append(_command(command, inside))
    return "\n\n".join(parts) + "\n"


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every command below a group, in the order of their names, with its context."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inside = click.Context(command, parent=context, info_name=name)
        yield command, inside
        if isinstance(command, click.Group):
            yield from commands(command, inside)


def _command(command: click.Command, context: click.Context) -> str:
    depth = context.command_path.count(" ")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"{'#' * (1 + depth)} {context.command_path}", f"```text\n{usage}\n```", _help(command.help or "")]
    rows = [_option(each, context) for each in command.get_params(context)]
    rows = [row for row in rows if row and not row.startswith("| `-h")]
    if rows:
        parts.append("| option | what it does |\n|---|---|\n" + "\n".join(rows))
    return "\n\n".join(parts)


def _help(text: str) -> str:
    """Return a help text as Markdown; what click leaves unwrapped stays as it is."""
    paragraphs = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            paragraphs.append("```text\n" + paragraph.removeprefix("\b").strip("\n") + "\n```")
        else:
            paragraphs.append(_escaped(" ".join(paragraph.split())))
    return "\n\n".join(paragraphs)


def default_keys() -> str:
    """Return a section with a table for each command: its defaults in the file, and their variables."""
    parts = ["\n## Defaults\n\n[The command line](../command-line.md) says which one wins."]
    for words, command in defaults.commands(main.main):
        rows = [
            f"| `{key}` | `{defaults.variable(words, each)}` | `{defaults.flag(each)}` |"
            for key, each in defaults.options(command).items()
        ]
        if rows:
            table = "\n".join(["| key | variable | default of |", "|---|---|---|", *rows])
            parts.append(f"### `[{'.'.join(words)}]`\n\n{table}")
    return "\n\n".join(parts) + "\n"


def _option(parameter: click.Parameter, context: click.Context) -> str:
    record = parameter.get_help_record(context)
    if record is None:
        return ""
    names, text = record
    if not text:
        return ""  # an argument, which the usage shows
    return f"| `{names.replace('|', chr(92) + '|')}` | {_escaped(' '.join(text.split()))} |"


def _escaped(text: str) -> str:
    """Return a text in which Markdown finds no marks."""
    for mark in "\\`*_{}[]<>|~":
        text = text.replace(mark, f"\\{mark}")
    return text


# ------------------------------------------------------------------------------------------------------------ Python
def python() -> str:
    """Return the page of the public names of `mbench`."""
    found = {name: getattr(mbench, name) for name in sorted(mbench.__all__, key=str.lower) if name != "__version__"}
    parts = [
        "# Python",
        "`import mbench` brings all that is on this page. Times are in seconds, sizes in bytes, energies in joules.",
        "## Functions",
    ]
    for name, each in found.items():
        if inspect.isfunction(each):
            parts += [f"### {name}", signature(f"mbench.{name}", each), docstring(each)]
    parts.append("## Types")
    for name, each in found.items():
        if inspect.isclass(each):
            parts += [f"### {name}", docstring(each), *_members(each)]
    return "\n\n".join(parts) + "\n"


def _members(kind: type) -> Iterator[str]:
    """Yield the fields of a type, and what can be asked of it."""
    if issubclass(kind, msgspec.Struct):
        yield _fields(kind, linked=False)
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            yield f"`{name}`: {docstring(member.fget)}"
        elif inspect.isfunction(member) or isinstance(member, classmethod | staticmethod):
            function = member if inspect.isfunction(member) else member.__func__
            yield f"{signature(name, function)}\n\n{docstring(function)}"


def signature(name: str, function: Any) -> str:
    """Return how a function is called, a parameter a line where it is long."""
    parameters, mark = [], False
    for each in inspect.signature(function).parameters.values():
        if each.name in ("self", "cls"):
            continue
        if each.kind is each.KEYWORD_ONLY and not mark:
            parameters.append("*")
        mark = mark or each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL)
        parameters.append(_parameter(each))
    result = inspect.signature(function).return_annotation
    end = f") -> {result}" if result is not inspect.Signature.empty else ")"
    line = f"{name}({', '.join(parameters)}{end}"
    if len(line) > LONGEST_LINE:
        line = f"{name}(\n" + "".join(f"    {each},\n" for each in parameters) + end
    return f"```python\n{line}\n```"


def _parameter(each: inspect.Parameter) -> str:
    stars: dict[Any, str] = {each.VAR_POSITIONAL: "*", each.VAR_KEYWORD: "**"}
    text = f"{stars.get(each.kind, '')}{each.name}"
    if each.annotation is not each.empty:
        text += f": {each.annotation}"
    if each.default is each.empty:
        return text
    default = each.default
    if isinstance(default, msgspec.Struct | tuple) and default == type(default)():  # options as they are by default
        shown = "()" if default == () else f"{type(default).__name__}()"
    else:
        shown = default.__name__ if inspect.isfunction(default) else repr(default)
    return f"{text} = {shown}"


def docstring(of: Any) -> str:
    """Return a docstring as Markdown: its sections (Args, Raises, …) become lists below a word in bold."""
    lines: list[str] = []
    section = fenced = False
    for line in (inspect.getdoc(of) or "").splitlines():
        inside = section and line.startswith("    ")
        fenced ^= line.strip().startswith("```")
        if heading := _SECTION.fullmatch(line):
            section = True
            lines += [f"**{heading[1]}**", ""]
        elif inside and not fenced and (item := _ITEM.fullmatch(line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        elif inside:  # a text that goes on, or code
            lines.append(line[4:] if fenced or line[4:5] != " " else f"  {line.lstrip()}")
        else:
            section = section and not line
            lines.append(line)
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------- files' fields
def structs(root: type[msgspec.Struct], title: str, about: str) -> str:
    """Return the page of a type of file: a table for each table in it."""
    parts = [f"# {title}", about]
    waiting, seen = [root], {root}
    while waiting:
        struct = waiting.pop(0)
        parts.append(_table(struct))
        for inside in _inside(struct):
            if inside not in seen:
                seen.add(inside)
                waiting.append(inside)
    return "\n\n".join(parts) + "\n"


def _table(struct: type[msgspec.Struct]) -> str:
    return f"## {struct.__name__}\n\n{docstring(struct)}\n\n{_fields(struct, linked=True)}"


def _fields(struct: type[msgspec.Struct], *, linked: bool) -> str:
    documents = field_documents(struct)
    rows = []
    for field in msgspec.inspect.type_info(struct).fields:  # type: ignore[attr-defined]
        meaning = " ".join(documents.get(field.name, "").split()).replace("|", "\\|")
        rows.append(f"| `{field.encode_name}` | {_type(field.type, linked)} | {_default(field)} | {meaning} |")
    return "| field | type | default | what it is |\n|---|---|---|---|\n" + "\n".join(rows)


@functools.cache
def field_documents(struct: type) -> dict[str, str]:
    """Return the text below each field of a type, of those that it inherits too."""
    found: dict[str, str] = {}
    for each in reversed(struct.__mro__):
        if each is msgspec.Struct or not issubclass(each, msgspec.Struct):
            continue
        [body] = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
            ):
                found[field.target.id] = str(text.value.value)
    return found


def _default(field: Any) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    return "" if isinstance(value, msgspec.Struct) else f"`{msgspec.json.encode(value, enc_hook=str).decode()}`"


def _type(info: Any, linked: bool) -> str:
    """Return a type in words."""
    kind = type(info)
    if kind is msgspec.inspect.Metadata:
        return _type(info.type, linked)
    if kind in _NAMES:
        return _NAMES[kind]
    if kind is msgspec.inspect.UnionType:
        return " or ".join(_type(each, linked) for each in info.types)
    if kind is msgspec.inspect.LiteralType:
        return " or ".join(f"`{value}`" for value in info.values)
    if kind is msgspec.inspect.StructType:
        name = info.cls.__name__
        return f"[{name}](#{name.lower()})" if linked else f"`{name}`"
    if kind is msgspec.inspect.DictType:
        return f"table of {_type(info.value_type, linked)}"
    if kind is msgspec.inspect.TupleType:
        return f"list of {' and '.join(_type(each, linked) for each in info.item_types)}"
    if kind in (msgspec.inspect.VarTupleType, msgspec.inspect.ListType):
        return f"list of {_type(info.item_type, linked)}"
    if kind is msgspec.inspect.CustomType:
        return f"`{info.cls.__name__}`"
    raise TypeError(f"{info}: no words for this type; add them to docs/reference_pages.py")


def _inside(struct: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """Yield the types of tables that the fields of a type hold."""
    waiting: list[Any] = [field.type for field in msgspec.inspect.type_info(struct).fields]  # type: ignore[attr-defined]
    while waiting:
        info = waiting.pop(0)
        if isinstance(info, msgspec.inspect.StructType):
            yield info.cls
        parts = (getattr(info, part, None) for part in ("type", "item_type", "value_type"))
        waiting += [part for part in parts if isinstance(part, msgspec.inspect.Type)]
        waiting += [*getattr(info, "types", ()), *getattr(info, "item_types", ())]
