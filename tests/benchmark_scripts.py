"""The scripts of benchmarks/, which is no package, and what they need."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    """Import a script of benchmarks/; what it imports from there is found as when it is run."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    return importlib.import_module(name)


def needs(*modules: str) -> tuple[bool, str]:
    """Return whether modules are installed, and what to do if they are not: what `require` takes."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return not missing, f"{', '.join(missing)}: not installed; pip install '.[test]'"
