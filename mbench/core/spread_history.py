"""How far apart processes of one job lay on this machine, as its own runs showed: for records that do not show it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from mbench.core import machine_cache
from mbench.core.errors import UsageError
from mbench.core.machine_types import Host

_MOST = 50
"""Runs that are remembered, the newest."""
_FEWEST_FREEDOM = 8
"""Degrees of freedom from which on they say something: two networks of five sessions."""


class SeenSpread(msgspec.Struct, frozen=True):
    """What one network of one run showed."""

    variance: Annotated[float, Meta(ge=0)]
    """Of the logarithms of the sessions' medians."""
    freedom: Annotated[int, Meta(ge=1)]


def known(host: Host, threads: int) -> float | None:
    """Return the standard deviation of the logarithm between processes on a machine; None: too little is known.

    Args:
        host: the machine that measured.
        threads: 1, or 2 for any more.
    """
    try:
        seen = machine_cache.read(_file(host, threads), tuple[SeenSpread, ...]) or ()
    except UsageError:  # a user without a home has no cache
        return None
    freedom = sum(each.freedom for each in seen)
    if freedom < _FEWEST_FREEDOM:
        return None
    return math.sqrt(sum(each.variance * each.freedom for each in seen) / freedom)


def add(host: Host, threads: int, found: tuple[SeenSpread, ...]) -> None:
    """Remember what a run showed, if there is room for it on the disk."""
    if found:
        path = _file(host, threads)
        before = machine_cache.read(path, tuple[SeenSpread, ...]) or ()
        machine_cache.write(path, (*before, *found)[-_MOST:])


def _file(host: Host, threads: int) -> Path:
    return machine_cache.file("spread", (host.name, host.cpu, min(threads, 2)), [])
