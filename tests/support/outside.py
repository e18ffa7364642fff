"""What leaves the server, as sorted lines of text: names, schemas, addresses, signed bytes.

Each function returns one golden file of tests/golden/outside/. To write those anew after a change
that is wanted: ``python -m tests.support.outside FOLDER``, then read the difference.
"""

from __future__ import annotations

import argparse
import ast
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from mediaserver import playback_token
from mediaserver.api import admin
from mediaserver.cli import main
from mediaserver.errors import AddressError
from mediaserver.hls import addresses, cache_policy
from mediaserver.payments.tables import TABLES as PAYMENTS
from mediaserver.people.tables import TABLES as PEOPLE
from mediaserver.settings.records import Settings
from mediaserver.settings.schema import schema
from mediaserver.webhooks.tables import TABLES as WEBHOOKS
from metering import signing
from metering.book.book import Book
from metering.chain.node import extrinsic
from metering.chain.node.scale import Hash
from metering.model import receipt, receipt_file
from metering.model.batch import seal
from metering.model.receipt import ReceiptLine
from metering.store import keys
from metering.testing import run_chopsticks
from metering.testing.fake_node import __main__ as fake_node
from metering.units import AccountId, Asset, EntryKey, Planck, Run, SessionId
from tests.support.runtime_facts import FACTS

ROOT: Final = Path(__file__).resolve().parents[2]
PRODUCT: Final = ("mediaserver", "metering", "cdn")
LEVELS: Final = {"debug", "info", "warning", "error", "exception"}
ASSET: Final = Asset("UNIT", 12, 1)
STREAM: Final = UUID("6a1f0d3c-0b57-4cf0-9a53-2f0f8f0f7b11")
VIEWER: Final = AccountId(bytes(range(32)))
SESSION: Final = SessionId(0x0102030405060708)


def log_events() -> Iterator[str]:
    """Yield ``event level`` of every event that is logged."""
    for node in _calls():
        name = _text(node)
        if (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in LEVELS
            and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)
        ):
            yield f"{name} {node.func.attr.replace('exception', 'error')}"


def metrics() -> Iterator[str]:
    """Yield ``name kind`` of every metric; counters end in ``_total`` when scraped."""
    for node in _calls():
        kind = re.match("_?(counter|gauge|histogram)", getattr(node.func, "id", "").lower())
        name = _text(node)
        if kind and name:
            yield f"{name} {kind[1]}"


def config() -> Iterator[str]:
    """Yield each key of the configuration with its type, default and bounds."""
    yield from _config_lines("", schema(), Settings())


def sql_schema() -> Iterator[str]:
    """Yield the statements that make a new book, as SQLite keeps them."""
    with tempfile.TemporaryDirectory() as folder:
        with Book.open(f"sqlite:///{folder}/book.db", ASSET) as book:
            PEOPLE.bring_up(book)
            PAYMENTS.bring_up(book)
            WEBHOOKS.bring_up(book)
        connection = sqlite3.connect(f"{folder}/book.db")
        try:
            for (statement,) in connection.execute("select sql from sqlite_master where sql != ''"):
                yield " ".join(statement.split())
            for (version,) in connection.execute("select version_num from alembic_version"):
                yield f"schema version {version}"
            for (version,) in connection.execute("select version_num from people_version"):
                yield f"schema version of people {version}"
            for (version,) in connection.execute("select version_num from payments_version"):
                yield f"schema version of payments {version}"
            for (version,) in connection.execute("select version_num from webhooks_version"):
                yield f"schema version of webhooks {version}"
        finally:
            connection.close()


