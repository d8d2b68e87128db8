"""The command `mbench list`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from typing import NamedTuple

import click

from mbench.cli import completing, options, printing
from mbench.cli.command import command


class _Listed(NamedTuple):
    title: str
    names: Callable[[], tuple[str, ...]]
    use: str
    more: str


def _types() -> tuple[str, ...]:
    return tuple(completing.types())


def _targets() -> tuple[str, ...]:
    return tuple(completing.targets())


def _devices() -> tuple[str, ...]:
    return tuple(completing.devices())


KINDS: Mapping[str, _Listed] = {
    "networks": _Listed("Networks", completing.families, "mbench run NETWORK", "mbench variants"),
    "targets": _Listed("Targets", _targets, "mbench run --target NAME", "mbench targets"),
    "devices": _Listed("Devices", _devices, "mbench run --device NAME", "mbench device list"),
    "types": _Listed("Types", _types, "mbench run --dtype T,T", "mbench run --help"),
}


@command(name="list")
@click.argument("kind", type=click.Choice(tuple(KINDS)), required=False, metavar="[KIND]")
@options.as_json
def list_names(kind: str | None, as_json: bool) -> None:
    """List what there is: networks, targets, devices, types.

    KIND is one of these words; then there is a name a line, for scripts.
    """
    from mbench.terminal.listings import Listing

    wanted = (kind,) if kind else tuple(KINDS)
    found = {name: list(KINDS[name].names()) for name in wanted}
    lines = found[kind] if kind else [line for name, names in found.items() for line in _lines(KINDS[name], names)]
    printing.listing(Listing(list(lines), found), as_json=as_json)


def _lines(kind: _Listed, names: list[str]) -> list[str]:
    """Return the names of a kind, how one is used, and what says more of them."""
    shown = textwrap.fill(", ".join(names), 80, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    return [f"{kind.title}: {kind.use}; more: {kind.more}", shown]
