"""Pages of one result: hostile names stay names on each, the scripts are those of the policy, and nothing is asked."""

from __future__ import annotations

import json
import re

import fit_factory
import jinja2
import lxml.html
import pytest
import sweep_factory

from mbench.page import fit_report, result_page, sweep_report

SCRIPTS = {"fit": 1, "sweep": 2}


def page(html: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(html)


def hostile(kind: str) -> str:
    if kind == "fit":
        return fit_report.render(fit_factory.hostile(), measured="javascript:alert(1).html", plotlyjs="directory")
    links = {sweep_factory.FILE: "javascript:alert(1)"}
    return sweep_report.render(sweep_factory.hostile(), links=links, plotlyjs="directory")


def injected(html: str) -> int:
    found = page(html)
    bad = [each for each in found.iter() if any(name.startswith("on") for name in each.attrib)]
    links = [link for link in found.xpath("//a[@href]") if link.get("href").startswith("javascript")]
    scripts = [script for script in found.xpath("//script") if script.text == "alert(1)"]
    return sum(map(len, (bad, links, scripts, found.xpath("//img"))))


@pytest.mark.parametrize("kind", SCRIPTS)
def test_hostile_names_are_shown_and_do_nothing(kind: str) -> None:
    html = hostile(kind)
    assert injected(html) == 0
    found = page(html)
    assert "<script>alert(1)</script>" in found.xpath("//table[contains(@class, 'networks')]")[-1].text_content()
    for script in found.xpath("//script[@type='application/json']"):
        assert "<" not in script.text
        json.loads(script.text)


@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_check_of_hostile_names_can_fail(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    escaping = result_page._environment

    def careless() -> jinja2.Environment:
        return escaping().overlay(autoescape=False, bytecode_cache=None)

    monkeypatch.setattr(result_page, "_environment", careless)
    assert injected(hostile(kind)) > 0


@pytest.mark.parametrize("kind", SCRIPTS)
def test_its_scripts_are_those_that_its_policy_names(kind: str) -> None:
    html = hostile(kind)
    found = page(html)
    [policy] = found.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    inside = found.xpath("//script[not(@src) and not(@type)]")
    assert len(inside) == policy.count("'sha256-") == SCRIPTS[kind]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert not re.search(r"https?://(?!www\.w3\.org|arxiv\.org)", re.sub(r"<script.*?</script>", "", html, flags=re.S))
