"""A run in float32 compared with one in int8."""

from __future__ import annotations

import msgspec
import pytest
import quantized_records as quantized
import record_factory as factory

import mbench
from mbench.core.records import Record
from mbench.gating import two_types
from mbench.gating.sides import IN_MEMORY, Given

replace = msgspec.structs.replace


def halves(name: str = quantized.NETWORK, **options: object) -> tuple[Record, Record]:
    """Return a record of float32 alone and one of int8 alone."""
    record = factory.in_sessions(quantized.both(name, **options))  # type: ignore[arg-type]
    found = []
    for number, result in enumerate(record.results):
        dtype = result.variant.dtype
        settings = replace(record.settings, variants=(result.variant.name,), dtype=dtype)
        found.append(
            replace(
                record, results=(result,), settings=settings, run_id=f"{record.run_id}-{dtype}",
                created_at_utc=f"2025-03-0{number + 1}T12:00:00Z", imported=(result.variant,) if number else (),
            )
        )  # fmt: skip
    return found[0], found[1]


def test_a_network_is_called_as_in_the_other_type() -> None:
    base, head = (Given(IN_MEMORY, (record,)) for record in halves())
    found = two_types.aligned(base, head)
    assert found is not None
    [name] = head.record.settings.variants
    assert found.record.settings.variants == (name,)
    assert [result.variant.name for result in found.record.results] == [name]
    assert two_types.aligned(base, base) is None
    other = Given(IN_MEMORY, (halves("mobilenet_v2_0.35_96")[1],))
    assert two_types.aligned(base, other) is None


def test_layers_are_compared_across_types() -> None:
    base, head = halves(quicker=3.0)
    found = mbench.compare(base, head)
    named = {finding.layer: finding for finding in found.findings if finding.metric == "latency"}
    assert named[None].ratio == pytest.approx(1 / 3, rel=0.02)
    assert named["block2.pw"].ratio == pytest.approx(1 / 3, rel=0.05)
    assert [(each.key, each.base, each.head, each.allowed) for each in found.differences if each.key == "dtype"] == [
        ("dtype", "float32", "int8", True)
    ]


def test_a_gate_of_int8_holds_against_int8() -> None:
    _, head = halves()
    again = replace(head, run_id="another", created_at_utc="2025-03-03T12:00:00Z")
    assert mbench.gate(head, again).conclusion == "passed"
    base, _ = halves()
    assert mbench.gate(base, head).conclusion != "passed"
