"""What makes a series, and what marks a point of it: a changed machine ends a series, a changed version does not."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
import record_factory as factory
import store_records as stores

from mbench.core.records import Record
from mbench.history import identity
from mbench.history.series import Identity

replace = msgspec.structs.replace
BASE = stores.timed()


def of(record: Record) -> Identity:
    return identity.of_result(record, record.results[0])


def marks(record: Record) -> dict[str, str]:
    return identity.marks(record, record.results[0])


def with_host(record: Record, **fields: object) -> Record:
    return replace(record, host=replace(record.host, **fields))


def with_result(record: Record, **fields: object) -> Record:
    [result] = record.results
    return replace(record, results=(replace(result, **fields),))


def with_variant(record: Record, **fields: object) -> Record:
    return with_result(record, variant=replace(record.results[0].variant, **fields))


OTHER_SERIES: dict[str, Callable[[Record], Record]] = {
    "another machine": lambda item: with_host(item, name="b"),
    "another processor": lambda item: with_host(item, cpu="another"),
    "fewer processors": lambda item: with_host(item, processors_usable=1),
    "a quota": lambda item: with_host(item, processors_quota=1.5),
    "a board": factory.on_board,
    "a GPU": factory.on_gpu,
    "threads": lambda item: replace(item, settings=replace(item.settings, threads=7)),
    "another target": lambda item: replace(item, target=replace(item.target, name="other")),
    "another network": lambda item: with_variant(item, name="other"),
    "another type": lambda item: with_variant(item, dtype="int8"),
    "another batch": lambda item: with_variant(item, batch=8),
}
MARKED: dict[str, tuple[str, Callable[[Record], Record]]] = {
    "mbench": ("mbench", lambda item: replace(item, mbench_version="9")),
    "TVM": ("tvm", lambda item: with_host(item, versions={**item.host.versions, "tvm": "9"})),
    "the system": ("kernel", lambda item: with_host(item, os="Linux 9")),
    "memory": ("memory", lambda item: with_host(item, memory_bytes=2**40)),
    "the network's content": ("network", lambda item: with_variant(item, digest="9" * 64)),
    "the user's file": ("file", lambda item: with_variant(item, parameters={"file_sha256": "9" * 64})),
    "the build": ("build", lambda item: with_result(item, artifact=replace(item.results[0].artifact, digest="9"))),
    "schedules": (
        "schedules",
        lambda item: with_result(item, artifact=replace(item.results[0].artifact, schedules={"a": "b"})),
    ),
    "tuned choices": ("tuned", lambda item: replace(item, settings=replace(item.settings, tuned={"a": "b"}))),
    "code for the target": ("code", lambda item: replace(item, target=replace(item.target, tvm={"kind": "llvm"}))),
}


@pytest.mark.parametrize("what", OTHER_SERIES)
def test_what_makes_another_series(what: str) -> None:
    assert of(OTHER_SERIES[what](BASE)) != of(BASE)


@pytest.mark.parametrize("what", MARKED)
def test_what_is_a_mark(what: str) -> None:
    name, change = MARKED[what]
    changed = change(BASE)
    assert of(changed) == of(BASE)
    different = {key for key in marks(changed) | marks(BASE) if marks(changed).get(key) != marks(BASE).get(key)}
    assert different == {name}


def test_emulation_is_the_same_everywhere() -> None:
    record = factory.emulated([stores.SMALL])
    assert (of(record).machine, of(record).hardware) == ("", "cortex-a72")
    elsewhere = with_host(record, name="b", cpu="another", os="Linux 9")
    newer = replace(elsewhere, device=replace(elsewhere.device, emulator="qemu-aarch64 9.0.0, cortex-a72"))
    assert of(newer) == of(record)
    assert "kernel" not in marks(newer)
    assert marks(record)["emulator"] == factory.EMULATOR


def test_what_only_was_compiled_ran_nowhere() -> None:
    record = factory.record([stores.SMALL], latency=False)
    assert (of(record).machine, of(record).hardware) == ("", "")


def test_names_of_series() -> None:
    name = identity.series_id(of(BASE), "latency_s")
    assert len(name) == 16
    assert name == identity.series_id(of(stores.timed("run-2")), "latency_s")
    assert name != identity.series_id(of(BASE), "macs")
    assert name != identity.series_id(of(OTHER_SERIES["threads"](BASE)), "latency_s")


def test_texts_that_databases_do_not_have() -> None:
    assert identity.storable("a\0b\udcff") == r"a\x00b\xff"
    assert all(text for text in marks(BASE).values())
