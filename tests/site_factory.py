"""Histories for the tests of the site: series with steps that are known, and the changes that say so."""

from __future__ import annotations

import datetime
import hashlib
import random
from collections.abc import Sequence

import msgspec

from mbench.history.series import Change, Identity, Point, Quantity, Series

START = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
LATENCY = Quantity(name="latency_s", label="latency", unit="s", kind="measured")
INSTRUCTIONS = Quantity(name="instructions", label="instructions", unit="", kind="exact")
MACS = Quantity(name="macs", label="multiply-adds", unit="", kind="exact", better="neither")
NETWORKS = {"mobilenet_v1_1.0_224": 3.5e-3, "mobilenet_v2_1.0_224": 2.9e-3, "efficientnet_lite0_1.0_224": 4.1e-3}
"""With the latency of each."""
LIBRARY = Quantity(name="library_bytes", label="library", unit="B", kind="exact")


def identity(network: str = "mobilenet_v1_1.0_224", target: str = "arm64", **changes: object) -> Identity:
    made = Identity(
        network=network, family="mobilenet_v1", source="family", dtype="float32", batch=1, threads=1, target=target,
        device="local", machine="ci-1", hardware="AMD EPYC 9654",
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


def point(number: int, value: float, *, measured: bool = True, disturbed: Sequence[str] = (), where: str = "") -> Point:
    digest = hashlib.sha256(f"{where} {number}".encode()).hexdigest()
    return Point(
        record=digest,
        run_id=f"run-{where or 'a'}-{number:04}",
        at=START + datetime.timedelta(hours=6 * number),
        value=value,
        sessions=(value,) if measured else (),
        low=0.99 * value if measured else None,
        high=1.01 * value if measured else None,
        disturbed=tuple(disturbed),
        labels={"commit": hashlib.sha1(str(number).encode()).hexdigest(), "branch": "main"},
        marks={"mbench": "0.2.0" if number < 20 else "0.3.0", "apache-tvm": "0.26.0" if number < 30 else "0.27.0"},
    )


def series(
    quantity: Quantity = LATENCY, *, steps: Sequence[tuple[int, float]] = (), count: int = 40, level: float = 3.5e-3,
    disturbed: Sequence[int] = (), of: Identity | None = None,
) -> Series:  # fmt: skip
    """Return a series whose level is multiplied at each step, with noise of 0.5 % where it is measured."""
    whose = of or identity()
    name = f"{quantity.name} {whose}"
    noise, measured = random.Random(name), quantity.kind == "measured"
    points = []
    where = hashlib.sha256(repr(whose).encode()).hexdigest()[:6]
    for number in range(count):
        factor = 1.0
        for at, ratio in steps:
            factor *= ratio if number >= at else 1.0
        value = level * factor * (noise.gauss(1, 0.005) if measured else 1)
        why = ("another process kept 1.2 CPUs busy",) if number in disturbed else ()
        points.append(
            point(number, value if measured else float(round(value)), measured=measured, disturbed=why, where=where)
        )
    return Series(id=hashlib.sha256(name.encode()).hexdigest(), identity=whose, quantity=quantity, points=tuple(points))


def change(of: Series, at: int, ratio: float, **more: object) -> Change:
    before = of.points[at - 1].value
    exact = of.quantity.kind == "exact"
    made = Change(
        series=of.id, at=at, before=before, after=before * ratio, ratio=ratio,
        low=ratio if exact else ratio - 0.01, high=ratio if exact else ratio + 0.01, p_value=None if exact else 0.001,
        certainty="certain", worse=ratio > 1 and of.quantity.better == "lower", record=of.points[at].record,
        commits=(of.points[at - 1].labels["commit"], of.points[at].labels["commit"]),
        causes=("apache-tvm 0.26.0 → 0.27.0",) if at == 30 else (),
    )  # fmt: skip
    return msgspec.structs.replace(made, **more)


def history() -> tuple[list[Series], dict[str, tuple[Change, ...]]]:
    """Return a small history: three networks, two targets, two types, four quantities, and what changed."""
    found: list[Series] = []
    changes: dict[str, tuple[Change, ...]] = {}
    for number, (network, level) in enumerate(NETWORKS.items()):
        for target, slower in (("arm64", 4.0), ("x86_64_v4", 1.0)):
            for dtype, share in (("float32", 1.0), ("int8", 0.4)):
                ending = "" if dtype == "float32" else f"_{dtype}"
                whose = identity(network + ending, target, dtype=dtype)
                steps = [(30, 1.052)] if number == 0 and target == "x86_64_v4" else []
                steps += [(12, 0.93)] if number == 1 else []
                latency = series(
                    steps=steps, level=level * slower * share, of=whose, disturbed=(7, 25) if number == 0 else ()
                )
                counted = series(INSTRUCTIONS, steps=[(30, 1.0004)], level=5e8 * share, of=whose)
                library = series(LIBRARY, level=1.7e6, of=whose)
                macs = series(MACS, level=5.69e8, of=whose)
                found += [latency, counted, library, macs]
                changes[latency.id] = tuple(change(latency, at, ratio) for at, ratio in sorted(steps))
                changes[counted.id] = (change(counted, 30, 1.0004),)
                if number == 2 and dtype == "int8":
                    later = change(latency, 37, 1.021, certainty="perhaps", more_runs=3)
                    changes[latency.id] = (later,)
    return found, changes


EVIL = "<script>alert(1)</script>"
TAG = '"><img src=x onerror=alert(2)>'


def hostile() -> tuple[list[Series], dict[str, tuple[Change, ...]]]:
    """Return the small history with markup in every text that comes from outside."""
    found, changes = history()
    texts = {"labels": {"branch": EVIL, "commit": TAG}, "disturbed": (EVIL,)}

    def point(of: Point) -> Point:
        marks = {EVIL: of.marks["mbench"], "{{7*7}}": TAG if of.at > START else EVIL}
        more = texts if of.disturbed else {"labels": texts["labels"]}
        return msgspec.structs.replace(of, run_id=f"{EVIL}{of.run_id}", marks=marks, **more)

    series = [
        msgspec.structs.replace(
            each,
            identity=msgspec.structs.replace(
                each.identity, network=f"{EVIL}{each.identity.network}", target=f"{TAG}{each.identity.target}"
            ),
            points=tuple(map(point, each.points)),
        )
        for each in found
    ]
    agreed = {
        name: tuple(msgspec.structs.replace(each, causes=(EVIL, TAG), accepted=EVIL) for each in some)
        for name, some in changes.items()
    }
    return series, agreed
