"""How the tests of devices over RPC measure, and how they look at what fails."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import pytest
from board_server import Serving
from measure_plans import PLAN, ignore

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.core.settings import Warmup
from mbench.devices import line as lines
from mbench.devices.address import Address
from mbench.devices.rpc import RpcDevice
from mbench.measure.observation import MeasurePlan
from mbench.networks import variants

VARIANT = variants.parse("mobilenet_v1_0.25_128")
FEW = msgspec.structs.replace(PLAN, repeat=3, layer_repeat=2, block=3, warmup=Warmup(max_s=0.1))
LONG = msgspec.structs.replace(PLAN, repeat=1_000_000, layer_repeat=10)
STAGES = ["reading", "connecting", "uploading", "loading", "checking", "warming up", "measuring", "measuring layers"]


def failure(
    device: RpcDevice, net: Artifact, plan: MeasurePlan = FEW, report: Callable[[str, float], None] = ignore
) -> str:
    """Measure what cannot be measured; return the message, which must be one line."""
    with pytest.raises(MeasureError) as caught:
        device.measure(net, plan, report)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def line_to(server: Serving) -> lines.Line:
    """Return a line of this process to a server."""
    return lines.connect(Address.parse(server.url), waiting=lambda _: None, patience_s=1.0)


class When:
    """A report that does something once, when a stage begins (or is `after` seconds old)."""

    def __init__(self, stage: str, do: Callable[[], object], *, after: float = 0.0) -> None:
        self._stage, self._do, self._after = stage, do, after
        self.done = False

    def __call__(self, stage: str, _fraction: float) -> None:
        if stage == self._stage and not self.done:
            self.done = True
            threading.Timer(self._after, self._do).start()
