from __future__ import annotations

import msgspec
import record_factory as factory

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
