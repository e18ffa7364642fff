"""One test for each private of aiortc 1.16 and pylibsrtp 1.0 that ingest/dtls.py depends on."""

import asyncio
import importlib.metadata
import inspect

import pylibsrtp
import pytest
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import RTCDtlsTransport, State
from pylibsrtp import Policy, Session, _binding

from mediaserver.ingest.dtls import Dtls, DtlsPath, certificate, sha256_of
from mediaserver.ingest.rtp import picture_loss

NOW_MS = 1_800_000_000_000


def test_versions():
    """The privates below were read in these versions."""
    assert importlib.metadata.version("aiortc") == "1.16.0"
    assert importlib.metadata.version("pylibsrtp") == "1.0.0"


def test_transport_beneath_needs_only_recv_send_and_role():
    """`DtlsPath` replaces RTCIceTransport because nothing else of it is touched."""
    source = inspect.getsource(RTCDtlsTransport)
    used = {
        piece.split("(")[0].split()[0].rstrip(".:,")
        for piece in source.split("self.transport.")[1:]
    }

    assert used <= {"_recv", "_send", "role"}


@pytest.mark.parametrize(
    "name", ["_ssl", "_state", "_task", "_rx_srtp", "_tx_srtp", "encrypted", "_role"]
)
async def test_transport_has(name):
    """Attributes that `Dtls` reads exist before the handshake."""
    transport = Dtls(DtlsPath(lambda _data: True), certificate(NOW_MS), True, lambda: None)

    assert hasattr(transport, name)
    assert transport._state is State.NEW
    assert transport._role == "client"


def test_write_ssl_is_what_sends_each_flight():
    """Overridden to keep the first flight for repeats."""
    assert inspect.iscoroutinefunction(RTCDtlsTransport._write_ssl)
    assert "bio_read(1500)" in inspect.getsource(RTCDtlsTransport._write_ssl)
    assert "await self._write_ssl()" in inspect.getsource(RTCDtlsTransport._do_handshake)


def test_set_state_emits_statechange():
    """close_notify is noticed by this event, synchronously."""
    assert 'self.emit("statechange")' in inspect.getsource(RTCDtlsTransport._set_state)


@pytest.fixture
async def joined():
    """Two Dtls of ours, shaken hands; what arrives beyond DTLS is in `media`."""
    ends: dict[str, Dtls] = {}
    media: dict[str, list[bytes]] = {"client": [], "server": []}
    closed: asyncio.Queue[str] = asyncio.Queue()

    def sender(to):
        def send(data):
            if 20 <= data[0] <= 63:
                asyncio.get_running_loop().call_soon(ends[to].feed, data)
            else:
                media[to].append(data)
            return True

        return send

    own = certificate(NOW_MS)
    ends["client"] = Dtls(
        DtlsPath(sender("server")), own, True, lambda: closed.put_nowait("client")
    )
    ends["server"] = Dtls(
        DtlsPath(sender("client")), own, False, lambda: closed.put_nowait("server")
    )
    prints = (("sha-256", sha256_of(own)),)
    async with asyncio.timeout(5):
        await asyncio.gather(*(end.connect(prints) for end in ends.values()))
    yield ends["client"], ends["server"], media, closed
    for end in ends.values():
        await end.close()


async def test_rtcp_is_encrypted_and_decrypted_in_place(joined):
    """`Session._srtp`, `_cdata`, `_buffer` and `_binding.lib` decrypt what `_tx_srtp` encrypted."""
    client, server, media, _ = joined
    client.send_rtcp(picture_loss(1, 2))
    (datagram,) = media["server"]

    assert datagram[8:] != picture_loss(1, 2)[8:]
    assert server.decrypt(datagram) == picture_loss(1, 2)
    assert server.decrypt(datagram[:-1] + b"\0") is None
    assert server.decrypt(b"\x80" + bytes(1499)) is None
    assert server.bad_packets == 2


async def test_close_notify_closes_the_other_end(joined):
    """A publisher that stops cleanly is noticed at once."""
    client, _server, _, closed = joined
    await client.close()
    async with asyncio.timeout(2):
        ended = await closed.get()

    assert ended == "server"


async def test_r6_farewell_closes_the_other_end_and_leaves_ours_open(joined):
    """`shutdown` encrypts a close_notify that we keep; `set_shutdown` lets the session go on.

    Sent later, by anyone and after much else, it ends the other side alone.
    """
    client, server, media, closed = joined
    record = client.farewell()
    client.send_rtcp(picture_loss(1, 2))
    server.send_rtcp(picture_loss(3, 4))
    is_heard = server.decrypt(media["server"][0]) == picture_loss(1, 2)
    is_open = client.state == server.state == "connected"
    server.feed(record)
    async with asyncio.timeout(2):
        ended = await closed.get()

    assert record[0] == 21  # alert, RFC 6347
    assert is_heard
    assert is_open
    assert ended == "server"
    assert client.state == "connected"
    assert client.decrypt(media["client"][0]) == picture_loss(3, 4)


async def test_r6_farewell_and_the_orderly_end_are_two_records(joined):
    """The real end still works after a farewell was made."""
    client, _server, _, closed = joined
    client.farewell()
    await client.close()
    async with asyncio.timeout(2):
        ended = await closed.get()

    assert ended == "server"


async def test_wrong_fingerprint_is_a_connection_error():
    """A peer that is not the owner of the offered certificate does not get in."""
    ends: dict[str, Dtls] = {}
    loop = asyncio.get_running_loop()

    def sender(to):
        return lambda data: loop.call_soon(ends[to].feed, data) is not None

    own = certificate(NOW_MS)
    ends["a"] = Dtls(DtlsPath(sender("b")), own, True, lambda: None)
    ends["b"] = Dtls(DtlsPath(sender("a")), own, False, lambda: None)
    wrong = (("sha-256", ":".join(["00"] * 32)),)
    right = (("sha-256", sha256_of(own)),)
    results = await asyncio.gather(
        ends["a"].connect(wrong), ends["b"].connect(right), return_exceptions=True
    )
    for end in ends.values():
        await end.close()

    assert isinstance(results[0], ConnectionError)


def test_session_internals_of_pylibsrtp():
    """The buffer holds exactly the 1500 bytes that the ICE adapter lets through."""
    session = Session(Policy(key=bytes(30), ssrc_type=Policy.SSRC_ANY_INBOUND))

    assert len(session._cdata) == 1500
    assert len(session._buffer) == 1500
    assert session._srtp[0] is not None
    assert callable(_binding.lib.srtp_unprotect)
    assert callable(_binding.lib.srtp_unprotect_rtcp)
    assert issubclass(pylibsrtp.Error, Exception)


def test_certificate_is_renewed_before_it_expires():
    """A process that lives long never answers with an expired certificate."""
    import time

    now_ms = time.time_ns() // 1_000_000
    first = certificate(now_ms)
    day_ms = 86_400_000

    assert certificate(now_ms + 20 * day_ms) is first
    later = certificate(now_ms + 24 * day_ms)
    assert later is not first
    assert isinstance(later, RTCCertificate)
    assert later._key.curve.name == "secp256r1"
