"""mbench: what a MobileNet costs on a piece of hardware, layer by layer.

Public here: `load`, which reads records into a table, and `__version__`. Everything else is reached through the command
`mbench` or by importing the module that its name says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mbench.core.version import VERSION as __version__  # noqa: N811 - the name that Python gives it

if TYPE_CHECKING:
    from mbench.analysis.frame import load

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import `load` when it is first asked for, so that `import mbench` stays light (no pandas)."""
    if name == "load":
        from mbench.analysis.frame import load

        return load
    raise AttributeError(f"module 'mbench' has no attribute {name!r}")
