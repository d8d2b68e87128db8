"""Which series and records are wanted: by network, place, type, branch and date."""

from __future__ import annotations

import datetime
import fnmatch

import msgspec

from mbench.core.field_types import Strict
from mbench.core.records import Record
from mbench.history import identity as identities
from mbench.history import moments
from mbench.history.series import Identity


class Filter(Strict, frozen=True, kw_only=True):
    """What is wanted; an empty field wants all. Names of networks are globs, such as `mobilenet_v2_*`."""

    networks: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    branches: tuple[str, ...] = ()
    """Values of the label `branch`."""
    since: datetime.datetime | None = None
    """The first moment that is wanted, in UTC."""
    until: datetime.datetime | None = None
    """The first moment that is not wanted any more, in UTC."""

    @property
    def by_identity(self) -> bool:
        """Whether it asks for some series of a record only."""
        return bool(self.networks or self.targets or self.machines or self.dtypes or self.threads)

    @property
    def by_record(self) -> bool:
        """Whether it asks for some records of a series only."""
        return bool(self.branches or self.since or self.until)

    def takes(self, identity: Identity) -> bool:
        """Return whether a series is wanted."""
        name = identity.network
        return (
            (not self.networks or any(name == each or fnmatch.fnmatchcase(name, each) for each in self.networks))
            and (not self.targets or identity.target in self.targets)
            and (not self.machines or identity.machine in self.machines)
            and (not self.dtypes or identity.dtype in self.dtypes)
            and (not self.threads or identity.threads in self.threads)
        )

    def holds(self, at: datetime.datetime, branch: str | None) -> bool:
        """Return whether a record of that moment and branch is wanted."""
        return (
            (not self.branches or branch in self.branches)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


def part(record: Record, where: Filter) -> Record | None:
    """Return a record with those of its results that are wanted; None: the record is not, or none of them is."""
    if not where.holds(moments.of_record(record), record.labels.get("branch")):
        return None
    if not where.by_identity:
        return record
    results = tuple(each for each in record.results if where.takes(identities.of_result(record, each)))
    return msgspec.structs.replace(record, results=results) if results else None
