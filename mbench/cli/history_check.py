"""The command `mbench history check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mbench.cli import completing, defaults, options, printing, store_options
from mbench.cli.command import command
from mbench.core import exits


@command()
@click.argument("networks", type=completing.NETWORK, nargs=-1, metavar="[NETWORK]...")
@store_options.store
@store_options.places
@click.option("--quantity", "quantities", multiple=True, metavar="NAME", help="What to judge, such as latency_s.")
@click.option(
    "--last", "runs", type=click.IntRange(1), default=10, show_default=True, metavar="N",
    help="Changes within the last N runs are new.",
)  # fmt: skip
@click.option("--since", default=None, metavar="DATE", help="Changes since then are new: 2026-11-01, or 30d.")
@options.file("--config", "Thresholds.  [default: mbench.toml, if there]")
@click.option("--threshold", "thresholds", multiple=True, metavar="SELECTOR=PERCENT", help="What is tolerated.")
@options.file("--accepted", "Changes agreed to.  [default: mbench-accepted.toml, if there]")
@options.as_json
def check(
    networks: tuple[str, ...],
    store_url: str | None,
    quantities: tuple[str, ...],
    runs: int,
    since: str | None,
    config: Path | None,
    thresholds: tuple[str, ...],
    accepted: Path | None,
    as_json: bool,
    **places: Any,
) -> int:
    """Judge whether series of a store became worse of late.

    NETWORK is a name or a glob, such as 'mobilenet_v2_*'; none: all of them.
    Thresholds and agreed changes are those of 'gate'.

    Exit code: 0 nothing is worse, 1 a certain regression, 3 no verdict:
    perhaps worse, or too few runs.
    """
    from mbench.api import changes
    from mbench.api import history as api
    from mbench.history import shown

    defaults.check_names(click.get_current_context(), config)
    where = store_options.where(since=None, until=None, networks=networks, **places)
    asked = changes.CheckOptions(
        runs=runs, since=store_options.moment(since), quantities=quantities, config=config,
        thresholds=thresholds, accepted=accepted,
    )  # fmt: skip
    with api.open_store(store_url) as store:
        verdict = changes.check_history(store, where, options=asked)
    printing.listing(shown.of_check(verdict), as_json=as_json)
    return exits.of_verdict(verdict.conclusion, failed=False)
