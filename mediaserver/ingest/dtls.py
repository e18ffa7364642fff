"""DTLS and SRTP towards one publisher: handshake, decryption, feedback out.

Uses `aiortc.RTCDtlsTransport` with a transport of our own beneath, so media never pass its
queue: datagrams are decrypted in place, synchronously, in the callback that brought them.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
from collections.abc import Callable
from typing import Any, Final, cast

import pylibsrtp
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters
from aiortc.rtcdtlstransport import RTCDtlsTransport, State
from aiortc.rtcicetransport import RTCIceTransport
from OpenSSL import SSL
from pylibsrtp import _binding

from mediaserver.ingest.rtp import is_rtcp

NUDGES_S: Final = (0.03, 0.05, 0.1, 0.15, 0.3)
"""Waits between repeats of our first flight. FFmpeg begins to listen after our ClientHello came,
and OpenSSL's own first timer, 1 s, cannot be shortened: 1.09 s became 0.13 s (ice-lab.md, 1)."""
CERTIFICATE_RENEWAL: Final = dt.timedelta(days=7)
"""Before expiry. aiortc's certificates live 30 days; no session outlives the rest by plan."""
_ALERTS: Final = {
    40: "handshake failure: no cipher suite, curve or signature in common",
    42: "bad certificate",
    43: "unsupported certificate",
    45: "certificate expired",
    47: "illegal parameter",
    48: "unknown certificate authority",
    50: "decode error",
    51: "decrypt error",
    70: "protocol version",
    71: "insufficient security",
    80: "internal error",
    116: "certificate required",
}
_FLIGHTS_MAX: Final = 64
"""DTLS datagrams waiting for the handshake task; a handshake needs about ten."""

CIPHERS: Final = ":".join(
    f"ECDHE-{key}-{cipher}"
    for cipher in (
        "AES128-GCM-SHA256",
        "CHACHA20-POLY1305",
        "AES256-GCM-SHA384",
        "AES128-SHA",
        "AES256-SHA",
    )
    for key in ("ECDSA", "RSA")
)
"""aiortc's own list has no RSA suite, so no peer that is the DTLS server with an RSA certificate
could be reached: GStreamer's `webrtcbin` makes one. RFC 8827, 6.5 asks for the first; the CBC
suites are for old stacks that know nothing newer."""


class Certificate(RTCCertificate):
    """An own certificate whose sessions take peers with RSA and ECDSA certificates."""

    def _create_ssl_context(self, srtp_profiles: list[Any]) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(CIPHERS.encode())
        context.set_info_callback(_note_alert)
        return context


_certificate: Certificate | None = None


def certificate(now_ms: int) -> Certificate:
    """Return the P-256 certificate of this process, a fresh one when it nears its expiry."""
    global _certificate  # noqa: PLW0603 - one certificate per process is the point
    now = dt.datetime.fromtimestamp(now_ms / 1000, tz=dt.UTC)
    if _certificate is None or _certificate.expires - now < CERTIFICATE_RENEWAL:
        _certificate = Certificate.generateCertificate()
    return _certificate


def forget_certificate() -> None:
    """Have the next session use a new certificate: this one was of a warm-up, or of our parent."""
    global _certificate  # noqa: PLW0603 - as above
    _certificate = None


def sha256_of(local: RTCCertificate) -> str:
    """Return the fingerprint that the answer carries, colon-separated hex."""
    return next(
        item.value for item in local.getFingerprints() if item.algorithm.lower() == "sha-256"
    )


