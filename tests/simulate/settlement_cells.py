"""Every operation between book and chain, read from settlement's code: where the soak kills.

The settler, its parts and the chain's back end reach outside by their collaborators alone: book,
chain, node, the lock of the submitter, and two callbacks. Each method of a collaborator that
their code calls is an operation; a new call is a new one, without a list to keep.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metering.chain.node import storage
from tests.support.crash_proxy import When

ROOT = Path(__file__).resolve().parents[2]
FILES = (
    "metering/settlement/settler.py",
    "metering/settlement/sealer.py",
    "metering/settlement/exposure.py",
    "metering/settlement/chain_compare.py",
    "metering/chain/pallet_chain.py",
    "metering/chain/weight.py",
)
COLLABORATORS = {
    "book": "book",
    "chain": "chain",
    "self._chain": "chain",
    "self._node": "node",
    "self._lease": "lease",
}
CALLBACKS = {"self._forget": "forget", "self._adopted": "adopted"}
UNCALLED = {"last_settled"}
"""Methods of the back end that the settler never calls: what they do is not settling."""

Cell = tuple[str, When]


def operations() -> list[str]:
    """Return the names of all operations, in the order of the code."""
    found: dict[str, None] = {}
    for name in FILES:
        for function in functions(ROOT / name):
            if function.name not in UNCALLED:
                found |= dict.fromkeys(calls_in(function, function.name))
    return list(found)


def cells() -> list[Cell]:
    """Return each operation's two sides."""
    return [(name, when) for name in operations() for when in When]


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the functions and methods of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def calls_in(tree: ast.AST, function: str) -> Iterator[str]:
    """Yield the operations in a piece of `function`'s code."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        text = ast.unparse(node.func)
        owner, _, method = text.rpartition(".")
        if text in CALLBACKS:
            yield CALLBACKS[text]
        elif owner.startswith("book."):  # a repository's method: book.outbox.open
            yield text
        elif owner in COLLABORATORS and owner != "book":
            first = ast.unparse(node.args[0]).rpartition(".")[2] if node.args else ""
            yield named(f"{COLLABORATORS[owner]}.{method}", first, function)


def named(call: str, argument: str, function: str) -> str:
    """Return an operation's name: what is read by one method for several reasons has several."""
    if call == "node.value":
        return f"{call} {argument}"
    if call == "node.block_hash":
        return f"{call} in {function.strip('_')}"
    return call


_ITEMS = {id(value): name for name, value in vars(storage).items()}


def name_at_runtime(call: str, arguments: tuple[Any, ...]) -> str:
    """Return the same name from a call that is being made: a `Naming` of a crash proxy."""
    argument = _ITEMS.get(id(arguments[0]), "") if arguments else ""
    # This function, the proxy's, and the product's that awaits it.
    return named(call, argument, sys._getframe(2).f_code.co_name)
