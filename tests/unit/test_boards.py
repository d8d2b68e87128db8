"""The gate on results of several devices: compared where they are alike, refused in one line where they are not."""

from __future__ import annotations

from pathlib import Path

import farm_factory as farms
import pytest
import record_factory as factory

from mbench.core.errors import UsageError
from mbench.core.records import Record
from mbench.gating import boards, verdict
from mbench.gating.comparison import Comparison
from mbench.gating.limits import Limits, Selector
from mbench.gating.sides import Given
from mbench.gating.verdict import Asked

NAME = "mobilenet_v1_0.25_32"


def of(device: str, run_id: str) -> Record:
    return farms.with_farm(factory.again(factory.in_sessions(factory.record([NAME])), run_id), farms.PI4S, device)


def compared(base: str, head: str, **asked: object) -> Comparison:
    sides = [Given(Path(f"{run}.json"), (of(device, run),)) for device, run in ((base, "base"), (head, "head"))]
    return verdict.compare(sides[0], sides[1], Asked(**asked))[0]  # type: ignore[arg-type]


def recorded(found: Comparison) -> list[str]:
    return [each.variant for each in found.findings if each.metric == "latency"]


def test_results_of_one_device_are_compared() -> None:
    found = compared("pi-1", "pi-1")
    assert found.left_out == ()
    assert NAME in recorded(found)


def test_devices_that_differ_by_more_than_is_tolerated_are_not_mixed() -> None:
    found = compared("pi-1", "pi-2")
    judged = verdict.judge(found, (), ())
    assert judged.conclusion == "incomparable"  # which is exit code 3
    assert judged.headline == (
        f"{NAME} was measured on pi-1 and on pi-2, which lie 4.0 % apart by the reference network, 1.0 % is tolerated; "
        "measure both on one device, or allow more with --threshold network.latency=PERCENT"
    )
    assert NAME not in recorded(found)


@pytest.mark.parametrize("asked", ["a threshold", "allowed"])
def test_who_tolerates_more_gets_the_comparison(asked: str) -> None:
    wide = Limits(thresholds=((Selector("*", "network", "latency"), 0.05),))
    options: dict[str, object] = {"limits": wide} if asked == "a threshold" else {"allowed": ("device",)}
    found = compared("pi-1", "pi-2", **options)
    assert found.left_out == ()
    assert NAME in recorded(found)


def test_devices_that_are_alike_within_the_tolerance_are_compared() -> None:
    assert boards.mixed([of("pi-1", "a"), of("pi-3", "b")], [NAME], Limits()) == {}


def test_devices_of_two_kinds_are_not_mixed() -> None:
    times = {"a": (0.01, 0.01, 0.01), "b": (0.01, 0.01, 0.01)}
    found = farms.farm(times, {"b": "pi5"})
    records = [farms.with_farm(factory.record([NAME]), found, name) for name in ("a", "b")]
    assert boards.mixed(records, [NAME], Limits()) == {
        NAME: f"{NAME} was measured on a and on b, which are of two kinds, pi4 and pi5"
    }


def test_devices_that_no_record_knows_together_are_not_mixed() -> None:
    records = [
        farms.with_farm(factory.record([NAME]), farms.farm({name: (0.01, 0.01, 0.01)}), name) for name in ("a", "b")
    ]
    [said] = boards.mixed(records, [NAME], Limits()).values()
    assert said.endswith("and no record has the reference network on both, which would show how far they lie apart")


def test_records_of_one_device_have_nothing_to_mix() -> None:
    assert boards.mixed([factory.record([NAME])] * 2, [NAME], Limits()) == {}


def test_a_key_that_is_none_is_refused_as_ever() -> None:
    with pytest.raises(UsageError, match="--allow-different 'devise' is not known"):
        compared("pi-1", "pi-2", allowed=("devise",))
