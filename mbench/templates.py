"""The one door to Jinja: the templates of `reports/`, with everything escaped and an unknown name an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jinja2

from mbench import resources


def environment(known: Mapping[str, object], finalize: Callable[..., object] | None = None) -> jinja2.Environment:
    """Return what renders templates.

    Args:
        known: names that every template knows.
        finalize: what each value goes through before it is printed.
    """
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(resources.data_dir("reports")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    made.globals.update(known)
    return made


def asset(name: str) -> str:
    """Return a file of `reports/` as it is: a style or a script."""
    return (resources.data_dir("reports") / name).read_text(encoding="utf-8")
