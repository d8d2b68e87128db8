"""Arrays as tensors of torch: the one place where memory that only numpy may know to be read-only reaches torch."""

from __future__ import annotations

import numpy as np
import torch


def of(array: np.ndarray) -> torch.Tensor:
    """Return an array as a tensor; it shares the memory, unless that is read-only, as that of numbers in a file is.

    Torch has no read-only tensors, and prints a warning where it is given such memory.
    """
    return torch.from_numpy(array if array.flags.writeable else array.copy())
