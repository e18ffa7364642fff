"""A proxy around a collaborator that reports each call before it begins and after it has ended.

A test that ends the process (or raises `CrashError`) in the report cuts the code under test off
between two of its operations, without any hook in the product: the operations are read from what
the code calls, in the order in which it calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any

from metering.book.rows import Repository


class When(Enum):
    """On which side of a call."""

    BEFORE = "before"
    AFTER = "after"


Report = Callable[[str, When], None]
"""Takes the call's name, such as ``book.outbox.seal``, and the side of it."""
Naming = Callable[[str, tuple[Any, ...]], str]
"""Takes the call's name and its positional arguments; returns the name that is reported."""


class CrashError(BaseException):
    """The process ends here: no code may catch it and go on."""


class CrashProxy:
    """A proxy of a collaborator: an object with methods, or a book with its repositories."""

    def __init__(
        self,
        target: Any,
        name: str,
        report: Report,
        naming: Naming = lambda call, _arguments: call,
    ) -> None:
        self._target, self._name, self._report, self._naming = target, name, report, naming

    def __getattr__(self, name: str) -> Any:
        value, call = getattr(self._target, name), f"{self._name}.{name}"
        if isinstance(value, Repository):
            return CrashProxy(value, call, self._report, self._naming)
        return reported(value, call, self._report, self._naming) if callable(value) else value


def reported(
    function: Callable[..., Any],
    call: str,
    report: Report,
    naming: Naming = lambda call, _arguments: call,
) -> Callable[..., Any]:
    """Return a function, plain or async, whose calls are reported."""
    if inspect.iscoroutinefunction(function):

        async def asynchronous(*arguments: Any, **named: Any) -> Any:
            name = naming(call, arguments)
            report(name, When.BEFORE)
            result = await function(*arguments, **named)
            report(name, When.AFTER)
            return result

        return asynchronous

    def blocking(*arguments: Any, **named: Any) -> Any:
        name = naming(call, arguments)
        report(name, When.BEFORE)
        result = function(*arguments, **named)
        report(name, When.AFTER)
        return result

    return blocking


class Steps:
    """Numbers calls; crashes before the chosen one, which is after the one before it."""

    def __init__(self, crash_at: int = -1) -> None:
        self.made: list[str] = []
        self._crash_at = crash_at

    def __call__(self, call: str, when: When) -> None:
        if when is When.AFTER:
            return
        self.made.append(call)
        if len(self.made) - 1 == self._crash_at:
            raise CrashError(call)
