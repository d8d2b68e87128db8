"""What reads, plans and shows must not load the compiler: it takes seconds, and its crashes are for child processes."""

import subprocess
import sys

import pytest

HEAVY = ("tvm", "torch")


def loaded(module: str, names: tuple[str, ...]) -> list[str]:
    code = f"import sys, {module}\nprint(*(name for name in {names!r} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


LIGHT = (
    *("cli", "across", "pipeline", "results", "calibrations", "devices", "devices.worker", "compile.build"),
    *("device_commands", "devices.registry", "devices.package", "devices.toolchain", "devices.runtime"),
    *("verdicts.terminal", "verdicts.markdown", "verdicts.junit", "verdicts.bencher", "verdicts.page"),
    *("doctor", "listings", "targets", "host", "records", "stats", "report", "frame", "tables"),
)


@pytest.mark.parametrize("module", LIGHT)
def test_neither_tvm_nor_torch(module: str) -> None:
    assert loaded(f"mbench.{module}", HEAVY) == []


def test_the_check_can_fail() -> None:
    assert loaded("mbench.measure.session", HEAVY) == ["tvm", "torch"]


def test_the_commands_that_answer_at_once() -> None:
    assert loaded("mbench.cli", ("pandas", "plotly", "scipy", "rich", "numpy")) == []
    assert loaded("mbench.tables", ("pandas", "plotly", "scipy")) == []
    assert loaded("mbench.verdicts.page", ("pandas", "plotly", "scipy", "numpy")) == []
