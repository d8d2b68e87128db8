"""The command `mbench variants`."""

from __future__ import annotations

import click

from mbench.cli import completing, options, printing, streams
from mbench.cli.command import command


@command(short_help="List the networks, or the layers of one.")
@click.argument("network", type=completing.NETWORK, required=False)
@options.input_shapes
@click.option("--published", is_flag=True, help="Counts of NETWORK, or of all, beside those that are published.")
@options.as_json
def variants(network: str | None, input_shapes: tuple[str, ...], published: bool, as_json: bool) -> None:
    """List the networks, or the layers of NETWORK: a name, or a file."""
    from mbench.networks import architectures
    from mbench.networks import variants as networks
    from mbench.networks.given import GivenNetworks, HowToImport
    from mbench.terminal import listings

    if published:
        from mbench.api import listing
        from mbench.terminal import published_listing

        compared = listing.published_counts(*([network] if network else []))
        printing.listing(published_listing.counts(compared), as_json=as_json)
        return
    for broken in () if network is not None else architectures.added_families()[1]:
        streams.say(str(broken))
    given = networks.catalog() if network is None else [network]
    asked = GivenNetworks(given, HowToImport(input_shapes=input_shapes))
    for note in asked.notes:
        printing.remark(note)
    found = asked.variants()
    layers = network is not None and len(found) == 1
    printing.listing(listings.layers(found[0]) if layers else listings.variants(found), as_json=as_json)
