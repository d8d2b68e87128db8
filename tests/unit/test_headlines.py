"""Sentences of the page; those of whole records are read on the page in test_report.py."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest
import record_factory as factory

from mbench.core.records import Record
from mbench.page import headlines, views
from mbench.page.view_types import PairView, ResultView


def first(record: Record) -> ResultView:
    return views.of_record(record).results[0]


def pair(record: Record) -> PairView:
    [found] = views.of_record(record).pairs
    return found


@pytest.mark.parametrize(("share", "warns"), [(0.0, False), (0.09, False), (0.11, True), (-0.11, True)])
def test_a_time_balance_that_does_not_add_up_is_said(share: float, warns: bool) -> None:
    view = first(factory.record())
    balance = view.result.time_balance
    assert balance is not None
    result = msgspec.structs.replace(
        view.result,
        time_balance=msgspec.structs.replace(balance, unattributed_s=share * balance.end_to_end_s),
    )
    said = headlines.of_time_balance(dataclasses.replace(view, result=result))
    assert (said is not None) is warns


def test_where_time_goes_names_the_largest_kind_and_layer() -> None:
    said = headlines.of_spending(first(factory.record(factory.PAIR[:1])))
    assert said is not None
    assert said.startswith("80\u00a0% of the layers\u2019 time is in 13 pointwise (1x1) layers; ")
    assert headlines.of_spending(first(factory.record(factory.PAIR[:1], latency=False))) is None


def test_the_waterfall_names_the_largest_loss_and_gain() -> None:
    said = headlines.of_waterfall(pair(factory.record()))
    assert said is not None
    assert "The largest loss: pointwise layers: below the roofline (-" in said
    assert "The largest gain: standard convolutions: below the roofline (+" in said
    assert headlines.of_waterfall(pair(factory.record(latency=False))) is None


def test_causes_that_cost_nothing_are_said() -> None:
    record = factory.record()
    assert "parallel loops of MobileNetV1 1.0 224" in headlines.of_unseen_causes(pair(record), record)
    uncalibrated = msgspec.structs.replace(record, device=msgspec.structs.replace(record.device, calibration=None))
    assert "one thread ran" in headlines.of_unseen_causes(pair(uncalibrated), uncalibrated)


def in_sessions(record: Record, **options: object) -> Record:
    return factory.in_sessions(record, **options)  # type: ignore[arg-type]


def plain(text: str | None) -> str:
    return (text or "").replace("\u00a0", " ")


def test_how_sure_a_latency_is_said_in_a_few_words() -> None:
    view = first(in_sessions(factory.record(), disturbed=(1,)))
    assert plain(headlines.of_interval(view)) == "median over 4 sessions (1 left out); 88 % interval 12.1 ms to 12.6 ms"
    assert plain(headlines.of_spread(view)) == "spread 1.7 % within a session, 1.7 % between sessions"
    assert plain(headlines.of_percentiles(view)) == "of all samples: p50 12.4 ms, p90 12.7 ms, p99 12.9 ms"


def test_one_process_has_no_interval() -> None:
    assert headlines.of_interval(first(in_sessions(factory.record(), count=1))) == "median over 1 session"
    before = first(factory.record())
    assert headlines.of_interval(before) == "median of one process"
    assert plain(headlines.of_spread(before)) == "spread 1.7 % within the run"
    untimed = first(factory.record(latency=False))
    assert [say(untimed) for say in (headlines.of_interval, headlines.of_spread, headlines.of_percentiles)] == [
        None
    ] * 3


@pytest.mark.parametrize(
    ("record", "ends"),
    [
        (in_sessions(factory.record(), count=1), "smallest change. Without --quick, a run has five sessions."),
        (in_sessions(factory.record(), count=2, disturbed=(0,)), "The other sessions were disturbed and are left out."),
        (factory.record(), "and its smallest change is of two A/A copies in that process."),
        (factory.record(repeat=20), "no interval of the latency and no smallest change."),
    ],
)
def test_one_process_says_what_it_cannot_say(record: Record, ends: str) -> None:
    [said] = headlines.of_unknown_spread(views.of_record(record).results)
    assert said.startswith("One process measured it, so how far processes lie apart is not known")
    assert said.endswith(ends)


def test_who_has_one_process_is_named_where_others_have_more() -> None:
    record = in_sessions(factory.record(), disturbed=range(1, 5), only=factory.PAIR[1:])
    [said] = headlines.of_unknown_spread(views.of_record(record).results)
    assert said.startswith("MobileNetV1 1.0 224, standard convolutions: One process")
    assert list(headlines.of_unknown_spread(views.of_record(in_sessions(factory.record())).results)) == []
    assert list(headlines.of_unknown_spread(views.of_record(factory.record(latency=False)).results)) == []


def test_a_disturbed_latency_is_called_so_and_compared_with_nothing() -> None:
    [said] = views.of_record(in_sessions(factory.record(), disturbed=range(5))).headlines
    assert plain(said).endswith(
        "2 threads: ~25 ms, disturbed; its speed-up over standard convolutions is disturbed; "
        "the multiply-adds predict 8.6 times."
    )
    [half] = views.of_record(in_sessions(factory.record(), disturbed=range(5), only=factory.PAIR[1:])).headlines
    assert "12.4 ms; its speed-up over standard convolutions is disturbed" in plain(half)


def test_the_range_of_many_networks_leaves_out_what_is_disturbed() -> None:
    grid = tuple(f"mobilenet_v1_{width}_128" for width in ("0.25", "0.5", "0.75", "1.0"))
    short = factory.record(grid, repeat=10, layer_repeat=3)
    [said] = views.of_record(in_sessions(short, disturbed=range(5), only=grid[:1])).headlines
    assert "(MobileNetV1 0.5 128) to " in said
    assert said.endswith("(MobileNetV1 1.0 128); 1 disturbed.")
    [none] = views.of_record(in_sessions(short, disturbed=range(5))).headlines
    assert none.endswith(", 4 of them disturbed.")


def test_a_disturbed_time_balance_is_no_reason_for_a_caution() -> None:
    record = in_sessions(factory.record(), disturbed=range(5))
    balance = record.results[0].time_balance
    assert balance is not None
    apart = msgspec.structs.replace(balance, unattributed_s=0.5 * balance.end_to_end_s)
    result = msgspec.structs.replace(record.results[0], time_balance=apart)
    record = msgspec.structs.replace(record, results=(result, *record.results[1:]))
    assert headlines.of_time_balance(first(record)) is None
