"""The commands `mbench device …`: pack a server for a board, and give devices names."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mbench.cli import completing, options, printing
from mbench.cli.arguments import NEW_FOLDER
from mbench.cli.command import group
from mbench.core import plain
from mbench.core.errors import CollisionError

if TYPE_CHECKING:
    from mbench.devices.package import Package
    from mbench.devices.registry import NamedDevice

BOARD = "arm64"
"""The target of `serve` if nobody says otherwise."""
PORT = 9090
_NEXT = """\
packed  {folder}: {size}, for {target}

The board needs Linux with glibc {glibc} or newer, and no Python. Copy the
folder, start the server through an SSH tunnel, give the board a name:

    scp -r {folder} BOARD:
    ssh -t -L {port}:127.0.0.1:{port} BOARD {start}
    mbench device add NAME --rpc 127.0.0.1:{port}
    mbench run --target {target} --device NAME

TVM's RPC has no authentication: whoever reaches the port can run any code on
the board. The server listens on loopback unless --host is given; leave
it so, and let SSH carry the line. More: README.txt in the folder."""


@group(short_help="Boards: pack a server for one, and give it a name.")
def device() -> None:
    """Boards: pack a server for one, and give it a name for --device."""


@device.command()
@click.option(
    "--target", type=completing.TARGET, default=BOARD, show_default=True, metavar="NAME", help="What the board is."
)
@click.option(
    "-o",
    "--output",
    type=NEW_FOLDER,
    default=None,
    metavar="DIR",
    help="The folder to make.  [default: mbench-server-ARCHITECTURE]",
)
@options.target_dirs
@options.as_json
def serve(target: str, output: Path | None, target_dirs: tuple[Path, ...], as_json: bool) -> None:
    """Pack what a board needs to measure, in one folder to copy.

    The folder has the server, TVM's runtime and a script that starts it. The
    board needs no Python and no installation.
    """
    from mbench.api import listing as api
    from mbench.core import units
    from mbench.terminal.listings import Listing

    board = api.target(target, target_dirs=target_dirs)
    made = api.pack_server(board, output, note=lambda text: click.echo(plain.visible(text), err=True))
    data = {**dataclasses.asdict(made), "folder": str(made.folder)}
    printing.listing(Listing([_next_steps(made, units.data_size(made.total_bytes))], data), as_json=as_json)


def _next_steps(package: Package, size: str) -> str:
    from mbench.devices.package import START

    return _NEXT.format(
        target=plain.quoted(package.target),
        folder=plain.quoted(package.folder),
        size=size,
        glibc=package.glibc,
        start=shlex.quote(f"{plain.quoted(f'./{package.folder.name}/{START}')} --port {PORT}"),
        port=PORT,
    )


@device.command()
@click.argument("name")
@click.option("--rpc", default=None, metavar="HOST:PORT", help="Where its server listens.")
@click.option("--tracker", default=None, metavar="HOST:PORT", help="Address of the TVM RPC tracker that offers it.")
@click.option("--key", default=None, metavar="K", help="What to ask the tracker for.")
@click.option("--force", is_flag=True, help="Replace a device of that name.")
@options.as_json
def add(name: str, rpc: str | None, tracker: str | None, key: str | None, force: bool, as_json: bool) -> None:
    """Remember a device as NAME, for --device NAME. It is not contacted."""
    from mbench.api import listing as api
    from mbench.devices import registry
    from mbench.terminal.listings import Listing

    if (rpc is None) == (tracker is None):
        said = "device add: give either --rpc HOST:PORT of a server, or --tracker HOST:PORT with --key K"
        raise CollisionError(said, "--rpc", "--tracker")
    if (tracker is None) != (key is None):
        raise CollisionError("device add: --tracker HOST:PORT and --key K go together", "--key", "--rpc", "--tracker")
    entry = registry.NamedDevice(rpc=rpc, tracker=tracker, key=key)
    api.add_device(name, entry, replace=force)
    lines = f"{name} is {entry.address}; it was not contacted\nuse it with: mbench run --target NAME --device {name}"
    printing.listing(Listing([lines], {**_data(name, entry), "file": str(registry.file())}), as_json=as_json)


@device.command(name="list")
@options.as_json
def list_devices(as_json: bool) -> None:
    """List the devices that have names. None is contacted."""
    from mbench.api import listing as api
    from mbench.terminal import record_tables
    from mbench.terminal.listings import Listing

    known = api.named_devices()
    if not known:
        hint = "no device has a name; give one with: mbench device add NAME --rpc HOST:PORT"
        printing.listing(Listing([hint], []), as_json=as_json)
        return
    table = record_tables.ruled("Devices", ("device", "address", "reached by"), ())
    for name, entry in known.items():
        record_tables.add_row(table, name, str(entry.address), "server" if entry.rpc else "tracker")
    printing.listing(Listing([table], [_data(name, entry) for name, entry in known.items()]), as_json=as_json)


@device.command()
@click.argument("name", type=completing.NAMED_DEVICE)
@options.as_json
def remove(name: str, as_json: bool) -> None:
    """Forget the device called NAME."""
    from mbench.api import listing as api
    from mbench.terminal.listings import Listing

    api.remove_device(name)
    printing.listing(Listing([f"{name} is removed"], {"name": name, "removed": True}), as_json=as_json)


def _data(name: str, entry: NamedDevice) -> dict[str, Any]:
    return {"name": name, "address": str(entry.address), "rpc": entry.rpc, "tracker": entry.tracker, "key": entry.key}
