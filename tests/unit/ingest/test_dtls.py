"""R15: whom the DTLS of a publisher's session shakes hands with, and what it says when it fails."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from typing import Any

import pytest
from aiortc.rtcdtlstransport import RTCCertificate, certificate_digest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from mediaserver.ingest.dtls import Dtls, DtlsPath, certificate, sha256_of

NOW_MS = 1_800_000_000_000
LISTS = {
    "openssl": "DEFAULT",
    "libdatachannel": "ALL:!LOW:!EXP:!RC4:!MD5:@STRENGTH",
    "gstreamer": "DEFAULT:!NULL:!aNULL:!SHA256:!SHA384:!aECDH:!AESGCM+AES256:!aPSK",
    "gnutls": "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:+RSA",
    "pion": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES256-SHA",
}


class PeerCertificate(RTCCertificate):
    """What another stack brings: its own certificate and cipher list."""

    ciphers = "DEFAULT"

    def _create_ssl_context(self, srtp_profiles):
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(self.ciphers.encode())
        context.set_options(SSL.OP_NO_TICKET)
        return context


def peer_certificate(kind, ciphers="DEFAULT"):
    key: Any = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        if kind == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
    )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "peer")])
    now = dt.datetime.now(tz=dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    made = PeerCertificate(key, signed)
    made.ciphers = ciphers
    return made


def fingerprint(local):
    return (("sha-256", certificate_digest(local._cert, "sha-256")),)


async def shake(peer, *, we_are_client, prints=None):
    """Return what connecting gave us: None or the error. The peer is another stack's stand-in."""
    ends: dict[str, Dtls] = {}
    loop = asyncio.get_running_loop()

    def sender(to):
        return lambda data: loop.call_soon(ends[to].feed, data) is not None

    own = certificate(NOW_MS)
    ends["we"] = Dtls(DtlsPath(sender("peer")), own, we_are_client, lambda: None)
    ends["peer"] = Dtls(DtlsPath(sender("we")), peer, not we_are_client, lambda: None)

    async def ours():
        try:
            await ends["we"].connect(prints or fingerprint(peer))
        finally:
            for end in ends.values():
                end._path.close()

    async with asyncio.timeout(10):
        results = await asyncio.gather(
            ours(), ends["peer"].connect((("sha-256", sha256_of(own)),)), return_exceptions=True
        )
    for end in ends.values():
        await end.close()
    return results[0]


@pytest.mark.parametrize("ciphers", LISTS)
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
@pytest.mark.parametrize("we_are_client", [True, False])
async def test_r15_peers_of_every_stack_connect(we_are_client, kind, ciphers):
    """GStreamer is the DTLS server with an RSA certificate; others bring ECDSA, either role."""
    peer = peer_certificate(kind, LISTS[ciphers])

    assert await shake(peer, we_are_client=we_are_client) is None


@pytest.mark.parametrize(
    ("we_are_client", "cause"),
    [(True, r"we as client: \w+ alert handshake failure; "), (False, "server: no shared cipher; ")],
)
async def test_r15_failed_handshake_says_what_failed(we_are_client, cause):
    """No suite in common, seen from either role: the cause is in the log line, not just a type."""
    peer = peer_certificate("ecdsa", "ECDHE-ECDSA-AES256-CCM:@SECLEVEL=0")
    error = await shake(peer, we_are_client=we_are_client)

    assert isinstance(error, ConnectionError)
    assert re.search(cause, str(error))
    assert "alert 40" in str(error)


async def test_r15_foreign_certificate_is_named():
    """The handshake went well, and the certificate is another than the offer's."""
    peer = peer_certificate("rsa")
    wrong = (("sha-256", ":".join(["00"] * 32)),)
    error = await shake(peer, we_are_client=True, prints=wrong)

    assert isinstance(error, ConnectionError)
    assert "fingerprint" in str(error)
