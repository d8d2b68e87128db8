"""The command `mbench variants`."""

from __future__ import annotations

import click

from mbench.cli import options, printing, streams


@click.command()
@click.argument("name", required=False)
@options.as_json
def variants(name: str | None, as_json: bool) -> None:
    """List the networks, or the layers of the one called NAME."""
    from mbench.api import listing as api
    from mbench.networks import architectures
    from mbench.terminal import listings

    for broken in () if name else architectures.added_families()[1]:
        streams.say(str(broken))
    found = api.variants(*([name] if name else []))
    layers = name is not None and len(found) == 1
    printing.listing(listings.layers(found[0]) if layers else listings.variants(found), as_json=as_json)