class DtlsPath:
    """What `RTCDtlsTransport` needs of an ICE transport: a queue in, a send out, a role."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], bool]) -> None:
        self._send_now = send
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._is_closed = False

    def feed(self, data: bytes) -> None:
        """Queue a DTLS datagram; drop it when the handshake is that far behind."""
        if self._queue.qsize() < _FLIGHTS_MAX:
            self._queue.put_nowait(data)

    def close(self) -> None:
        """Let a reader see the end."""
        self._is_closed = True
        self._queue.put_nowait(None)

    async def _recv(self) -> bytes:
        if self._is_closed and self._queue.empty():
            raise ConnectionError("closed")
        data = await self._queue.get()
        if data is None:
            raise ConnectionError("closed")
        return data

    async def _send(self, data: bytes) -> None:
        if not self._send_now(data):
            raise ConnectionError("no pair to send by")


class Dtls(RTCDtlsTransport):
    """A DTLS session whose SRTP is ours.

    Attributes:
        bad_packets: Media datagrams that did not decrypt: forged, replayed or corrupted.
    """

    def __init__(
        self,
        path: DtlsPath,
        local: RTCCertificate,
        is_client: bool,
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__(cast(RTCIceTransport, path), [local])
        self._set_role("client" if is_client else "server")
        self.bad_packets = 0
        self._path = path
        self._is_client = is_client
        self._on_closed = on_closed
        self._flight = b""
        self._has_heard = False
        self._failure = ""
        self._alert = ""
        self._open: Callable[[bytes], bytes | None] | None = None

    def feed(self, data: bytes) -> None:
        """Take a DTLS datagram."""
        self._has_heard = True
        self._path.feed(data)

    async def connect(self, fingerprints: tuple[tuple[str, str], ...]) -> None:
        """Shake hands with the owner of one of `fingerprints` (hash name, hex).

        Raises:
            ConnectionError: If the handshake fails, whatever the library made of it.
        """
        nudge = asyncio.create_task(self._nudge()) if self._is_client else None
        parameters = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(algorithm=n, value=v) for n, v in fingerprints]
        )
        try:
            await self.start(parameters)
        except (SSL.Error, pylibsrtp.Error, AssertionError, AttributeError, ValueError) as error:
            raise ConnectionError(self._failed(f"{type(error).__name__}: {error}")) from error
        finally:
            if nudge is not None:
                nudge.cancel()
        if self._state is not State.CONNECTED:
            raise ConnectionError(self._failed(self._failure or self._what_was_missing()))
        self._open = _opener(self._rx_srtp)
        self.on("statechange", self._state_changed)
        if self._state is not State.CONNECTED:  # closed between the two lines above
            raise ConnectionError("DTLS closed at once")

    def farewell(self) -> bytes:
        """Return a close_notify, encrypted and not sent: its holder can end this session.

        DTLS takes records in any order, so it stays good for the whole session, whatever else is
        sent. OpenSSL is made to forget it: until the real end this end is open, and goes on to
        repeat its last flight for a peer that missed it. Empty without a connection.
        """
        if self._ssl is None or self._state is not State.CONNECTED:
            return b""
        try:
            self._ssl.shutdown()
            record = self._ssl.bio_read(1500)
        except SSL.Error:
            return b""
        finally:
            self._ssl.set_shutdown(0)
        return record

    def decrypt(self, datagram: bytes) -> bytes | None:
        """Return the RTP or RTCP packet in `datagram` (at most 1500 bytes), or None if forged."""
        if self._open is None:
            return None
        packet = self._open(datagram)
        if packet is None:
            self.bad_packets += 1
        return packet

    def send_rtcp(self, packet: bytes) -> None:
        """Encrypt and send RTCP, at once; nothing happens when there is no way to send."""
        if self._tx_srtp is None or self._state is not State.CONNECTED:
            return
        with contextlib.suppress(ConnectionError, pylibsrtp.Error):
            self._path._send_now(self._tx_srtp.protect_rtcp(packet))  # noqa: SLF001 - the same file

    async def close(self) -> None:
        """Send close_notify, if there was a handshake, and end the reading task."""
        self.remove_all_listeners()
        reader = self._task
        with contextlib.suppress(ConnectionError, SSL.Error):
            await self.stop()
        self._path.close()
        if reader is not None:
            await asyncio.wait([reader])
            if not reader.cancelled():
                reader.exception()
        self._open = None

    async def _do_handshake(self) -> None:
        """Shake hands as the library does, and keep why it failed, which it tells nobody."""
        assert self._ssl is not None
        self._ssl.set_app_data(self)
        # The library reads from OpenSSL as soon as a datagram is there; a failure is met there, and
        # thrown away. The handshake itself then fails without a cause.
        self._ssl.recv = functools.partial(self._read, self._ssl.recv)  # type: ignore[method-assign]
        try:
            while not self.encrypted:
                try:
                    self._ssl.do_handshake()
                except SSL.WantReadError:
                    await self._write_ssl()
                    await self._recv_next()
                except SSL.Error as error:
                    self._failure = self._failure or _reasons(error)
                    await self._write_ssl()  # the alert that tells the peer
                    self._set_state(State.FAILED)
                    return
                else:
                    self.encrypted = True
        except ConnectionError as error:
            self._failure = self._failure or str(error) or "the peer ended it"
            self._set_state(State.FAILED)

    def _read(self, recv: Callable[[int], bytes], size_bytes: int) -> bytes:
        """Read what OpenSSL decrypted, and keep why it could not."""
        try:
            return recv(size_bytes)
        except (SSL.WantReadError, SSL.ZeroReturnError):
            raise
        except SSL.Error as error:
            self._failure = _reasons(error)
            raise

    def note_alert(self, side: str, number: int) -> None:
        """Keep the newest alert of either side."""
        self._alert = f"{side} sent alert {number} ({_ALERTS.get(number, 'see RFC 8446, 6')})"

    def _failed(self, reason: str) -> str:
        """Return what failed, and in which role."""
        role = "client" if self._is_client else "server"
        alert = f"; {self._alert}" if self._alert else ""
        return f"DTLS handshake failed, we as {role}: {reason}{alert}"

    def _what_was_missing(self) -> str:
        """Return what fails behind a handshake that OpenSSL finished."""
        if self._ssl is not None and not self._ssl.get_selected_srtp_profile():
            return "no SRTP profile in common"
        return "the peer's certificate is not the one whose fingerprint the offer names"

    async def _write_ssl(self) -> None:
        """Send what OpenSSL wrote, and keep the first flight for `_nudge`."""
        if self._ssl is None:
            return
        try:
            data = self._ssl.bio_read(1500)
        except SSL.Error:
            return
        if data:
            if not self.encrypted:
                self._flight = data
            await self._path._send(data)  # noqa: SLF001 - the same file

    async def _nudge(self) -> None:
        for wait_s in NUDGES_S:
            await asyncio.sleep(wait_s)
            if self._has_heard or self._state is not State.CONNECTING:
                return
            if self._flight:
                self._path._send_now(self._flight)  # noqa: SLF001 - the same file

    def _state_changed(self) -> None:
        if self._state in (State.CLOSED, State.FAILED):
            self._on_closed()


def _note_alert(connection: SSL.Connection, where: int, code: int) -> None:
    """Hand an alert to its session; OpenSSL packs level and description into `code`."""
    session = connection.get_app_data()
    if where & SSL.SSL_CB_ALERT and code & 0xFF and isinstance(session, Dtls):  # 0: close_notify
        session.note_alert("the peer" if where & SSL.SSL_CB_READ else "we", code & 0xFF)


def _reasons(error: SSL.Error) -> str:
    """Return OpenSSL's own words for a failure, without library and function."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    return ", ".join(str(entry[-1]) for entry in queue) or type(error).__name__


def _opener(session: Any) -> Callable[[bytes], bytes | None]:
    """Return a function that decrypts with libsrtp itself: 2 us less than `Session.unprotect`.

    The session's buffer holds 1500 bytes, which `ice.GuardedProtocol` guarantees.
    """
    lib, ffi = _binding.lib, _binding.ffi
    srtp, buffer, length = session._srtp[0], session._cdata, ffi.new("int *")  # noqa: SLF001 - pinned by tests/contract
    view = memoryview(session._buffer).cast("B")  # noqa: SLF001 - pinned by tests/contract
    unprotect, unprotect_rtcp = lib.srtp_unprotect, lib.srtp_unprotect_rtcp

    def open_datagram(datagram: bytes) -> bytes | None:
        size = len(datagram)
        view[:size] = datagram
        length[0] = size
        call = unprotect_rtcp if is_rtcp(datagram) else unprotect
        if call(srtp, buffer, length):
            return None
        return bytes(view[: length[0]])

    return open_datagram
