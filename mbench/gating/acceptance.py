"""Changes that were agreed to: a checked-in TOML file of entries, each with a reason and a day on which it ends.

[[accepted]]
variant = "mobilenet_v1_0.25_*"     a glob
layer = "block3.dw"                 a glob; absent: the whole network
metric = "instructions"             or `presence`, for what is gone, or a network that is new; absent: any
up_to = "5%"                        absent: any size
reason = "borders are exact now"
expires = 2026-12-31
"""

from __future__ import annotations

import datetime
import fnmatch
from pathlib import Path
from typing import Literal

import msgspec

from mbench.core import toml_files
from mbench.core.errors import UsageError
from mbench.gating import limits
from mbench.gating.comparison import Finding, Metric

FILE = "mbench-accepted.toml"
HistoryMetric = Literal["energy", "load", "first_run", "process_memory", "latency_model", "params"]
"""What a history knows besides the gate's metrics."""


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry."""

    variant: str
    layer: str | None = None
    metric: Metric | HistoryMetric | None = None
    up_to: str | None = None
    reason: str
    expires: datetime.date

    @property
    def words(self) -> str:
        """What it is about, and why."""
        what = " ".join(part for part in (self.variant, self.layer, self.metric) if part)
        size = f" up to {self.up_to}" if self.up_to else ""
        return f"{what}{size}: {self.reason} (until {self.expires})"

    def covers(self, finding: Finding) -> bool:
        """Return whether it is about this finding."""
        return self.about(finding.variant, finding.layer, finding.metric, finding.ratio)

    def about(self, variant: str, layer: str | None, metric: str, ratio: float | None) -> bool:
        """Return whether it is about a change of a metric by a ratio; None: of a size that is not known."""
        if self.metric not in (None, metric) or not fnmatch.fnmatchcase(variant, self.variant):
            return False
        if (layer is None) != (self.layer is None):
            return False
        if self.layer is not None and not fnmatch.fnmatchcase(layer or "", self.layer):
            return False
        if self.up_to is None or ratio is None:
            return self.up_to is None
        return ratio - 1 <= limits.percentage(self.up_to, "up_to")


class _AcceptanceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accepted: tuple[Acceptance, ...] = ()


def read(file: Path | None, today: datetime.date | None = None) -> tuple[Acceptance, ...]:
    """Return the acceptances of a file.

    Args:
        file: the file; None: `mbench-accepted.toml` in this folder, if there is one.
        today: the day to judge expiry by; by default this one, in UTC.

    Raises:
        UsageError: the file cannot be read, an entry is not one, or an entry has expired.
    """
    source = toml_files.Source(file or Path(FILE))
    content = (toml_files.read if file else toml_files.find)(source, _AcceptanceFile) or _AcceptanceFile()
    today = today or datetime.datetime.now(datetime.UTC).date()
    for index, entry in enumerate(content.accepted):
        _check(entry, f"{source.file}: accepted[{index}]", today)
    return content.accepted


def _check(entry: Acceptance, where: str, today: datetime.date) -> None:
    """Refuse what types cannot say."""
    if not entry.reason.strip():
        raise UsageError(f"{where}: reason is empty; say why the change is accepted")
    if entry.up_to is not None:
        limits.percentage(entry.up_to, f"{where}: up_to")
    if entry.expires < today:
        raise UsageError(f"{where}: expired on {entry.expires} ({entry.words}); remove it, or renew it with a reason")


def apply(findings: tuple[Finding, ...], accepted: tuple[Acceptance, ...]) -> tuple[tuple[Finding, ...], list[str]]:
    """Return the findings with what was agreed to marked so, and the acceptances that were used."""
    used: dict[str, None] = {}
    marked = []
    for finding in findings:
        entry = next((each for each in accepted if each.covers(finding)), None)
        new = finding.outcome == "undecided" and finding.metric == "presence"
        if (finding.outcome == "regressed" or new) and entry is not None:
            used[entry.words] = None
            finding = msgspec.structs.replace(
                finding, outcome="accepted", reason=f"{finding.reason}; accepted: {entry.reason}"
            )
        marked.append(finding)
    return tuple(marked), list(used)
