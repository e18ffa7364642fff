"""What is wrong with ``[watch]``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from mediaserver.people.settings import ALGORITHMS, WatchIssuer
from mediaserver.settings.records import Settings

ISSUERS_MAX: Final = 8
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def watch_faults(settings: Settings) -> Iterator[str]:
    """Yield each fault, ``watch.key: value is what is wrong; remedy``."""
    issuers = settings.watch.issuers
    if len(issuers) > ISSUERS_MAX:
        yield f"watch.issuers: {len(issuers)} issuers are over {ISSUERS_MAX}; list fewer"
    names = [issuer.issuer for issuer in issuers]
    for index, issuer in enumerate(issuers):
        path = f"watch.issuers[{index}]"
        if not issuer.issuer or names.count(issuer.issuer) > 1:
            yield f'{path}.issuer: "{issuer.issuer}" is not one issuer; give what `iss` says'
        if not issuer.audience:
            yield (
                f'{path}.audience: "" is empty, and tokens for others would open this server; give '
                "what `aud` says, such as your public_url"
            )
        if not issuer.stream_claim:
            yield f'{path}.stream_claim: "" is empty; give the claim that names a stream'
        if not issuer.limit_claim or issuer.limit_claim == issuer.stream_claim:
            yield (
                f'{path}.limit_claim: "{issuer.limit_claim}" is not a claim of its own; give the '
                "one that names what may be spent, which a token may leave out"
            )
        yield from _key_faults(path, issuer)


def _key_faults(path: str, issuer: WatchIssuer) -> Iterator[str]:
    if bool(issuer.jwks_url) == bool(issuer.jwks_file):
        yield f"{path}.jwks_url: give it or jwks_file, one of the two"
    parts = urlsplit(issuer.jwks_url)
    is_local = parts.scheme == "http" and parts.hostname in _LOCAL
    if issuer.jwks_url and ((parts.scheme != "https" and not is_local) or not parts.hostname):
        yield f'{path}.jwks_url: "{issuer.jwks_url}" is no https address; give where its keys are'
    unknown = [name for name in issuer.algorithms if name not in ALGORITHMS]
    if unknown or not issuer.algorithms:
        named = unknown[0] if unknown else ""
        yield (
            f'{path}.algorithms: "{named}" is not taken; use some of {", ".join(ALGORITHMS)}: none '
            "has a secret that both sides know"
        )
