from __future__ import annotations

from fused_cases import Residual
from kernel_cases import Conv

from mbench.compile import fused_kernel


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
