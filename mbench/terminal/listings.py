"""What `mbench variants`, `targets` and `doctor` list: the same content as renderables and as data for `--json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import RenderableType
from rich.table import Table

from mbench.core import units
from mbench.core.machine_types import Figure, Host, Target
from mbench.core.records import Variant
from mbench.devices.doctor import Check
from mbench.hardware import platforms
from mbench.hardware import targets as registry
from mbench.networks import architectures, costs
from mbench.terminal import layer_tables, record_tables
from mbench.terminal.table import text

_STYLES = {"ok": "green", "warn": "yellow", "missing": "red"}
_BOARDS = "Boards"
PARAMS_NOTE = (
    "MACs: multiply-adds of one image. Params: weights of convolutions and of the fully connected layer, as the paper "
    "counts them (arXiv:1704.04861, table 2), without biases and BatchNorm. Any width multiplier from 0.01 to 2.0 and "
    "any resolution from 32 to 4096 is a variant. Channels are rounded to a multiple of 8, in MobileNetV1 down to a "
    "whole number; there are at least 8."
)

FILE_NOTE = (
    "MACs: multiply-adds of one run. Params: weights of convolutions and of fully connected layers, without biases. "
    "Weights: bytes of all parameters. Moved: bytes that are read and written beside them."
)

QUANTISED_NOTE = (
    "These are the layers of the network in float32, with their bytes in float32: a build quantises them. 'mbench run' "
    "shows those of int8."
)


@dataclasses.dataclass(frozen=True)
class Listing:
    """Something to print: `parts` for people, `data` for programs."""

    parts: list[RenderableType]
    data: Any


def variants(networks: Sequence[Variant]) -> Listing:
    """Return networks with their multiply-adds and parameters."""
    table = record_tables.ruled("Variants", ("variant",), ("MACs", "params", "weights", "layers"))
    data = []
    for network in networks:
        name, specs = network.name, architectures.layers(network)
        cost = costs.total(costs.of_layer(spec, network.dtype) for spec in specs)
        weights = units.data_size(cost.weight_bytes)
        record_tables.add_row(table, name, units.count(cost.macs), units.count(cost.params), weights, str(len(specs)))
        data.append({"name": name, "layers": len(specs), **dataclasses.asdict(cost)})
    notes = [PARAMS_NOTE, *((QUANTISED_NOTE,) if any(network.quantization for network in networks) else ())]
    return Listing([table, *map(text, notes)], data)


def layers(network: Variant) -> Listing:
    """Return the layers of one network, and the split by kind of layer; of an imported one, with its bytes."""
    name, specs = network.name, architectures.layers(network)
    data = [{**dataclasses.asdict(spec), **dataclasses.asdict(costs.of_layer(spec, network.dtype))} for spec in specs]
    split = {op: dataclasses.asdict(cost) for op, cost in costs.split_by_op(specs, network.dtype).items()}
    shown = layer_tables.with_bytes if network.imported else layer_tables.layers_table
    parts = [shown(specs, title=name), text(FILE_NOTE if network.imported else PARAMS_NOTE)]
    known = {"name": name, "layers": data, "by_op": split}
    if network.quantization is None:
        return Listing(parts, known)
    return Listing([*parts, text(QUANTISED_NOTE)], {**known, "note": QUANTISED_NOTE})


def targets(found: Mapping[str, Target], host: Host, cores: Mapping[str, str] | None = None) -> Listing:
    """Return hardware targets, and what this machine can do with each.

    Args:
        found: the targets, by name.
        host: this machine.
        cores: which of them are boards, each with the target of its core.
    """
    here = f"{host.cpu}, {host.architecture}"
    headings = (_BOARDS, *(each.listed for each in platforms.PLATFORMS.values()))
    groups: dict[str, list[tuple[str, str, str]]] = {"This machine": [("host", "run", here)]}
    groups.update({heading: [] for heading in headings})
    data: list[dict[str, Any]] = [
        {"name": "host", "compile": True, "measure": True, "reason": "", "description": f"this machine: {here}"}
    ]
    reasons: dict[str, list[str]] = {}
    for name, target in found.items():
        support, core = registry.support(target, host), (cores or {}).get(name)
        can = "run" if support.measure else "emulate" if support.emulate else "compile" if support.compile else "no"
        heading = _BOARDS if core else platforms.of(target).listed
        groups[heading].append((name, can, target.description))
        if support.reason:
            reasons.setdefault(support.reason, []).append(name)
        entry = {"name": name, "family": target.family, "core": core, "aliases": target.aliases}
        data.append({**entry, "description": target.description, **dataclasses.asdict(support)})
    notes = [text(f"{', '.join(names)}: {reason}") for reason, names in reasons.items()]
    return Listing([*_group_tables(groups), *notes], data)


def _group_tables(groups: Mapping[str, Sequence[tuple[str, str, str]]]) -> Iterator[RenderableType]:
    """Yield a table for each group of targets; their columns are as wide in all of them."""
    width = max(len(name) for rows in groups.values() for name, _, _ in rows)
    for heading, rows in groups.items():
        if rows:
            table = record_tables.ruled(heading, ("target", "here", "description"), ())
            table.columns[0].min_width, table.columns[1].min_width = width, len("emulate")
            for row in rows:
                record_tables.add_row(table, *row)
            yield table


def target(found: Target, host: Host, core: str | None = None) -> Listing:
    """Return everything that is known of one target, each figure with its source.

    Args:
        found: the target.
        host: this machine.
        core: of a board, the target whose core it has.
    """
    support = registry.support(found, host)
    lines = [
        ("description", found.description),
        ("family", found.family),
        *([("core", f"{core}: what this target does not say itself is that one's")] if core else []),
        ("aliases", ", ".join(found.aliases) or units.NOT_AVAILABLE),
        ("here", ("emulated; " if support.emulate else "") + (support.reason or "compile and measure")),
        ("TVM target", json_line(found.tvm)),
        ("threads", str(found.threads)),
        ("vectors", f"{found.processor.vector_bits} bits, {found.processor.vector_registers} registers"),
    ]
    facts = record_tables.ruled(found.name, ("", ""), ())
    for label, said in lines:
        record_tables.add_row(facts, label, said)
    figures = record_tables.ruled("Figures", ("figure", "value", "source, or how it was estimated"), ())
    for label, figure in _figures(found):
        origin = figure.source or f"estimate: {figure.estimate}"
        record_tables.add_row(figures, label, units.named(label, figure.value), origin)
    return Listing([facts, figures], msgspec.to_builtins(found))


def json_line(value: Any) -> str:
    """Return a value as one line of JSON."""
    return msgspec.json.encode(value).decode()


def _figures(value: Any, path: str = "") -> list[tuple[str, Figure]]:
    """Return every figure inside a target's description, by dotted path."""
    if isinstance(value, Figure):
        return [(path, value)]
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, msgspec.Struct):
        items = [(name, getattr(value, name)) for name in value.__struct_fields__]
    else:
        return []
    nested = (_figures(item, f"{path}.{name}" if path else name) for name, item in items)
    return [entry for entries in nested for entry in entries]


def doctor(found: Sequence[Check]) -> Listing:
    """Return what was looked at on this machine."""
    table = Table.grid(padding=(0, 1), pad_edge=False)
    for check in found:
        said = f"{check.text}; {check.hint}" if check.hint else check.text
        table.add_row(text(check.status, style=_STYLES[check.status]), text(check.name), text(said))
    return Listing([table], [dataclasses.asdict(check) for check in found])
