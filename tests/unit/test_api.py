"""The public API: what it takes and gives, and that the command line has no abilities of its own."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import record_factory as factory
from conftest import Mbench

import mbench
from mbench.api import run as run_module
from mbench.api import tune as tune_module
from mbench.core import record_files
from mbench.core.errors import UsageError
from mbench.core.machine_types import Host
from mbench.gating import comparison
from mbench.hardware import host
from mbench.pipeline import runner
from mbench.pipeline.job import Job
from mbench.terminal import tuning_tables
from mbench.terminal.listings import Listing
from mbench.tuning import tuner, tuning_result

ROOT = Path(mbench.__file__).parent.parent
NETWORK = "mobilenet_v1_0.25_32"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return this machine, which is as busy each time that it is described."""
    found = host.describe()
    monkeypatch.setattr(host, "describe", lambda *_, **__: found)
    return found


# ------------------------------------------------------------------------------------------------------------ the names
def test_every_public_name_is_there_and_documented() -> None:
    for name in set(mbench.__all__) - {"__version__"}:
        assert (inspect.getdoc(getattr(mbench, name)) or "").strip(), name
    assert set(mbench.__all__) - {"__version__"} == set(mbench._HOMES)
    assert set(mbench.__all__) <= set(dir(mbench))


def test_type_checkers_see_every_public_name() -> None:
    module = ast.parse(Path(mbench.__file__).read_text(encoding="utf-8"))
    block, _ = [node for node in module.body if isinstance(node, ast.If)]
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == {name: f"mbench.{home}" for name, home in mbench._HOMES.items()}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'mbench' has no attribute 'runs'"):
        mbench.runs  # type: ignore[attr-defined]  # noqa: B018


def test_functions_take_options_by_name_and_say_what_they_raise() -> None:
    for name in ("run", "resume", "tune", "report", "compare", "gate"):
        function = getattr(mbench, name)
        kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
        assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 2, name
        assert all(part in inspect.getdoc(function) for part in ("Args:", "Raises:", "Example")), name  # type: ignore[operator]


def test_importing_mbench_imports_nothing_heavy() -> None:
    code = "import sys, mbench\nprint(*sorted(name for name in sys.modules if '.' not in name))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"typing", "click", "msgspec", "pandas", "plotly", "rich", "jinja2", "numpy", "scipy"} & set(
        found.stdout.split()
    )


