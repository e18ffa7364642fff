"""Operations that one process asks another for: methods of a port, by their own signatures.

The port's method is the only description: its qualified name is the operation's name, its type
hints are what both ends encode and check. `served` makes the server's table; `CallClient.call`
takes the same method.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_type_hints

import msgspec

from mediaserver.errors import LinkError

_ENCODER: Final = msgspec.json.Encoder()
_BROKEN: Final = (msgspec.MsgspecError, ValueError, RecursionError)

Method = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A method as it travels: its arguments in order, `self` left out, then its result."""

    name: str
    signature: inspect.Signature
    keyword_only: tuple[str, ...]
    arguments: msgspec.json.Decoder[Any]
    result: msgspec.json.Decoder[Any]

    def encode(self, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> msgspec.Raw:
        """Return a call's arguments as a JSON array, defaults filled in."""
        bound = self.signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        return to_raw(list(bound.arguments.values()))

    def decode(self, raw: msgspec.Raw) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments that `encode` wrote.

        Raises:
            LinkError: They do not fit the signature.
        """
        try:
            values = self.arguments.decode(raw)
        except _BROKEN as error:
            raise LinkError(f"arguments of {self.name} are malformed: {error}") from error
        count = len(values) - len(self.keyword_only)
        return values[:count], dict(zip(self.keyword_only, values[count:], strict=True))

    def decode_result(self, raw: msgspec.Raw) -> Any:
        """Return the result.

        Raises:
            LinkError: It is not of the type that the method returns.
        """
        try:
            return self.result.decode(raw)
        except _BROKEN as error:
            raise LinkError(f"the result of {self.name} is malformed: {error}") from error


Handlers = dict[str, tuple[Operation, Method]]
"""What a server runs, by the operation's name."""


@cache
def operation_of(method: Method) -> Operation:
    """Return how calls of a port's method travel."""
    signature = inspect.signature(method)
    parameters = list(signature.parameters.values())[1:]
    hints = get_type_hints(method)
    types = tuple(hints[parameter.name] for parameter in parameters)
    return Operation(
        method.__qualname__,
        signature.replace(parameters=parameters),
        tuple(p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY),
        msgspec.json.Decoder(tuple.__class_getitem__(types)),
        msgspec.json.Decoder(hints["return"]),
    )


def served(target: object, *methods: Method) -> Handlers:
    """Return the table for a server that runs a port's methods on `target`."""
    table: Handlers = {}
    for method in methods:
        operation = operation_of(method)
        table[operation.name] = (operation, getattr(target, method.__name__))
    return table


def to_raw(value: object) -> msgspec.Raw:
    """Return a value as JSON, to be put into a message."""
    return msgspec.Raw(_ENCODER.encode(value))
