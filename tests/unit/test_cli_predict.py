"""`mbench predict` as a user runs it."""

from __future__ import annotations

import json
from typing import Any

import fit_factory
import pytest
from conftest import Mbench, assert_one_line

from mbench.api import fit as api
from mbench.cli import predict as command
from mbench.core import units
from mbench.core.fit_options import FitOptions


def test_it_prints_what_networks_would_cost(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = fit_factory.record(), []

    def predict(networks: tuple[str, ...], *, target: str, options: FitOptions, **_: Any) -> Any:
        asked.append((networks, target, options.threads))
        return found.candidates[:3], found.quality

    monkeypatch.setattr(api, "predict", predict)
    outcome = run(command.predict, "mobilenet_v2", "--threads", "1")
    assert outcome.code == 0
    assert all(each.latency_s and units.seconds(each.latency_s.value) in outcome.out for each in found.candidates[:3])
    assert asked == [(("mobilenet_v2",), "host", 1)]
    assert len(json.loads(run(command.predict, "mobilenet_v2", "--json").out)["networks"]) == 3


def test_where_nothing_was_measured_it_says_what_to_do(run: Mbench) -> None:
    assert_one_line(run(command.predict, "mobilenet_v2", "--threads", "1"), "nothing has been measured", "mbench fit")
    assert_one_line(run(command.predict), "NETWORK")
