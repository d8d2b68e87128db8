"""What is published of networks and not measured here: top-1 accuracy on ImageNet, multiply-adds and parameters.

Each row of `published/accuracies.csv` says what was trained (`setting`) and where it stands (`source`). A network has a
row for each setting; the first one in the file is its accuracy where one is asked for. Figures that their source
contradicts are left out: MnasNet-A1 0.35 160 has 52.3 % in one column of its table and 59.3 % in another.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import re
from typing import Literal

from mbench.core import dtypes, resources
from mbench.core.records import Variant
from mbench.networks import variants

FILE = "accuracies.csv"
_COUNT = re.compile(r"(?P<whole>[0-9]+)(?:\.(?P<places>[0-9]+))?(?P<unit>[MG])")
_UNITS = {"M": 1e6, "G": 1e9}
Counted = Literal["weights", "trained"]
_COUNTED: dict[str, Counted | None] = {"": None, "weights": "weights", "trained": "trained"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedCount:
    """A count as it is printed, such as `1.44G`: its value, and what its last digit is worth."""

    text: str
    value: float
    unit: float

    def agrees(self, counted: float) -> bool:
        """Return whether a count is this one in all digits that are printed, rounded or truncated."""
        return abs(counted - self.value) < self.unit * (1 + 1e-9)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """One network as somebody trained it. Accuracies are in percent, on ImageNet's 50,000 validation images."""

    variant: Variant
    """What it is; its name says width, resolution and type."""
    setting: str
    """How it was trained: networks of one family, type and setting are comparable."""
    top1_percent: float
    top5_percent: float | None
    macs: PublishedCount | None
    params: PublishedCount | None
    counted: Counted | None
    """What `params` are: weights of convolutions and fully connected layers, or all that is trained, BatchNorm too."""
    source: str

    @property
    def name(self) -> str:
        """The name of the network."""
        return self.variant.name


@functools.cache
def table() -> tuple[Published, ...]:
    """Return all that is published, in the file's order.

    Raises:
        ValueError: the file has a network twice in one setting, or a row that is none.
    """
    found: dict[tuple[str, str], Published] = {}
    with (resources.data_dir("published") / FILE).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if (row["variant"], row["setting"]) in found:
                raise ValueError(f"{FILE} has {row['variant']} twice in the setting {row['setting']!r}")
            found[row["variant"], row["setting"]] = _published(row)
    return tuple(found.values())


def accuracies() -> dict[str, Published]:
    """Return what is published first of each network of float32, by its name."""
    found: dict[str, Published] = {}
    for row in table():
        if row.variant.dtype == dtypes.DEFAULT:
            found.setdefault(row.name, row)
    return found


def _published(row: dict[str, str]) -> Published:
    variant = variants.parse(row["variant"])
    if variant.name != row["variant"] or not row["source"] or not row["setting"]:
        raise ValueError(f"{FILE}: {row} has no canonical name, no setting or no source")
    if row["counted"] not in _COUNTED or bool(row["counted"]) != bool(row["params"]):
        raise ValueError(f"{FILE}: {row} does not say what its parameters are")
    return Published(
        variant=variant,
        setting=row["setting"],
        top1_percent=float(row["top1_percent"]),
        top5_percent=float(row["top5_percent"]) if row["top5_percent"] else None,
        macs=_count(row["macs"]),
        params=_count(row["params"]),
        counted=_COUNTED[row["counted"]],
        source=row["source"],
    )


def _count(text: str) -> PublishedCount | None:
    if not text:
        return None
    match = _COUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"{FILE}: {text!r} is no count; expected one such as 569M or 1.44G")
    unit = _UNITS[match["unit"]]
    return PublishedCount(text=text, value=float(text[:-1]) * unit, unit=unit / 10 ** len(match["places"] or ""))
