from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
import verdict_factory
from verdict_factory import bare, comparison, counted, finding, slower

from mbench.core.errors import MeasureError
from mbench.core.records import Record, Result
from mbench.gating import verdict
from mbench.gating.acceptance import Acceptance
from mbench.gating.comparison import Comparison, Difference, Finding, Verdict
from mbench.gating.limits import Limits
from mbench.gating.paired import Contest
from mbench.gating.sides import Given
from mbench.gating.verdict import Asked, Fight

NAME, OTHER = "mobilenet_v1_0.25_32", "mobilenet_v1_0.25_64"


def given(*items: Record, path: str = "record.json") -> Given:
    return Given(Path(path), items)


def judge(*findings: Finding, failures: Sequence[str] = (), **changes: Any) -> Verdict:
    return verdict.judge(comparison(*findings, **changes), failures, ())


def compare(base: Record, head: Record, **options: Any) -> Comparison:
    return verdict.compare(given(base), given(head), Asked(**options))[0]


def with_result(item: Record, **fields: Any) -> Record:
    [result] = item.results
    return msgspec.structs.replace(item, results=(msgspec.structs.replace(result, **fields),))


COUNTED = factory.counted(factory.record([NAME]))
TIMED = factory.record([NAME])


# --------------------------------------------------------------------------------------------------------- conclusion
def test_what_was_judged_and_stayed_the_same_passes() -> None:
    found = judge(finding(), counted())
    assert (found.conclusion, found.headline) == ("passed", "no regression in 2 comparisons")


