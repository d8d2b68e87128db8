"""What there is, by the API: the same as by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from api_fakes import NETWORK
from conftest import Mbench

import mbench

pytest_plugins = ("api_fixtures",)
pytestmark = pytest.mark.usefixtures("machine")


def test_what_there_is_is_the_same_from_python_and_from_the_command_line(run: Mbench, tmp_path: Path) -> None:
    listed = json.loads(run("variants", "--json").out)
    assert [each["name"] for each in listed] == list(mbench.variants())
    assert mbench.variants("mobilenet_v1_{0.25,0.5}_32") == ("mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32")
    layers = json.loads(run("variants", NETWORK, "--json").out)["layers"]
    assert [(each["name"], each["macs"]) for each in layers] == [
        (layer.spec.name, layer.costs.macs) for layer in mbench.layers(NETWORK)
    ]
    listed = json.loads(run("variants", "mobilenet_v2_{0.35,0.5}_96", "--published", "--json").out)
    compared = mbench.published_counts("mobilenet_v2_{0.35,0.5}_96")
    assert [(each["name"], each["macs"]["counted"]) for each in listed] == [
        (each.row.name, each.macs.counted) for each in compared if each.macs
    ]
    listed = json.loads(run("targets", "--json").out)
    assert [each["name"] for each in listed] == ["host", *mbench.targets()]
    assert json.loads(run("targets", "arm64", "--json").out)["name"] == mbench.target("arm64").name
    assert json.loads(run("schema").out) == json.loads(json.dumps(mbench.schema()))
    mbench.add_device("pi4", mbench.NamedDevice(rpc="a:1"))
    assert [each["name"] for each in json.loads(run("device", "list", "--json").out)] == list(mbench.named_devices())
    mbench.remove_device("pi4")
    assert mbench.named_devices() == {}


def test_what_this_machine_can_do_is_listed(run: Mbench) -> None:
    outcome = run("doctor", "--json")
    assert outcome.code == 0, outcome.err
    listed = json.loads(outcome.out)
    machine = [each["name"] for each in listed if each["name"] not in ("mbench.toml", "default")]
    assert machine == [check.name for check in mbench.doctor()]
