"""Text that came from outside (names, reasons, paths), made safe to show: once for each kind of output.

A character that cannot be printed (control, C1, bidi, a byte that is no UTF-8) is written as Python would escape it:
visible, and so that two names stay two. What a format means by `<`, `|` or `%` is that format's own business.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

_SURROGATES = re.compile("[\ud800-\udfff]")
_OUTSIDE_ASCII = re.compile(r"[^\n\x20-\x7e]")
_MARKERS = re.compile(r"##(?=\w*\[)")
"""What begins a command of GitHub's or Azure's runner anywhere in a line."""
_COMMANDS = re.compile(r"(?m)^((?:\x1b\[[\d;?]*[A-Za-z]|[^\S\n])*)(:(?=:)|s(?=ection_(?:start|end):))")
"""What begins a command of GitHub's runner, or a section of GitLab's, at the start of a line."""
_LINES = ("detail",)
"""Fields of documents that hold several lines."""


def visible(text: str) -> str:
    r"""Return the text with what cannot be printed escaped: `\x1b`, `\u202e`; lines stay lines."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def line(text: str) -> str:
    """Return the text as one line in which everything can be printed."""
    return visible(text.replace("\n", " "))


def storable(text: str) -> str:
    """Return the text with bytes that are no UTF-8 escaped, which no file and no JSON can hold."""
    return _SURROGATES.sub(lambda match: _escaped(match[0]), text)


def cleaned(document: _T) -> _T:
    """Return a record, a verdict or another document with all its strings visible, each as one line, but details."""
    return mapped(document, lambda field, text: visible(text if field in _LINES else text.replace("\n", r"\n")))


def mapped(document: _T, change: Callable[[str, str], str], field: str = "") -> _T:
    """Return a document with each string as `change` returns it, which is given the field's name and the string."""
    import msgspec  # not above: `mbench --help` needs this module, and no documents

    found: object = document
    if isinstance(document, str):
        found = change(field, document)
    elif isinstance(document, msgspec.Struct):
        names = document.__struct_fields__
        found = msgspec.structs.replace(
            document, **{name: mapped(getattr(document, name), change, name) for name in names}
        )
    elif isinstance(document, dict):
        found = {mapped(key, change, field): mapped(value, change, field) for key, value in document.items()}
    elif isinstance(document, list | tuple):
        found = type(document)(mapped(item, change, field) for item in document)
    return found  # type: ignore[return-value]


def ascii_json(document: str) -> str:
    """Return a JSON document in ASCII that says the same: no terminal and no CI finds anything in it."""
    return _MARKERS.sub(r"#\\u0023", _OUTSIDE_ASCII.sub(_json_escaped, document))


def harmless(text: str, *, at_start: bool = True) -> str:
    """Return lines in which no CI finds a command; `at_start`: the text begins a line."""
    text = _MARKERS.sub(r"#\\x23", text)
    first = 0 if at_start else text.find("\n") + 1 or len(text)
    return text[:first] + _COMMANDS.sub(lambda match: f"{match[1]}\\x{ord(match[2]):02x}", text[first:])


def quoted(word: str | os.PathLike[str]) -> str:
    r"""Return a word as a shell takes it; bash, zsh and ksh read `$'\377'` as the byte."""
    text = os.fspath(word)
    if text.isprintable():
        return shlex.quote(text)
    inside = (char if char.isprintable() and char not in "'\\" else _shell_escaped(char) for char in text)
    return f"$'{''.join(inside)}'"


def _shell_escaped(char: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogateescape"))


def _escaped(char: str) -> str:
    """Return a character escaped; a surrogate that stands for a byte as that byte."""
    code = ord(char)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else char.encode("unicode_escape").decode()


def _json_escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
