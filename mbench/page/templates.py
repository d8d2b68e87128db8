"""The one door to Jinja: the templates of `reports/`, with everything escaped and an unknown name an error."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import jinja2
from jinja2.bccache import Bucket

from mbench.core import resources


def environment(known: Mapping[str, object]) -> jinja2.Environment:
    """Return what renders templates; `known`: names that every template knows."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.data_dir("reports")),
        bytecode_cache=_kept(),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(known)
    return made


class _Compiled(jinja2.FileSystemBytecodeCache):
    """Compiled templates in a folder, as far as there is room for them."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template."""
        with contextlib.suppress(OSError):
            super().dump_bytecode(bucket)


def _kept() -> jinja2.BytecodeCache | None:
    """Return where compiled templates are kept: compiling them takes half a second. None where nothing can be."""
    folder = resources.cache_dir() / "templates"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return _Compiled(str(folder))


def asset(name: str) -> str:
    """Return a file of `reports/` as it is: a style or a script."""
    return (resources.data_dir("reports") / name).read_text(encoding="utf-8")
