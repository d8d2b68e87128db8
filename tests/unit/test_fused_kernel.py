from __future__ import annotations

import fused_cases
import pytest
from fused_cases import Residual
from kernel_cases import AVX2, Conv

from mbench.compile import fused_kernel
from mbench.compile.kernel import Kernel
from mbench.compile.schedules import dispatch
from mbench.compile.schedules.rule import FALLBACK


def test_a_fused_kernel_carries_its_stages_as_kernels() -> None:
    block = Residual(inputs=8, expanded=24, outputs=8, stride=2, height=8, width=8)
    expand, depthwise, project = fused_kernel.stages(block.function())
    assert expand.kernel.matmul is not None
    assert (expand.kernel.matmul.rows, expand.kernel.matmul.reduction, expand.kernel.matmul.columns) == (64, 8, 24)
    conv = depthwise.kernel.convolution
    assert conv is not None
    assert (conv.depthwise, conv.strides, conv.channels, conv.height) == (True, (2, 2), 24, 4)
    assert project.kernel.matmul is not None
    assert (project.kernel.matmul.rows, project.kernel.matmul.columns) == (16, 8)


def test_a_stage_knows_where_the_fused_kernel_has_its_parameters() -> None:
    block = Residual(adds=True)
    stages = fused_kernel.stages(block.function())
    assert [stage.places for stage in stages] == [(0, 1, 2), (None, 3, 4), (None, 5, 6, 0)]  # the sum reads the input


def test_any_other_kernel_has_none() -> None:
    assert fused_kernel.stages(Conv(kernel=1, padding=(0, 0, 0, 0)).function()) == ()


@pytest.mark.parametrize(
    "block", [Residual(inputs=8, expanded=24, outputs=8, height=8, width=8), Residual(adds=True)], ids=["plain", "sum"]
)
def test_its_fall_back_is_that_of_any_kernel(block: Residual) -> None:
    """Code that knows nothing of stages would not get through TVM with them, and the process would end."""
    fused_cases.check_plan(dispatch.make(block.function(), AVX2, FALLBACK, {}), block)


def test_it_is_filed_under_no_signature_of_its_stages() -> None:
    """A choice that was tuned for the depthwise convolution alone is not one for the whole."""
    assert dispatch.signature(Kernel(Residual(inputs=16, expanded=16, outputs=16).function())) is None
    assert dispatch.signature(Kernel(Conv(kernel=1, padding=(0, 0, 0, 0)).function())) is not None
