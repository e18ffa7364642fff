"""Every request to a node ends, whatever the node does; and nothing is sent twice from here."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import hashlib
import ipaddress
import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from metering.chain.node.client import Node
from metering.chain.node.substrate import RpcError
from metering.errors import ChainUnavailableError

Answer = Callable[[dict, asyncio.StreamWriter], Awaitable[None]]
TIMEOUT_S = 0.4
"""What a request may take here."""
HANG_S = 8.0
"""Far above it, on a busy machine too: whatever takes this long would take forever."""


def frame(text: str) -> bytes:
    """One text frame of a server."""
    raw = text.encode()
    length = bytes([len(raw)]) if len(raw) < 126 else b"\x7e" + len(raw).to_bytes(2, "big")
    return b"\x81" + length + raw


async def read_frame(reader: asyncio.StreamReader) -> str:
    """One masked text frame of a client."""
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    if length == 126:
        length = int.from_bytes(await reader.readexactly(2), "big")
    elif length == 127:
        length = int.from_bytes(await reader.readexactly(8), "big")
    mask = await reader.readexactly(4)
    data = await reader.readexactly(length)
    return bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)).decode()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The handshake of RFC 6455."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    key = next(line[19:] for line in head.splitlines() if line.startswith("Sec-WebSocket-Key: "))
    magic = f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()
    digest = hashlib.sha1(magic, usedforsecurity=False).digest()
    accept = base64.b64encode(digest).decode()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept.encode() + b"\r\n\r\n"
    )


class Server:
    """A node that can be faulty; `asked` is what it was asked, over all its connections."""

    def __init__(self, answer: Answer, *, greets: str = "well") -> None:
        self._answer, self._greets = answer, greets
        self.asked: list[dict] = []
        self.was_asked = asyncio.Event()
        self.connections = 0
        self.url = ""
        self._meetings: list[asyncio.Task[None] | None] = []

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # The loop itself holds tasks weakly: one that waits for nothing could be collected.
        self._meetings.append(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if self._greets == "never":
                await asyncio.Event().wait()
            if self._greets == "half":
                writer.write(b"HTTP/1.1 101 Switching")
                while True:  # a byte now and then keeps any time-out of a single read away
                    await asyncio.sleep(0.05)
                    writer.write(b" ")
            await greet(reader, writer)
            while True:
                asked = json.loads(await read_frame(reader))
                self.asked.append(asked)
                self.was_asked.set()
                await self._answer(asked, writer)
        writer.close()


@contextlib.asynccontextmanager
async def faulty_node(
    answer: Answer, *, greets: str = "well", tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Server, Node]]:
    server = Server(answer, greets=greets)
    listening = await asyncio.start_server(server.meet, "127.0.0.1", 0, ssl=tls)
    scheme = "ws" if tls is None else "wss"
    server.url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        async with Node(server.url, TIMEOUT_S) as node:
            yield server, node
    finally:
        listening.close()


async def well(asked: dict, writer: asyncio.StreamWriter) -> None:
    reply = {"jsonrpc": "2.0", "id": asked["id"], "result": asked["method"]}
    writer.write(frame(json.dumps(reply)))


async def silent(asked: dict, writer: asyncio.StreamWriter) -> None:
    """Nothing comes."""


async def half(asked: dict, writer: asyncio.StreamWriter) -> None:
    """A reply that stalls half-way, byte by byte."""
    whole = frame(json.dumps({"id": asked["id"], "result": "x" * 100}))
    for byte in whole[:60]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)
    await asyncio.Event().wait()


async def cut(asked: dict, writer: asyncio.StreamWriter) -> None:
    """The connection ends in the middle of a reply."""
    writer.write(frame(json.dumps({"id": asked["id"], "result": "x" * 100}))[:60])
    writer.close()


async def garbage(asked: dict, writer: asyncio.StreamWriter) -> None:
    writer.write(frame("{{{"))


async def resultless(asked: dict, writer: asyncio.StreamWriter) -> None:
    writer.write(frame(json.dumps({"id": asked["id"]})))


async def other_id(asked: dict, writer: asyncio.StreamWriter) -> None:
    """An answer to a question that was not asked, then none."""
    writer.write(frame(json.dumps({"id": 999, "result": "not yours"})))


@pytest.mark.parametrize("answer", [silent, half, cut, garbage, resultless, other_id])
async def test_a_request_ends_whatever_the_node_does(answer):
    """In time, as unavailable: it may or may not have arrived."""
    async with faulty_node(answer) as (server, node):
        began_s = time.monotonic()
        with pytest.raises(ChainUnavailableError):
            await node.request("author_submitExtrinsic", ["0x00"])

        assert time.monotonic() - began_s < HANG_S
        assert len(server.asked) == 1  # never again by itself


@pytest.mark.parametrize("greets", ["never", "half"])
async def test_connecting_ends_too(greets):
    """A port that is open is not yet a node."""
    async with faulty_node(well, greets=greets) as (_, node):
        began_s = time.monotonic()
        with pytest.raises(ChainUnavailableError):
            await node.request("system_chain", [])

        assert time.monotonic() - began_s < HANG_S


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1 that nobody knows, and a server's side with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "node")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path, both = tmp_path / "node.pem", tmp_path / "both.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    both.write_bytes(private + path.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return path, context


async def test_a_node_behind_tls_is_asked_over_tls(certificate, monkeypatch):
    """`wss://`, when the system trusts its certificate."""
    path, tls = certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with faulty_node(well, tls=tls) as (server, node):
        assert await node.request("system_chain", []) == "system_chain"
        assert server.connections == 1


async def test_a_certificate_that_nobody_trusts_is_no_node(certificate):
    """A man in between would see what is signed, and answer what they like."""
    _, tls = certificate
    async with faulty_node(well, tls=tls) as (server, node):
        with pytest.raises(ChainUnavailableError, match="certificate verify failed"):
            await node.request("author_submitExtrinsic", ["0x00"])

        assert server.asked == []


async def test_a_node_that_is_not_there_is_unavailable():
    """And says where it was looked for."""
    async with Node("ws://127.0.0.1:1", TIMEOUT_S) as node:
        with pytest.raises(ChainUnavailableError, match=r"127\.0\.0\.1:1"):
            await node.request("system_chain", [])


async def test_after_a_failure_the_next_request_has_a_connection_of_its_own():
    """A late answer to the first is never taken for that of the second."""
    late: list[asyncio.Task] = []

    async def late_once(asked: dict, writer: asyncio.StreamWriter) -> None:
        if asked["method"] != "first":
            await well(asked, writer)
            return

        async def later() -> None:
            await asyncio.sleep(2 * TIMEOUT_S)
            with contextlib.suppress(OSError):
                writer.write(frame(json.dumps({"id": 1, "result": "late"})))

        late.append(asyncio.create_task(later()))

    async with faulty_node(late_once) as (server, node):
        with pytest.raises(ChainUnavailableError, match="first"):
            await node.request("first", [])

        assert await node.request("second", []) == "second"
        assert server.connections == 2
        await asyncio.gather(*late)
        assert await node.request("third", []) == "third"


async def test_an_error_of_the_node_is_an_answer():
    """With its code; the connection goes on."""

    async def refuse(asked: dict, writer: asyncio.StreamWriter) -> None:
        error = {"code": 1014, "message": "Priority is too low", "data": "(1 > 1)"}
        writer.write(frame(json.dumps({"id": asked["id"], "error": error})))

    async with faulty_node(refuse) as (server, node):
        with pytest.raises(RpcError, match=r"1014: Priority is too low: \(1 > 1\)") as met:
            await node.request("author_submitExtrinsic", ["0x00"])
        assert met.value.code == 1014
        assert await node.submit(b"\x00") == 1014

        assert server.connections == 1


async def test_who_gives_up_waiting_leaves_no_answer_behind():
    """Control may be cancelled in the middle; the next question gets its own answer."""

    async def slow_first(asked: dict, writer: asyncio.StreamWriter) -> None:
        if asked["method"] == "first":
            await asyncio.sleep(0.2)
        await well(asked, writer)

    async with faulty_node(slow_first) as (server, node):
        asked = asyncio.create_task(node.request("first", []))
        async with asyncio.timeout(5):
            await server.was_asked.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

        assert await node.request("second", []) == "second"


async def test_payloads_reach_no_log(caplog):
    """The library would write each of them through the root logger."""
    caplog.set_level(logging.DEBUG)
    async with faulty_node(well) as (_, node):
        await node.request("author_submitExtrinsic", ["0xsecret"])

    assert "0xsecret" not in caplog.text


HASH = "0x" + "11" * 32


@pytest.mark.parametrize(
    ("results", "words"),
    [
        ({"chain_getHeader": {}}, ["chain_getHeader by {}", "number"]),
        ({"chain_getHeader": None}, ["chain_getHeader by None"]),
        ({"chain_getHeader": {"number": "0x1"}}, ["chain_getHeader", "parentHash"]),
        ({"chain_getHeader": {"number": "no", "parentHash": HASH}}, ["chain_getHeader"]),
        ({"chain_getBlockHash": "0x11"}, ["chain_getBlockHash by 0x11", "32 bytes"]),
        ({"state_getStorage": {"data": 1}}, ["state_getStorage"]),
        ({"state_getRuntimeVersion": {"specName": "x"}}, ["getRuntimeVersion", "specVersion"]),
        ({"state_getMetadata": ["0x"]}, ["state_getMetadata"]),
    ],
)
async def test_f18_an_answer_that_lacks_something_is_named(results, words):
    """A proxy or another kind of node costs a try, with the request in words; no fault of ours."""
    good = {
        "chain_getHeader": {"number": "0x1", "parentHash": HASH},
        "chain_getBlockHash": HASH,
        "state_getStorage": HASH,
        "state_getRuntimeVersion": {"specName": "x", "specVersion": 1, "transactionVersion": 1},
        **results,
    }

    async def answer(asked: dict, writer: asyncio.StreamWriter) -> None:
        reply = {"jsonrpc": "2.0", "id": asked["id"], "result": good[asked["method"]]}
        writer.write(frame(json.dumps(reply)))

    async with faulty_node(answer) as (_, node):
        with pytest.raises(ChainUnavailableError) as refused:
            await node.runtime((await node.best()).hash)

    assert [word for word in words if word not in str(refused.value)] == []
