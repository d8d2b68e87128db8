"""`mbench list`: what there is."""

from __future__ import annotations

import json

import pytest
from conftest import Mbench, assert_one_line

from mbench.cli import listed
from mbench.core import dtypes
from mbench.hardware import targets
from mbench.networks.families import FAMILIES


def test_it_says_what_there_is_and_what_says_more(run: Mbench) -> None:
    outcome = run("list")
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert len(outcome.out.splitlines()) <= 24
    for kind in listed.KINDS.values():
        assert f"{kind.title}: {kind.use}; more: {kind.more}\n" in outcome.out


@pytest.mark.parametrize(
    ("kind", "names"),
    [("networks", FAMILIES), ("types", dtypes.NAMES), ("targets", ("host", "cuda", *targets.available()))],
)
def test_names_a_line_for_scripts(run: Mbench, kind: str, names: tuple[str, ...]) -> None:
    assert run("list", kind).out.split("\n")[:-1] == list(names)
    assert json.loads(run("list", kind, "--json").out) == {kind: list(names)}


def test_devices_with_names_are_listed(run: Mbench) -> None:
    run("device", "add", "pi4", "--rpc", "127.0.0.1:9090")
    assert run("list", "devices").out.split() == ["local", "emulated", "pi4"]
    assert_one_line(run("list", "networkz"), "networkz")
