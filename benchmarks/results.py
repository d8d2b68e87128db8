"""The tables in RESULTS.md whose data are in the repository: do they show what the data show?

Run: python benchmarks/results.py [--write]     exit code 1 where a table differs; --write puts the computed one there

Such a table stands between `<!-- data: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import gate_trials
import kept_int8
import kept_peers
import latency_model
import recorded_trials
import shipped_choices

FILE = Path(__file__).with_name("RESULTS.md")
TRIALS = Path(__file__).with_name("gate_calibration.jsonl")
RECORDED = Path(__file__).with_name("recorded_calibration.jsonl")
_BLOCK = re.compile(
    r"(?P<begin><!-- data: (?P<name>\w+) -->\n\n)(?P<table>(?:(?!<!--).)*)(?P<end>\n\n<!-- end -->)", re.DOTALL
)


def _gate() -> str:
    return gate_trials.report(gate_trials.current(gate_trials.read(TRIALS)))


def _recorded() -> str:
    return recorded_trials.report(recorded_trials.current(recorded_trials.read(RECORDED)))


TABLES: dict[str, Callable[[], str]] = {
    "peers": kept_peers.report,
    **({"int8": kept_int8.report} if kept_int8.FILE.exists() else {}),
    "latency_model": latency_model.report,
    "choices": shipped_choices.report,
    "gate": _gate,
    "recorded": _recorded,
}


def main() -> int:
    """Name the tables that differ, or renew them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the computed tables into RESULTS.md")
    write: bool = parser.parse_args().write
    text = FILE.read_text()
    computed = {name: make() for name, make in TABLES.items()}
    wrong = differing(text, computed)
    if write:
        FILE.write_text(renewed(text, computed))
    for line in wrong:
        print(f"{FILE.name}: {line}{'; renewed' if write else ''}")
    return int(bool(wrong) and not write)


def claimed(text: str) -> dict[str, str]:
    """Return the tables that stand between marks, by name."""
    return {block["name"]: block["table"] for block in _BLOCK.finditer(text)}


def differing(text: str, computed: dict[str, str]) -> list[str]:
    """Return a line for each table that is missing, and for each line of one that the data do not show."""
    found = claimed(text)
    missing = [f"there is no table '{name}'" for name in computed if name not in found]
    missing += [
        f"table '{name}' has no data; expected one of {', '.join(computed)}" for name in found if name not in computed
    ]
    wrong = []
    for name in found.keys() & computed.keys():
        ours, theirs = found[name].splitlines(), computed[name].splitlines()
        wrong += [f"table '{name}' claims {line!r}, which its data do not show" for line in ours if line not in theirs]
        wrong += [f"table '{name}' leaves out {line!r}" for line in theirs if line not in ours]
    return missing + wrong


def renewed(text: str, computed: dict[str, str]) -> str:
    """Return the text with the computed tables between the marks."""
    return _BLOCK.sub(lambda block: block["begin"] + computed[block["name"]] + block["end"], text)


if __name__ == "__main__":
    sys.exit(main())
