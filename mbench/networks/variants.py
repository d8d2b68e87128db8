"""Names of variants: `mobilenet_v1_1.0_224`, its baselines by suffix, and grids by braces. Pure text, no torch.

Name: family, width multiplier, resolution, then the optional suffixes `_shallow`, `_standard` and `_bN` (batch N), in
this order: `mobilenet_v1_0.5_160_shallow_standard_b8`. Braces and commas make grids:
`mobilenet_v1_{0.25,0.5}_{128,224}`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Literal

from mbench.core import dtypes
from mbench.core.errors import UsageError, did_you_mean
from mbench.core.field_types import MOST_BATCH, MOST_VARIANTS
from mbench.core.records import Variant
from mbench.networks import architectures
from mbench.networks.families import FAMILIES

DEFAULT = ("mobilenet_v1_1.0_224", "mobilenet_v1_1.0_224_standard")
WIDTHS = ("0.25", "0.5", "0.75", "1.0")
RESOLUTIONS = ("128", "160", "192", "224")
MIN_RESOLUTION = 32
MAX_RESOLUTION = 4096
MIN_WIDTH = 0.01
MAX_WIDTH = 1.4

_NAME = re.compile(
    r"(?P<family>.+?)_(?P<width>[^_]*)_(?P<resolution>[^_]*)(?P<shallow>_shallow)?(?P<standard>_standard)?"
    r"(_b(?P<batch>\d{1,20}))?"
)


def catalog() -> tuple[str, ...]:
    """Return the names that `mbench variants` lists: the paper's grid and its baselines, then what packages add."""
    grid = [f"mobilenet_v1_{width}_{resolution}" for width in WIDTHS for resolution in RESOLUTIONS]
    added = [
        f"{family.removesuffix('_shallow')}_1.0_224{'_shallow' * family.endswith('_shallow')}"
        for family in architectures.added_families()[0]
        if family not in FAMILIES
    ]
    return (*grid, "mobilenet_v1_1.0_224_shallow", "mobilenet_v1_1.0_224_standard", *added)


