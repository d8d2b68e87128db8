"""Labels of a run: what the user gives as KEY=VALUE, and what the usual CI systems say in environment variables.

Four keys have a meaning of their own: `commit` (the full hash), `branch` (where a change comes from), `change` (the
number of the pull or merge request), and `committed_at` (where the run stands in a history, if not at its own time).
`ci` names the system. A label that was given wins over the CI's.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterable, Mapping

from mbench.core.errors import UsageError, shortened
from mbench.core.field_types import LABEL_KEY

MOST_LABELS = 100
MOST_KEY, MOST_VALUE = 64, 1000
"""Characters."""
_SHOWN = 60
COMMITTED_AT = "committed_at"

Environment = Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CiSystem:
    """A CI system: the variable that shows it, and those that hold what is wanted: the first that is set counts.

    Some systems build a merge of the change into its target; where they name the change's own commit, that is taken.
    """

    name: str
    sign: str
    commit: tuple[str, ...]
    branch: tuple[str, ...]
    change: Callable[[Environment], str | None]


def _variable(*names: str) -> Callable[[Environment], str | None]:
    return lambda environment: _first(environment, names)


def _of_github(environment: Environment) -> str | None:
    """Return the number in `GITHUB_REF`: `refs/pull/42/merge`."""
    found = re.fullmatch(r"refs/pull/([0-9]+)/.*", environment.get("GITHUB_REF", ""))
    return found[1] if found else None


def _of_circleci(environment: Environment) -> str | None:
    """Return the number at the end of the URL in `CIRCLE_PULL_REQUEST`; `CIRCLE_PR_NUMBER` is for forks alone."""
    found = re.search(r"/([0-9]+)/?$", environment.get("CIRCLE_PULL_REQUEST", ""))
    return environment.get("CIRCLE_PR_NUMBER") or (found[1] if found else None)


SYSTEMS = (
    # https://docs.github.com/actions/reference/workflows-and-actions/variables
    CiSystem(
        name="github",
        sign="GITHUB_ACTIONS",
        commit=("GITHUB_SHA",),
        branch=("GITHUB_HEAD_REF", "GITHUB_REF_NAME"),
        change=_of_github,
    ),
    # https://docs.gitlab.com/ci/variables/predefined_variables/
    CiSystem(
        name="gitlab",
        sign="GITLAB_CI",
        commit=("CI_COMMIT_SHA",),
        branch=("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
        change=_variable("CI_MERGE_REQUEST_IID"),
    ),
    # https://circleci.com/docs/reference/variables/
    CiSystem(name="circleci", sign="CIRCLECI", commit=("CIRCLE_SHA1",), branch=("CIRCLE_BRANCH",), change=_of_circleci),
    # https://learn.microsoft.com/azure/devops/pipelines/build/variables
    CiSystem(
        name="azure",
        sign="TF_BUILD",
        commit=("SYSTEM_PULLREQUEST_SOURCECOMMITID", "BUILD_SOURCEVERSION"),
        branch=("SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"),
        change=_variable("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"),
    ),
    # https://buildkite.com/docs/pipelines/configure/environment-variables ("false" where there is no pull request)
    CiSystem(
        name="buildkite",
        sign="BUILDKITE",
        commit=("BUILDKITE_COMMIT",),
        branch=("BUILDKITE_BRANCH",),
        change=_variable("BUILDKITE_PULL_REQUEST"),
    ),
    # https://docs.travis-ci.com/user/environment-variables/ ("false" where there is no pull request)
    CiSystem(
        name="travis",
        sign="TRAVIS",
        commit=("TRAVIS_PULL_REQUEST_SHA", "TRAVIS_COMMIT"),
        branch=("TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH"),
        change=_variable("TRAVIS_PULL_REQUEST"),
    ),
    # https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/
    CiSystem(
        name="bitbucket",
        sign="BITBUCKET_BUILD_NUMBER",
        commit=("BITBUCKET_COMMIT",),
        branch=("BITBUCKET_BRANCH",),
        change=_variable("BITBUCKET_PR_ID"),
    ),
    # https://plugins.jenkins.io/git/ (GIT_…) and https://plugins.jenkins.io/branch-api/ (CHANGE_…, BRANCH_NAME)
    CiSystem(
        name="jenkins",
        sign="JENKINS_URL",
        commit=("GIT_COMMIT",),
        branch=("CHANGE_BRANCH", "BRANCH_NAME", "GIT_BRANCH"),
        change=_variable("CHANGE_ID"),
    ),
)
"""Asked in this order; Jenkins last, since its agents may run inside of another."""


def of_run(given: Iterable[str], environment: Environment) -> dict[str, str]:
    """Return the labels of a run: those of its CI, and those given as KEY=VALUE, which win.

    Raises:
        UsageError: a label that was given is not KEY=VALUE, or its key is there twice.
    """
    return {**of_ci(environment), **parsed(given)}


def parsed(given: Iterable[str]) -> dict[str, str]:
    """Return the labels that were given as KEY=VALUE.

    Raises:
        UsageError: one is not of that form, its key is there twice, or there are too many.
    """
    found: dict[str, str] = {}
    for text in given:
        key, value = parse(text)
        if key in found:
            raise UsageError(
                f"--label {shortened(text, _SHOWN)}: the key {key!r} is given twice; expected each key once"
            )
        found[key] = value
    if len(found) > MOST_LABELS - 4:
        raise UsageError(f"--label: {len(found)} labels; expected at most {MOST_LABELS - 4}")
    return found


def parse(text: str) -> tuple[str, str]:
    """Return the key and the value of one label.

    Raises:
        UsageError: it is not KEY=VALUE.
    """
    key, equals, value = text.partition("=")
    shown = shortened(text, _SHOWN)
    if not equals:
        raise UsageError(f"--label {shown}: no '='; expected KEY=VALUE, such as commit=4f2a9c1")
    if len(key) > MOST_KEY or not re.fullmatch(LABEL_KEY, key):
        raise UsageError(
            f"--label {shown}: the key is {shortened(repr(key), _SHOWN)}; expected a letter, then letters, digits, "
            f"'_', '.' or '-', at most {MOST_KEY} characters"
        )
    if len(value) > MOST_VALUE or not value.isprintable():
        raise UsageError(f"--label {shown}: the value is not one line of at most {MOST_VALUE} characters; shorten it")
    if key == COMMITTED_AT and moment(value) is None:
        raise UsageError(
            f"--label {shown}: expected a moment with its time zone, such as 2026-11-22T22:39:08Z; "
            "git show --no-patch --format=%cI prints a commit's"
        )
    return key, value


def moment(text: str) -> datetime.datetime | None:
    """Return the moment that a text says, in UTC; None: it is none, or has no time zone."""
    try:
        found = datetime.datetime.fromisoformat(text)
        return found.astimezone(datetime.UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def of_ci(environment: Environment) -> dict[str, str]:
    """Return `ci`, `commit`, `branch` and `change` as a CI's variables have them; what it does not set is left out."""
    system = next((each for each in SYSTEMS if environment.get(each.sign)), None)
    if system is None:
        return {}
    branch = _first(environment, system.branch)
    found = {
        "ci": system.name,
        "commit": _first(environment, system.commit),
        "branch": branch and branch.removeprefix("refs/heads/").removeprefix("origin/"),
        "change": system.change(environment),
    }
    return {key: value for key, value in found.items() if value and _fits(value)}


def _first(environment: Environment, names: Iterable[str]) -> str | None:
    """Return the first of the variables that says something; `false` is how some say that there is no change."""
    values = (environment.get(name, "") for name in names)
    return next((value for value in values if value and value != "false"), None)


def _fits(value: str) -> bool:
    return len(value) <= MOST_VALUE and value.isprintable()
