"""Names of variants: `mobilenet_v1_1.0_224`, standard twins by suffix, and grids by braces. Pure text, no torch.

Name: family, width multiplier, resolution, then the optional suffixes `_shallow`, `_standard`, a type other than
float32 (`_int8`) and `_bN` (batch N), in this order: `mobilenet_v1_0.5_160_shallow_standard_int8_b8`. Braces and commas
make grids: `mobilenet_v1_{0.25,0.5}_{128,224}`.

The width multiplier is 1.0 where a name has none, and the resolution is the family's own (`networks.family`): of
`mobilenet_v2`, `mobilenet_v2_0.75` and `mobilenet_v2_192`, the second has a width and the third a resolution, because a
width that stands alone has a point or is one digit. The canonical name has both.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterable, Sized
from typing import Literal, NamedTuple

import msgspec

from mbench.core import dtypes
from mbench.core.errors import CollisionError, PluginError, UsageError
from mbench.core.field_types import MOST_BATCH, MOST_VARIANTS
from mbench.core.quantized import QuantizationSettings
from mbench.core.records import Variant
from mbench.networks import architectures, near_names, sizes
from mbench.networks.families import FAMILIES

DEFAULT = ("mobilenet_v1_1.0_224", "mobilenet_v1_1.0_224_standard")

STANDARD = "_standard"
_TYPED = {"onnx": "FILE.onnx", "export": "FILE.pt2", "function": "MODULE:FUNCTION"}
_BATCH = re.compile(r"(?P<rest>.+)_b(?P<batch>[0-9]{1,20})", re.DOTALL)
_TYPES = tuple(name for name in dtypes.NAMES if name != dtypes.DEFAULT)
_NAME = re.compile(
    rf"(?P<stem>.+?)(?P<shallow>_shallow)?(?P<standard>_standard)?(?:_(?P<dtype>{'|'.join(_TYPES)}))?", re.DOTALL
)


def catalog() -> tuple[str, ...]:
    """Return the names that `mbench variants` lists: what is published of each family, then what packages add."""
    added = [family for family in architectures.added_families()[0] if family not in FAMILIES]
    names: list[str] = []
    for family in (*FAMILIES, *added):
        names += [_named(family, size) for size in architectures.family_of(family).listed]
        names += [name for name in DEFAULT if name not in names and name.startswith(f"{family}_")]
    return tuple(names)


def expand(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the canonical names that the patterns stand for, each once, in order.

    Raises:
        UsageError: a brace is not closed, a name is not a variant's, or there are too many.
    """
    names = (parse(name).name for pattern in patterns for name in sizes.expanded(pattern))
    found = tuple(itertools.islice(names, MOST_VARIANTS + 1))
    refuse_too_many(found)
    return tuple(dict.fromkeys(found))


def refuse_too_many(found: Sized) -> None:
    """Refuse more networks than a record holds.

    Raises:
        UsageError: there are more.
    """
    if len(found) > MOST_VARIANTS:
        raise UsageError(
            f"the patterns stand for more than {MOST_VARIANTS} variants; a run takes no more: make several"
        )


def batches(text: str) -> tuple[int, ...]:
    """Return the batches that `--batch` names, each once: `8`, or `1,8,64`.

    Raises:
        UsageError: one of them is no number, or out of range.
    """
    for part in text.split(","):
        if not re.fullmatch(r"[0-9]{1,20}", part) or not 1 <= int(part) <= MOST_BATCH:
            raise UsageError(
                f"--batch {text}: {part or 'nothing'} is not in the range 1 to {MOST_BATCH}; "
                "expected a number, or several as in 1,8,64"
            )
    return tuple(dict.fromkeys(map(int, text.split(","))))


def parse(name: str, *, batch: int = 1, dtype: str | None = None) -> Variant:
    """Return the variant that a name stands for; its own name is canonical (`mobilenet_v1` is `mobilenet_v1_1.0_224`).

    Args:
        name: as a user writes it.
        batch: of a name that has none.
        dtype: of weights and activations; None: the one that the name says, or float32.

    Raises:
        UsageError: the family is not known, the width multiplier, resolution, batch or dtype is out of range, or the
            name says another type.
        PluginError: the package that adds the family is broken.
    """
    found = _read(name)
    if found is None:
        raise _unknown(name)
    family = found.family
    known = architectures.family_of(family)  # which says now what is wrong with the package that adds it
    said = found.dtype or dtypes.DEFAULT
    dtype = said if dtype is None else dtypes.of(dtype).name
    if found.dtype and dtype != said:
        wrong = f"variant {name!r} is of type {said}, and {dtype} is asked for; leave one of them out"
        raise CollisionError(wrong, "--dtype", "NETWORK")
    batch = int(found.batch or batch)
    if batch < 1:
        raise UsageError(f"batch {batch} is not positive; expected 1 or more")
    if batch > MOST_BATCH:
        raise UsageError(f"variant {name!r}: batch {batch} is not in the range 1 to {MOST_BATCH}")
    width, resolution = _size(found.sizes, name, str(known.resolution))
    variant = Variant(
        name=_named(
            family, f"{width}_{resolution}", found.standard, type_suffix(dtype), f"_b{batch}" if found.batch else ""
        ),
        family=family,
        parameters={"width_multiplier": width, "resolution": resolution},
        convolution=None,
        batch=batch,
        dtype=dtype,
        quantization=_quantization(dtype),
    )
    convolution = _convolution(variant, name, standard=bool(found.standard))
    variant = msgspec.structs.replace(variant, convolution=convolution)
    if family not in FAMILIES:
        architectures.graph(variant)  # another package's network may be too large for a small image
    return variant


