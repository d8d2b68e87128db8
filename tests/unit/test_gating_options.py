"""Options of the gate are checked when they are made, and take what people write."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
import verdict_factory as make
from conftest import Mbench

from mbench.api import gate as api
from mbench.core.errors import UsageError
from mbench.gating.comparison import Verdict
from mbench.gating.options import GateOptions, paired_command


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processes": 7}, "--processes 7 is out of range; expected 8 to 200"),
        ({"processes": 201}, "--processes 201 is out of range; expected 8 to 200"),
        ({"paired": 1}, "--paired 1 cannot be; expected bool"),
    ],
)
def test_options_out_of_range_are_refused_when_they_are_made(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        GateOptions(**given)
    assert said in str(caught.value)


def test_options_take_what_people_write() -> None:
    options = GateOptions(outputs={"junit": "a.xml"}, config="own.toml")  # type: ignore[dict-item,arg-type]
    assert (options.outputs, options.config) == ({"junit": Path("a.xml")}, Path("own.toml"))


FULL = GateOptions(
    config=Path("own limits.toml"), thresholds=("latency=3%", "mobilenet_*:layer.latency=5%"),
    sensitivities=("latency=9%",), accepted=Path("agreed.toml"), allowed=("host", "cpu"), processes=12,
    update_baseline=True, outputs={"junit": Path("a.xml"), "benchmark-action": Path("t.json"), "chat": Path("c d.txt")},
)  # fmt: skip


@pytest.mark.parametrize("options", [GateOptions(), FULL, GateOptions(recorded=True)])
@pytest.mark.parametrize("paths", [("base", "head"), ("a b/it's.json", "$HOME;x"), ("-base", "--head")])
def test_the_command_of_a_paired_gate_is_what_was_asked_and_paired(
    run: Mbench, monkeypatch: pytest.MonkeyPatch, options: GateOptions, paths: tuple[str, str]
) -> None:
    """Typed into a shell, it asks for the same again, but for where latencies come from."""
    seen: list[Any] = []

    def judged(base: Path, head: Path, *, options: GateOptions, **_: object) -> Verdict:
        seen.extend((base, head, options))
        return make.passed()

    monkeypatch.setattr(api, "gate", judged)
    program, *words = shlex.split(paired_command(Path(paths[0]), Path(paths[1]), options))
    assert program == "mbench"
    assert run(*words).code == 0
    fields = {name: getattr(options, name) for name in options.__struct_fields__}
    assert seen == [*map(Path, paths), GateOptions(**{**fields, "paired": True, "recorded": False})]


def test_the_plain_command_is_short() -> None:
    assert paired_command(Path("base"), Path("head"), GateOptions()) == "mbench gate base head --paired"
