"""Two runs that the gate compares, and devices that measure what a test says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import fake_devices as fakes
import jsonschema
import msgspec
import pytest
import record_factory as factory

from mbench.core import artifact, record_files
from mbench.core.errors import MeasureError
from mbench.core.records import Record, Result
from mbench.core.stats import median
from mbench.devices.local import LocalDevice
from mbench.gating import comparison
from mbench.hardware import targets
from mbench.measure.duel import Bout

NAME, OTHER = "mobilenet_v1_0.25_32", "mobilenet_v1_0.25_64"
FILES = ("--junit", "--markdown", "--benchmark-action", "--bencher", "--html")
Put = Callable[..., Path]


def counted(*names: str, **options: Any) -> Record:
    return factory.counted(factory.record(names or (NAME,), **options))


def one_layer(item: Record, index: int = 5, **more: int) -> Record:
    """Return the record with more of some counters in one layer."""
    result = item.results[0]
    counters = result.layers[index].counters
    assert counters
    counters = msgspec.structs.replace(counters, **{key: getattr(counters, key) + by for key, by in more.items()})
    layer = msgspec.structs.replace(result.layers[index], counters=counters)
    layers = (*result.layers[:index], layer, *result.layers[index + 1 :])
    return msgspec.structs.replace(item, results=(factory.with_layers(result, layers),))


def timed(factor: float = 1.0, *, threads: int = 1) -> Record:
    """Return a record without counts whose latencies are `factor` times as long."""
    replace = msgspec.structs.replace
    item = factory.record([NAME])

    def longer(result: Result) -> Result:
        layers = tuple(
            replace(layer, latency_s=tuple(factor * value for value in layer.latency_s or ()))
            for layer in result.layers
        )
        whole = tuple(factor * value for value in result.end_to_end.latency_s or ())
        return replace(result, layers=layers, end_to_end=replace(result.end_to_end, latency_s=whole))

    settings = replace(item.settings, threads=threads)
    return replace(item, settings=settings, results=tuple(map(longer, item.results)))


Changed = TypeVar("Changed", bound=msgspec.Struct)


def changed(item: Changed, **fields: Any) -> Changed:
    return msgspec.structs.replace(item, **fields)


def verdict_of(out: str) -> dict[str, Any]:
    """Return a verdict that was printed, checked against its schema."""
    document = json.loads(out)
    jsonschema.validate(document, comparison.json_schema())
    return document  # type: ignore[no-any-return]


def layers_of(document: dict[str, Any], outcome: str) -> set[str | None]:
    return {each["layer"] for each in document["comparison"]["findings"] if each["outcome"] == outcome}


OTHERS: dict[str, Callable[[Record], Record]] = {
    "host": lambda item: changed(item, host=changed(item.host, name="runner-7")),
    "target": lambda item: changed(item, target=changed(item.target, name="x86_64_v2")),
    "threads": lambda item: changed(item, settings=changed(item.settings, threads=7)),
    "versions": lambda item: changed(
        item,
        host=changed(item.host, versions={"apache-tvm": "9"}),
    ),
}


def keep(file: Path, digest: str, tmp_path: Path, target: str | None = None) -> None:
    """Put an artifact beside a record and its digest into it; with `target`, as one that was built for it."""
    item = record_files.read(file)
    [result] = item.results
    scratch = fakes.compiled(tmp_path / f"scratch-{file.stem}", fakes.variant(NAME), digest=digest)
    (scratch.folder / artifact.REFERENCE).write_bytes(b"numbers")
    artifact.beside(file).mkdir()
    built = artifact.store(scratch.manifest, scratch.folder, artifact.beside(file) / NAME)
    info = msgspec.structs.replace(result.artifact, digest=built.manifest.digest)
    item = changed(
        item, results=(msgspec.structs.replace(result, artifact=info),), target=targets.load(target or "x86_64_v2")
    )
    record_files.write(file, changed(item, settings=msgspec.structs.replace(item.settings, threads=1)))


def arena(monkeypatch: pytest.MonkeyPatch, factor: float = 1.0, *, dies: bool = False, spread: float = 0.0) -> None:
    """Let processes see a head `factor` times slower, or die."""
    layers = timed().results[0].layers
    draw = random.Random(5)

    def duel(self: LocalDevice, base: Any, twin: Any, head: Any, plan: Any, report: Any) -> Bout:
        if dies:
            raise MeasureError("the worker process was ended by SIGKILL; out of memory?")
        report("measuring", 0.5)
        off = 1 + draw.uniform(-spread, spread)
        times = [[(median(layer.latency_s or ()) * by,) * 5 for layer in layers] for by in (1.0, 1.0, factor * off)]
        wholes = [tuple(map(sum, zip(*each, strict=True))) for each in times]
        return Bout(
            order=plan.order, block=10, whole_s=tuple(wholes), layers_s=tuple(map(tuple, times)), wall_s=1.0,
            others_busy_s=0.0,
        )  # fmt: skip

    monkeypatch.setattr(LocalDevice, "duel", duel)
