"""A network that is loaded at the other end of a line."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from board_server import Serving
from rpc_plans import line_to

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.devices.remote_program import RemoteProgram
from mbench.measure.numerics import Expected

pytest_plugins = ("rpc_fixtures",)


def test_it_computes_there_what_the_artifact_expects(server: Serving, net: Artifact) -> None:
    line = line_to(server)
    try:
        line.upload(net.library)
        program = RemoteProgram(line, net)
        [output], [expected] = program.run(), program.expected.outputs
        assert output == pytest.approx(expected, rel=1e-3, abs=1e-4)
        assert not np.isnan(expected).any()
        samples = program.timer(number=2, repeat=3)()
        assert len(samples) == 3
        assert min(samples) > 0
    finally:
        line.close()


def test_a_loop_reads_sensors_meanwhile(server: Serving, net: Artifact) -> None:
    line = line_to(server)
    try:
        line.upload(net.library)
        looped = RemoteProgram(line, net).loop(0.2, ("/proc/uptime", "/etc/passwd"))
        assert looped.runs >= 1
        assert looped.window_s >= 0.2
        times = [at for at, _ in looped.samples["/proc/uptime"]]
        assert times == sorted(times)
        assert times[0] == 0
        assert 0.2 <= times[-1] <= looped.window_s  # at its end too
        assert 2 <= len(times) <= 2 + looped.window_s / 0.005  # it sleeps for 5 ms between two, at least
        assert looped.samples["/etc/passwd"] == []
    finally:
        line.close()


@pytest.mark.parametrize(("given", "wanted"), [(3, 2), (-1, 2), (2, 1), (10**9, 2)])
def test_other_outputs_than_expected_are_not_fetched(given: int, wanted: int) -> None:
    fetched: list[str] = []

    class Machine:
        module = {"get_output_arity": lambda _entry: given}  # noqa: RUF012

        def invoke_stateful(self, entry: str) -> None:
            pass

        def get_outputs(self, entry: str) -> None:
            fetched.append(entry)

    program = object.__new__(RemoteProgram)
    program.vm, program.expected = Machine(), Expected(outputs=(np.zeros(3, "float32"),) * wanted)
    program._line = SimpleNamespace(address="board:1")  # type: ignore[assignment]
    said = f"{'one' if given == -1 else given} of {wanted} outputs"
    with pytest.raises(MeasureError, match=f"board:1 answered what mbench cannot use: {said}"):
        program.run()
    assert fetched == []