def expand(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the canonical names that the patterns stand for, each once, in order.

    Raises:
        UsageError: a brace is not closed, a name is not a variant's, or there are too many.
    """
    names = (parse(name).name for pattern in patterns for name in _expand_braces(pattern))
    found = tuple(itertools.islice(names, MOST_VARIANTS + 1))
    if len(found) > MOST_VARIANTS:
        raise UsageError(
            f"the patterns stand for more than {MOST_VARIANTS} variants; a run takes no more: make several"
        )
    return tuple(dict.fromkeys(found))


def batches(text: str) -> tuple[int, ...]:
    """Return the batches that `--batch` names, each once: `8`, or `1,8,64`.

    Raises:
        UsageError: one of them is no number, or out of range.
    """
    for part in text.split(","):
        if not re.fullmatch(r"\d{1,20}", part) or not 1 <= int(part) <= MOST_BATCH:
            raise UsageError(
                f"--batch {text}: {part or 'nothing'} is not in the range 1 to {MOST_BATCH}; "
                "expected a number, or several as in 1,8,64"
            )
    return tuple(dict.fromkeys(map(int, text.split(","))))


def at_batches(names: Iterable[str], sizes: tuple[int, ...]) -> tuple[str, ...]:
    """Return the names of networks at each of several batches; at one batch, the names as they are.

    Raises:
        UsageError: a name has a batch already.
    """
    if len(sizes) == 1:
        return tuple(names)
    return expand(f"{name}_b{size}" for size in sizes for name in names)


def _expand_braces(pattern: str) -> Iterator[str]:
    parts = re.split(r"\{([^{}]*)\}", pattern)
    if any(brace in part for part in parts for brace in "{}"):
        raise UsageError(
            f"variant pattern {pattern!r}: a brace is not closed or is nested; "
            "expected braces as in 'mobilenet_v1_{0.25,0.5}_224'"
        )
    choices = [part.split(",") if index % 2 else [part] for index, part in enumerate(parts)]
    return ("".join(choice) for choice in itertools.product(*choices))


def parse(name: str, *, batch: int = 1, dtype: str = dtypes.DEFAULT) -> Variant:
    """Return the variant that a name stands for; its own name is canonical (`1` becomes `1.0`).

    Args:
        name: as a user writes it.
        batch: of a name that has none.
        dtype: of weights and activations.

    Raises:
        UsageError: the family is not known, or the width multiplier, resolution, batch or dtype is out of range.
        PluginError: the package that adds the family is broken.
    """
    match = _NAME.fullmatch(name)
    family = match["family"] + (match["shallow"] or "") if match else ""
    if match is None or not architectures.is_known(family):
        raise UsageError(f"variant {name!r} is not known{did_you_mean(name, catalog()) or ';'} see 'mbench variants'")
    architectures.family_of(family)  # which says now what is wrong with the package that adds it
    dtypes.of(dtype)
    batch = int(match["batch"] or batch)
    if batch < 1:
        raise UsageError(f"batch {batch} is not positive; expected 1 or more")
    if batch > MOST_BATCH:
        raise UsageError(f"variant {name!r}: batch {batch} is not in the range 1 to {MOST_BATCH}")
    suffixes = f"{match['shallow'] or ''}{match['standard'] or ''}" + (f"_b{batch}" if match["batch"] else "")
    width, resolution = _width(match["width"], name), _resolution(match["resolution"], name)
    return Variant(
        name=f"{match['family']}_{width}_{resolution}{suffixes}",
        family=family,
        parameters={"width_multiplier": width, "resolution": resolution},
        convolution=_convolution(family, name, standard=match["standard"] is not None),
        batch=batch,
        dtype=dtype,
    )


def _convolution(family: str, name: str, *, standard: bool) -> Literal["depthwise_separable", "standard"] | None:
    """Return the kind of convolutions of a network; None where the family has no depthwise ones."""
    if architectures.has_twin(family):
        return "standard" if standard else "depthwise_separable"
    if standard:
        raise UsageError(f"variant {name!r}: the network has no depthwise convolution, so no standard twin")
    return None


def _width(text: str, name: str) -> float:
    expected = f"expected a number from {MIN_WIDTH} to {MAX_WIDTH}, such as 0.25 or 1.0"
    if not re.fullmatch(r"-?\d+(\.\d+)?", text):
        raise UsageError(f"variant {name!r}: width multiplier {text!r} is not a number; {expected}")
    width = float(text)
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise UsageError(f"variant {name!r}: width multiplier {text} is out of range; {expected}")
    return width


def _resolution(text: str, name: str) -> int:
    expected = f"expected a whole number from {MIN_RESOLUTION} to {MAX_RESOLUTION}, such as 128 or 224"
    if not re.fullmatch(r"-?\d{1,20}", text):
        raise UsageError(f"variant {name!r}: resolution {text!r} is not a whole number; {expected}")
    resolution = int(text)
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise UsageError(f"variant {name!r}: resolution {text} is out of range; {expected}")
    return resolution


def paired_with(variant: Variant) -> str | None:
    """Return the name of the same network with the other kind of convolution; None where there is no such network."""
    if variant.convolution is None:
        return None
    stem = without_batch(variant.name)
    batch = variant.name.removeprefix(stem)
    other = stem.removesuffix("_standard") if variant.convolution == "standard" else f"{stem}_standard"
    return f"{other}{batch}"


def with_twins(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return networks, each followed by its standard twin, each once; and those that have none.

    Args:
        names: canonical names.

    Raises:
        UsageError: there are too many.
    """
    found: dict[str, None] = {}
    without: list[str] = []
    for name in names:
        variant = parse(name)
        found[name] = None
        if variant.convolution is None:
            without.append(name)
        elif variant.convolution == "depthwise_separable" and (twin := paired_with(variant)):
            found[twin] = None
    return expand(found), tuple(without)


def without_batch(name: str) -> str:
    """Return the name of the same network without the batch that a name may have."""
    return re.sub(r"_b\d+$", "", name)
