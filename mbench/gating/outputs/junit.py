"""A verdict as JUnit XML: a suite a network, a case a judged finding, and a suite for the verdict itself.

What regressed is a failure. What is undecided, could not be measured or cannot be compared is an error: something went
wrong before there was anything to judge. Jenkins and GitLab show an error as failed, so nothing of it is green. What
was accepted is skipped, with the reason, and so is a network without a result in the base: skipped is neither passed
nor failed. Sources: CaseResult.java in Jenkins' plugin `junit`, lib/gitlab/ci/parsers/test/junit.rb in GitLab. Format:
the schema of Jenkins' xUnit plugin (junit-10.xsd), which GitLab, Azure and others read as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree import ElementTree

from mbench.core import plain
from mbench.gating.comparison import Comparison, Conclusion, Finding, Outcome, Verdict
from mbench.gating.outputs import words

_ELEMENTS: dict[Outcome, str] = {
    "regressed": "failure", "undecided": "error", "unmeasured": "error",
    "accepted": "skipped", "information": "skipped",
}  # fmt: skip
_CONCLUSIONS: dict[Conclusion, str] = {
    "regressed": "failure", "inconclusive": "error", "incomparable": "error", "unmeasured": "error",
}  # fmt: skip
_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def render(verdict: Verdict) -> bytes:
    """Return the document in UTF-8."""
    verdict = plain.cleaned(verdict)
    root = ElementTree.Element("testsuites", name="mbench gate")
    root.append(_suite("mbench gate", verdict.comparison, _own(verdict)))
    for variant, findings in words.by_variant(verdict.comparison.findings).items():
        listed = (each for each in findings if each.outcome != "information" or words.is_mended(each))
        cases = [_of_finding(finding) for finding in listed]
        if cases:
            root.append(_suite(variant, verdict.comparison, cases))
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _own(verdict: Verdict) -> list[ElementTree.Element]:
    found = verdict.comparison
    copies = (f"{words.COPY}: {said}" for said in found.copies)
    offer = [f"{words.AT_HAND} {verdict.paired_command}"] if verdict.paired_command else []
    detail = [*offer, *found.left_out, *copies, *map(words.difference, found.differences), *found.notes]
    kind = _CONCLUSIONS.get(verdict.conclusion)
    cases = [_case("mbench gate", "verdict", kind, verdict.headline, verdict.conclusion, detail)]
    for number, failure in enumerate(words.failures_now(verdict), start=1):
        cases.append(_case("mbench gate", f"measured {number}", "error", failure, "failed", ()))
    return cases


def _of_finding(finding: Finding) -> ElementTree.Element:
    name = "measured" if finding.outcome == "unmeasured" else f"{words.topic(finding)} ({finding.way})"
    figures = words.sentence(finding)
    message = "; ".join(part for part in (figures, finding.reason) if part)
    kind = _ELEMENTS.get(finding.outcome)
    return _case(finding.variant, name, kind, message, finding.outcome, finding.causes)


def _case(
    classname: str, name: str, kind: str | None, message: str, outcome: str, detail: Iterable[str]
) -> ElementTree.Element:  # fmt: skip
    case = ElementTree.Element("testcase", classname=plain.visible(classname), name=plain.visible(name))
    said = plain.visible("\n".join((message, *detail)))
    if kind is None:
        ElementTree.SubElement(case, "system-out").text = said
    else:
        ElementTree.SubElement(case, kind, type=outcome, message=plain.visible(message)).text = said
    return case


def _suite(name: str, comparison: Comparison, cases: list[ElementTree.Element]) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=plain.visible(name), tests=str(len(cases)))
    for attribute, kind in _COUNTED.items():
        suite.set(attribute, str(sum(case.find(kind) is not None for case in cases)))
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in (("base", words.side(comparison.base)), ("head", words.side(comparison.head))):
        ElementTree.SubElement(properties, "property", name=key, value=plain.visible(value))
    suite.extend(cases)
    return suite