UNSURE = finding(outcome="undecided", reason="noise")
STATIC = finding(metric="memory", way="static")
LACKING = bare(variant=OTHER, metric="result", outcome="unmeasured", reason="in the head: failed while compiling: boom")
ONE_CHANGE: dict[str, tuple[tuple[Finding, ...], dict[str, Any], str]] = {
    "a regression": ((finding(), slower()), {}, "regressed"),
    "a regression beside a failure": ((finding(), slower()), {"failures": ["it died"]}, "regressed"),
    "a regression beside what was left out": ((slower(),), {"left_out": ("not compared",)}, "regressed"),
    "something undecided": ((finding(), UNSURE), {}, "inconclusive"),
    "a failure": ((finding(),), {"failures": ["it died"]}, "unmeasured"),
    "a failure alone": ((), {"failures": ["it died"]}, "unmeasured"),
    "a failure beside something undecided": ((finding(), UNSURE), {"failures": ["it died"]}, "unmeasured"),
    "a failure beside what was left out": ((finding(),), {"failures": ["it died"], "left_out": ("x",)}, "unmeasured"),
    "a network that was not measured": ((finding(), LACKING), {}, "unmeasured"),
    "a regression beside a network that was not measured": ((slower(), LACKING), {}, "regressed"),
    "a way left out": ((finding(),), {"left_out": ("not compared by recorded: host differ",)}, "incomparable"),
    "nothing": ((), {}, "incomparable"),
    "only information": ((bare("x", outcome="information", reason="new"),), {}, "incomparable"),
    "only what the compiler says": ((STATIC,), {}, "inconclusive"),
    "information about what ran": (
        (STATIC, finding("x", outcome="information", reason="small")), {}, "inconclusive",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ONE_CHANGE)
def test_what_could_not_be_judged_never_passes(kind: str) -> None:
    findings, options, conclusion = ONE_CHANGE[kind]
    found = judge(*findings, **options)
    assert found.conclusion == conclusion
    assert found.headline


def test_the_headline_names_the_worst_first_and_counts_the_rest() -> None:
    found = judge(
        bare("a", outcome="regressed", reason="gone"), counted("b", ratio=2.0, outcome="regressed", reason="more"),
        slower("c", ratio=1.1), slower("d", ratio=1.3), slower(None, ratio=1.05),
    )  # fmt: skip
    assert found.headline.startswith(f"5 regressed: latency of {verdict_factory.SMALL} +5")
    assert found.headline.index(" d ") < found.headline.index(" c ")
    assert found.headline.endswith("and 2 more")


def test_the_headline_names_what_was_not_measured_and_counts_it_beside_what_regressed() -> None:
    said = f"{OTHER}: in the head: failed while compiling: boom"
    found = judge(finding(), LACKING, failures=["it died"])
    assert found.failures == (said, "it died")
    assert found.headline == f"2 not measured: {said}; it died"
    many = judge(failures=[f"{number} died" for number in range(5)])
    assert many.headline == "5 not measured: 0 died; 1 died; 2 died and 2 more"
    assert judge(slower(), LACKING).headline.endswith("; 1 not measured")


def test_a_result_in_the_head_alone_is_in_the_headline_of_what_passed() -> None:
    mended = bare(variant=OTHER, metric="result", outcome="information", reason="it has a result in the head")
    found = judge(finding(), mended)
    assert (found.conclusion, found.failures) == ("passed", ())
    assert found.headline == f"no regression in 1 comparison; a result in the head alone: {OTHER}"


def test_improvements_and_acceptances_are_in_the_headline_of_what_passed() -> None:
    agreed = Acceptance(variant="*", layer="b", reason="agreed", expires=datetime.date(2999, 1, 1))
    found = verdict.judge(
        comparison(
            finding(),
            finding("a", ratio=0.5, outcome="improved", reason="quicker"),
            counted("b", ratio=2.0, outcome="regressed", reason="more"),
        ),
        (),
        (agreed,),
    )
    assert found.conclusion == "passed"
    assert found.headline == "no regression in 1 comparison; 1 improved: latency of a -50.0 %; 1 accepted"
    assert found.accepted == (agreed.words,)
    assert verdict.judge(found.comparison, (), ()).comparison.of("regressed") == ()


# --------------------------------------------------------------------------------------------------------------- ways
def test_the_ways_are_chosen_by_what_is_given() -> None:
    both = factory.counted(TIMED)
    planned = factory.record([NAME], latency=False)
    for base, head, options, expected in (
        (both, both, {}, ("static", "counts")),
        (both, both, {"record": True}, ("static", "counts", "recorded")),
        (both, both, {"pair": True}, ("static", "counts", "paired")),
        (both, TIMED, {}, ("static", "recorded")),
        (TIMED, TIMED, {"pair": True, "record": True}, ("static", "paired")),
        (planned, TIMED, {}, ("static",)),
        (TIMED, factory.record([OTHER]), {}, ("static",)),
    ):
        assert verdict.ways(given(base), given(head), **{"pair": False, "record": False, **options}) == expected


def test_every_way_says_what_it_is() -> None:
    found = compare(COUNTED, COUNTED)
    assert set(found.ways) == {"static", "counts"}
    assert all(found.ways.values())
    assert found.left_out == ()


def test_counts_are_compared_where_the_compiled_code_is_for_another_processor() -> None:
    target = msgspec.structs.replace(COUNTED.target, tvm={"kind": "llvm", "mcpu": "alderlake"})
    head = msgspec.structs.replace(COUNTED, target=target)
    found = compare(COUNTED, head)
    assert set(found.ways) == {"counts"}
    assert {each.way for each in found.findings} == {"counts"}
    assert any(each.metric == "instructions" and each.layer for each in found.findings)
    gone = with_result(head, layers=COUNTED.results[0].layers[:-1])
    assert [each.metric for each in compare(COUNTED, gone).of("regressed")] == ["presence"]


def test_nothing_is_compared_where_everything_is_forbidden() -> None:
    head = msgspec.structs.replace(COUNTED, settings=msgspec.structs.replace(COUNTED.settings, dtype="float16"))
    found = compare(COUNTED, head)
    assert found.ways == {}
    assert found.findings == ()
    assert verdict.judge(found, (), ()).conclusion == "incomparable"
    assert compare(COUNTED, head, allowed=("dtype",)).findings


def test_a_way_that_was_wanted_and_is_forbidden_is_left_out_by_name() -> None:
    head = msgspec.structs.replace(TIMED, host=msgspec.structs.replace(TIMED.host, name="other", cpu="Other"))
    found = compare(TIMED, head)
    assert found.left_out == ("not compared by recorded: host, cpu differ",)
    assert verdict.judge(found, (), ()).headline == found.left_out[0]
    assert compare(TIMED, head, allowed=("host", "cpu")).left_out == ()


RECORDED: dict[str, Any] = {"ways": ("recorded", "static")}
HOST = Difference(key="host", base="a", head="b", forbids=("recorded",))
BATCH = Difference(key="batch", base="1", head="8", forbids=("paired", "recorded"))
UNTIMED = bare(metric="result", outcome="undecided", reason="nothing that it executed could be compared")
OPEN: dict[str, tuple[tuple[Finding, ...], dict[str, Any], bool]] = {
    "an undecided latency": ((UNSURE,), RECORDED, True),
    "an undecided latency that was paired": ((UNSURE,), {}, False),
    "an undecided latency beside a regression": ((UNSURE, slower()), RECORDED, False),
    "an undecided latency beside a failure": ((UNSURE, LACKING), RECORDED, False),
    "an undecided latency of other jobs": ((UNSURE,), {**RECORDED, "differences": (BATCH,)}, False),
    "nothing undecided": ((finding(),), RECORDED, False),
    "a copy of the base": (
        (bare(metric="result", way="recorded", outcome="undecided", reason="a copy"),), RECORDED, False,
    ),
    "a new network": ((finding(), bare(outcome="undecided", reason="new")), RECORDED, False),
    "only compiled": ((STATIC, UNTIMED), {"ways": ("static",)}, True),
    "recorded elsewhere": (
        (STATIC,),
        {"ways": ("static",), "left_out": ("not compared by recorded: host differ",), "differences": (HOST,)}, True,
    ),
    "counted for another target": (
        (STATIC,), {"ways": ("static",), "left_out": ("not compared by counts: counted differ",)}, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", OPEN)
def test_what_measuring_now_could_decide_is_open(kind: str) -> None:
    findings, options, expected = OPEN[kind]
    assert verdict.is_open(judge(*findings, **options)) == expected


# ------------------------------------------------------------------------------------------------------------ findings
def test_what_changed_carries_its_causes_and_what_did_not_carries_none() -> None:
    result: Result = COUNTED.results[0]
    layer = result.layers[5]
    assert layer.counters
    counters = msgspec.structs.replace(layer.counters, instructions=2 * layer.counters.instructions)
    changed = msgspec.structs.replace(layer, counters=counters)
    head = with_result(COUNTED, layers=(*result.layers[:5], changed, *result.layers[6:]))
    found = compare(COUNTED, head)
    [regressed] = found.of("regressed")
    assert regressed.layer == layer.name
    assert any(cause.startswith("instructions") for cause in regressed.causes)
    assert not any(each.causes for each in found.of("same"))


def without_counts(item: Record, name: str) -> Record:
    """Return the record with one network left uncounted."""
    results = []
    for result in item.results:
        if result.variant.name == name:
            layers = tuple(msgspec.structs.replace(layer, counters=None) for layer in result.layers)
            result = msgspec.structs.replace(result, counts=None, layers=layers)
        results.append(result)
    return msgspec.structs.replace(item, results=tuple(results))


@pytest.mark.parametrize("sides", ["base", "head", "both"])
def test_a_network_that_was_not_counted_does_not_pass_beside_one_that_was(sides: str) -> None:
    whole = factory.counted(factory.record([NAME, OTHER], latency=False))
    part = without_counts(whole, OTHER)
    base, head = (part if sides in (side, "both") else whole for side in ("base", "head"))
    assert verdict.judge(compare(whole, whole), (), ()).conclusion == "passed"
    found = verdict.judge(compare(base, head), (), ())
    assert found.conclusion == "inconclusive"
    [undecided] = found.comparison.of("undecided")
    assert (undecided.variant, undecided.metric) == (OTHER, "result")


def test_both_sides_are_described() -> None:
    found, _ = verdict.compare(given(TIMED, path="a.json"), given(TIMED, TIMED, path="b.json"), Asked())
    assert (found.base.path, found.base.runs) == ("a.json", 1)
    assert (found.head.path, found.head.runs) == ("b.json", 2)


def test_several_networks_are_each_judged_and_named() -> None:
    base = factory.counted(factory.record([NAME, OTHER]))
    found = compare(base, base)
    assert {each.variant for each in found.findings} == {NAME, OTHER}


def test_what_could_not_be_measured_is_a_failure_and_what_is_exact_stands() -> None:
    class Dying:
        def duel(self, *_: Any) -> Any:
            raise MeasureError("the worker process was ended by SIGKILL")

    artifact: Any = None
    contest = Contest(NAME, artifact, artifact, artifact, (), threads=1, tolerance=1e-4)
    fight = Fight((contest,), Dying(), lambda *_: None, 8)
    found, failures = verdict.compare(given(COUNTED), given(COUNTED), Asked(limits=Limits()), fight)
    assert failures == (f"{NAME}: the worker process was ended by SIGKILL",)
    assert any(each.way == "counts" for each in found.findings)
    assert verdict.judge(found, failures, ()).conclusion == "unmeasured"
