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
