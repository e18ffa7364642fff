"""Pure rooms and files take values and return values.

The contract "Pure rooms and files do no I/O" (pyproject.toml) names them, and modules that they do
not import. Here the list is of what they may: of Python itself nothing else, and no function that
reads a clock, draws a random number, opens a file or prints.
"""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = {
    *(
        "__future__",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "dataclasses",
        "datetime",
    ),
    *("difflib", "enum", "fractions", "functools", "hashlib", "heapq", "hmac", "html", "itertools"),
    *("ipaddress", "json", "math", "re", "struct", "typing", "unicodedata", "uuid"),
    *("cdn", "mediaserver", "metering", "msgspec", "xxhash"),
}
SHELLS = {
    *("mediaserver.clock", "mediaserver.log", "mediaserver.metrics"),
    *("metering.key_file", "metering.log_throttle", "metering.signing"),
}
IMPURE = {
    *("__import__", "eval", "exec", "input", "now", "open", "print", "today", "urandom", "utcnow"),
    *("read_bytes", "uuid1", "uuid4", "write_bytes", "write_text"),
}
EXCEPT = {
    "cdn/nginx.py: importlib.resources",  # its template, which is in the package
    "mediaserver/http/problem.py: http",  # HTTPStatus, a table
}


def files() -> Iterator[Path]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (pure,) = [one for one in contracts["contracts"] if one["name"].startswith("Pure rooms")]
    for module in pure["source_modules"]:
        path = ROOT / module.replace(".", "/")
        yield from path.rglob("*.py") if path.is_dir() else [path.with_suffix(".py")]


def faults_of(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        yield from (name for name in names if name in SHELLS or _root(name) not in ALLOWED)
        if isinstance(node, ast.Call):
            function = node.func
            name = getattr(function, "id", None) or getattr(function, "attr", "")
            if name in IMPURE:
                yield f"{name}()"


def _root(name: str) -> str:
    return name.partition(".")[0]


def test_pure_files_use_nothing_else() -> None:
    """What they return follows from what they are given, today and in a test."""
    faults = [
        f"{path.relative_to(ROOT)}: {fault}"
        for path in files()
        for fault in faults_of(path.read_text())
    ]

    assert set(faults) - EXCEPT == set()


def test_what_is_impure_is_found() -> None:
    """The test can fail."""
    assert list(faults_of("import sqlite3")) == ["sqlite3"]
    assert list(faults_of("from metering.log_throttle import Throttle")) == [
        "metering.log_throttle"
    ]
    assert list(faults_of("import datetime\nx = datetime.datetime.now()")) == ["now()"]
    assert list(faults_of("def read(path):\n    return open(path)")) == ["open()"]
