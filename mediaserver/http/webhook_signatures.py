"""Signatures of webhooks, in and out: the only importer of `standardwebhooks`.

As the Standard Webhooks specification says: headers ``webhook-id``, ``webhook-timestamp`` and
``webhook-signature``, over the body as it is sent, at most five minutes old.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from metering.errors import InvalidValueError

HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
SECRETS_MAX: Final = 4
"""Of which one is being replaced by the next."""
SECRET_BYTES_MIN: Final = 24
"""Standard Webhooks, "Symmetric": between 24 and 64 bytes."""


class WebhookSecrets:
    """What two sides sign with; while one secret replaces another, both hold."""

    def __init__(self, secrets: str) -> None:
        """Take secrets, one a line.

        Raises:
            InvalidValueError: One is no secret; the text goes on after the name of a file.
        """
        from standardwebhooks import Webhook  # noqa: PLC0415 -- only where it is configured
        from standardwebhooks.webhooks import EmptyWebhookSecretError  # noqa: PLC0415

        lines = secrets.split()
        try:
            self._secrets = [Webhook(line) for line in lines]
        except (ValueError, EmptyWebhookSecretError) as error:
            raise InvalidValueError(f"is not base64 with whsec_ before it: {error}") from error
        if not 0 < len(lines) <= SECRETS_MAX or min(map(len, lines)) < SECRET_BYTES_MIN:
            raise InvalidValueError(
                f"holds no secret of {SECRET_BYTES_MIN} bytes, or more than {SECRETS_MAX}"
            )

    def is_signed(self, body: bytes, headers: Mapping[str, str]) -> bool:
        """Return whether one of the secrets signed this, not long ago."""
        given = {name: headers.get(name, "") for name in HEADERS}
        for secret in self._secrets:
            try:
                secret.verify(body, given, json_parse=False)
            except Exception:  # noqa: BLE001, S112 -- the library raises what its parsing meets, too
                continue
            return True
        return False

    def signed_headers(self, event: str, body: str, now_ms: int) -> dict[str, str]:
        """Return the three headers of a webhook, signed by every secret."""
        at = datetime.fromtimestamp(now_ms // 1000, UTC)
        signatures = [secret.sign(event, at, body) for secret in self._secrets]
        return dict(zip(HEADERS, (event, str(now_ms // 1000), " ".join(signatures)), strict=True))
