"""A passkey's authenticator in software: what a browser and its device answer, as `toJSON` says."""

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

_PRESENT, _VERIFIED, _ATTESTED = 0x01, 0x04, 0x40


@dataclass
class Authenticator:
    """One device with one passkey for one domain."""

    rp_id: str = "localhost"
    origin: str = "http://localhost:8080"
    counts: bool = True
    count: int = 0
    id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def create(self, options: dict[str, Any], **client: Any) -> dict[str, Any]:
        """Answer `navigator.credentials.create`."""
        numbers = self.key.public_key().public_numbers()
        cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}
        attested = bytes(16) + struct.pack(">H", len(self.id)) + self.id + cbor2.dumps(cose)
        data = self._data(_ATTESTED) + attested
        statement = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        answered = self._client("webauthn.create", options["challenge"], client)
        return self._answer(
            {"clientDataJSON": _text(answered), "attestationObject": _text(statement)}
        )

    def get(self, options: dict[str, Any], **client: Any) -> dict[str, Any]:
        """Answer `navigator.credentials.get`."""
        self.count += self.counts
        data = self._data(0)
        answered = self._client("webauthn.get", options["challenge"], client)
        signature = self.key.sign(
            data + hashlib.sha256(answered).digest(), ec.ECDSA(hashes.SHA256())
        )
        return self._answer(
            {
                "clientDataJSON": _text(answered),
                "authenticatorData": _text(data),
                "signature": _text(signature),
                "userHandle": None,
            }
        )

    def _data(self, flags: int) -> bytes:
        head = hashlib.sha256(self.rp_id.encode()).digest()
        return head + struct.pack(">BI", flags | _PRESENT | _VERIFIED, self.count)

    def _client(self, kind: str, challenge: str, changed: dict[str, Any]) -> bytes:
        answered = {
            "type": kind,
            "challenge": challenge,
            "origin": self.origin,
            "crossOrigin": False,
        }
        return json.dumps(answered | changed).encode()

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": _text(self.id),
            "rawId": _text(self.id),
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
        }


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
