from __future__ import annotations

from pathlib import Path

import pytest

from mbench.core import sweep_definition
from mbench.core.errors import UsageError

WHOLE = """
networks = ["mobilenet_v1_{0.25,0.5}_{96,128}", "models/*.onnx"]
targets = ["x86_64_v3", "arm64_cortex_a72"]
dtypes = ["float32", "int8"]
threads = [1, 2]
batches = [1, 8]
sessions = 3
standard = true
store = "history.db"

[devices]
default = "emulated"
x86_64_v3 = ["local", "emulated", "local"]

[labels]
team = "edge"
"""


def written(tmp_path: Path, text: str, name: str = "families.toml") -> Path:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_is_read_and_is_called_as_it_is(tmp_path: Path) -> None:
    found = sweep_definition.read(written(tmp_path, WHOLE))
    assert found.name == "families"
    assert found.networks == ("mobilenet_v1_{0.25,0.5}_{96,128}", "models/*.onnx")
    assert (found.threads, found.batches, found.sessions, found.standard) == ((1, 2), (1, 8), 3, True)
    assert found.labels == {"team": "edge"}
    assert sweep_definition.devices_of(found, "x86_64_v3") == ("local", "emulated")
    assert sweep_definition.devices_of(found, "arm64_cortex_a72") == ("emulated",)


def test_the_least_that_a_file_says(tmp_path: Path) -> None:
    found = sweep_definition.read(written(tmp_path, 'name = "own"\nnetworks = ["mobilenet_v1"]'))
    assert (found.name, found.targets, found.dtypes) == ("own", ("host",), None)
    assert sweep_definition.devices_of(found, "host") == (None,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "networks: missing"),
        ("networks = []", "networks: got an array, expected `array` of length >= 1"),
        ('networks = "mobilenet_v1"', "networks: got 'mobilenet_v1', expected an array"),
        ('networks = ["a"]\ndtype = ["int8"]', "dtype: unknown key; did you mean 'dtypes'?"),
        ('networks = ["a"]\nthreads = [0]', "threads[0]: got 0, expected an integer >= 1"),
        ('networks = ["a"]\nsessions = "3"', "sessions: got '3', expected an integer"),
        ('networks = ["a"]\nprefer = "speed"', "prefer: got 'speed'; expected one of"),
        ('networks = ["a"]\nname = "a/b"', "name: got 'a/b', expected letters, digits"),
        ('networks = ["a"]\n[devices]\nhots = "local"', "devices.hots: no target of this sweep; did you mean 'host'?"),
        ('networks = ["a"]\n[devices]\nhost = 3', "devices.host: got 3, expected a string or an array"),
        ('networks = ["a"]\n[labels]\nsweep = "x"', "labels.sweep: this label is the sweep's name; write name = 'x'"),
        ('networks = ["a"]\n[labels]\n"a b" = "x"', "labels.'a b': the key is"),
        ("networks = [", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line_with_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        sweep_definition.read(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: {said.partition('`')[0]}"), message
    assert "\n" not in message


def test_a_file_whose_name_cannot_be_a_sweeps_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'name: got .*; write name = "…" in the file'):
        sweep_definition.read(written(tmp_path, 'networks = ["a"]', "my sweep.toml"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file or directory"):
        sweep_definition.read(tmp_path / "none.toml")
