"""Files of arrays by name, as numpy writes them: the inputs that a user gives for a network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from mbench.core.errors import UsageError, shown, why


def read(file: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file that numpy wrote, by name.

    Raises:
        UsageError: it cannot be read, or holds what is no numbers.
    """
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise UsageError(f"--input {file}: it holds one array without a name; expected an .npz of named arrays")
        with loaded as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"--input {file}: cannot be read: {why(error)}; expected an .npz of numpy.savez") from error
    strange = next((name for name, value in found.items() if value.dtype.kind not in "fiub"), None)
    if strange is not None:
        raise UsageError(f"--input {file}: {shown(strange)} holds {found[strange].dtype}; expected numbers")
    return found