class _Parts(NamedTuple):
    """A name's family, what follows it, and its suffixes."""

    family: str
    sizes: tuple[str, ...]
    standard: str
    dtype: str
    batch: str


def _read(name: str) -> _Parts | None:
    """Return the parts of a name with the longest family that it begins with; None where there is none."""
    ending = _BATCH.fullmatch(name)
    readings = [(ending["rest"], ending["batch"])] if ending else []
    for text, batch in (*readings, (name, "")):  # of `mnasnet_b1`, the second
        match = _NAME.fullmatch(text)
        found = match and _sized(match["stem"], match["shallow"] or "")
        if match and found:
            return _Parts(*found, match["standard"] or "", match["dtype"] or "", batch)
    return None


def _sized(stem: str, shallow: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the longest family that a name begins with, and the sizes that follow it; None where there is none."""
    for count in range(3):  # no size, width or resolution, both
        family, *given = stem.rsplit("_", count) if count else (stem,)
        if len(given) == count and architectures.is_known(f"{family}{shallow}"):
            return f"{family}{shallow}", tuple(given)
    return None


def _convolution(variant: Variant, name: str, *, standard: bool) -> Literal["depthwise_separable", "standard"] | None:
    """Return the kind of convolutions of a network; None where it has no depthwise ones."""
    if architectures.has_twin(variant):
        return "standard" if standard else "depthwise_separable"
    if standard:
        raise UsageError(f"variant {name!r}: the network has no depthwise convolution, so no standard twin")
    return None


def _size(given: tuple[str, ...], name: str, resolution: str) -> tuple[float, int]:
    """Return the width multiplier and the resolution that a name has behind its family."""
    if any(part and not any(map(str.isdigit, part)) for part in given) and (near := _near(name)):
        raise UsageError(f"variant {name!r} is not known{near} see 'mbench variants'")
    if len(given) == 1:
        if not sizes.is_size(given[0]):
            raise _unknown(name)
        given = (given[0], resolution) if sizes.is_width(given[0]) else ("1.0", given[0])
    width, resolution = given or ("1.0", resolution)
    return sizes.width(width, name), sizes.resolution(resolution, name)


def _unknown(name: str) -> UsageError:
    return UsageError(f"variant {name!r} is not known{_near(name) or ';'} see 'mbench variants'")


def _near(name: str) -> str:
    """Return `; did you mean 'x'?`, or nothing where no network has a name like this."""
    meant: list[str] = []
    for near in near_names.suggested(name, architectures.known_families()):
        with contextlib.suppress(UsageError, PluginError):  # of a size or a package that cannot be
            meant += [repr(parse(near).name)] if _read(near) else []
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _named(family: str, size: str, *suffixes: str) -> str:
    """Return a canonical name."""
    base = family.removesuffix("_shallow")
    return f"{base}_{size}{family.removeprefix(base)}{''.join(suffixes)}"


def paired_with(variant: Variant) -> Variant | None:
    """Return the same network with the other kind of convolution; None where there is no such network."""
    if variant.convolution is None:
        return None
    batch, is_twin = batch_suffix(variant), variant.convolution == "standard"
    suffix = f"{_own_type_suffix(variant, batch)}{batch}"
    stem = variant.name.removesuffix(suffix)
    return msgspec.structs.replace(
        variant,
        name=(stem.removesuffix(STANDARD) if is_twin else f"{stem}{STANDARD}") + suffix,
        digest=None,
        convolution="depthwise_separable" if is_twin else "standard",
    )


def endings() -> tuple[str, ...]:
    """Return what names of a network's standard twin and of both in other types than float32 have behind its own."""
    return tuple(f"{twin}{kind}" for twin in ("", STANDARD) for kind in ("", *(f"_{name}" for name in _TYPES)))[1:]


def type_suffix(dtype: str) -> str:
    """Return the end of a network's name that says its type; nothing for float32."""
    return "" if dtype == dtypes.DEFAULT else f"_{dtype}"


def _own_type_suffix(variant: Variant, batch: str) -> str:
    """Return the end of a network's name, before its batch, that says its type; a quantised file's has none."""
    suffix = type_suffix(variant.dtype)
    return suffix if variant.name.removesuffix(batch).endswith(suffix) else ""


def of_type(variant: Variant, dtype: str, quantization: QuantizationSettings | None = None) -> Variant:
    """Return a network of float32 in another type; its name says that type.

    Args:
        variant: of float32.
        dtype: of its weights and activations.
        quantization: how it is made; the default for `int8`.
    """
    batch = batch_suffix(variant)
    return msgspec.structs.replace(
        variant,
        name=f"{variant.name.removesuffix(batch)}{type_suffix(dtype)}{batch}",
        dtype=dtype,
        quantization=quantization or _quantization(dtype),
    )


def _quantization(dtype: str) -> QuantizationSettings | None:
    return QuantizationSettings() if dtype == dtypes.INT8 else None


def batch_suffix(variant: Variant) -> str:
    """Return the end of a network's name that says its batch; nothing where its name says none."""
    suffix = f"_b{variant.batch}"
    said = variant.name.removeprefix(variant.family) if variant.imported else variant.name
    return suffix if said.endswith(suffix) else ""


def typed(variant: Variant) -> str:
    """Return what the command line is given for a network; a record does not know where the user's file lies."""
    return _TYPED.get(variant.source, variant.name)
