"""A verdict as GitHub's workflow commands: lines on standard output that become annotations of the run.

GitHub keeps ten errors, ten warnings and ten notices of a step; more are dropped without a word, so the tenth counts
them here. Source: docs.github.com, "Workflow commands for GitHub Actions"; escapes as in `@actions/core`.
"""

from __future__ import annotations

from mbench.core import plain
from mbench.gating.comparison import Conclusion, Finding, Outcome, Verdict
from mbench.gating.outputs import words

MOST = 10
_MORE = "and {count} more; the log has them"
_KINDS: dict[Conclusion, str] = {
    "passed": "notice",
    "regressed": "error",
    "inconclusive": "error",
    "incomparable": "error",
}
_OUTCOMES: dict[str, tuple[Outcome, ...]] = {
    "error": ("regressed",),
    "warning": ("undecided",),
    "notice": ("accepted", "improved"),
}


def render(verdict: Verdict) -> str:
    """Return the lines: the verdict itself, then what regressed, was undecided or a copy, was accepted or improved."""
    verdict = plain.cleaned(verdict)
    own = _KINDS[verdict.conclusion]
    lines: list[str] = []
    for kind, outcomes in _OUTCOMES.items():
        said = [(f"mbench gate: {words.CONCLUSIONS[verdict.conclusion]}", verdict.headline)] if kind == own else []
        said += [("not measured", failure) for failure in verdict.failures if kind == "error"]
        said += [(words.COPY.lower(), copy) for copy in verdict.comparison.copies if kind == "warning"]
        for outcome in outcomes:
            said += [_of_finding(finding) for finding in words.ranked(verdict.comparison.of(outcome))]
        if len(said) > MOST:
            said[MOST - 1 :] = [("more", _MORE.format(count=len(said) - MOST + 1))]
        lines.extend(f"::{kind} title={_property(title)}::{_data(message)}" for title, message in said)
    return "".join(f"{line}\n" for line in lines)


def _of_finding(finding: Finding) -> tuple[str, str]:
    figures = words.sentence(finding)
    parts = (figures, finding.reason, *finding.causes)
    return f"{finding.variant}: {words.topic(finding)}", "; ".join(part for part in parts if part)


def _data(message: str) -> str:
    return plain.harmless(words.line(message), at_start=False).replace("%", "%25")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
