"""What makes a page one file that asks nothing of any network: its scripts, its policy, raw data for download.

No template and no figure: what a page shows is its own module's business.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import gzip
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import plotly
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mbench.core import atomic_files
from mbench.page import templates

PlotlyJs = Literal["inline", "directory"]
_KEPT = 4
"""Scripts that are kept once they were looked through: plotly's has 4 MB, and is the same in each page."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Download:
    """Raw data inside the page: a link that works without scripts, compressed; with them it gives the plain file."""

    name: str
    address: str
    kind: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scripts:
    """The scripts of a page: those inside it, and the file beside it that pages of a folder share."""

    inside: tuple[Markup, ...]
    shared: str | None

    @property
    def policy(self) -> str:
        """The content security policy: these scripts and nothing from anywhere. plotly needs inline styles."""
        allowed = " ".join([*map(_hash, self.inside), *(["'self'"] if self.shared else [])])
        return (
            f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
            "base-uri 'none'; form-action 'none'"
        )


def scripts(plotlyjs: PlotlyJs, *, figures: bool, before: Sequence[str] = ()) -> Scripts:
    """Return the scripts of a page: plotly's only where there are `figures`, those named in `before`, its own."""
    inside = [script(get_plotlyjs())] if figures and plotlyjs == "inline" else []
    inside += [script(templates.asset(name)) for name in (*before, "page.js")]
    return Scripts(inside=tuple(inside), shared=plotly_file() if figures and plotlyjs == "directory" else None)


def plotly_file() -> str:
    """Return the name of plotly's script where pages share one copy."""
    return f"plotly-{plotly.__version__}.min.js"


def write(path: Path, html: str, plotlyjs: PlotlyJs) -> None:
    """Write a page atomically, and the script beside it that `directory` asks for.

    Raises:
        OutputError: it could not be written.
    """
    if plotlyjs == "directory":
        atomic_files.write_atomically(path.parent / plotly_file(), get_plotlyjs().encode())
    atomic_files.write_atomically(path, html.encode())


def style(*more: str) -> Markup:
    """Return the style of pages, and after it that of `more` files of `reports/`."""
    return Markup("".join(map(templates.asset, ("page.css", *more))))  # noqa: S704 - mbench's own files


def download(name: str, kind: str, data: bytes) -> Download:
    """Return data as a link that holds it; `name`: of the file, `kind`: its media type."""
    return Download(name=name, address=f"data:application/gzip;base64,{_packed(data)}", kind=kind)


def packed(text: str) -> str:
    """Return a part of a page compressed, as its script unpacks it."""
    return _packed(text.encode())


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()


@functools.lru_cache(maxsize=_KEPT)
def script(text: str) -> Markup:
    """Return a script's text as the browser will hash it.

    Raises:
        ValueError: the text would end its own element.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError("a script holds '</script' or '<!--' and cannot stand inside a page")
    return Markup(text)  # noqa: S704 - mbench's own file or plotly's


@functools.lru_cache(maxsize=_KEPT)
def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
