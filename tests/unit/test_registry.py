from __future__ import annotations

import multiprocessing
import stat
import tomllib
from multiprocessing.synchronize import Barrier
from pathlib import Path

import platformdirs
import pytest

from mbench.core.errors import OutputError, UsageError
from mbench.devices import registry
from mbench.devices.registry import DeviceChoice, NamedDevice

BOARD = NamedDevice(rpc="127.0.0.1:9090")
FARM = NamedDevice(tracker="farm.example:9190", key="pi4")


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of named devices, in a folder that is not there yet."""
    monkeypatch.setenv("MBENCH_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path / "config" / "devices.toml"


# ------------------------------------------------------------------------------------------------------------- the file
def test_without_a_file_there_are_no_devices() -> None:
    assert registry.devices() == {}


def test_what_is_added_is_there_and_is_plain_toml(file: Path) -> None:
    registry.add("pi4", BOARD)
    registry.add("farm", FARM)
    assert registry.devices() == {"farm": FARM, "pi4": BOARD}
    assert list(registry.devices()) == ["farm", "pi4"]
    assert tomllib.loads(file.read_text()) == {
        "format_version": 1,
        "devices": {"pi4": {"rpc": "127.0.0.1:9090"}, "farm": {"tracker": "farm.example:9190", "key": "pi4"}},
    }
    assert not stat.S_IMODE(file.stat().st_mode) & 0o111
    assert [path.name for path in file.parent.iterdir()] == [file.name]


STYLES = {
    "tables": "# mine\nformat_version = 1\n\n# the board\n[devices.pi4] # here\nrpc = 'a:1' # its port\n",
    "an inline table": "# mine\nformat_version = 1 # first\ndevices = {pi4 = {rpc = 'a:1'}} # here\n",
    "dotted keys": "format_version = 1\ndevices.pi4.rpc = 'a:1' # here\n",
    "a table of inline tables": "format_version = 1\n[devices] # all\npi4 = {rpc = 'a:1'} # here\n",
    "lines of Windows": "\ufeff# mine\r\nformat_version = 1\r\n[devices.pi4] # here\r\nrpc = 'a:1'\r\n",
    "no devices": "# mine\nformat_version = 1 # first",
}


@pytest.mark.parametrize("style", STYLES)
def test_what_people_wrote_stays_as_it_is(style: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(STYLES[style], newline="")
    before = registry.devices()
    registry.add("farm", FARM)
    assert registry.devices() == {**before, "farm": FARM}
    registry.remove("farm")
    assert registry.devices() == before
    assert [line.partition("#")[2] for line in file.read_text().splitlines() if "#" in line] == [
        line.partition("#")[2] for line in STYLES[style].splitlines() if "#" in line
    ]
    registry.add("pi4", FARM, replace=True)
    assert registry.devices() == {"pi4": FARM}


def test_the_file_is_in_the_users_folder_for_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MBENCH_CONFIG_DIR")
    assert registry.file() == Path(platformdirs.user_config_dir("mbench")) / "devices.toml"


def test_a_name_is_taken_once(file: Path) -> None:
    registry.add("pi4", BOARD)
    before = file.read_bytes()
    with pytest.raises(UsageError, match=r"'pi4' is there already: rpc://127\.0\.0\.1:9090; add --force"):
        registry.add("pi4", FARM)
    assert file.read_bytes() == before
    registry.add("pi4", FARM, replace=True)
    assert registry.devices() == {"pi4": FARM}


def test_what_is_removed_is_gone() -> None:
    registry.add("pi4", BOARD)
    registry.add("pi5", BOARD)
    registry.remove("pi4")
    assert registry.devices() == {"pi5": BOARD}
    with pytest.raises(UsageError, match=r"'pi4' is not known; did you mean 'pi5'\?"):
        registry.remove("pi4")
    with pytest.raises(UsageError, match="'zebra' is not known; see 'mbench device list'"):
        registry.remove("zebra")


@pytest.mark.parametrize("name", ["local", "emulated", "none", "rpc", "Local", "EMULATED"])
def test_reserved_names(name: str, file: Path) -> None:
    with pytest.raises(UsageError, match="means something else"):
        registry.add(name, BOARD)
    assert not file.exists()


@pytest.mark.parametrize("name", ["", "-a", "a b", "a.b", "a/b", "rpc://x:1", "ä", "a\n", "x" * 64, "a]"])
def test_names_that_cannot_be(name: str, file: Path) -> None:
    with pytest.raises(UsageError, match="cannot be; expected"):
        registry.add(name, BOARD)
    assert not file.exists()


@pytest.mark.parametrize("name", ["a", "4", "Pi-4_b", "x" * 63, "true", "nan"])
def test_names_that_can_be(name: str) -> None:
    registry.add(name, BOARD)
    assert registry.devices() == {name: BOARD}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (NamedDevice(), "either rpc"),
        (NamedDevice(rpc="a:1", tracker="b:2", key="k"), "either rpc"),
        (NamedDevice(rpc="a:1", key="k"), "go together"),
        (NamedDevice(tracker="a:1"), "go together"),
        (NamedDevice(rpc="board"), "no port"),
        (NamedDevice(rpc="board:0"), "port 0"),
        (NamedDevice(rpc="board:99999"), "out of range"),
        (NamedDevice(rpc="board:ssh"), "expected rpc://HOST:PORT"),
        (NamedDevice(rpc=":9090"), "no host"),
        (NamedDevice(rpc="board:9090/pi4"), "expected HOST:PORT"),
        (NamedDevice(rpc="two boards:9090"), "expected HOST:PORT"),
        (NamedDevice(rpc="a\x7fb:9090"), "expected HOST:PORT"),
        (NamedDevice(tracker="a:1", key="a b"), "key 'a b'"),
        (NamedDevice(tracker="a:1", key="/"), "expected HOST:PORT"),
    ],
)
def test_addresses_that_cannot_be(entry: NamedDevice, said: str, file: Path) -> None:
    with pytest.raises(UsageError, match=said):
        registry.add("pi4", entry)
    assert not file.exists()


BROKEN = {
    "not toml": "not toml",
    "format_version is None": "[devices.pi4]\nrpc = 'a:1'",
    "format_version is 2": "format_version = 2",
    "devices.pi4.port: unknown key; expected one of rpc, tracker, key": "format_version = 1\n[devices.pi4]\nport = 1",
    "devices.pi4.rpc: got 9090, expected a string": "format_version = 1\n[devices.pi4]\nrpc = 9090",
    "device 'pi4': ": "format_version = 1\n[devices.pi4]\nrpc = 'board'",
    "device name 'local'": "format_version = 1\n[devices.local]\nrpc = 'a:1'",
    "tracker and key go together": "format_version = 1\n[devices.pi4]\ntracker = 'a:1'",
}


@pytest.mark.parametrize("said", BROKEN)
def test_a_broken_file_is_named_and_left_alone(said: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(BROKEN[said])
    for call in (
        registry.devices,
        lambda: registry.resolve("pi4"),
        lambda: registry.add("pi5", BOARD),
        lambda: registry.remove("pi4"),
    ):
        with pytest.raises(UsageError) as caught:
            call()
        assert str(caught.value).startswith(f"{file}: ")
        assert "correct the file" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert said == "not toml" or said in str(caught.value)
    assert file.read_text() == BROKEN[said]


def test_a_file_that_is_not_text(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="correct the file"):
        registry.devices()
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        registry.devices()


def test_a_folder_that_cannot_be(file: Path) -> None:
    file.parent.write_text("a file")
    with pytest.raises(OutputError, match="MBENCH_CONFIG_DIR"):
        registry.add("pi4", BOARD)


def test_a_file_that_cannot_be_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.add("pi4", BOARD)
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match=r"devices\.toml: cannot be written: No space left.*MBENCH_CONFIG_DIR"):
        registry.add("pi5", BOARD)
    assert file.read_bytes() == before


def _add_many(first: int, together: Barrier) -> None:
    together.wait(60)
    for number in range(first, first + 20):
        registry.add(f"board{number}", BOARD)


def test_processes_that_add_at_once_lose_nothing() -> None:
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads, as TVM has, may hang
    together = context.Barrier(3)
    workers = [context.Process(target=_add_many, args=(first, together)) for first in (0, 20, 40)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert set(registry.devices()) == {f"board{number}" for number in range(60)}


# ------------------------------------------------------------------------------------------------------------ --device
@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("local", DeviceChoice(kind="local", name="local")),
        ("emulated", DeviceChoice(kind="emulated", name="emulated")),
        ("rpc://board:9090", DeviceChoice(kind="rpc", name="rpc://board:9090", address="rpc://board:9090")),
        ("rpc://[::1]:9/k", DeviceChoice(kind="rpc", name="rpc://[::1]:9/k", address="rpc://[::1]:9/k")),
        ("pi4", DeviceChoice(kind="rpc", name="pi4", address="rpc://127.0.0.1:9090")),
        ("farm", DeviceChoice(kind="rpc", name="farm", address="rpc://farm.example:9190/pi4")),
        (
            "lab/farm.toml",
            DeviceChoice(kind="farm", name="lab/farm.toml", address=str(Path("lab/farm.toml").absolute())),
        ),
    ],
)
def test_what_device_means(text: str, choice: DeviceChoice) -> None:
    registry.add("pi4", BOARD)
    registry.add("farm", FARM)
    assert registry.resolve(text) == choice


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "moon",
            r"--device 'moon' is not known; expected local, emulated, rpc://HOST:PORT, a farm's FILE.toml or a",
        ),
        ("", r"--device '' is not known; expected local"),
        ("pi5", r"did you mean 'pi4'\?"),
        ("emulate", r"did you mean 'emulated'\?"),
        ("none", r"--device 'none' is not known"),
        ("board:9090", r"did you mean 'rpc://board:9090'\?"),
        ("rpc://board", "no port"),
        ("rpc:board:9090", "no host"),
    ],
)
def test_devices_that_are_not_known(text: str, said: str) -> None:
    registry.add("pi4", BOARD)
    with pytest.raises(UsageError, match=said):
        registry.resolve(text)
