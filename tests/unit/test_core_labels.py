"""Labels: KEY=VALUE of the user, and the variables of CI systems."""

from __future__ import annotations

import json

import msgspec
import pytest
import record_factory as factory
from hypothesis import given
from hypothesis import strategies as st

from mbench.core import labels, record_files
from mbench.core.errors import RecordError, UsageError

CI: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "github, a push": (
        {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "4f2a", "GITHUB_REF": "refs/heads/main", "GITHUB_REF_NAME": "main",
         "GITHUB_HEAD_REF": ""},
        {"ci": "github", "commit": "4f2a", "branch": "main"},
    ),
    "github, a pull request": (
        {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "4f2a", "GITHUB_REF": "refs/pull/42/merge",
         "GITHUB_REF_NAME": "42/merge", "GITHUB_HEAD_REF": "faster"},
        {"ci": "github", "commit": "4f2a", "branch": "faster", "change": "42"},
    ),
    "gitlab, a push": (
        {"GITLAB_CI": "true", "CI_COMMIT_SHA": "4f2a", "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main"},
        {"ci": "gitlab", "commit": "4f2a", "branch": "main"},
    ),
    "gitlab, a merge request": (
        {"GITLAB_CI": "true", "CI_COMMIT_SHA": "4f2a", "CI_COMMIT_REF_NAME": "faster", "CI_MERGE_REQUEST_IID": "7",
         "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "faster"},
        {"ci": "gitlab", "commit": "4f2a", "branch": "faster", "change": "7"},
    ),
    "circleci, a pull request": (
        {"CIRCLECI": "true", "CIRCLE_SHA1": "4f2a", "CIRCLE_BRANCH": "faster",
         "CIRCLE_PULL_REQUEST": "https://github.com/a/b/pull/42"},
        {"ci": "circleci", "commit": "4f2a", "branch": "faster", "change": "42"},
    ),
    "circleci, of a fork": (
        {"CIRCLECI": "true", "CIRCLE_SHA1": "4f2a", "CIRCLE_BRANCH": "pull/42", "CIRCLE_PR_NUMBER": "42"},
        {"ci": "circleci", "commit": "4f2a", "branch": "pull/42", "change": "42"},
    ),
    "azure, a push": (
        {"TF_BUILD": "True", "BUILD_SOURCEVERSION": "4f2a", "BUILD_SOURCEBRANCH": "refs/heads/main"},
        {"ci": "azure", "commit": "4f2a", "branch": "main"},
    ),
    "azure, a pull request": (
        {"TF_BUILD": "True", "BUILD_SOURCEVERSION": "the merge", "BUILD_SOURCEBRANCH": "refs/pull/123/merge",
         "SYSTEM_PULLREQUEST_SOURCECOMMITID": "4f2a", "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/faster",
         "SYSTEM_PULLREQUEST_PULLREQUESTID": "99", "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "123"},
        {"ci": "azure", "commit": "4f2a", "branch": "faster", "change": "123"},
    ),
    "buildkite, a push": (
        {"BUILDKITE": "true", "BUILDKITE_COMMIT": "4f2a", "BUILDKITE_BRANCH": "main",
         "BUILDKITE_PULL_REQUEST": "false"},
        {"ci": "buildkite", "commit": "4f2a", "branch": "main"},
    ),
    "buildkite, a pull request": (
        {"BUILDKITE": "true", "BUILDKITE_COMMIT": "4f2a", "BUILDKITE_BRANCH": "faster", "BUILDKITE_PULL_REQUEST": "42"},
        {"ci": "buildkite", "commit": "4f2a", "branch": "faster", "change": "42"},
    ),
    "travis, a push": (
        {"TRAVIS": "true", "TRAVIS_COMMIT": "4f2a", "TRAVIS_BRANCH": "main", "TRAVIS_PULL_REQUEST": "false",
         "TRAVIS_PULL_REQUEST_BRANCH": "", "TRAVIS_PULL_REQUEST_SHA": ""},
        {"ci": "travis", "commit": "4f2a", "branch": "main"},
    ),
    "travis, a pull request": (
        {"TRAVIS": "true", "TRAVIS_COMMIT": "the merge", "TRAVIS_BRANCH": "main", "TRAVIS_PULL_REQUEST": "42",
         "TRAVIS_PULL_REQUEST_BRANCH": "faster", "TRAVIS_PULL_REQUEST_SHA": "4f2a"},
        {"ci": "travis", "commit": "4f2a", "branch": "faster", "change": "42"},
    ),
    "bitbucket, a pull request": (
        {"BITBUCKET_BUILD_NUMBER": "3", "BITBUCKET_COMMIT": "4f2a", "BITBUCKET_BRANCH": "faster",
         "BITBUCKET_PR_ID": "42"},
        {"ci": "bitbucket", "commit": "4f2a", "branch": "faster", "change": "42"},
    ),
    "jenkins, a job": (
        {"JENKINS_URL": "https://ci", "GIT_COMMIT": "4f2a", "GIT_BRANCH": "origin/main"},
        {"ci": "jenkins", "commit": "4f2a", "branch": "main"},
    ),
    "jenkins, a change": (
        {"JENKINS_URL": "https://ci", "GIT_COMMIT": "4f2a", "GIT_BRANCH": "PR-42", "BRANCH_NAME": "PR-42",
         "CHANGE_ID": "42", "CHANGE_BRANCH": "faster"},
        {"ci": "jenkins", "commit": "4f2a", "branch": "faster", "change": "42"},
    ),
    "none": ({"HOME": "/root", "GITHUB_SHA": "4f2a"}, {}),
    "one that says nothing": ({"GITHUB_ACTIONS": "true"}, {"ci": "github"}),
    "one that says too much": (
        {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "x" * 2000, "GITHUB_HEAD_REF": "a\nb"}, {"ci": "github"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CI)
def test_what_a_ci_says(name: str) -> None:
    environment, expected = CI[name]
    assert labels.of_ci(environment) == expected


def test_every_system_is_tried() -> None:
    assert {system.name for system in labels.SYSTEMS} == {
        expected["ci"] for _, expected in CI.values() if "ci" in expected
    }


def test_what_is_given_wins() -> None:
    environment, _ = CI["github, a push"]
    found = labels.of_run(("branch=mine", "experiment=wide tiles"), environment)
    assert found == {"ci": "github", "commit": "4f2a", "branch": "mine", "experiment": "wide tiles"}


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("a=b", "a", "b"),
        ("a=", "a", ""),
        ("a=b=c", "a", "b=c"),
        ("team.x-y_z=1 2", "team.x-y_z", "1 2"),
        ("a=é", "a", "é"),
        ("committed_at=2026-11-22T23:39:08+01:00", "committed_at", "2026-11-22T23:39:08+01:00"),
    ],
)
def test_a_label(text: str, key: str, value: str) -> None:
    assert labels.parse(text) == (key, value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("commit",), "--label commit: no '='; expected KEY=VALUE"),
        (("=x",), "the key is ''"),
        (("1a=x",), "the key is '1a'"),
        (("a b=x",), "the key is 'a b'"),
        (("a\n=x",), "the key is"),
        (("k" * 65 + "=x",), "at most 64"),
        (("a=x\ny",), "the value is not one line"),
        (("a=\x1b[31m",), "the value is not one line"),
        (("a=" + "x" * 1001,), "at most 1000"),
        (("a=1", "a=2"), "given twice"),
        (("committed_at=yesterday",), "expected a moment with its time zone"),
        (("committed_at=2026-11-22T22:39:08",), "expected a moment with its time zone"),
        ([f"k{number}=1" for number in range(97)], "expected at most 96"),
    ],
)
def test_what_is_no_label(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        labels.parsed(given)
    assert said in str(caught.value).replace("\\n", "")
    assert "--label" in str(caught.value)


@given(text=st.text())
def test_any_text_is_a_label_or_is_refused(text: str) -> None:
    """What is taken stands in a record; nothing else happens."""
    try:
        key, value = labels.parse(text)
    except UsageError:
        return
    record = msgspec.structs.replace(factory.short(factory.record(factory.PAIR[:1])), labels={key: value})
    assert record_files.decode(record_files.encode(record), source="x").labels == {key: value}


@pytest.mark.parametrize(
    "wrong", [{"1a": "x"}, {"a b": "x"}, {"a": "x" * 1001}, {"a": 1}, {f"k{n}": "" for n in range(101)}], ids=len
)
def test_a_record_with_other_labels_is_refused(wrong: dict[str, object]) -> None:
    content = json.loads(record_files.encode(factory.record(factory.PAIR[:1])))
    with pytest.raises(RecordError, match="not a valid record"):
        record_files.decode(json.dumps({**content, "labels": wrong}).encode(), source="x")
