"""One publisher: its ICE, DTLS and receiver joined, from the answer to BYE and close_notify.

Media are handled synchronously in the datagram callback: no queue, no task per packet. One task
connects, one timer does what is due, and both end with the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Final, Protocol

from mediaserver import listening, log
from mediaserver.clock import Clock
from mediaserver.errors import CapacityError
from mediaserver.ingest import sdp, sdp_offer
from mediaserver.ingest.dtls import Dtls, DtlsPath, certificate, sha256_of
from mediaserver.ingest.farewell import Farewells, SessionFarewell
from mediaserver.ingest.ice import IceConnection
from mediaserver.ingest.receiver import Media, Receiver
from mediaserver.ingest.rtp import is_rtcp
from mediaserver.ingest.sdp_answer import LocalTransport, build_answer, build_fragment
from mediaserver.ingest.session import EndReason, FaultRun, SessionLife, SessionState
from mediaserver.ingest.settings import IngestSettings
from mediaserver.ingest.upload_health import UploadHealth

EARLY_MAX: Final = 512
"""Media datagrams kept while the handshake ends; none was ever seen, half a keyframe is ample."""
RESTART_LINGER_S: Final = 1.0
"""A browser still sends on the old pair until its nomination went through (ice-lab.md, 3)."""
HOUSEKEEPING_S: Final = 1.0
TIMER_STEP_MIN_S: Final = 0.002
"""A lower bound keeps a timer that is due at once from starving the sockets."""

_log = log.get("ingest")


class PeerListener(Protocol):
    """Receives what becomes of a peer. Called on the event loop; must not raise."""

    def connected(self, publisher: Peer) -> None:
        """The handshake is done."""

    def media(self, publisher: Peer, item: Media) -> None:
        """An access unit or a sender report came."""

    def ended(self, publisher: Peer, reason: EndReason) -> None:
        """The session is over; sockets are being closed."""


class Peer:
    """A WHIP session's transport and media.

    Attributes:
        number: Later sessions have higher ones.
        session_id: Name for logs and events; reveals nothing of `secret`.
        secret: The unguessable last part of the session's URL.
        etag: Its present entity tag, strong and quoted.
        address: Where its POST came from.
        key_id: What its stream key hashes to; never the key.
        cause: Why it did not connect, in words; empty otherwise.
    """

    def __init__(
        self,
        settings: IngestSettings,
        clock: Clock,
        offer: sdp_offer.Offer,
        owner: PeerListener,
        *,
        number: int,
        user_agent: str,
        address: str,
        key_id: str,
        farewells: Farewells | None = None,
    ) -> None:
        self.number = number
        self.session_id = secrets.token_hex(8)
        self.secret = secrets.token_urlsafe(24)
        self.etag = _entity_tag()
        self.user_agent = user_agent
        self.address = address
        self.key_id = key_id
        self.cause = ""
        self.offer = offer
        self.started_s = clock.monotonic()
        self.connected_s: float | None = None
        self.life = SessionLife(
            self.started_s, settings.connect_timeout_s, settings.media_timeout_ms / 1000
        )
        self._settings = settings
        self._clock = clock
        self._owner = owner
        self._certificate = certificate(clock.now_ms())
        self._ice = self._new_ice(offer.ufrag, offer.pwd)
        self._fresh: IceConnection | None = None
        self._dtls = Dtls(
            DtlsPath(self._send), self._certificate, offer.is_client, self._peer_closed
        )
        self._receiver = Receiver(
            offer.tracks,
            settings.loss_give_up_ms / 1000,
            settings.video_kbps_max,
            ssrc=secrets.randbits(32),
        )
        self._health = UploadHealth(user_agent)
        self._farewell = SessionFarewell(farewells, self.session_id)
        self._faults = FaultRun()
        self._early: list[bytes] = []
        self._connecting: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_s = float("inf")
        self._sampled_s = float("-inf")

    @property
    def remote_ufrag(self) -> str:
        """Return the publisher's present (or coming) ICE user name fragment."""
        return (self._fresh or self._ice).remote_username or ""

    async def answer(self) -> str:
        """Open the sockets, begin to connect, and return the answer's SDP.

        Raises:
            CapacityError: If no UDP port is free, or the session ended meanwhile.
        """
        try:
            candidates = await self._ice.open()
        except BaseException:
            await self._ice.close()
            raise
        if self.life.is_ended:  # by a newer POST or a shutdown, while the sockets opened
            await self._ice.close()
            raise CapacityError("the session was replaced before it was answered")
        self._connecting = asyncio.create_task(self._connect())
        return build_answer(self.offer, self._local(self._ice, candidates))

    async def restart(self, fragment: sdp.Fragment) -> str:
        """Begin an ICE restart and return its answer; media go on by the old pair meanwhile.

        Raises:
            CapacityError: If no UDP port is free.
            ConnectionError: If the session ended meanwhile.
        """
        fresh = self._new_ice(fragment.ufrag, fragment.pwd)
        try:
            candidates = await fresh.open()
        except BaseException:
            await fresh.close()
            raise
        if self.life.is_ended:
            await fresh.close()
            raise ConnectionError("the session ended")
        before, self._fresh = self._restarting, fresh
        if before is not None:
            before.cancel()
        self.etag = _entity_tag()
        self._restarting = asyncio.create_task(self._change_over(fresh))
        return build_fragment(self.offer, self._local(fresh, candidates))

    def request_keyframe(self) -> None:
        """Ask the publisher for a keyframe; some (OBS) never listen."""
        self._receiver.request_keyframe()
        self._arm(self._clock.monotonic())

    @property
    def last_media_s(self) -> float:
        """Return the monotonic second at which media came last, 0 when none did."""
        return max((source.last_packet_s for source in self._receiver.sources.values()), default=0)

    def facts(self) -> dict[str, float]:
        """Return the numbers of this session."""
        return self._health.facts(self._receiver, self._ice.rtt_s)

    def faults(self) -> dict[str, int]:
        """Return what came and could not be used, for the log line that ends the session."""
        receiver = self._receiver
        broken = sum(track.frames.broken for track in receiver.sources.values() if track.frames)
        return {
            "stun_strange": self._ice.strange_checks,
            "stun_unreadable": self._ice.bad_checks,
            "srtp_refused": self._dtls.bad_packets,
            "rtp_malformed": receiver.malformed,
            "rtp_unknown": receiver.unknown,
            "h264_broken": broken,
            "faults": self._faults.total,
        }

    def advice(self) -> tuple[str, ...]:
        """Return plain words for the creator."""
        return self._health.advice(self._receiver)

    async def close(self, reason: EndReason) -> None:
        """End the session with BYE and close_notify, and wait until all is closed."""
        self.end(reason)
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def end(self, reason: EndReason) -> None:
        """End the session now; its sockets are closed by a task of their own."""
        if not self.life.end(reason):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._closing = asyncio.create_task(self._shut())
        self._owner.ended(self, reason)

    def _new_ice(self, ufrag: str, pwd: str) -> IceConnection:
        return IceConnection(self._settings, ufrag, pwd, self._datagram)

    def _local(self, ice: IceConnection, candidates: tuple[str, ...]) -> LocalTransport:
        return LocalTransport(
            ufrag=ice.local_username,
            pwd=ice.local_password,
            fingerprint=sha256_of(self._certificate),
            candidates=candidates,
            session_number=secrets.randbits(62),
        )

    async def _connect(self) -> None:
        waited_for = "nothing reached us by UDP in time"
        try:
            async with listening.timeout(self._clock, self._settings.connect_timeout_s):
                await self._ice.reached()
                waited_for = "the DTLS handshake did not end in time"
                await self._dtls.connect(self.offer.fingerprints)
        except (ConnectionError, TimeoutError) as error:
            if not self.life.is_ended:
                self.cause = str(error) or waited_for
                _log.warning(
                    "whip.session.not_connected", session_id=self.session_id, cause=self.cause
                )
            self.end(EndReason.FAILED)
            return
        now = self._clock.monotonic()
        self.connected_s = now
        self.life.connected(now)
        self._farewell.record = self._dtls.farewell()
        self._owner.connected(self)
        early, self._early = self._early, []
        for datagram in early:
            self._datagram(datagram)
        self._wake()

    async def _change_over(self, fresh: IceConnection) -> None:
        """Follow the publisher to `fresh` once media come by it; without that, nothing changes."""
        try:
            async with listening.timeout(self._clock, self._settings.connect_timeout_s):
                await fresh.reached()
                if self.life.state is not SessionState.CREATED:
                    await fresh.media_came.wait()
        except (ConnectionError, TimeoutError, asyncio.CancelledError) as error:
            if self._fresh is fresh:
                self._fresh = None
            await fresh.close()
            if isinstance(error, asyncio.CancelledError):
                raise
            # RFC 9725, 4.3.3: a failed restart keeps the old session.
            _log.warning("whip.restart.failed", session_id=self.session_id)
            return
        old, self._ice = self._ice, fresh
        self._fresh = None
        try:
            await asyncio.sleep(RESTART_LINGER_S)
        finally:
            await old.close()

    def _send(self, data: bytes) -> bool:
        return self._ice.send_now(data)

    def _datagram(self, data: bytes) -> None:
        """Handle what came from the publisher; a fault of ours is counted and never raised."""
        try:
            self._sort(data)
        except Exception as error:  # noqa: BLE001 - whatever a packet meets, the next one is handled
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        """Count a fault of ours, and end a session that meets nothing else."""
        is_worth_a_line = self._faults.count(self._clock.monotonic())
        if is_worth_a_line:
            _log.error(
                "whip.session.fault",
                session_id=self.session_id,
                faults=self._faults.total,
                exc_info=error,
            )
        if self._faults.is_lasting:
            self.end(EndReason.FAILED)

    def _sort(self, data: bytes) -> None:
        """Sort what came from the publisher by its first byte (RFC 7983)."""
        first = data[0]
        if 128 <= first <= 191:
            if self.connected_s is not None:
                self._media(data)
            elif len(self._early) < EARLY_MAX:
                self._early.append(data)
        elif 20 <= first <= 63:
            self._dtls.feed(data)

    def _media(self, datagram: bytes) -> None:
        if self.life.is_ended:
            return
        packet = self._dtls.decrypt(datagram)
        if packet is None:
            return
        now = self._clock.monotonic()
        receiver = self._receiver
        if is_rtcp(packet):
            items = receiver.control(packet, now)
        else:
            self.life.media(now)
            items = receiver.packet(packet, now)
        for item in items:
            self._owner.media(self, item)
        if receiver.has_left:
            self.end(EndReason.CLOSED_BY_PEER)
            return
        due_s = receiver.due_s
        if due_s <= now:
            self._wake()
        elif due_s < self._timer_due_s:
            self._arm(now)

    def _wake(self) -> None:
        """Do what is due, and set the timer anew whatever came of that."""
        if self.life.is_ended or self.connected_s is None:
            return
        now = self._clock.monotonic()
        try:
            self._do_what_is_due(now)
        except Exception as error:  # noqa: BLE001 - without its timer a session is never timed out
            self._fault(error)
        self._timer_due_s = float("inf")
        self._arm(now)

    def _do_what_is_due(self, now: float) -> None:
        """Send feedback, give gaps up, end the session at its time-outs."""
        reason = self.life.overdue(now)
        if reason is not None:
            self.end(reason)
            return
        items, packets = self._receiver.tick(now)
        for packet in packets:
            self._dtls.send_rtcp(packet)
        if now - self._sampled_s >= HOUSEKEEPING_S:
            self._sampled_s = now
            self._health.sample(self._receiver, now)
            self._farewell.follow(self._ice.route())
        for item in items:
            self._owner.media(self, item)

    def _arm(self, now: float) -> None:
        """Set the timer for what is due next, at most a second away."""
        if self.life.is_ended or self.connected_s is None:
            return
        due_s = min(self._receiver.due_s, now + HOUSEKEEPING_S)
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due_s = due_s
        wait_s = max(TIMER_STEP_MIN_S, due_s - now)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._wake)

    def _peer_closed(self) -> None:
        self.end(EndReason.CLOSED_BY_PEER)

    async def _shut(self) -> None:
        for task in (self._connecting, self._restarting):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        self._dtls.send_rtcp(self._receiver.goodbye())
        await self._dtls.close()
        await self._ice.close()
        self._farewell.drop()


def _entity_tag() -> str:
    """Return a strong entity tag that no other session has (RFC 9725, 4.3.1)."""
    return f'"{secrets.token_hex(12)}"'
