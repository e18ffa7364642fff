"""The publisher of a spare worker's warm-up: one whole WHIP session with ourselves, on loopback.

What a process does for the first time takes longer: OpenSSL sets up its tables, Python its caches,
and a forked worker copies each page that it shared until then when it first writes there, which
counting references does all over the heap. From a publisher's POST to connected that is 1,000 pages
and 6 ms of CPU (bench/connect.py), spent ahead here.

Credentials of both ends, ICE and DTLS, are made for this one session and forgotten with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

from mediaserver.ingest import dtls, sdp
from mediaserver.ingest.dtls import Certificate, Dtls, DtlsPath
from mediaserver.ingest.ice import IceConnection
from mediaserver.ingest.settings import IngestSettings

LOOPBACK: Final = "127.0.0.1"
_OFFER: Final = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=ice-ufrag:{ufrag}
a=ice-pwd:{pwd}
a=ice-options:trickle
a=fingerprint:sha-256 {fingerprint}
a=setup:passive
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:0
a=sendonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 nack
a=fmtp:111 minptime=10;useinbandfec=1
m=video 9 UDP/TLS/RTP/SAVPF 96 97
c=IN IP4 0.0.0.0
a=mid:1
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 goog-remb
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
"""


def on_loopback(settings: IngestSettings) -> IngestSettings:
    """Return settings whose sessions open a port that no publisher can be given or reach."""
    return dataclasses.replace(
        settings,
        bind_addresses=(LOOPBACK,),
        advertise_addresses=(),
        udp_port_min=0,
        udp_port_max=0,
    )


async def connect_once(
    settings: IngestSettings,
    post: Callable[[str], Awaitable[str]],
    connected: Callable[[], Awaitable[object]],
) -> None:
    """Publish to `post` until both ends are connected, then leave.

    Args:
        settings: As `on_loopback` returned them.
        post: Takes an offer and returns the answer.
        connected: Returns when the other end has shaken hands as well.

    Raises:
        CapacityError: If no socket could be opened.
        ConnectionError: If an end refused the other.
    """
    ends: list[Dtls] = []

    def feed(data: bytes) -> None:
        ends[0].feed(data)

    local = Certificate.generateCertificate()
    ice = IceConnection(settings, "", "", feed)
    ends.append(Dtls(DtlsPath(ice.send_now), local, False, lambda: None))
    try:
        await ice.open()
        offer = _OFFER.format(
            ufrag=ice.local_username, pwd=ice.local_password, fingerprint=dtls.sha256_of(local)
        )
        _, sections = sdp.parse_sections(await post(offer.replace("\n", "\r\n")))
        answer = sections[0]
        ice.remote_username, ice.remote_password = answer.get("ice-ufrag"), answer.get("ice-pwd")
        await ice.reach(answer.all("candidate"))
        method, _, value = (answer.get("fingerprint") or "").partition(" ")
        await ends[0].connect(((method, value),))
        await connected()
    finally:
        with contextlib.suppress(ConnectionError):
            await ends[0].close()
        await ice.close()
        dtls.forget_certificate()
