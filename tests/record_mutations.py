"""Records that nobody wrote: a good one, changed in its structure or in its bytes by a seeded generator."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Path = tuple[str | int, ...]

NUMBERS = (
    0, 1, -1, 2, 3, 7, 255, 65_536, 65_537, 100_000, 100_001, 10**9, 10**9 + 1, 10**12, 10**18, 10**18 + 1, 2**53 + 1,
    2**63 - 1, 2**63, 2**64, 10**30, -(2**63), 10**400, 0.0, -0.0, 0.5, 1e-9, 1e-60, 9e-61, 5e-324, 1e12, 1.1e12, 1e18,
    1e60, 1.1e60, 1e200, 1.7e308, -1e-3, -1e60, 2.5e-310,
)  # fmt: skip
TEXTS = (
    "", " ", "\x00", "\x1b[31mred\x1b[0m", "\x9b31m", "a\r\n::error::b", "\u202egnp.exe", "\u2028", "\ufeff", "\ud800",
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script>", "{{7*7}}", "{%raw%}", "[bold]x[/bold]",
    "${HOME}`id`", "../../precious", "/etc/passwd", "a" * 200, "a" * 201, "\u00e9" * 70_000, "%s%n%d", "nan",
    "2025-02-30T12:00:00Z", "9999-99-99T99:99:99Z", "2025-03-01T12:00:00+05:00", "0001-01-01T00:00:00Z", "float32",
    "int8", "L1", "DRAM", "compute", "conv2d", "pool", "gpu", "arm", "local", "rpc", "rpc://[::1]:99999", "none",
    "emulated", "mobilenet_v1_0.25_128", "mobilenet_v1_0.25_128_standard", "block1.dw", "block1.conv", "x.conv", " + ",
)  # fmt: skip
TOKENS = (
    b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e999", b"1e-400", b"0x10", b"01", b"+1", b"1.", b"\xff", b"\x00",
    b'"\\ud800"', b"[" * 3_000, b'{"a":' * 3_000, b"9" * 5_000, b"0." + b"0" * 5_000 + b"1", b"null", b"true", b'"',
    b"{}", b"[]", b",", b"}", b"]", b"\\", b"\n", b"/* */", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"'",
)  # fmt: skip


def mutated(record: bytes, generator: random.Random) -> tuple[bytes, str]:
    """Return a record changed in one to four places, and what was done to it."""
    if generator.random() < 0.25:
        return _by_bytes(record, generator)
    document: Any = json.loads(record)
    done = []
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        change = generator.choice(_CHANGES)
        said = change(document, generator)
        done.append(f"{change.__name__[1:]} {said}")
    data = json.dumps(document, ensure_ascii=generator.random() < 0.5, separators=(",", ":"))
    return data.encode("utf-8", "surrogatepass") + b"\n", "; ".join(done)


# ---------------------------------------------------------------------------------------------------------- structure
def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _inside(document: Any, path: Path) -> Any:
    for part in path:
        document = document[part]
    return document


def _pick(document: Any, generator: random.Random, kind: Callable[[Any], bool] = lambda _: True) -> Path | None:
    """Return a place of a kind; each depth is as likely as the others, or long lists would take nearly all."""
    places = [path for path in _places(document) if kind(_inside(document, path))]
    told = [path for path in places if path[0] in ("results", "settings")]
    places = told if told and generator.random() < 0.7 else places  # what most of a page is made of
    if not places:
        return None
    fields = sorted({tuple("*" if isinstance(part, int) else part for part in path) for path in places})
    field = generator.choice(fields)
    return generator.choice(
        [path for path in places if tuple("*" if isinstance(part, int) else part for part in path) == field]
    )


def _put(document: Any, path: Path, value: Any) -> str:
    _inside(document, path[:-1])[path[-1]] = value
    shown = repr(value)
    return f"{'.'.join(map(str, path))} = {shown if len(shown) < 60 else shown[:60] + '…'}"


def _number(document: Any, generator: random.Random) -> str:
    path = _pick(document, generator, lambda value: isinstance(value, int | float))
    return _put(document, path, generator.choice(NUMBERS)) if path else "nothing"


def _near(document: Any, generator: random.Random) -> str:
    """Scale a number: it often stays one that a record may hold."""
    path = _pick(document, generator, lambda value: isinstance(value, int | float) and not isinstance(value, bool))
    if path is None:
        return "nothing"
    value = _inside(document, path)
    factor = generator.choice((0, 0.5, 2, 1000, 10**6, 10**9, 10**15))
    return _put(document, path, int(value * factor) if isinstance(value, int) else value * factor)


def _numbers(document: Any, generator: random.Random) -> str:
    """Replace every number of a list, so that a whole set of samples is extreme together."""
    path = _pick(
        document, generator, lambda value: isinstance(value, list) and bool(value) and isinstance(value[0], float)
    )
    if path is None:
        return "nothing"
    choices = generator.sample(NUMBERS, generator.choice((1, 2)))
    return _put(document, path, [generator.choice(choices) for _ in _inside(document, path)])


def _every(document: Any, generator: random.Random) -> str:
    """Give every layer the same value of a field: sums of them are extreme where none of them is."""
    path = _pick(document, generator, lambda value: isinstance(value, int | float))
    if path is None:
        return "nothing"
    alike = [each for each in _places(document) if len(each) == len(path) and each[-1] == path[-1]]
    value = generator.choice(NUMBERS)
    for each in alike:
        _put(document, each, value)
    return f"{len(alike)} x {_put(document, path, value)}"


def _shape(document: Any, generator: random.Random) -> str:
    fields = ("input_shape", "output_shape", "kernel_size", "stride")
    path = _pick(document, generator, lambda value: isinstance(value, dict) and "input_shape" in value)
    if path is None:
        return "nothing"
    length = generator.choice((0, 1, 2, 3, 4, 5, 8, 100_000))
    sides = [generator.choice((1, 1, 3, 7, 224, 0, 10**9, 2**62)) for _ in range(length)]
    return _put(document, (*path, generator.choice(fields)), sides)


def _text(document: Any, generator: random.Random) -> str:
    path = _pick(document, generator, lambda value: isinstance(value, str))
    return _put(document, path, generator.choice(TEXTS)) if path else "nothing"


def _retype(document: Any, generator: random.Random) -> str:
    path = _pick(document, generator)
    values: tuple[Any, ...] = (
        None,
        True,
        False,
        0,
        1.5,
        "",
        "text",
        [],
        {},
        [0],
        [[]],
        {"": ""},
        {"a": 1},
        [None] * 3,
        [1, 2, 3, 4],
    )
    return _put(document, path, copy.deepcopy(generator.choice(values))) if path else "nothing"


def _null(document: Any, generator: random.Random) -> str:
    path = _pick(document, generator)
    return _put(document, path, None) if path else "nothing"


def _delete(document: Any, generator: random.Random) -> str:
    path = _pick(document, generator)
    if path is None:
        return "nothing"
    del _inside(document, path[:-1])[path[-1]]
    return ".".join(map(str, path))


def _repeat(document: Any, generator: random.Random) -> str:
    """Make a list longer by copies of one of its items, or empty."""
    path = _pick(document, generator, lambda value: isinstance(value, list) and bool(value))
    if path is None:
        return "nothing"
    items = _inside(document, path)
    times = generator.choice((0, 1, 2, 10, 100, 20_000))
    if isinstance(items[0], dict | list):
        times = min(times, 10)
    extra = [copy.deepcopy(generator.choice(items)) for _ in range(times)]
    return _put(document, path, [*items, *extra] if times else [])


def _rename(document: Any, generator: random.Random) -> str:
    path = _pick(document, generator, lambda value: isinstance(value, dict) and bool(value))
    if path is None:
        return "nothing"
    table = _inside(document, path)
    key, name = generator.choice(list(table)), generator.choice(TEXTS)
    table[name] = table.pop(key)
    return f"{'.'.join(map(str, path))}: {key} → {name[:40]!r}"


def _more_keys(document: Any, generator: random.Random) -> str:
    path = _pick(document, generator, lambda value: isinstance(value, dict) and bool(value))
    if path is None:
        return "nothing"
    table = _inside(document, path)
    value = generator.choice(list(table.values()))
    count = generator.choice((1, 3, 50, 20_001))
    count = min(count, 50) if isinstance(value, dict | list) else count
    table.update({f"{generator.choice(TEXTS)[:50]}{number}": copy.deepcopy(value) for number in range(count)})
    return f"{'.'.join(map(str, path))}: {count} more"


def _swap(document: Any, generator: random.Random) -> str:
    one, other = _pick(document, generator), _pick(document, generator)
    if one is None or other is None or one[: len(other)] == other or other[: len(one)] == one:
        return "nothing"
    values = _inside(document, one), _inside(document, other)
    return f"{_put(document, one, values[1])} and {_put(document, other, values[0])}"


def _alike(document: Any, generator: random.Random) -> str:
    """Put a value where another of the same field stands: it fits its type, but not what is around it."""
    path = _pick(document, generator, lambda value: not isinstance(value, dict))
    if path is None:
        return "nothing"
    others = [each for each in _places(document) if each[-1] == path[-1] and each != path]
    return _put(document, path, copy.deepcopy(_inside(document, generator.choice(others)))) if others else "nothing"


_CHANGES = (
    *(_number,) * 3, *(_near,) * 2, *(_numbers,) * 2, *(_every,) * 3, *(_shape,) * 2, _text, _retype, _null, _delete,
    _repeat, _rename, _more_keys, _swap, *(_alike,) * 2,
)  # fmt: skip


# --------------------------------------------------------------------------------------------------------------- bytes
def _by_bytes(record: bytes, generator: random.Random) -> tuple[bytes, str]:
    data, at = bytearray(record), generator.randrange(len(record))
    how = generator.randrange(8)
    if how == 0:
        for _ in range(generator.choice((1, 2, 16))):
            at = generator.randrange(len(data))
            data[at] ^= 1 << generator.randrange(8)
        return bytes(data), f"bits flipped, the last at {at}"
    if how == 1:
        return bytes(data[:at]), f"cut at {at}"
    if how == 2:
        end = at + generator.choice((1, 2, 40, 1000))
        return bytes(data[:at] + data[end:]), f"bytes {at} to {end} left out"
    if how == 3:
        end = at + generator.choice((1, 40, 1000))
        return bytes(data[:end] + data[at:end] + data[end:]), f"bytes {at} to {end} twice"
    if how == 4:
        coding = generator.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-32"))
        return record.decode().encode(coding), f"as {coding}"
    token = generator.choice(TOKENS)
    if how == 5:
        return record.rstrip() + token, f"followed by {token[:20]!r}"
    if how == 6:
        return bytes(data[:at]) + token + bytes(data[at:]), f"{token[:20]!r} put in at {at}"
    colon = record.find(b":", at) + 1
    ends = [end for end in (record.find(mark, colon) for mark in (b",", b"}", b"]")) if end > 0]
    return record[:colon] + token + record[min(ends, default=len(record)) :], f"{token[:20]!r} for a value at {colon}"
