"""What a sweep is asked for: the file that `mbench run --sweep` takes, read strictly. What it means is elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from mbench.core import labels, toml_files
from mbench.core.choices import Prefer
from mbench.core.errors import UsageError
from mbench.core.field_types import MOST_VARIANTS, Batch, Name, Strict, Text, Threads
from mbench.core.run_options import AskedRepeat
from mbench.core.sessions import Sessions
from mbench.core.toml_files import Source

LABEL = "sweep"
"""The label of a record that says which sweep it belongs to."""
DEFAULT = "default"
"""In `[devices]`: of the targets that are not named there."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_NAMES = "letters, digits, - and _, at most 63, with a letter or digit first"
_Words = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST_VARIANTS)]


class SweepDefinition(Strict, frozen=True, kw_only=True):
    """A sweep, as its file describes it. Paths are relative to the file."""

    networks: _Words
    """Names, grids, files, functions, as `mbench run` takes them."""
    targets: _Words = ("host",)
    devices: dict[Text, Text | _Words] = {}
    """A device or several by target; `default` is of the targets that are not named here. None: as `mbench run`."""
    dtypes: _Words | None = None
    """None: what a name or a file says, or float32."""
    threads: Annotated[tuple[Threads, ...], Meta(min_length=1)] | None = None
    """None: one for each core. A device that counts has one."""
    batches: Annotated[tuple[Batch, ...], Meta(min_length=1)] | None = None
    standard: bool = False
    """Also the standard twin of each network."""
    sessions: Sessions | None = None
    """Where time is measured; None: as `mbench run`."""
    repeat: AskedRepeat | None = None
    counts: bool = False
    compile_only: bool = False
    prefer: Prefer = None
    labels: dict[Text, Text] = {}
    """Of each record, beside `sweep`."""
    name: Name | None = None
    """None: that of the file."""
    output: Text | None = None
    """The folder of records and pages; None: `mbench-results` beside the file."""
    store: Text | None = None
    """A store of records that each record is added to."""
    accuracies: Text | None = None
    """A table of accuracies of your own: .csv with `name` and `top1`."""
    target_dirs: tuple[Text, ...] = ()
    """More folders of target folders."""
    networks_per_record: Annotated[int, Meta(ge=1, le=1000)] = 32
    """A record is done, and added to the store, when so many networks are."""
    pages: bool | None = None
    """Whether each record has a page, a quarter of a megabyte for each network; None: if there are few cells."""


def read(file: Path) -> SweepDefinition:
    """Return what a file asks for; its name is filled in.

    Raises:
        UsageError: it cannot be read, or something in it is wrong.
    """
    source = Source(file)
    found = toml_files.read(source, SweepDefinition)
    name = file.stem if found.name is None else found.name
    if not _NAME.fullmatch(name):
        hint = "" if found.name is not None else '; write name = "…" in the file'
        raise source.refuse(f"name: got {toml_files.shown(name)}, expected {_NAMES}{hint}")
    _check_labels(found, source)
    for target in found.devices:
        if target != DEFAULT and target not in found.targets:
            near = toml_files.near(target, [*found.targets, DEFAULT])
            raise source.refuse(f"{toml_files.joined('devices', target)}: no target of this sweep{near}")
    return msgspec.structs.replace(found, name=name)


def _check_labels(found: SweepDefinition, source: Source) -> None:
    for key, value in found.labels.items():
        where = toml_files.joined("labels", key)
        if key == LABEL:
            raise source.refuse(f"{where}: this label is the sweep's name; write name = {toml_files.shown(value)}")
        try:
            labels.parse(f"{key}={value}")
        except UsageError as error:
            raise source.refuse(f"{where}: {str(error).partition(': ')[2]}") from error


def devices_of(asked: SweepDefinition, target: str) -> tuple[str | None, ...]:
    """Return the devices that a target is wanted on, each once; None: its own."""
    found = asked.devices.get(target, asked.devices.get(DEFAULT))
    if found is None:
        return (None,)
    return (found,) if isinstance(found, str) else tuple(dict.fromkeys(found))
