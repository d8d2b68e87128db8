from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import record_factory as factory

from mbench.core.errors import UsageError
from mbench.core.records import Record
from mbench.gating import comparable
from mbench.gating.comparison import Way

BASE = factory.counted(factory.record())
WAYS: tuple[Way, ...] = ("counts", "paired", "recorded", "static")


def put(record: Record, path: str, value: Any) -> Record:
    """Return the record with the field at a dotted path replaced."""
    name, _, rest = path.partition(".")
    inner = put(getattr(record, name), rest, value) if rest else value
    return msgspec.structs.replace(record, **{name: inner})


def versions(record: Record) -> Record:
    return put(record, "host.versions", {**record.host.versions, "apache-tvm": "9.9"})


def other_counts(record: Record) -> Record:
    return factory.counted(record, target="arm64_cortex_a72", vector_bits=128)


MANNERS: dict[str, tuple[Callable[[Record], Record], set[str]]] = {
    "dtype": (lambda record: put(record, "settings.dtype", "float16"), set(WAYS)),
    "batch": (lambda record: put(record, "settings.batch", 4), set(WAYS)),
    "target": (lambda record: put(record, "target.name", "x86_64_v2"), {"static", "paired", "recorded"}),
    "code": (
        lambda record: put(record, "target.tvm", {"kind": "llvm", "mcpu": "x86-64-v2"}),
        {"static", "paired", "recorded"},
    ),
    "counted": (other_counts, {"counts"}),
    "threads": (lambda record: put(record, "settings.threads", 1), {"paired", "recorded"}),
    "device": (lambda record: put(record, "device.kind", "rpc"), {"recorded"}),
    "host": (lambda record: put(record, "host.name", "elsewhere"), {"recorded"}),
    "cpu": (lambda record: put(record, "host.cpu", "Other CPU"), {"recorded"}),
    "processors": (lambda record: put(record, "host.cores_logical", 64), {"recorded"}),
    "quota": (lambda record: put(record, "host.processors_quota", 1.5), {"recorded"}),
    "os": (lambda record: put(record, "host.os", "Linux 7.0"), {"recorded"}),
    "settings": (lambda record: put(record, "settings.number", 3), {"recorded"}),
    "versions": (versions, {"recorded"}),
    "tuned": (lambda record: put(record, "settings.tuned", {"conv": "3f2a9c"}), set()),
    "mbench": (lambda record: put(record, "mbench_version", "9.9"), set()),
}


@pytest.mark.parametrize("key", MANNERS)
def test_a_difference_is_named_and_forbids_what_it_makes_meaningless(key: str) -> None:
    change, forbids = MANNERS[key]
    found = comparable.differences(BASE, change(BASE))
    assert [difference.key for difference in found] == [key]
    assert found[0].base != found[0].head
    assert {way for way in WAYS if comparable.forbidden(way, found)} == forbids


@pytest.mark.parametrize("key", MANNERS)
def test_a_difference_that_is_allowed_forbids_nothing_and_stays_visible(key: str) -> None:
    [difference] = comparable.differences(BASE, MANNERS[key][0](BASE), [key])
    assert difference.allowed
    assert not any(comparable.forbidden(way, [difference]) for way in WAYS)


def test_allowing_one_difference_allows_no_other() -> None:
    head = put(put(BASE, "host.name", "elsewhere"), "host.cpu", "Other CPU")
    found = comparable.differences(BASE, head, ["host"])
    assert [each.key for each in comparable.forbidden("recorded", found)] == ["cpu"]


def test_two_runs_of_one_job_differ_in_nothing() -> None:
    head = msgspec.structs.replace(BASE, run_id="another", created_at_utc="2025-04-01T12:00:00Z")
    assert comparable.differences(BASE, head) == ()


def test_a_key_that_is_not_known_is_refused() -> None:
    with pytest.raises(UsageError, match="--allow-different 'hots' is not known; did you mean 'host'"):
        comparable.differences(BASE, BASE, ["hots"])


def test_the_machine_is_the_one_that_executed_the_code() -> None:
    assert comparable.machine(BASE) == "testhost: Test CPU @ 2.0 GHz"
    assert comparable.machine(factory.on_board(BASE)).startswith("raspberrypi: Cortex-A72")
    assert comparable.machine(factory.emulated()) == factory.EMULATOR
