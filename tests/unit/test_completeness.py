from __future__ import annotations

import msgspec
import record_factory as factory
from sustained_factory import sustained, with_sustained

from mbench.analysis.completeness import complete


def test_a_record_with_all_that_was_asked_for_is_complete() -> None:
    assert complete(factory.record())
    assert complete(factory.emulated())
    assert complete(factory.record(latency=False))  # nothing was to be measured


def test_what_is_lacking_is_noticed() -> None:
    replace, record = msgspec.structs.replace, factory.record()
    assert not complete(factory.record(failed=("mobilenet_v1_0.25_32",)))
    assert not complete(replace(record, device=replace(record.device, calibration=None)))
    assert not complete(replace(record, settings=replace(record.settings, counts=True)))


def test_a_network_that_was_not_put_under_load_is_noticed() -> None:
    record = factory.record()
    assert complete(with_sustained(record, sustained(count=60), sustained(count=60)))
    assert not complete(with_sustained(record, sustained(count=60), None))
