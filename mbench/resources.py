"""Where the data that ships with mbench lies: in the wheel under `_data/`, in a checkout at the repository's root."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def data_dir(name: str) -> Path:
    """Return the folder `name` (`targets` or `reports`) of the data that ships with mbench.

    Raises:
        FileNotFoundError: the installation lacks it.
    """
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"mbench's own data folder {name!r} is not installed; reinstall mobilenet-bench")


def cache_dir() -> Path:
    """Return the folder for everything that can be made again: `$MBENCH_CACHE_DIR`, or the user's cache folder."""
    chosen = os.environ.get("MBENCH_CACHE_DIR")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("mbench"))
