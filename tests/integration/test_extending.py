"""docs/extending.md as it is written: its files make a package, which is installed, and its commands run."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mbench.networks import block_words

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
_FILE = re.compile(r"^\*\*(\S+)\*\*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GROUPS = {"mbench.networks", "mbench.targets", "mbench.rules", "mbench.devices", "mbench.outputs"}
pytestmark = pytest.mark.slow


def files() -> dict[str, str]:
    return {name.replace("\\", ""): text for name, text in _FILE.findall(PAGE)}


def commands() -> list[list[str]]:
    return [shlex.split(line) for block in _COMMANDS.findall(PAGE) for line in block.splitlines()]


def install(source: Path, folder: Path) -> None:
    """Write the page's package, and install it into a folder, with what is there and no network."""
    for name, text in files().items():
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
    command = [sys.executable, "-m", "pip", "install", *offline, "--target", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the package is installed."""
    folder = tmp_path_factory.mktemp("site")
    install(tmp_path_factory.mktemp("source"), folder)
    return folder


@pytest.fixture(scope="module")
def ran(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which every command of the page ran."""
    work = tmp_path_factory.mktemp("work")
    for command in commands():
        done = mbench(command[1:], place, work)
        wanted = 3 if command[1] == "gate" else 0  # the two are of different targets: no verdict
        assert done.returncode == wanted, (command, done.stderr)
    return work


def mbench(arguments: list[str], place: Path, work: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place), str(ROOT)]), "MBENCH_CACHE_DIR": str(work)}
    return subprocess.run(
        [sys.executable, "-m", "mbench", *arguments],
        cwd=work, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def record(folder: Path) -> Any:
    [file] = folder.glob("*.json")
    return json.loads(file.read_text(encoding="utf-8"))


def test_the_page_shows_every_group() -> None:
    project = tomllib.loads(files()["pyproject.toml"])["project"]
    assert project["entry-points"].keys() == GROUPS
    assert all(command[0] == "mbench" for command in commands())
    assert len(commands()) >= len(GROUPS)


def test_the_networks_are_compiled(ran: Path) -> None:
    [plain], [family] = (record(ran / folder)["results"] for folder in ("compiled", "eye"))
    assert [layer["name"] for layer in plain["layers"]][-1] == "fc"
    assert len(plain["layers"]) == 1 + 2 * 4 + 2
    assert family["network"]["name"] == "acme_eye_0.5_64_standard"
    assert [layer["role"] for layer in family["layers"]].count("standard") == 2 + 1 + 2
    assert not any(layer["op"] == "depthwise_conv2d" for layer in family["layers"])


def test_the_family_is_listed_in_its_sizes(place: Path, tmp_path: Path) -> None:
    names = [entry["name"] for entry in json.loads(mbench(["variants", "--json"], place, tmp_path).stdout)]
    assert [name for name in names if name.startswith("acme")] == [
        "acme_eye_0.5_64", "acme_eye_0.5_96", "acme_eye_1.0_64", "acme_eye_1.0_96", "acme_net_1.0_224"
    ]  # fmt: skip
    layers = json.loads(mbench(["variants", "acme_eye", "--json"], place, tmp_path).stdout)
    assert layers["name"] == "acme_eye_1.0_96"
    assert [layer["name"] for layer in layers["layers"]][-3:] == ["pool", "conv5", "fc"]


def test_the_page_shows_every_kind_of_word() -> None:
    shown = {word.split("_")[0] for word in re.findall(r"^\| `(\w+[\w.]*)` \|", PAGE, re.MULTILINE)}
    assert shown == {kind for kind in block_words.KINDS if kind != "mha"}  # which no network of mbench has


def test_the_target_is_compiled_for(ran: Path) -> None:
    assert record(ran / "box")["target"]["name"] == "acme_box"


def test_the_rule_makes_its_kernel(ran: Path) -> None:
    [result] = record(ran / "ruled")["results"]
    assert "acme.pool by channel" in result["artifact"]["schedules"].values()


def test_the_device_measures_a_right_result(ran: Path) -> None:
    found = record(ran / "measured")
    [result] = found["results"]
    assert found["device"]["kind"] == "lab"
    assert "the device lab cannot measure its own" in found["device"]["missing"]["calibration"]
    assert "machine" not in found["device"]["missing"], "it is this one"
    assert result["numerics"]["passed"]
    assert len(result["end_to_end"]["latency_s"]) % 3 == 0, "three of each session"


def test_the_output_is_written(ran: Path) -> None:
    assert (ran / "message.txt").read_text(encoding="utf-8").startswith("mbench gate: in")
