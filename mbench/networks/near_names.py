"""What a name that is not known was meant to be: names near it, and none that is another network's."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator

from mbench.networks import sizes

_SUFFIXES = ("shallow", "standard")
_NEAR = 0.85
_SHORT = 3
"""Parts of a family's name of at most so many characters, such as `v2` and `b1`, are what families differ by."""
_MOST = 3
_LONGEST = 100


def suggested(name: str, families: Collection[str]) -> tuple[str, ...]:
    """Return what a name was meant to be, most likely first; mostly one, none where none is near.

    What it has of sizes, suffixes and batch stays; what is not known of the family and of the suffixes is mended.
    """
    if len(name) > _LONGEST:
        return ()
    parts = name.lower().replace("-", "_").split("_")
    found: dict[str, float] = {}
    for split in range(1, len(parts) + 1):
        rest = _mended(parts[split:])
        if rest is None:
            continue
        for family, nearness in _near("_".join(parts[:split]), families):
            meant = _written(family, rest)
            found[meant] = max(nearness, found.get(meant, 0.0))
    best = max(found.values(), default=0.0)
    return tuple(meant for meant, nearness in found.items() if nearness > best - 0.05)[:_MOST]


def _near(text: str, families: Collection[str]) -> Iterator[tuple[str, float]]:
    """Yield the families that a text may mean, each with how near it is, 1 at most."""
    plain = text.replace("_", "")
    for family in families:
        whole = family.replace("_", "")
        if plain == whole:
            yield family, 1.0
        elif _may_mean(text, family):
            ratio = difflib.SequenceMatcher(None, plain, whole, autojunk=False).ratio()
            if ratio >= _NEAR or family.startswith(f"{text}_"):
                yield family, max(ratio, _NEAR)


def _may_mean(text: str, family: str) -> bool:
    """Return whether a text has no part more than a family's name, and the same numbers and short parts."""
    parts = family.split("_")
    short = all(part in text for part in parts if len(part) <= _SHORT)
    return short and _numbers(text) == _numbers(family) and text.count("_") < len(parts)


def _numbers(text: str) -> list[str]:
    return re.findall(r"\d+", text)


def _mended(parts: list[str]) -> tuple[str, ...] | None:
    """Return sizes, suffixes and a batch in the order of a name; None where a part is none of these."""
    number = 0
    while number < len(parts) and number < 2 and sizes.is_size(parts[number]):  # width and resolution
        number += 1
    suffixes, batch = set[str](), ""
    for part in parts[number:]:
        near = difflib.get_close_matches(part, _SUFFIXES, n=1, cutoff=0.75)
        if re.fullmatch(r"b\d+", part) and not batch:
            batch = part
        elif near and near[0] not in suffixes:
            suffixes.add(near[0])
        else:
            return None
    return (*parts[:number], *(suffix for suffix in _SUFFIXES if suffix in suffixes), *filter(None, [batch]))


def _written(family: str, rest: tuple[str, ...]) -> str:
    base = family.removesuffix("_shallow")
    numbers = [part for part in rest if sizes.is_size(part)]
    shallow = ["shallow"] if base != family and "shallow" not in rest else []
    return "_".join((base, *numbers, *shallow, *rest[len(numbers) :]))
