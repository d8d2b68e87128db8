"""The forms that a verdict can be written in, by name: mbench's own, and those that other packages add.

A package adds one by an entry point of the group `mbench.outputs`: a function `Verdict -> str | bytes`, or a module
that has one called `render`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mbench.core import plugins
from mbench.core.errors import OutputError, UsageError, did_you_mean, shortened, why
from mbench.gating.outputs import bencher, benchmark_action, junit, markdown, page

Render = Callable[[Any], str | bytes]
"""Makes the content of a file of a verdict; of a comparison too, where `mbench compare` offers the form."""

FORMS: dict[str, Render] = {
    "junit": junit.render,
    "markdown": markdown.render,
    "benchmark-action": benchmark_action.render,
    "bencher": bencher.render,
    "html": page.render,
}
_LONGEST = 300
"""Characters of what a package's error says."""
APPENDED = frozenset({"markdown"})
"""Forms that go behind what the file holds."""


def find(name: str) -> Render:
    """Return the function that renders a form.

    Raises:
        UsageError: no form is called so.
        PluginError: the package that adds it is broken, or two add it.
    """
    added = plugins.find(plugins.OUTPUTS, name, FORMS)
    if added is None and name not in FORMS:
        known = (*FORMS, *plugins.names(plugins.OUTPUTS))
        expected = did_you_mean(name, known) or f"; expected one of: {', '.join(known)}"
        raise UsageError(f"--output-file: there is no form {name!r}{expected}")
    if added is None:
        return FORMS[name]
    found = added.load()
    render = getattr(found, "render", found)
    if not callable(render):
        raise added.refuse("it is neither a function nor a module with a function `render`")
    return _guarded(added, render)


def _guarded(added: plugins.Plugin, render: Callable[[Any], Any]) -> Render:
    """Return a function that says in one line whose code failed, if it does."""

    def guarded(document: Any) -> str | bytes:
        try:
            rendered = render(document)
            if not isinstance(rendered, str | bytes):
                raise TypeError(f"it returned {type(rendered).__name__}, expected str or bytes")
            return rendered.encode() if isinstance(rendered, str) else rendered
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also SystemExit, which would decide the exit code
            said = f"{type(error).__name__}: {why(error)}"
            raise OutputError(f"gate output {added}: it failed: {shortened(said, _LONGEST)}") from error

    return guarded
