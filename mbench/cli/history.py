"""The group `mbench history`: commands of a store of records, a module each."""

from __future__ import annotations

from mbench.cli.command import group
from mbench.cli.history_add import add
from mbench.cli.history_check import check
from mbench.cli.history_export import export
from mbench.cli.history_list import list_records
from mbench.cli.history_publish import publish
from mbench.cli.history_serve import serve
from mbench.cli.history_show import show

COMMANDS = (
    add,
    list_records,
    export,
    show,
    check,
    publish,
    serve,
)


@group(short_help="Keep records in a store; see what changed over time.")
def history() -> None:
    """Keep records in a store, and see what changed in them over time."""


for command in COMMANDS:
    history.add_command(command)
