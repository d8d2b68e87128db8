"""What was meant by a command that there is not: another word for one, a network, a file, or a typing error."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from mbench.core import plain
from mbench.core.errors import cut

WORDS = {
    "run": "bench benchmark measure profile execute time exec start test",
    "run --resume RECORD": "resume continue",
    "fit": "search choose select find best",
    "predict": "estimate guess",
    "tune": "autotune optimize optimise",
    "show": "view print display cat open results",
    "report": "html page plot visualize",
    "compare": "diff vs",
    "gate": "judge verify assert ci",
    "history": "store log db trend",
    "history add": "add import upload save",
    "history serve": "serve dashboard",
    "variants": "models model networks network families nets",
    "targets": "hardware target machines cpus gpus",
    "device list": "devices boards",
    "device": "board rpc remote",
    "doctor": "check info env system status diagnose",
    "schema": "format json-schema",
    "completion": "complete completions autocomplete",
    "list": "ls dir",
    "--version": "version",
}
"""Commands, each with the words that people type for it."""
_FILES = {".onnx": "run", ".pt2": "run", ".json": "show"}


def refusal(name: str, group: click.Group, words: tuple[str, ...]) -> str:
    """Return that a group has no such command, and what was meant.

    Args:
        name: what was typed.
        group: which has no command of this name.
        words: of the group; none: it is mbench itself.
    """
    said = f"No such command '{cut(plain.line(name), 60)}'"
    command = " ".join(("mbench", *words))
    near = difflib.get_close_matches(name, group.commands, n=2)
    if not words and (found := _meant(name)) and name not in near:
        return f"{said}; did you mean '{command} {found}'?"
    if near:
        offered = " or ".join(f"'{command} {each}'" for each in near)
        return f"{said}; did you mean {offered}?"
    return f"{said}; see '{command} --help'"


def _meant(name: str) -> str:
    """Return the command that a word, a file or a network stands for; nothing where it is none."""
    for command, others in WORDS.items():
        if name.lower() in others.split():
            return command
    command = _FILES.get(Path(name).suffix.lower(), "")
    if not command:
        from mbench.cli import completing

        command = "run" if name.startswith(tuple(completing.families())) else ""
    return f"{command} {plain.quoted(name)}" if command else ""
