"""What a check says of planted changes: each verdict, and what makes it another."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from series_factory import FIRST, INSTRUCTIONS, LIBRARY, MACS, MODELLED, NETWORK, record, series, timed

from mbench.core.errors import UsageError
from mbench.gating import acceptance, limits
from mbench.gating.acceptance import Acceptance
from mbench.history import check
from mbench.history.check import HistoryVerdict, Standing, Window
from mbench.history.series import Quantity

NEW, OLD = 95, 40
AGREED = Acceptance(variant="mobilenet_v1_*", metric="latency", reason="agreed", expires=datetime.date(2030, 1, 1))


def standings(verdict: HistoryVerdict) -> list[Standing]:
    return [each.standing for each in verdict.findings]


def of(at: int = NEW, share: float = 0.05, count: int = 100, **more: object) -> HistoryVerdict:
    return check.judge([series(timed(count, (at, share)))], **more)  # type: ignore[arg-type]


def test_a_new_regression_fails_and_says_what_and_where() -> None:
    verdict = of()
    assert (verdict.conclusion, standings(verdict)) == ("regressed", ["regressed"])
    assert verdict.headline.startswith("1 regressed in the last 10 runs: latency of mobilenet_v1_0.25_128 +")
    [finding] = verdict.findings
    assert (finding.change.record, finding.runs_since) == (record(NEW), 5)
    assert (verdict.series, verdict.runs, verdict.ended, verdict.short) == (1, 100, 0, 0)


def test_nothing_new_passes() -> None:
    verdict = check.judge([series(timed(100)), series([5.0] * 100, INSTRUCTIONS)])
    assert (verdict.conclusion, verdict.findings) == ("passed", ())
    assert verdict.headline == "nothing worse in the last 10 runs of 2 series"


def test_an_old_regression_does_not_fail_for_ever_but_within_a_longer_window() -> None:
    assert of(OLD).conclusion == "passed"
    assert of(OLD, window=Window(runs=70)).conclusion == "regressed"
    assert of(OLD, window=Window(since=FIRST + datetime.timedelta(days=OLD))).conclusion == "regressed"
    assert of(OLD, window=Window(since=FIRST + datetime.timedelta(days=OLD + 1))).conclusion == "passed"


def test_an_improvement_passes_and_is_shown() -> None:
    verdict = of(share=-0.05)
    assert (verdict.conclusion, standings(verdict)) == ("passed", ["improved"])
    assert verdict.headline.endswith("; 1 improved")


def test_a_change_that_more_runs_must_confirm_is_no_verdict() -> None:
    verdict = of(at=98)
    assert (verdict.conclusion, standings(verdict)) == ("inconclusive", ["perhaps"])
    assert verdict.headline.endswith("2 more runs will show")
    assert of(at=98, share=-0.05).conclusion == "passed", "perhaps better is no reason to stop"


def test_what_somebody_agreed_to_passes_with_the_reason() -> None:
    verdict = of(accepted=[AGREED])
    assert (verdict.conclusion, standings(verdict)) == ("passed", ["accepted"])
    assert verdict.findings[0].change.accepted == "agreed"
    assert verdict.accepted == (AGREED.words,)
    unsure = of(at=98, accepted=[AGREED])
    assert (unsure.conclusion, standings(unsure)) == ("passed", ["accepted"])


@pytest.mark.parametrize(
    "other", [{"metric": "instructions"}, {"variant": "mobilenet_v2_*"}, {"up_to": "3%"}, {"layer": "*"}], ids=str
)
def test_what_the_agreement_is_not_about_still_fails(other: dict[str, str]) -> None:
    entry = msgspec.structs.replace(AGREED, **other)
    assert of(accepted=[entry]).conclusion == "regressed"
    assert of(accepted=[entry]).accepted == ()


def test_names_of_a_history_are_metrics_of_acceptances() -> None:
    names = {check.metric(name) for name in check.METRICS}
    allowed = {"latency", "sustained_latency", "memory", *acceptance.HistoryMetric.__args__}  # type: ignore[attr-defined]
    assert names <= allowed
    assert check.metric("instructions") == "instructions"


def test_thresholds_are_the_gates() -> None:
    wide = limits.read(None, ["latency=10%"])
    assert standings(of(limits=wide)) == ["changed"]
    assert of(limits=wide).conclusion == "passed"
    assert of(limits=limits.read(None, [f"{NETWORK}:latency=3%"])).conclusion == "regressed"
    assert of(limits=limits.read(None, ["mobilenet_v2_*:latency=10%"])).conclusion == "regressed"
    with pytest.raises(UsageError, match="latenci"):
        limits.read(None, ["latenci=3%"])


@pytest.mark.parametrize(
    ("quantity", "after", "conclusion"),
    [(INSTRUCTIONS, 300.3e6, "passed"), (INSTRUCTIONS, 301e6, "regressed"), (MACS, 400e6, "passed")],
)
def test_an_exact_change_is_judged_at_once(quantity: Quantity, after: float, conclusion: str) -> None:
    verdict = check.judge([series([300e6] * 5 + [after], quantity)])
    assert verdict.conclusion == conclusion
    assert len(verdict.findings) == 1


def test_small_steps_that_add_up_fail_once_they_are_more_than_is_tolerated() -> None:
    sizes = [1.0015**step for step in range(4)]
    values = [90e3 * size for size in sizes for _ in range(12)]
    early = check.judge([series(values[:14], LIBRARY)])
    assert (early.conclusion, standings(early)) == ("passed", ["changed"])
    late = check.judge([series(values[:26], LIBRARY)])
    assert (late.conclusion, standings(late)) == ("regressed", ["regressed"])
    assert late.findings[0].change.causes[0] == ("steps that are tolerated one by one add up to +0.3 % in 100 runs")
    assert check.judge([series(values[:35], LIBRARY)]).conclusion == "passed", "no new step"
    undone = [*values[:26], *[90e3] * 3]
    assert check.judge([series(undone, LIBRARY)]).conclusion == "passed"


def test_a_large_step_that_was_agreed_to_long_ago_is_not_added_up() -> None:
    values = [90e3] * 20 + [120e3] * 20 + [120.1e3] * 2
    verdict = check.judge([series(values, LIBRARY)])
    assert (verdict.conclusion, standings(verdict)) == ("passed", ["changed"])


def test_what_was_undone_since_passes() -> None:
    verdict = check.judge([series(timed(100, (85, 0.06), (94, 1 / 1.06 - 1)))], window=Window(runs=20))
    assert (verdict.conclusion, sorted(standings(verdict))) == ("passed", ["changed", "improved"])
    worse = next(each for each in verdict.findings if each.standing == "changed")
    assert worse.change.causes[0].startswith("undone 2026-06-0")
    half = check.judge([series(timed(100, (85, 0.06), (94, -0.03)))], window=Window(runs=20))
    assert half.conclusion == "regressed"


def test_a_drift_is_new_until_it_ends() -> None:
    rising = [value * (1 + 0.1 * max(0, index - 20) / 80) for index, value in enumerate(timed(100))]
    assert check.judge([series(rising)]).conclusion == "regressed"
    stayed = [value * (1 + 0.1 * min(60, max(0, index - 20)) / 80) for index, value in enumerate(timed(100))]
    assert check.judge([series(stayed)]).conclusion == "passed"


def test_a_slower_machine_is_no_regression_and_no_pass() -> None:
    def marks(_: int) -> dict[str, str]:
        return {"build": "one"}

    names = ("mobilenet_v1_0.25_128", "mobilenet_v1_0.5_128", "mobilenet_v2_0.35_96")
    found = [series(timed(100, (94, 0.05), seed=seed), network=name, marks=marks) for seed, name in enumerate(names)]
    verdict = check.judge(found)
    assert (verdict.conclusion, standings(verdict)) == ("inconclusive", ["machine"] * 3)
    assert verdict.headline.startswith("the machine became slower")
    one = check.judge([found[0], *(series(timed(100), network=name, marks=marks) for name in names[1:])])
    assert one.conclusion == "regressed", "one network alone is not the machine"


def test_what_ended_is_not_judged_and_is_counted() -> None:
    ended = series(timed(60, (55, 0.05)), network="mobilenet_v2_0.35_96")
    verdict = check.judge([ended, series(timed(100))])
    assert (verdict.conclusion, verdict.series, verdict.ended) == ("passed", 1, 1)
    assert check.judge([ended]).conclusion == "regressed", "it is the newest of all that are asked for"


def test_one_run_of_a_wrong_clock_does_not_end_all_other_series() -> None:
    late = series(timed(100), network="other")
    future = msgspec.structs.replace(late.points[-1], at=datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC))
    wrong = msgspec.structs.replace(late, points=(*late.points, future))
    verdict = check.judge([series(timed(100, (94, 0.05))), wrong])
    assert (verdict.conclusion, verdict.series, verdict.ended) == ("regressed", 2, 0)


def test_too_few_runs_everywhere_is_no_verdict() -> None:
    verdict = check.judge([series(timed(7))])
    assert (verdict.conclusion, verdict.series, verdict.short) == ("inconclusive", 0, 1)
    assert "8 runs" in verdict.headline
    assert check.judge([]).conclusion == "inconclusive"
    assert check.judge([series(timed(7)), series([5.0, 5.0], INSTRUCTIONS)]).conclusion == "passed"


def test_a_day_since_which_nothing_ran_is_no_verdict() -> None:
    found = [series(timed(100))]
    late = FIRST + datetime.timedelta(days=100)
    verdict = check.judge(found, window=Window(since=late))
    assert (verdict.conclusion, verdict.headline[:24]) == ("inconclusive", "no run is there since 20")
    assert check.judge(found, window=Window(since=late - datetime.timedelta(days=1))).conclusion == "passed"


def test_what_the_model_says_of_the_same_code_is_neither_worse_nor_better() -> None:
    for after in (2e-3, 5e-4):
        verdict = check.judge([series([1e-3] * 99 + [after], MODELLED), series([3e8] * 100, INSTRUCTIONS)])
        assert (verdict.conclusion, standings(verdict)) == ("passed", ["changed"])


def test_loading_is_judged_if_it_is_asked_for() -> None:
    load = Quantity(name="load_s", label="loading", unit="s", kind="measured")
    slower = series(timed(100, (NEW, 0.3)), load)
    assert check.judge([slower, series(timed(100))]).conclusion == "passed"
    assert check.judge([slower, series(timed(100))], quantities=["load_s"]).conclusion == "regressed"
    assert check.judge([slower, series(timed(100, (NEW, 0.1)))], quantities=["load_s"]).series == 1


def test_the_worst_comes_first() -> None:
    found = check.judge([
        series(timed(100, (NEW, -0.2)), network="better"), series(timed(100, (NEW, 0.05)), network="worse"),
        series([1.0] * 99 + [2.0], INSTRUCTIONS, network="counted"), series(timed(100, (NEW, 0.2)), network="worst"),
    ])  # fmt: skip
    assert [each.identity.network for each in found.findings] == ["worst", "worse", "counted", "better"]


def test_a_verdict_is_a_document() -> None:
    document = msgspec.json.decode(msgspec.json.encode(check.judge([series([0.0] * 5 + [64.0], LIBRARY)])))
    assert document["findings"][0]["change"]["ratio"] is None


def test_what_is_not_wanted_is_not_judged_and_still_explains() -> None:
    def marks(_: int) -> dict[str, str]:
        return {"build": "one"}

    names = ("mobilenet_v1_0.25_128", "mobilenet_v1_0.5_128", "mobilenet_v2_0.35_96")
    found = [series(timed(100, (94, 0.05), seed=seed), network=name, marks=marks) for seed, name in enumerate(names)]
    verdict = check.judge(found, wanted=lambda identity: identity.network == names[0])
    assert (verdict.series, standings(verdict)) == (1, ["machine"])
