"""A document of a newer minor version, without the fields that this version does not know."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import inspect


def known_part(document: Any, kind: type[msgspec.Struct]) -> Any:
    """Return a document without the fields that `kind` and the structs inside of it do not have.

    What has the wrong form stays as it is, for the type to refuse.
    """
    return _known(document, inspect.type_info(kind))


def _known(value: Any, kind: inspect.Type) -> Any:
    if isinstance(kind, inspect.Metadata):
        return _known(value, kind.type)
    if isinstance(kind, inspect.UnionType):
        return _known_of_union(value, kind)
    if isinstance(value, dict) and isinstance(kind, inspect.StructType):
        fields = {field.encode_name: field.type for field in kind.fields}
        return {key: _known(inner, fields[key]) for key, inner in value.items() if key in fields}
    if isinstance(value, dict) and isinstance(kind, inspect.DictType):
        return {key: _known(inner, kind.value_type) for key, inner in value.items()}
    if isinstance(value, list) and isinstance(kind, inspect.VarTupleType):
        return [_known(inner, kind.item_type) for inner in value]
    return value


def _known_of_union(value: Any, kind: inspect.UnionType) -> Any:
    """Return the known part of a struct or null: the format has no other union of objects."""
    wanted = inspect.StructType | inspect.VarTupleType | inspect.DictType | inspect.Metadata
    one = next((each for each in kind.types if isinstance(each, wanted)), None)
    return value if one is None else _known(value, one)
