"""Child processes that compile many small things, and outlive those that crash or hang them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar

from mbench.build import builders
from mbench.build.local_executor import LocalExecutor
from mbench.core import children, system_limits
from mbench.core.children import ChildError, Died
from mbench.core.errors import BuildError
from mbench.core.progress import Fraction

_K = TypeVar("_K")
_T = TypeVar("_T")


class Done(Generic[_T]):
    """What came of a task: its answer, or the reason why there is none."""

    def __init__(self, answer: _T | None, reason: str = "") -> None:
        self._answer = answer
        self.reason = reason

    def answer(self) -> _T:
        """Return the answer.

        Raises:
            BuildError: there is none.
        """
        if self.reason:
            raise BuildError(self.reason)
        return self._answer  # type: ignore[return-value]


class Compilers:
    """A pool of such processes. Use as a context: none of them outlives it, however it is left."""

    def __init__(self) -> None:
        self._executor: LocalExecutor | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Compilers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def all_of(
        self,
        tasks: Mapping[_K, Callable[[], _T]],
        limit_s: float,
        report: Fraction = lambda _: None,
    ) -> dict[_K, Done[_T]]:
        """Run tasks side by side; one whose process died is tried once more, alone.

        Args:
            tasks: by name.
            limit_s: a task that takes longer is given up.
            report: called with the share that is done.
        """
        self._executor = self._executor or self._stack.enter_context(builders.local_executor(limit_s))
        found: dict[_K, Done[_T]] = {}
        limits = builders.limits(limit_s)
        futures = {self._executor.submit_within(limits, task): name for name, task in tasks.items()}
        for future in children.as_completed(futures):
            found[futures[future]] = _ended(future)
            report(len(found) / len(tasks))
        return {name: found[name] for name in tasks}


def _ended(future: Any) -> Done[Any]:
    """Return what came of a task."""
    try:
        return Done(future.result())
    except Died:
        return Done(None, f"{builders.DIED}{system_limits.memory_hint()}")
    except ChildError as error:
        return Done(None, f"compiling was stopped: {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is why this one has no answer; the others go on
        return Done(None, system_limits.reason(error))
