"""Files of arrays by name, as numpy writes them: the inputs that a user gives for a network."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from mbench.core.errors import UsageError, shown, why


def read(file: Path, option: str = "--input") -> dict[str, np.ndarray]:
    """Return the arrays of a file that numpy wrote, by name.

    Args:
        file: of numpy's.
        option: that names it, for messages.

    Raises:
        UsageError: it cannot be read, or holds what is no numbers.
    """
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise UsageError(f"{option} {file}: it holds one array without a name; expected an .npz of named arrays")
        with loaded as archive:
            found = {name: archive[name] for name in archive.files}
    except MemoryError as error:
        raise UsageError(f"{option} {file}: its arrays need more memory than there is") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        said = "it holds pickled objects, or is none of numpy's files" if "pickle" in str(error) else why(error)
        raise UsageError(f"{option} {file}: cannot be read: {said}; expected an .npz of numpy.savez") from error
    other = next((name for name, value in found.items() if not isinstance(value, np.ndarray)), None)
    if other is not None:
        raise UsageError(f"{option} {file}: {shown(other)} is no array of numpy; expected an .npz of numpy.savez")
    strange = next((name for name, value in found.items() if value.dtype.kind not in "fiub"), None)
    if strange is not None:
        raise UsageError(f"{option} {file}: {shown(strange)} holds {found[strange].dtype}; expected numbers")
    return found
