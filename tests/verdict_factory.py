"""Verdicts for tests, made without comparing anything: every outcome, way and shape that an output must show."""

from __future__ import annotations

import math
from typing import Any

from record_factory import HOSTILE

from mbench.gating import groups
from mbench.gating.comparison import WAYS, Comparison, Difference, Finding, Side, Verdict, Way

SMALL = "mobilenet_v1_0.25_128"
MENDED = "mobilenet_v2_1.0_224"
LARGE = "mobilenet_v1_1.0_224_standard"
COPY = "head/b.json has the same samples as head/a.json"
LEFT_OUT = "not compared by recorded: cpu differ"
AGREED = "borders are exact now"
NOT_BUILT = "in the head: failed while compiling: out of registers"
DIED = f"{SMALL}: the worker died: SIGKILL"
COMMAND = "mbench gate base head --paired --threshold latency=3%"


def side(run_id: str) -> Side:
    """Return one of the two runs."""
    return Side(
        path=f"mbench-results/{run_id}.json", run_id=run_id, created_at_utc="2025-03-01T12:00:00Z",
        mbench_version="0.1.0", target="host", machine="testhost: Test CPU @ 2.0 GHz",
    )  # fmt: skip


def finding(layer: str | None = None, **changes: Any) -> Finding:
    """Return a finding: by default a latency that stayed the same."""
    given: dict[str, Any] = {
        "variant": SMALL, "layer": layer, "op": "depthwise_conv2d" if layer else None,
        "role": "depthwise" if layer else None, "block": (layer or "").partition(".")[0] or None,
        "metric": "latency", "way": "paired", "base": 1.0e-3, "ratio": 1.0, "threshold": 0.01, "outcome": "same",
        "reason": "the same", **changes,
    }  # fmt: skip
    if "head" not in given:
        given["head"] = given["base"] * given["ratio"]
    if given["way"] in ("paired", "recorded"):
        spread = 0.005
        given.setdefault("interval", (given["ratio"] - spread, given["ratio"] + spread))
        given.setdefault("confidence", 0.99)
    return Finding(**given)


def bare(layer: str | None = None, **changes: Any) -> Finding:
    """Return a finding without figures: something new, gone or failed."""
    given = {"variant": SMALL, "metric": "presence", "way": "static", "base": None, "head": None, **changes}
    return Finding(layer=layer, **given)


def slower(layer: str | None = "block3.dw", **changes: Any) -> Finding:
    """Return a latency that became worse."""
    given = {
        "ratio": 1.1, "outcome": "regressed", "p_value": 0.0004, "reason": "10.0 % slower, p = 0.0004",
        "causes": ("schedule changed: x86.depthwise rows 4 → x86.depthwise rows 1",), **changes,
    }  # fmt: skip
    return finding(layer, **given)


def counted(layer: str | None = "block3.dw", **changes: Any) -> Finding:
    """Return an exact count, by default the same in both."""
    given = {"metric": "instructions", "way": "counts", "base": 12_345_678, "threshold": 0.005, **changes}
    return finding(layer, **given)


def comparison(*findings: Finding, ways: tuple[Way, ...] = ("paired", "static"), **changes: Any) -> Comparison:
    """Return a comparison that found these."""
    given = {"ways": {way: WAYS[way] for way in ways}, "groups": groups.of_findings(findings), **changes}
    return Comparison(base=side("20250301-base"), head=side("20250302-head"), findings=findings, **given)


def verdict(conclusion: str, headline: str, found: Comparison, **changes: Any) -> Verdict:
    """Return a verdict over a comparison."""
    return Verdict(
        created_at_utc="2025-03-02T12:00:00Z", mbench_version="0.1.0", conclusion=conclusion,  # type: ignore[arg-type]
        headline=headline, comparison=found, **changes,
    )  # fmt: skip


def passed() -> Verdict:
    """Return a verdict in which nothing changed."""
    same = (finding(), finding("block3.dw", base=1.2e-4), counted(), counted(None, base=9_000_000))
    return verdict("passed", f"{SMALL} did not become worse", comparison(*same, ways=("paired", "counts")))


