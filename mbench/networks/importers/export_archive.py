"""What lies in an archive of torch.export, checked before torch loads it: nothing of the file's may run.

torch says itself that such a file must be trusted. It unpickles objects, loads compiled libraries, evaluates what a
file says of its sizes and executes its guards as Python, and finds functions by names such as `torch.os.system`. Here
each of these is held against what torch.export writes for a network of tensors; all else is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mbench.core.errors import UsageError, shown

_OBJECTS = ("custom_obj_", "opaque_obj_")
"""What the names of pickled objects in an archive begin with."""
_LIBRARIES = "data/aotinductor/"
_USERS = ("extra/", "extra_files/")
"""Where files of the user's own lie, which nothing reads."""

_FORMULAS = ("expr_str", "guards_code")
"""What torch runs as Python: sizes that are open, and what holds for them."""
_TOKEN = re.compile(r"\s+|[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|'[\w.+-]*'|\.?[A-Za-z_]\w*|[-+*/%(),<>=!&|~\[\]]")
_SYMBOL = re.compile(r"[a-z]{1,3}[0-9]+|\._?sym_\w+")
_WORDS = frozenset(
    (
        "Symbol", "Integer", "Float", "Rational", "precision", "positive", "nonnegative", "negative",
        "nonpositive", "integer", "real", "finite", "zero", "nonzero", "Add", "Mul", "Pow", "Max", "Min", "Mod",
        "Abs", "floor", "ceiling", "Eq", "Ne", "Gt", "Ge", "Lt", "Le", "Equality", "Unequality", "GreaterThan",
        "LessThan", "And", "Or", "Not", "StrictGreaterThan", "StrictLessThan", "true", "false", "True", "False",
        "oo", "int_oo", "inf", "nan", "Identity", "Where", "Piecewise", "ExprCondPair", "FloorDiv", "CleanDiv",
        "CeilDiv", "ModularIndexing", "PythonMod", "FloatTrueDiv", "IntTrueDiv", "FloatPow", "PowByNatural",
        "LShift", "RShift", "CeilToInt", "FloorToInt", "RoundToInt", "TruncToInt", "TruncToFloat",
        "RoundDecimal", "ToFloat", "IsNonOverlappingAndDenseIndicator", "L", "and", "or", "not", "if", "else",
        "int", "float", "bool", "abs", "max", "min", "math", "torch", ".size", ".stride", ".storage_offset", ".dim",
        ".isnan", ".inf", ".pow", ".log2", ".exp", ".floor", ".ceil", ".trunc", ".sqrt",
    )
)  # fmt: skip

_TARGETS = ("target", "as_operator")
_TARGET = re.compile(
    r"(?!.*file)torch\.ops\.(?!_)\w+\.(?!__)\w+(\.(?!_)\w+)?|torch\.ops\.aten\.__i?(and|or|xor|lshift|rshift)__\.(?!_)\w+"
    r"|torch\._?sym_\w+|math\.(?!_)\w+"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_)"
)

"""Operations alone, and none that reads or writes files, such as aten's from_file."""

_SPECS = ("in_spec", "out_spec")
_CONTAINERS = (None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")
_FREE = ("metadata", "as_string", "as_strings")
"""What torch keeps as text."""
_NAME = re.compile(r"[\w.:/<>@+ -]*")
"""Names of values become names in code that torch writes and runs."""
_KINDS = {
    "expr_str": "the formula of a size", "guards_code": "a guard", "in_spec": "a kind of input",
    "out_spec": "a kind of output",
}  # fmt: skip


def check(archive: zipfile.ZipFile, path: Path) -> None:
    """Check that loading an archive runs no code of its own.

    Raises:
        UsageError: it would, or may.
        ValueError: it is damaged.
    """
    names = archive.namelist()
    if len({name.lower() for name in names}) < len(names):
        raise UsageError(f"{path} holds two files of one name; it is no file of torch.export.save")
    for name in names:
        inside = name.lower().partition("/")[2]
        if _LIBRARIES in name.lower():
            raise _runs(path, f"a compiled library ({name.rsplit('/', 1)[-1]})")
        if inside.startswith(_USERS) or name.lower().startswith(_USERS):
            continue
        _check_objects(archive, name, path)
        if name.lower().endswith(".json"):
            strange = next(_strange("", json.loads(archive.read(name))), None)
            if strange is not None:
                raise _runs(path, f"{strange} that torch.export does not write")


def _runs(path: Path, what: str) -> UsageError:
    return UsageError(
        f"{path} holds {what}, and loading it would run code, or could; export the network with plain tensors alone"
    )


def _check_objects(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    """Refuse pickled objects other than tensors and the plain values that lists and tables of them are made of."""
    import torch

    last = name.rsplit("/", 1)[-1].lower()
    pickled = [last] if last.startswith(_OBJECTS) else []
    if last.endswith("_config.json"):
        entries = json.loads(archive.read(name)).get("config", {})
        pickled = [key for key, each in entries.items() if each.get("use_pickle")]
    if last.endswith(".pt"):
        try:
            torch.load(io.BytesIO(archive.read(name)), weights_only=True)
        except Exception:  # noqa: BLE001 - whatever it is, it is refused
            pickled = [last]
    if pickled:
        raise _runs(path, f"a pickled object ({pickled[0]})")


def _strange(key: str, value: Any) -> Iterator[str]:
    """Yield, for people, what of a program's JSON could run as code; `key` is what the value is called."""
    if key in _FREE:
        return
    if isinstance(value, dict):
        for name, each in value.items():
            if not _NAME.fullmatch(name):
                yield _KINDS.get(key, "a name")
            yield from _strange(name, each)
    elif isinstance(value, list):
        for each in value:
            yield from _strange(key, each)
    elif isinstance(value, str) and not _is_known(key, value):
        yield f"a function ({shown(value)})" if key in _TARGETS else _KINDS.get(key, "a name")


def _is_known(key: str, text: str) -> bool:
    if key in _FORMULAS:
        return _is_formula(text)
    if key in _TARGETS:
        return _TARGET.fullmatch(text) is not None
    if key in _SPECS:
        return not text or _is_plain_container(json.loads(text))
    return _NAME.fullmatch(text) is not None


def _is_formula(text: str) -> bool:
    """Return whether a text is made of numbers, symbols of sizes and functions of them alone."""
    place = 0
    while place < len(text):
        token = _TOKEN.match(text, place)
        if token is None:
            return False
        word = token[0]
        if (word[0].isalpha() or word[0] in "._") and not (word in _WORDS or _SYMBOL.fullmatch(word)):
            return False
        place = token.end()
    return True


def _is_plain_container(spec: Any) -> bool:
    """Return whether what a network takes or gives is made of tuples, lists and tables, whose keys are names."""
    if isinstance(spec, list):
        return all(map(_is_plain_container, spec))
    if isinstance(spec, dict):
        context = spec.get("context")
        names = json.loads(context) if isinstance(context, str) else context
        keys = names if isinstance(names, list) else []
        plain = names is None or (isinstance(names, list) and all(isinstance(each, str | int) for each in keys))
        return (
            spec.get("type") in _CONTAINERS
            and plain
            and all(_NAME.fullmatch(str(each)) for each in keys)
            and _is_plain_container(spec.get("children_spec", []))
        )
    return isinstance(spec, int)