def redis() -> Iterator[str]:
    """Yield Redis keys of fixed things, and every text that the scripts hold."""
    account, stream = VIEWER, STREAM.bytes
    for key in (
        keys.epoch(17),
        keys.meta(17),
        keys.totals(17),
        keys.pending(17),
        keys.balance(account),
        keys.counts(account, stream),
        keys.session(account, SESSION),
        keys.sessions(account, stream),
        keys.watched(account, stream, 472_222),
        keys.unbilled(17),
        keys.pending_field(account, stream, 3, 2, 56_666_666),
        keys.lease(account),
        keys.cut(17, 42),
        keys.lock(),
        keys.fence(17),
    ):
        yield f"key {key!r}"
    yield f"bucket {keys.SLOT.format} word {keys.WORD_TICKS}"
    for path in (ROOT / "metering/store/scripts").glob("*.lua"):
        code = re.sub(r"--.*", "", path.read_text())
        for text in re.findall(r'"[^"\n]*"|\'[^\'\n]*\'', code):
            yield f"script text {text[1:-1]!r}"


FORWARDED = {
    "vilokanam chain fake": fake_node.parser_for,
    "vilokanam chain up": run_chopsticks.parser_for,
}
"""Verbs whose arguments are parsed by the module of metering.testing that they run."""


def commands() -> Iterator[str]:
    """Yield every verb of the command line with its arguments."""
    yield from _parser_lines(main._parser())


def routes() -> Iterator[str]:
    """Yield every route of control's API."""
    for room in admin.ROOMS:
        for route in room.routes():
            yield f"{route.method} {route.path}"


def urls() -> Iterator[str]:
    """Yield an address of each kind with what it is parsed to, and the patterns of caches."""
    token = "T" * 108
    for path in (
        "/cam/",
        "/cam/index.m3u8",
        "/cam/7/720p/media.m3u8",
        "/cam/7/720p/init-0123456789abcdef.mp4",
        "/cam/7/720p/42-1700000000x3.m4s",
        "/cam/7/720p/42.6-1700000000x1.m4s",
        "/cam/whip",
        "/cam/whip/w1.s3cr3t",
    ):
        yield f"{path} -> {_place(path)}"
    for leaf in (
        "",
        "index.m3u8",
        "7/source/media.m3u8",
        "meter",
        "session",
        "top-up",
        "receipts",
        "sessions",
        "settings",
    ):
        yield f"/w/<token>/cam/{leaf} -> {_place(f'/w/{token}/cam/{leaf}')}"
    for path in ("/", "/api/", "/cam", "/Cam/", "/cam/07/720p/media.m3u8", "/cam/meter", "/w/T/"):
        yield f"{path} -> {_place(path)}"
    for name, pattern in addresses.patterns().items():
        yield f"pattern {name} {pattern}"
    yield f"reserved {sorted(addresses.RESERVED_SLUGS)}"


def caching() -> Iterator[str]:
    """Yield Cache-Control of each kind of response, and the headers beside it."""
    for kind in cache_policy.Kind:
        for status in (200, 206, 304, 401, 402, 403, 404, 410, 416, 503):
            value = cache_policy.cache_control(kind, status, 2, 12_000, 500)
            yield f"{kind.value} {status}: {value}"
    for name, value in cache_policy.COMMON_HEADERS:
        yield f"common {name}: {value}"
    for name, value in cache_policy.PREFLIGHT_HEADERS:
        yield f"preflight {name}: {value}"


