"""Farm files: what they may say, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.core.errors import UsageError
from mbench.devices import farm_file
from mbench.devices.address import Address

GOOD = """\
format_version = 1
check_every_s = 60
[labgrid]
coordinator = "10.0.0.5:20408"
[devices.pi4-1]
rpc = "10.0.0.21:9090"
targets = ["raspberry_pi_4", "arm64"]
kind = "pi4"
place = "shelf-1"
[devices.rack]
tracker = "10.0.0.5:9190"
key = "a72"
count = 3
targets = ["arm64"]
power_cycle = ["ssh", "pdu", "cycle"]
"""


def read(tmp_path: Path, text: str) -> farm_file.FarmFile:
    path = tmp_path / "farm.toml"
    path.write_text(text)
    return farm_file.read(path)


def test_what_a_file_says_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.devices["pi4-1"].address == Address("10.0.0.21", 9090)
    assert found.devices["rack"].address == Address("10.0.0.5", 9190, "a72")
    assert (found.devices["rack"].count, found.check_every_s, found.tries) == (3, 60.0, 3)


def test_only_devices_that_fit_are_taken(tmp_path: Path) -> None:
    found, path = read(tmp_path, GOOD), tmp_path / "farm.toml"
    assert list(farm_file.fitting(found, "raspberry_pi_4", path)) == ["pi4-1"]
    assert list(farm_file.fitting(found, "arm64_cortex_a72", path)) == ["pi4-1", "rack"]  # `arm64` is its alias
    with pytest.raises(UsageError, match="no device runs code for target 'x86_64_v3'; its devices are for arm64"):
        farm_file.fitting(found, "x86_64_v3", path)


REFUSED = {
    "no version": ("", "format_version"),
    "no devices": ("format_version = 1\ndevices = {}", "devices: "),
    "no address": (GOOD.replace('rpc = "10.0.0.21:9090"\n', ""), "devices.pi4-1: a device has either rpc"),
    "two addresses": (GOOD.replace('key = "a72"', 'key = "a72"\nrpc = "h:1"'), "devices.rack: a device has either rpc"),
    "an address that is none": (GOOD.replace("10.0.0.21:9090", "pi4"), "devices.pi4-1: device 'rpc://pi4'"),
    "no key": (GOOD.replace('key = "a72"\n', ""), "devices.rack: tracker and key go together"),
    "an unknown target": (GOOD.replace('"arm64"]\npow', '"arm65"]\npow'), "target 'arm65' is not known; did you mean"),
    "two of one name": (
        f'{GOOD}[devices.rack]\nrpc = "h:1"\ntargets = ["arm64"]',
        "not valid TOML: Cannot declare [devices.rack]",
    ),
    "two of one address": (
        f'{GOOD}[devices.other]\nrpc = "10.0.0.21:9090"\ntargets = ["arm64"]',
        "devices.other: has the address of 'pi4-1', rpc://10.0.0.21:9090",
    ),
    "two in one place": (
        f'{GOOD}[devices.other]\nrpc = "h:1"\ntargets = ["arm64"]\nplace = "shelf-1"',
        "devices.other.place: is the place of 'pi4-1', too",
    ),
    "a place without labgrid": (
        GOOD.replace('[labgrid]\ncoordinator = "10.0.0.5:20408"\n', ""),
        "devices.pi4-1.place: got 'shelf-1' without a table [labgrid]",
    ),
    "several in one place": (
        GOOD.replace("count = 3", 'count = 3\nplace = "p"'),
        "devices.rack.place: is one device's",
    ),
    "several without a tracker": (GOOD.replace('kind = "pi4"', "count = 2"), "devices.pi4-1.count: goes with tracker"),
    "a key that is none": (GOOD.replace("kind = ", "king = "), "devices.pi4-1.king: unknown key; did you mean 'kind'?"),
    "no patience": (GOOD.replace("check_every_s = 60", "patience_s = 0"), "patience_s: got 0"),
    "a name that cannot be": (
        GOOD.replace("[devices.rack]", '[devices."a b"]'),
        "device name 'a b': expected up to 63",
    ),
    "no targets": (GOOD.replace('targets = ["arm64"]', "targets = []"), "devices.rack.targets: "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_wrong_is_said_in_one_line_that_names_the_file(kind: str, tmp_path: Path) -> None:
    text, said = REFUSED[kind]
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'farm.toml'}: ")
    assert said in message
    assert message.endswith("; see docs/farm.md")
    assert "\n" not in message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file or directory"):
        farm_file.read(tmp_path / "farm.toml")
