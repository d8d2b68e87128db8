"""Child processes that compile many small things, and outlive those that crash or hang them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar

from mbench.build import builders
from mbench.core import children, system_limits
from mbench.core.children import ChildError, Children, Died, TaskLimits
from mbench.core.errors import BuildError

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
        self._pool: Children | None = None
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
        report: Callable[[float], None] = lambda _: None,
    ) -> dict[_K, Done[_T]]:
        """Run tasks side by side; one whose process died is tried once more, alone.

        Args:
            tasks: by name.
            limit_s: a task that takes longer is given up.
            report: called with the share that is done.
        """
        self._pool = self._pool or self._stack.enter_context(builders.children())
        found: dict[_K, Done[_T]] = {}
        limits = TaskLimits(time_s=limit_s)
        futures = {self._pool.submit_within(limits, task): name for name, task in tasks.items()}
        for future in children.as_completed(futures):
            done = _ended(future)
            if done is not None:
                found[futures[future]] = done
                report(len(found) / len(tasks))
        for name, task in tasks.items():
            if name not in found:
                [again] = children.as_completed([self._pool.submit_within(limits, task)])
                found[name] = _ended(again) or Done(None, f"{builders.DIED}{system_limits.memory_hint()}")
                report(len(found) / len(tasks))
        return {name: found[name] for name in tasks}


def _ended(future: Any) -> Done[Any] | None:
    """Return what came of a task; None where its process died."""
    try:
        return Done(future.result())
    except Died:
        return None
    except ChildError as error:
        return Done(None, f"compiling was stopped: {error}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is why this one has no answer; the others go on
        said = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}{system_limits.memory_hint()}"
        return Done(None, system_limits.reached(error) or said)
