"""JSON from outside, read strictly: one document in UTF-8 that fits a type and names no key twice.

Nothing here knows what a document means.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

from mbench.core.errors import shortened

_T = TypeVar("_T")

_SHOWN = 160
"""Characters of what is wrong, which may quote the file."""


class NotJsonError(ValueError):
    """The bytes are no whole JSON document."""


class MisfitError(ValueError):
    """The document is not of the type that was expected; the message holds the path inside of it."""


def decode(data: bytes, kind: type[_T]) -> _T:
    """Return a document as a value of a type. A key that is there twice is not noticed: see `refuse_repeated_keys`.

    Raises:
        NotJsonError: it is no whole JSON document in UTF-8.
        MisfitError: it is not of this type.
    """
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise NotJsonError("it begins with a byte order mark; expected UTF-8 without one")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise MisfitError(_said(error)) from error
    except RecursionError as error:
        raise NotJsonError("lists or objects are nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotJsonError(shortened(str(error), _SHOWN)) from error


def converted(document: object, kind: type[_T]) -> _T:
    """Return a decoded document as a value of a type.

    Raises:
        MisfitError: it is not of this type.
    """
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise MisfitError(_said(error)) from error


def _said(error: msgspec.ValidationError) -> str:
    """Return what is wrong and where, in one short line: msgspec quotes keys and values of the file."""
    said, at, path = str(error).rpartition(" - at `")
    return f"{shortened(said if at else path, _SHOWN)}{at}{path if at else ''}"


def refuse_repeated_keys(data: bytes) -> None:
    """Refuse a document that names a key twice in one object: readers differ in which of the two they take.

    Raises:
        MisfitError: a key is there twice.
    """
    json.loads(data, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise MisfitError(f"an object has the key {shortened(repr(twice), _SHOWN)} twice")
