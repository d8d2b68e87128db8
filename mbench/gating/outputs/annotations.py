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
    "unmeasured": "error",
}
_OUTCOMES: dict[str, tuple[Outcome, ...]] = {
    "error": ("unmeasured", "regressed"),
    "warning": ("undecided",),
    "notice": ("accepted", "improved"),
}


def render(verdict: Verdict) -> str:
    """Return the lines: the verdict itself, what was not measured or regressed, then what is undecided or better."""
    verdict = plain.cleaned(verdict)
    own = _KINDS[verdict.conclusion]
    lines: list[str] = []
    for kind, outcomes in _OUTCOMES.items():
        said = [(f"mbench gate: {words.CONCLUSIONS[verdict.conclusion]}", verdict.headline)] if kind == own else []
        said += [("not measured", failure) for failure in words.failures_now(verdict) if kind == "error"]
        said += [(words.COPY.lower(), copy) for copy in verdict.comparison.copies if kind == "warning"]
        if verdict.paired_command and kind == "notice":
            said.append(("to decide it", f"{words.AT_HAND} {verdict.paired_command}"))
        for outcome in outcomes:
            said += [_of_finding(finding) for finding in words.ranked(verdict.comparison.of(outcome))]
        if kind == "notice":
            said += [_of_finding(finding) for finding in verdict.comparison.findings if words.is_mended(finding)]
        if len(said) > MOST:
            said[MOST - 1 :] = [("more", _MORE.format(count=len(said) - MOST + 1))]
        lines.extend(f"::{kind} title={_property(title)}::{_data(message)}" for title, message in said)
    return "".join(f"{line}\n" for line in lines)


def _of_finding(finding: Finding) -> tuple[str, str]:
    topic = "not measured" if finding.outcome == "unmeasured" else words.topic(finding)
    parts = (words.sentence(finding), finding.reason, *finding.causes)
    return f"{finding.variant}: {topic}", "; ".join(part for part in parts if part)


def _data(message: str) -> str:
    return plain.harmless(words.line(message), at_start=False).replace("%", "%25")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
