"""What is said of a farm, in sentences."""

from __future__ import annotations

import farm_factory as farms
import record_factory as factory

from mbench.analysis import farm_words


def test_who_measured_what() -> None:
    assert farm_words.shares(farms.record(["pi-3", "pi-1"])) == (
        "Measured on 2 devices: pi-1 mobilenet_v1_1.0_224_standard; pi-3 mobilenet_v1_1.0_224"
    )
    assert farm_words.shares(farms.record("pi-1")) == (
        "Measured on 1 device: pi-1 mobilenet_v1_1.0_224, mobilenet_v1_1.0_224_standard"
    )
    assert farm_words.shares(factory.record()) is None


def test_how_far_devices_lie_apart() -> None:
    [said] = farm_words.spreads(farms.PI4S)
    assert said == (
        "pi4: 3 devices lie ±2.1 % apart beyond their sessions; the slowest, pi-2, takes 4.0 % more than the quickest, "
        "pi-1; sessions of one device ±0.9 %"
    )


def test_one_device_says_nothing_of_its_kind() -> None:
    [said] = farm_words.spreads(farms.farm({"a": (0.01, 0.011, 0.01)}))
    assert said.startswith("pi4: one device, a, so that nothing is known of how far such devices lie apart; ")


def test_who_was_set_aside_and_why() -> None:
    found = farms.aside(farms.aside(farms.PI4S, "pi-1", "it hangs", returned=True), "pi-3", "x" * 500)
    first, second = farm_words.troubles(found)
    assert first == "pi-1 was set aside: it hangs; it was taken back later"
    assert len(second) < 200


def test_the_reference_of_a_device() -> None:
    assert farm_words.reference_s(farms.PI4S, "pi-1") == 0.01
    assert farm_words.reference_s(farms.farm({"a": ()}), "a") is None
