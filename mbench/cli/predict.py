"""The command `mbench predict`."""

from __future__ import annotations

from pathlib import Path

import click

from mbench.cli import options, printing


@click.command()
@click.argument("networks", nargs=-1, required=True, metavar="NETWORK...")
@options.target
@options.threads
@options.dtype
@options.batch
@options.target_dirs
@options.as_json
def predict(
    networks: tuple[str, ...],
    target: str,
    threads: int | None,
    dtype: str | None,
    batch: tuple[int, ...] | None,
    target_dirs: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Predict what networks cost, by what searches have measured.

    NETWORK is a name, a grid, a file, or a family, which stands for all of its
    sizes. Nothing is measured: 'mbench fit' does, and keeps what it saw.
    """
    from mbench.api import fit as api
    from mbench.core.fit_options import FitOptions
    from mbench.terminal import fit_tables

    asked = FitOptions(threads=threads, dtype=dtype, batch=options.one_batch(batch), target_dirs=target_dirs)
    found, quality = api.predict(networks, target=target, options=asked, note=printing.remark)
    printing.listing(fit_tables.predictions(found, quality), as_json=as_json)
