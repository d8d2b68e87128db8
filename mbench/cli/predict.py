"""The command `mbench predict`."""

from __future__ import annotations

from typing import Any

import click

from mbench.cli import completing, options, printing
from mbench.cli.arguments import PATH
from mbench.cli.command import command


@command(short_help="Predict what networks cost; nothing is measured.")
@click.argument("networks", type=completing.NETWORK, nargs=-1, required=True, metavar="NETWORK...")
@options.target
@options.device("Where it was measured.")
@options.threads
@options.dtype
@options.batch_of_all
@click.option("--accuracies", type=PATH, default=None, metavar="FILE.csv", help="Accuracies of your own: name,top1.")
@options.input_shapes
@options.inputs
@options.target_dirs
@options.as_json
def predict(networks: tuple[str, ...], target: str, batch: tuple[int, ...] | None, as_json: bool, **asked: Any) -> None:
    """Predict what networks cost, by what searches have measured.

    NETWORK is a name, a grid, a file, or a family, which stands for all of its
    sizes. Nothing is measured: 'mbench fit' does, and keeps what it saw.
    """
    from mbench.api import fit as api
    from mbench.core.fit_options import FitOptions
    from mbench.terminal import fit_tables

    wanted = FitOptions(batch=options.one_batch(batch), **asked)
    found, quality = api.predict(networks, target=target, options=wanted, note=printing.remark)
    printing.listing(fit_tables.predictions(found, quality), as_json=as_json)
