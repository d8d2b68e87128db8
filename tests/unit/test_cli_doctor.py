"""`mbench doctor` as a user runs it, on a machine where much is missing."""

from __future__ import annotations

import json

import pytest
from conftest import Mbench

from mbench.cli.doctor import doctor
from mbench.devices import doctor as examination
from mbench.devices.doctor import Check


def test_what_was_looked_at_is_listed_with_what_to_do(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = (Check("memory", "ok", "8 GB"), Check("QEMU", "missing", "qemu-aarch64 is not on PATH", "apt install it"))
    monkeypatch.setattr(examination, "checks", lambda: iter(checks))
    shown = run(doctor)
    assert (shown.code, shown.err) == (0, "")
    assert [" ".join(line.split()) for line in shown.out.splitlines()] == [
        "ok memory 8 GB",
        "missing QEMU qemu-aarch64 is not on PATH; apt install it",
        "ok mbench.toml none in this folder; defaults of options can stand there",
    ]
    listed = json.loads(run(doctor, "--json").out)
    assert [(each["name"], each["status"]) for each in listed] == [
        ("memory", "ok"), ("QEMU", "missing"), ("mbench.toml", "ok"),
    ]  # fmt: skip
