"""What is listed: the same for people, in 80 columns, and for programs."""

from __future__ import annotations

import msgspec
import pytest
from printed import printed

from mbench.devices.doctor import Check
from mbench.hardware import host
from mbench.hardware import targets as known
from mbench.networks import variants
from mbench.terminal import listings
from mbench.terminal.listings import Listing

MACHINE = host.describe()
TYPES = ("", "_float16", "_int8")


def words(listing: Listing) -> str:
    text = printed(*listing.parts)
    assert max(map(len, text.splitlines())) <= 80
    return " ".join(text.split())


def test_networks_have_what_the_paper_counts() -> None:
    listed = listings.variants([variants.parse(name) for name in ("mobilenet_v1_1.0_224", "mobilenet_v1_0.5_160")])
    full, half = listed.data
    assert (full["name"], half["name"]) == ("mobilenet_v1_1.0_224", "mobilenet_v1_0.5_160")
    assert round(full["macs"] / 1e6) == 569  # arXiv:1704.04861, table 8
    assert round(full["params"] / 1e6, 1) == 4.2
    assert "mobilenet_v1_1.0_224 569 M 4.21 M" in words(listed)


def test_layers_are_split_by_kind_as_in_the_paper() -> None:
    listed = listings.layers(variants.parse("mobilenet_v1_1.0_224"))
    whole = sum(layer["macs"] for layer in listed.data["layers"])
    shares = {op: round(100 * cost["macs"] / whole, 1) for op, cost in listed.data["by_op"].items()}
    assert abs(shares["pointwise_conv2d"] - 94.86) < 0.1  # arXiv:1704.04861, table 2
    assert abs(shares["depthwise_conv2d"] - 3.06) < 0.1
    assert "block13.pw" in words(listed)


def test_bytes_are_of_the_type_or_say_of_which() -> None:
    """What int8 has is known once a build has quantised the network; a float16 is two bytes."""
    floats, half, whole = (listings.layers(variants.parse(f"mobilenet_v2_0.35_64{type_}")) for type_ in TYPES)
    weights = [sum(layer["weight_bytes"] for layer in each.data["layers"]) for each in (floats, half, whole)]
    assert 0.5 * weights[0] <= weights[1] < 0.51 * weights[0]  # biases have the type of the sums
    assert weights[2] == weights[0]
    assert listings.QUANTISED_NOTE in words(whole)
    assert whole.data["note"] == listings.QUANTISED_NOTE
    assert "note" not in floats.data
    assert "int8" not in words(floats)
    [listed] = listings.variants([variants.parse("mobilenet_v2_0.35_64_float16")]).data
    assert listed["weight_bytes"] == weights[1]


def test_a_reason_that_several_targets_share_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = known.Support(compile=False, measure=False, emulate=False, reason="no compiler for it")
    monkeypatch.setattr(known, "support", lambda *_: missing)
    found = {name: known.load(name) for name in ("arm64_cortex_a53", "arm64_cortex_a72")}
    listed = listings.targets(found, MACHINE)
    assert "arm64_cortex_a53, arm64_cortex_a72: no compiler for it" in words(listed)
    assert [(entry["name"], entry["compile"]) for entry in listed.data] == [
        ("host", True), ("arm64_cortex_a53", False), ("arm64_cortex_a72", False),
    ]  # fmt: skip


def test_a_target_is_shown_with_every_figure_and_its_source() -> None:
    target = known.load("arm64_cortex_a72")
    listed = listings.target(target, MACHINE)
    assert listed.data == msgspec.to_builtins(target)
    said = words(listed)
    assert target.processor.frequency_hz is not None
    for figure in (target.processor.frequency_hz, target.processor.l2.bytes if target.processor.l2 else None):
        assert figure is not None
        origin = (figure.source or figure.estimate or "").split()
        assert "".join(origin[:2]) in said.replace(" ", "")  # a long word is split between two lines


def test_what_a_machine_lacks_has_what_to_do_behind_it() -> None:
    listed = listings.doctor(
        [Check("QEMU", "missing", "it is not on PATH", "apt install it"), Check("disk", "ok", "9")]
    )
    assert words(listed) == "missing QEMU it is not on PATH; apt install it ok disk 9"
    assert [check["status"] for check in listed.data] == ["missing", "ok"]
