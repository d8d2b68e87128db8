"""Series of made-up points, a run a day, for tests of changes and of what is said about them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Sequence

import numpy as np

from mbench.history.series import Identity, Kind, Point, Quantity, Series

NETWORK = "mobilenet_v1_0.25_128"
FIRST = datetime.datetime(2026, 3, 1, 4, tzinfo=datetime.UTC)
LATENCY = Quantity(name="latency_s", label="latency", unit="s", kind="measured")
INSTRUCTIONS = Quantity(name="instructions", label="instructions", unit="", kind="exact")
LIBRARY = Quantity(name="library_bytes", label="library", unit="B", kind="exact")
MODELLED = Quantity(name="latency_model_s", label="modelled latency", unit="s", kind="exact")
MACS = Quantity(name="macs", label="multiply-adds", unit="", kind="exact", better="neither")
NOISE = 0.006
"""Standard deviation of the logarithm between runs, as of one thread on a shared machine."""


def identity(network: str = NETWORK, **changes: object) -> Identity:
    given = {
        "network": network, "family": "mobilenet_v1", "source": "family", "dtype": "float32", "batch": 1, "threads": 1,
        "target": "host", "device": "local", "machine": "runner-1", "hardware": "EPYC, 2 processors", **changes,
    }  # fmt: skip
    return Identity(**given)  # type: ignore[arg-type]


def commit(index: int) -> str:
    return f"{index + 1:03d}{'c' * 37}"


def record(index: int) -> str:
    return f"{index + 1:03d}{'e' * 61}"


def point(index: int, value: float, **changes: object) -> Point:
    given = {
        "record": record(index), "run_id": f"run{index}", "at": FIRST + datetime.timedelta(days=index), "value": value,
        "labels": {"commit": commit(index)}, "marks": {"mbench": "1.0", "build": commit(index)}, **changes,
    }  # fmt: skip
    return Point(**given)  # type: ignore[arg-type]


def series(
    values: Sequence[float],
    quantity: Quantity = LATENCY,
    *,
    network: str = NETWORK,
    marks: Callable[[int], dict[str, str]] | None = None,
    disturbed: Collection[int] = (),
    **where: object,
) -> Series:
    """Return a series; `marks` gives those of each point by its index, `where` what differs in its identity."""
    points = []
    for index, value in enumerate(values):
        more: dict[str, object] = {"disturbed": ("other work",)} if index in disturbed else {}
        if marks is not None:
            more["marks"] = marks(index)
        points.append(point(index, float(value), **more))
    place = identity(network, **where)
    name = f"{network}-{quantity.name}-" + "-".join(f"{value}" for value in where.values())
    return Series(id=name, identity=place, quantity=quantity, points=tuple(points))


def timed(count: int, *steps: tuple[int, float], seed: int = 1, noise: float = NOISE) -> list[float]:
    """Return latencies around a millisecond; from each index on, they are larger by that share."""
    logs = np.random.default_rng(seed).normal(0, noise, count)
    for at, share in steps:
        logs[at:] += np.log1p(share)
    return [float(value) for value in 1e-3 * np.exp(logs)]


def kind(quantity: Quantity, changed: Kind) -> Quantity:
    return Quantity(name=quantity.name, label=quantity.label, unit=quantity.unit, kind=changed, better=quantity.better)
