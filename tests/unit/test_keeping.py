"""What a run has on disk: a record that one process holds at a time, and the artifacts beside it."""

from __future__ import annotations

import shutil

import msgspec
import pytest
from run_world import NAMES, World, kept_in, resumed

from mbench.build import builders
from mbench.core import artifact, record_files
from mbench.core.errors import BuildError, UsageError
from mbench.pipeline import keeping, runner

pytest_plugins = ("run_fixtures",)


def test_resume_keeps_artifacts_that_the_killed_run_was_to_keep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was killed while it built: nothing but the folder says that they are wanted."""
    built = builders.build_all
    monkeypatch.setattr(builders, "build_all", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        world.run(keep_artifacts=True)
    monkeypatch.setattr(builders, "build_all", built)
    runner.run(resumed(world), world.progress)
    assert kept_in(world) == set(NAMES)


def test_resume_makes_an_artifact_that_is_missing(world: World) -> None:
    world.run(keep_artifacts=True)
    for name in NAMES[:2]:
        shutil.rmtree(artifact.beside(world.path) / name)
    before = record_files.read(world.path)
    runner.run(resumed(world), world.progress)
    assert kept_in(world) == set(NAMES)
    assert len(world.device.plans) == len(NAMES), "nothing is measured again"
    assert record_files.read(world.path) == before


@pytest.mark.parametrize(
    ("how", "said"), [("fails", "no compiler"), ("is another", "differs from the one that was measured")]
)
def test_resume_keeps_no_other_artifact_than_the_measured(world: World, how: str, said: str) -> None:
    first = world.run(keep_artifacts=True)
    shutil.rmtree(artifact.beside(world.path) / NAMES[0])
    if how == "fails":
        world.builds[NAMES[0]] = BuildError("no compiler")
    else:
        others = [
            msgspec.structs.replace(one, artifact=msgspec.structs.replace(one.artifact, digest="f" * 32))
            for one in first.results
        ]
        record_files.write(world.path, msgspec.structs.replace(first, results=tuple(others)))
    record = runner.run(resumed(world), world.progress)
    assert f"{NAMES[0]}: its artifact cannot be kept: " in world.progress.notes[-1]
    assert said in world.progress.notes[-1]
    assert kept_in(world) == set(NAMES[1:])
    assert record.failures == ()


def test_a_record_that_another_process_went_on_with_is_left_alone(world: World) -> None:
    world.builds[NAMES[0]] = BuildError("no")
    world.run()
    world.builds.clear()
    first, second = resumed(world), resumed(world)
    with keeping.held(first):
        runner.run(first, world.progress)
    written = world.path.read_bytes()
    with pytest.raises(UsageError, match="another run went on with it meanwhile"), keeping.held(second):
        pytest.fail("it was let in")
    assert world.path.read_bytes() == written


def test_a_run_of_the_same_name_is_refused(world: World) -> None:
    with keeping.held(world.job()):
        first = world.run()
    with pytest.raises(UsageError, match="is there already"), keeping.held(world.job()):
        pytest.fail("it was let in")
    assert record_files.read(world.path) == first
