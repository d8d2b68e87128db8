from __future__ import annotations

import pytest
from kernel_cases import Conv, Pool
from tvm import tirx
from tvm.script import tirx as T  # noqa: N812 - the name that TVM's script language has

from mbench.compile import parallel


def test_loops_that_tvm_made_are_serial() -> None:
    assert parallel.parallel_loops(Conv(height=7, width=6, inputs=8, channels=16).function()) == 0
    assert parallel.parallel_loops(Pool(channels=512).function()) == 0


@pytest.mark.parametrize(("turns", "width", "loops"), [(1, 4, 2), (5, 4, 6), (5, 1, 0)])
def test_a_loop_is_counted_as_often_as_it_runs_and_not_for_one_task(turns: int, width: int, loops: int) -> None:
    @T.prim_func(s_tir=True)  # type: ignore[untyped-decorator]
    def kernel(x: T.Buffer((turns, width), "float32")):  # type: ignore[no-untyped-def, valid-type]  # TVM's script
        for i in range(turns):
            for j in T.parallel(width):
                x[i, j] = x[i, j] + T.float32(1)
        for j in T.parallel(width):
            x[0, j] = T.float32(0)

    assert isinstance(kernel, tirx.PrimFunc)
    assert parallel.parallel_loops(kernel) == loops