def regressed() -> Verdict:
    """Return a verdict with two networks and every outcome."""
    findings = (
        finding(None, ratio=1.031, outcome="regressed", reason="3.1 % slower, p = 0.0004"),
        slower(base=1.2e-4, threshold=0.02),
        counted(base=1_000_000, ratio=1.25, outcome="regressed", reason="250,000 more (+25.00 %); 0.5 % is tolerated"),
        counted("block5.pw", base=98_765_432, ratio=1.0000002, outcome="same"),
        finding("block1.pw", base=2e-5, ratio=0.8, outcome="improved", reason="20.0 % faster"),
        finding("fc", base=5e-6, interval=(0.0, math.inf), outcome="undecided", reason="3 pairs; 8 are needed"),
        finding("pool", base=8e-6, ratio=1.04, outcome="undecided", reason="noise of 6 %; 40 processes are needed"),
        finding(
            None, metric="memory", way="static", base=468_000, ratio=1.2, threshold=0.0, outcome="accepted",
            reason=f"93,600 B more (+20.00 %); it has to be the same; accepted: {AGREED}",
        ),
        bare("block9.dw", outcome="regressed", reason="gone: the head has no such layer"),
        finding("block2.dw", base=1e-7, outcome="information", reason="no slow-down that could be confirmed"),
        bare("block9.dw + block9.pw", outcome="information", reason="new: the base has no such layer"),
        bare(None, variant=LARGE, metric="result", outcome="regressed", reason="failed in the head while build: boom"),
    )  # fmt: skip
    differences = (
        Difference(key="tuned", base="none", head="3f2a9c"),
        Difference(key="versions", base="apache-tvm 0.26", head="apache-tvm 0.27", forbids=("recorded",), allowed=True),
    )
    found = comparison(
        *findings, ways=("paired", "counts", "static"), differences=differences,
        notes=("the machine was busy: load 1.9 on 2 processors",), copies=(COPY,),
    )  # fmt: skip
    headline = f"{SMALL} is 3.1 % slower (+2.6 to +3.6 %): block3.dw is 10.0 % slower"
    return verdict("regressed", headline, found, accepted=(f"{SMALL} memory: {AGREED} (until 2026-12-31)",))


def improved() -> Verdict:
    """Return a verdict in which everything became better."""
    better = (
        finding(None, ratio=0.9, outcome="improved", reason="10.0 % faster"),
        counted(None, ratio=0.97, outcome="improved", reason="370,370 fewer (-3.00 %); 0.2 % is tolerated"),
    )
    return verdict("passed", f"{SMALL} is 10.0 % faster", comparison(*better, ways=("paired", "counts")))


def inconclusive() -> Verdict:
    """Return a verdict that could not be reached, where both builds are at hand."""
    unsure = finding(None, ratio=1.02, interval=(0.9, 1.15), outcome="undecided", reason="noise of 8 %; 60 are needed")
    return verdict(
        "inconclusive", "1 of 1 could not be judged as finely as was asked", comparison(unsure),
        paired_command=COMMAND,
    )  # fmt: skip


def unmeasured() -> Verdict:
    """Return a verdict with a network that failed in the head, one that failed in the base, and one that died now."""
    found = comparison(
        finding(), counted(None, base=9_000_000),
        bare(None, variant=LARGE, metric="result", outcome="unmeasured", reason=NOT_BUILT),
        bare(None, variant=MENDED, metric="result", outcome="information", reason="it has a result in the head"),
    )  # fmt: skip
    failures = (f"{LARGE}: {NOT_BUILT}", DIED)
    return verdict("unmeasured", f"2 not measured: {'; '.join(failures)}", found, failures=failures)


def incomparable() -> Verdict:
    """Return a verdict over two runs that cannot be compared, so that nothing was found."""
    other = Difference(key="cpu", base="Test CPU @ 2.0 GHz", head="Other CPU @ 3.0 GHz", forbids=("recorded",))
    found = comparison(ways=(), differences=(other,), left_out=(LEFT_OUT,))
    return verdict(
        "incomparable",
        "the two runs differ in cpu",
        found,
    )


def hostile() -> Verdict:
    """Return a verdict with markup, control characters and separators in everything that comes from outside."""
    script, image, close, braces, rich = HOSTILE
    name = f"{script}|`{rich}"
    worst = (
        f"{image}\r\n::error::x%0A\x1b[31m\x00\ufffe| *b* _i_ ~~s~~ [l](https://a.example) @octocat #1 www.a.example"
    )
    findings = (
        slower(f"{close}{braces}|`", variant=name, reason=worst, causes=(worst, "a\\|b")),
        finding(image, variant=name, outcome="undecided", reason=worst, role=script, block=worst),
        finding(braces, variant=name, ratio=0.5, outcome="improved", reason=rich, role=image, block=close),
        bare(worst, variant=name, outcome="information", reason=script),
        *(bare(None, variant=each, metric="result", outcome="unmeasured", reason=worst) for each in HOSTILE),
    )
    difference = Difference(key=worst, base=script, head=image, forbids=("recorded",))
    found = comparison(*findings, differences=(difference,), notes=HOSTILE, copies=(worst,))
    return verdict("regressed", worst, found, accepted=(worst,), failures=(worst,), paired_command=f"mbench {worst}")


def long(layers: int = 200) -> Verdict:
    """Return a verdict with more regressions than anybody reads."""
    many = (slower(f"block{number}.dw", ratio=1.1 + number / 1000) for number in range(layers))
    return verdict("regressed", f"{layers} layers are slower", comparison(*many))


EVERY = {
    make.__name__: make()
    for make in (passed, regressed, improved, inconclusive, incomparable, unmeasured, hostile, long)
}  # fmt: skip
FAILING = {name: item for name, item in EVERY.items() if item.conclusion != "passed"}