# ----------------------------------------------------------------------------------- the command line does the same
class Fake:
    """In place of the pipeline: keeps the jobs, and writes a record for each."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def run(self, job: Job, _progress: object) -> None:
        self.jobs.append(job)
        names = job.settings.variants
        record = factory.record(names, run_id=job.path.stem)
        record_files.write(job.path, msgspec.structs.replace(record, settings=job.settings))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setattr(runner, "run", made.run)
    return made


RUNS: dict[str, mbench.RunOptions] = {
    "--threads 1 --repeat 7": mbench.RunOptions(threads=1, repeat=7),
    "--no-tuned --no-cache": mbench.RunOptions(use_tuned=False, use_cache=False),
    "--timeout 9 --build-timeout 8 --keep-artifacts": mbench.RunOptions(
        timeout_s=9, build_timeout_s=8, keep_artifacts=True
    ),
    "--compile-only --batch 1,8": mbench.RunOptions(compile_only=True, batch=(1, 8)),
    "-o elsewhere --device local": mbench.RunOptions(output=Path("elsewhere"), device="local"),
}


@pytest.mark.parametrize("words", RUNS)
def test_a_run_is_the_same_from_python_and_from_the_command_line(run: Mbench, fake: Fake, words: str) -> None:
    outcome = run("run", NETWORK, "--target", "x86_64_v2", "--json", *words.split())
    record = mbench.run(NETWORK, target="x86_64_v2", options=RUNS[words])
    by_command, by_python = (msgspec.structs.replace(job, path=Path()) for job in fake.jobs)
    assert by_command == by_python
    printed = record_files.decode(outcome.out.encode(), source="stdout")
    assert msgspec.structs.replace(printed, run_id="x", results=()) == msgspec.structs.replace(
        record, run_id="x", results=()
    )
    assert record == record_files.read(RUNS[words].output / f"{record.run_id}.json")


def test_without_networks_the_default_ones_run(run: Mbench, fake: Fake) -> None:
    run("run", "--target", "x86_64_v2")
    mbench.run(target="x86_64_v2")
    first, second = fake.jobs
    assert first.settings == second.settings
    assert len(first.settings.variants) == 2


def test_what_the_readme_says_runs(run: Mbench, fake: Fake, sides: tuple[Path, Path]) -> None:
    """The first Python block, on records in place of a measurement."""
    del run  # in an empty folder
    for side in sides:
        shutil.copy(side, ".")
    [code] = re.findall(
        r"```python\n(.*?)```", (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(code.splitlines()) <= 12
    names: dict[str, Any] = {}
    exec(code, names)
    assert (Path("page.html").exists(), names["verdict"].conclusion) == (True, "regressed")
    assert set(names["table"]["variant"]) == {"mobilenet_v1_0.25_128"}
    assert fake.jobs[0].settings.threads == 1


def test_a_run_goes_on_where_it_stopped(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    record = factory.record(factory.PAIR[:1], failed=factory.PAIR[1:])
    path = Path("run.json")
    record_files.write(path, msgspec.structs.replace(record, host=host.describe()))
    jobs: list[Job] = []
    monkeypatch.setattr(runner, "run", lambda job, _: jobs.append(job))
    assert mbench.resume(path, use_cache=False, build_timeout_s=9) == record_files.read(path)
    run("run", "--resume", path, "--no-cache", "--build-timeout", "9")
    assert jobs[0] == jobs[1]
    assert (jobs[0].use_cache, jobs[0].build_timeout_s) == (False, 9)


def test_an_interrupted_run_says_where_its_record_is(run: Mbench, monkeypatch: pytest.MonkeyPatch) -> None:
    del run  # in an empty folder

    def interrupt(job: Job, _: object) -> None:
        Fake().run(job, _)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupt)
    with pytest.raises(mbench.RunInterrupted, match=r"go on with: mbench\.resume") as caught:
        mbench.run(NETWORK, target="x86_64_v2")
    assert mbench.read(caught.value.path).results
    monkeypatch.setattr(runner, "run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt) as nothing:
        mbench.run(NETWORK, target="x86_64_v2")
    assert not isinstance(nothing.value, mbench.RunInterrupted)


class FakeTuner:
    waiting: tuple[object, ...] = ()
    jobs: list[tuner.TuningJob] = []  # noqa: RUF012
    interrupts = False

    def __init__(self, job: tuner.TuningJob) -> None:
        self.job = job
        self.jobs.append(job)

    def __enter__(self) -> FakeTuner:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def find(self, _note: object) -> None:
        return None

    def run(self, _progress: object) -> None:
        if self.interrupts:
            raise KeyboardInterrupt

    def unconfirmed(self) -> Sequence[str]:
        return []

    def confirm(self, _progress: object) -> None:
        return None

    def result(self) -> tuning_result.TuningResult:
        return tuning_result.TuningResult(
            target=self.job.target.name, threads=1, file=self.job.file, kernels=(), waiting=(), networks=(), failures=()
        )


@pytest.fixture
def fake_tuner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeTuner]:
    made = type("Made", (FakeTuner,), {"jobs": []})
    monkeypatch.setenv("MBENCH_TUNED_DIR", str(tmp_path / "tuned"))
    monkeypatch.setattr(tuner, "Tuner", made)
    monkeypatch.setattr("mbench.pipeline.runner.resolve_target", _x86)
    monkeypatch.setattr(tuning_tables, "listing", lambda _: Listing(["tuned"], {}))
    return made


def _x86(_name: str, _dirs: object = ()) -> Any:
    from mbench.hardware import targets

    return targets.load("x86_64_v2")


def test_tuning_is_the_same_from_python_and_from_the_command_line(run: Mbench, fake_tuner: type[FakeTuner]) -> None:
    words = "--target x86_64_v2 --threads 1 --tries 3 --again --timeout 5 --build-timeout 6"
    assert run("tune", NETWORK, *words.split()).code == 0
    options = mbench.TuneOptions(threads=1, tries=3, again=True, timeout_s=5, build_timeout_s=6)
    mbench.tune(NETWORK, target="x86_64_v2", options=options)
    first, second = fake_tuner.jobs
    assert first == second


def test_an_interrupted_tuning_keeps_what_it_found(
    run: Mbench, fake_tuner: type[FakeTuner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake_tuner, "interrupts", True)
    with pytest.raises(mbench.TuningInterrupted) as caught:
        mbench.tune(NETWORK, target="x86_64_v2")
    assert caught.value.tuned.target == "x86_64_v2"
    assert run("tune", NETWORK, "--target", "x86_64_v2").code == 130


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    base, head = tmp_path / "base.json", tmp_path / "head.json"
    record, replace = factory.record(run_id="base"), msgspec.structs.replace
    record_files.write(base, record)
    again = factory.again(record, "head")
    bigger = [replace(each.artifact, library_bytes=2 * each.artifact.library_bytes) for each in again.results]
    results = [replace(each, artifact=artifact) for each, artifact in zip(again.results, bigger, strict=True)]
    record_files.write(head, replace(again, results=tuple(results)))
    return base, head


def test_a_verdict_is_the_same_from_python_and_from_the_command_line(run: Mbench, sides: tuple[Path, Path]) -> None:
    words = "--threshold latency=3% --sensitivity latency=9% --allow-different host --html page.html"
    outcome = run("gate", *sides, "--json", *words.split())
    options = mbench.GateOptions(
        thresholds=("latency=3%",), sensitivities=("latency=9%",), allowed=("host",), outputs={"html": Path("own.html")}
    )
    verdict = mbench.gate(*sides, options=options)
    printed, ours = json.loads(outcome.out), json.loads(comparison.encode(verdict))
    del printed["created_at_utc"], ours["created_at_utc"]
    assert printed == ours
    assert (verdict.conclusion, outcome.code) == ("regressed", 1)
    assert Path("own.html").read_text().count("<tr") == Path("page.html").read_text().count("<tr") > 3


def test_a_comparison_is_the_same_from_python_and_from_the_command_line(run: Mbench, sides: tuple[Path, Path]) -> None:
    outcome = run("compare", *sides, "--json")
    assert json.loads(outcome.out) == json.loads(comparison.encode(mbench.compare(*sides)))


def test_records_in_memory_are_compared_and_judged(sides: tuple[Path, Path], tmp_path: Path) -> None:
    base, head = (mbench.read(path) for path in sides)
    assert mbench.compare(base, head).findings == mbench.compare(*sides).findings
    assert mbench.gate(base, head).conclusion == "regressed"
    assert mbench.gate(base, base).conclusion != "passed"  # one run on both sides shows nothing
    with pytest.raises(UsageError, match="--update-baseline replaces a file by another"):
        mbench.gate(base, head, options=mbench.GateOptions(update_baseline=True))
    with pytest.raises(UsageError, match="--paired"):
        mbench.gate(base, head, options=mbench.GateOptions(paired=True, recorded=True))


def test_a_baseline_that_moves_is_told(sides: tuple[Path, Path]) -> None:
    said: list[str] = []
    mbench.gate(*sides, options=mbench.GateOptions(update_baseline=True), note=said.append)
    assert said == [f"baseline {sides[0]} stays as it is: regressed"]


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"junitt": "a.xml"}, "there is no form 'junitt'; did you mean 'junit'?"),
        ({"xyz": "a.xml"}, "there is no form 'xyz'; expected one of: junit"),
        ({"html": "no/folder/page.html"}, "--html no/folder/page.html: the folder no/folder does not exist"),
    ],
)
def test_outputs_that_cannot_be_written_are_refused_first(
    run: Mbench, sides: tuple[Path, Path], outputs: dict[str, Path], said: str
) -> None:
    del run  # in an empty folder
    for judge in (
        lambda: mbench.gate(*sides, options=mbench.GateOptions(outputs=outputs)),
        lambda: mbench.compare(*sides, outputs={name: Path(path) for name, path in outputs.items()}),
    ):
        with pytest.raises(UsageError) as caught:
            judge()
        assert said in str(caught.value)


# ------------------------------------------------------------------------------------------------------------- reading
def test_a_page_of_records_and_files(sides: tuple[Path, Path], tmp_path: Path) -> None:
    page = mbench.report([sides[0], mbench.read(sides[1])], tmp_path / "page.html")
    assert page == tmp_path / "page.html"
    assert page.read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    with pytest.raises(UsageError, match="is one of the records"):
        mbench.report(sides[0], sides[0])


def test_a_copy_is_named_by_a_warning_or_to_who_asks(sides: tuple[Path, Path], tmp_path: Path) -> None:
    record = mbench.read(sides[0])
    with pytest.warns(UserWarning, match=r"base has the same run_id as .*base\.json; it is left out"):
        mbench.report([sides[0], record], tmp_path / "page.html")
    said: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mbench.report([sides[0], record], tmp_path / "page.html", note=said.append)
    assert len(said) == 1


def test_the_command_line_asks_the_api() -> None:
    """No command reaches behind `mbench.api` for what the API does."""
    forbidden = (
        *("mbench.pipeline", "mbench.tuning.tuner", "mbench.gating.verdict", "mbench.page", "package.pack"),
        *("registry.add", "registry.remove", "registry.devices", "record_files.json_schema"),
    )
    for file in (ROOT / "mbench" / "cli").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "dict[str, Any]" not in text or file.stem == "device", file
        assert not [name for name in forbidden if name in text], file
    assert run_module.run is mbench.run
    assert tune_module.tune is mbench.tune


def test_what_there_is_is_the_same_from_python_and_from_the_command_line(run: Mbench, tmp_path: Path) -> None:
    listed = json.loads(run("variants", "--json").out)
    assert [each["name"] for each in listed] == list(mbench.variants())
    assert mbench.variants("mobilenet_v1_{0.25,0.5}_32") == ("mobilenet_v1_0.25_32", "mobilenet_v1_0.5_32")
    layers = json.loads(run("variants", NETWORK, "--json").out)["layers"]
    assert [(each["name"], each["macs"]) for each in layers] == [
        (layer.spec.name, layer.costs.macs) for layer in mbench.layers(NETWORK)
    ]
    listed = json.loads(run("targets", "--json").out)
    assert [each["name"] for each in listed] == ["host", *mbench.targets()]
    assert json.loads(run("targets", "arm64", "--json").out)["name"] == mbench.target("arm64").name
    assert json.loads(run("schema").out) == json.loads(json.dumps(mbench.schema()))
    mbench.add_device("pi4", mbench.NamedDevice(rpc="a:1"))
    assert [each["name"] for each in json.loads(run("device", "list", "--json").out)] == list(mbench.named_devices())
    mbench.remove_device("pi4")
    assert mbench.named_devices() == {}


def test_what_this_machine_can_do_is_listed(run: Mbench) -> None:
    outcome = run("doctor", "--json")
    assert outcome.code == 0, outcome.err
    listed = json.loads(outcome.out)
    assert [each["name"] for each in listed] == [check.name for check in mbench.doctor()]


# ----------------------------------------------------------------------------------------------------------- for real
@pytest.mark.slow
def test_a_script_without_a_guard_measures(tmp_path: Path) -> None:
    """Children start by `spawn`, which runs a script again unless it is kept from it."""
    script = tmp_path / "script.py"
    script.write_text(
        "import mbench\n"
        f"record = mbench.run({NETWORK!r}, options=mbench.RunOptions(threads=1, repeat=3, use_tuned=False))\n"
        "assert not record.failures, record.failures\n"
        "print(record.run_id, len(record.results[0].end_to_end.latency_s))\n"
    )
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run_id, samples = done.stdout.split()
    assert samples == "3"
    assert mbench.read(tmp_path / "mbench-results" / f"{run_id}.json").run_id == run_id
