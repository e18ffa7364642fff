"""What an operator's own token lets a viewer do: a signed JWT's claims, judged. Pure.

RFC 7519, held as RFC 8725 says: issuer and audience to the letter, an end in any case, and what it
is for (the stream) inside.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mediaserver.people.settings import WatchIssuer
from metering.errors import InvalidValueError
from metering.units import Planck

TOKEN_CHARACTERS_MAX: Final = 8192
"""Request headers are at most 8 KiB."""
SUBJECT_CHARACTERS_MAX: Final = 255
LEEWAY_S: Final = 60
"""Of an issuer's clock that is ahead of ours. Its end is held to the second."""
NAME_PREFIX: Final = "jwt-"
_NAME_DIGITS: Final = 32
_TIME_MAX_S: Final = 1 << 40
"""Far beyond any calendar of ours, and exact as a float."""
_PLANCK: Final = re.compile(r"[1-9][0-9]{0,38}")
_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class ViewerGrant:
    """What a token grants.

    Attributes:
        viewer: Name of the viewer's account: one for each issuer and subject.
        session: Number of the player's session: the same token is the same player of a stream.
        ends_ms: Unix time at which it ends.
        limit: What the player may spend in all; None where the token says nothing of it.
    """

    viewer: str
    session: int
    ends_ms: int
    limit: Planck | None = None


def is_token(text: str) -> bool:
    """Return whether a text is written as a signed JWT: no key of ours is."""
    return len(text) <= TOKEN_CHARACTERS_MAX and _JWT.fullmatch(text) is not None


def viewer_name(issuer: str, subject: str) -> str:
    """Return the name of a subject's account, which says nothing of them."""
    digest = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()
    return f"{NAME_PREFIX}{digest[:_NAME_DIGITS]}"


def granted(
    claims: Mapping[str, Any], token: str, issuer: WatchIssuer, stream: str, now_ms: int
) -> ViewerGrant:
    """Return what the claims of a token whose signature holds grant.

    Args:
        token: As it came; its signature does not count for who is the same player, as one text can
            be signed in several ways.
        stream: The public name of the stream that is asked for.

    Raises:
        InvalidValueError: Says what does not hold.
    """
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    now_s = now_ms / 1000
    expires_s, subject = _time(claims.get("exp")), claims.get("sub")
    streams, limit = claims.get(issuer.stream_claim), claims.get(issuer.limit_claim)
    faults = {
        "of another issuer": claims.get("iss") != issuer.issuer,
        "for somebody else": issuer.audience not in audiences,
        "without an end (exp)": expires_s is None,
        "over": expires_s is not None and now_s >= expires_s,
        "of the future (nbf)": _is_later(claims.get("nbf"), now_s),
        "of the future (iat)": _is_later(claims.get("iat"), now_s),
        "of nobody (sub)": not _is_subject(subject),
        # Ignored it would let somebody spend more than their operator allows.
        f"with a limit ({issuer.limit_claim}) that is no whole number of planck, as text": limit
        is not None
        and not _is_planck(limit),
        f"for another stream ({issuer.stream_claim})": stream
        not in (streams if isinstance(streams, list) else [streams]),
    }
    wrong = [fault for fault, is_so in faults.items() if is_so]
    if wrong:
        raise InvalidValueError(f"the token does not hold: it is {', '.join(wrong)}")
    assert expires_s is not None
    player = f"{token.rpartition('.')[0]} {stream}".encode()
    number = int.from_bytes(hashlib.sha256(player).digest()[:8], "big")
    return ViewerGrant(
        viewer_name(issuer.issuer, str(subject)),
        number or 1,
        math.floor(expires_s * 1000),
        None if limit is None else Planck(int(limit)),
    )


def issuer_of(token: str, issuers: tuple[WatchIssuer, ...]) -> WatchIssuer | None:
    """Return whose keys a token is to be held against, by its own word; None for nobody's."""
    payload = token.split(".")[1]
    try:
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return None
    named = claims.get("iss") if isinstance(claims, dict) else None
    return next((item for item in issuers if item.issuer == named), None)


def _time(value: Any) -> float | None:
    """Return a NumericDate (RFC 7519, 2) that can be one, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 <= value < _TIME_MAX_S else None


def _is_planck(value: Any) -> bool:
    """Return whether a limit is written so that no reader of JSON rounds it."""
    return isinstance(value, str) and _PLANCK.fullmatch(value) is not None


def _is_later(value: Any, now_s: float) -> bool:
    """Return whether a time that may be left out has not come, or is none."""
    if value is None:
        return False
    time_s = _time(value)
    return time_s is None or time_s > now_s + LEEWAY_S


def _is_subject(value: Any) -> bool:
    return (
        isinstance(value, str) and 0 < len(value) <= SUBJECT_CHARACTERS_MAX and value.isprintable()
    )