def signed() -> Iterator[str]:
    """Yield the bytes of a token, a receipt and its file, a batch, and an extrinsic."""
    grant = playback_token.Grant(VIEWER, STREAM, SESSION, 1_700_000_000)
    yield f"token {playback_token.mint(grant, [(7, b's' * 32)])}"
    operator = signing.from_seed(b"o" * 32)
    made = receipt.make(
        STREAM,
        VIEWER,
        [
            ReceiptLine(1, 2, Planck(10**8), (Run(1_700_000_000, 10), Run(1_700_000_020, 3))),
            ReceiptLine(1, 1, Planck(7), (Run(1_700_000_050, 1),)),
        ],
        number=1,
        made_ms=1_700_000_000_123,
        previous=receipt.FIRST_PREVIOUS,
    )
    whole = receipt.SignedReceipt(made, bytes(range(64)))
    yield f"receipt {receipt.canonical_bytes(made, ASSET).hex()}"
    yield f"receipt hash {receipt.hash_of(made, ASSET).hex()}"
    yield f"receipt file {receipt_file.file_bytes(ASSET, operator.account, [whole])!r}"
    lines = [
        (EntryKey(UUID(int=5), VIEWER, 3, 1), 60),
        (EntryKey(UUID(int=5), AccountId(b"\x01" * 32), 2, 2), 1 << 33),
        (EntryKey(UUID(int=1 << 70), VIEWER, 1, 1), 7),
    ]
    for batch in seal(lines, 3, 2):
        yield f"batch {batch.seq} {batch.count} {batch.hash.hex()} {batch.entries.hex()}"
        call = extrinsic.settle_call(FACTS, batch.seq, batch.hash, batch.entries)
        terms = extrinsic.Terms(
            nonce=5,
            era=extrinsic.era_at(1000, 64),
            birth_hash=Hash(b"\xb1" * 32),
            spec_version=100,
            tx_version=1,
            genesis=FACTS.genesis,
        )
        yield f"payload {extrinsic.signing_payload(FACTS, call, terms).hex()}"
        sent = extrinsic.signed_extrinsic(FACTS, call, terms, operator.account, bytes(range(64)))
        yield f"extrinsic {sent.hex()}"


FILES: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "log_events": log_events,
    "metrics": metrics,
    "config": config,
    "sql_schema": sql_schema,
    "redis": redis,
    "commands": commands,
    "routes": routes,
    "urls": urls,
    "caching": caching,
    "signed": signed,
}


def _calls() -> Iterator[ast.Call]:
    for room in PRODUCT:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call):
                    yield node


def _text(node: ast.Call) -> str:
    value = getattr(node.args[0], "value", None) if node.args else None
    return value if isinstance(value, str) else ""


def _config_lines(path: str, table: dict[str, Any], default: Any) -> Iterator[str]:
    for name, key in table["properties"].items():
        value = getattr(default, name)
        if key["type"] == "object":
            yield from _config_lines(f"{path}{name}.", key, value)
            continue
        bounds = {word: key[word] for word in ("minimum", "maximum", "enum") if word in key}
        items = key["items"]["type"] if "items" in key else ""
        yield f"{path}{name} {key['type']} {items} {_plain(value)!r} {bounds}"


def _plain(value: Any) -> Any:
    """Return a default without the names of the classes that hold it."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


def _parser_lines(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                made = FORWARDED.get(child.prog)
                yield from _parser_lines(made(child.prog) if made else child)
        elif not isinstance(action, argparse._HelpAction):
            kind = getattr(action.type, "__name__", "").strip("_")
            words = [
                parser.prog,
                "/".join(action.option_strings) or action.dest,
                f"type={kind}" if kind in ("int", "float", "Path") else "",
                f"nargs={action.nargs}" if action.nargs is not None else "",
                f"choices={list(action.choices)}" if action.choices else "",
                "required" if action.required else "",
                f"default={_below_root(action.default)}"
                if action.default not in (None, False, argparse.SUPPRESS)
                else "",
            ]
            yield " ".join(word for word in words if word)
    yield parser.prog


def _below_root(default: object) -> str:
    return str(default).replace(f"{ROOT}/", "")


def _place(path: str) -> str:
    try:
        address = addresses.parse(path)
    except AddressError:
        return "refused"
    assert addresses.build(address) == path
    place = address.place
    return f"{type(place).__name__} " + " ".join(
        f"{name}={getattr(place, name)}" for name in place.__dataclass_fields__
    )


def text_of(name: str) -> str:
    """Return a golden file: its lines sorted, each once."""
    return "".join(f"{line}\n" for line in sorted(set(FILES[name]())))


if __name__ == "__main__":
    for name in FILES:
        Path(sys.argv[1], f"{name}.txt").write_text(text_of(name))
