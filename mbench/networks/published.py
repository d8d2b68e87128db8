"""What is published of networks and not measured here: top-1 accuracy on ImageNet, with its source. Data: reports/."""

from __future__ import annotations

import csv
import dataclasses
import functools

from mbench.core import resources


@dataclasses.dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Top-1 accuracy on ImageNet, in percent, of weights that somebody trained."""

    top1_percent: float
    source: str


@functools.cache
def accuracies() -> dict[str, Accuracy]:
    """Return the published accuracies by the name of the variant.

    Raises:
        ValueError: a variant stands in the file twice.
    """
    found: dict[str, Accuracy] = {}
    with (resources.data_dir("reports") / "published.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["variant"] in found:
                raise ValueError(f"published.csv has {row['variant']} twice")
            found[row["variant"]] = Accuracy(top1_percent=float(row["top1_percent"]), source=row["source"])
    return found
