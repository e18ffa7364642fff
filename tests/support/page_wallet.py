"""A wallet's `signPayload`, made of the payload alone, as polkadot-js makes it of the same JSON.

Source: @polkadot/types, ``ExtrinsicPayloadV4`` and ``signedExtensions``.
"""

from __future__ import annotations

import hashlib
from typing import Any

from metering.chain.node.scale import U32, compact
from metering.signing import KeyPair

SR25519 = b"\x01"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _number(text: str) -> int:
    return int(text, 16)


def signed_bytes(payload: dict[str, Any]) -> bytes:
    """Return what a wallet signs for a ``SignerPayloadJSON``."""
    assert payload["version"] == 4
    extra, additional = bytearray(), bytearray()
    for extension in payload["signedExtensions"]:
        match extension:
            case "CheckMortality":
                extra += _bytes(payload["era"])
                additional += _bytes(payload["blockHash"])
            case "CheckNonce":
                extra += compact(_number(payload["nonce"]))
            case "ChargeTransactionPayment":
                extra += compact(_number(payload["tip"]))
            case "CheckMetadataHash":
                assert payload["metadataHash"] is None
                extra += bytes([payload["mode"]])
                additional += b"\x00"
            case "CheckSpecVersion":
                additional += U32.encode(_number(payload["specVersion"]))
            case "CheckTxVersion":
                additional += U32.encode(_number(payload["transactionVersion"]))
            case "CheckGenesis":
                additional += _bytes(payload["genesisHash"])
    made = _bytes(payload["method"]) + bytes(extra) + bytes(additional)
    return hashlib.blake2b(made, digest_size=32).digest() if len(made) > 256 else made


def sign_payload(key: KeyPair, payload: dict[str, Any]) -> str:
    """Return the signature that the wallet of a key answers, its kind before it."""
    return "0x" + (SR25519 + key.sign(signed_bytes(payload))).hex()


def sign_raw(key: KeyPair, text: str) -> str:
    """Return the signature over a text, as `signRaw` answers it."""
    return "0x" + key.sign(text.encode()).hex()
