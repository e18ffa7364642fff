"""Passkeys (WebAuthn Level 3): the only importer of `webauthn`, which loads when first used.

A passkey is discoverable, so a browser offers it without being told who somebody is, and nobody
learns here who has one. Attestation is not asked for: any authenticator is good enough for its
owner's money.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mediaserver.people.credentials import NewCredential
from mediaserver.people.records import Credential, CredentialKind
from mediaserver.people.relying_party import RelyingParty
from metering.errors import InvalidValueError

RP_NAME: Final = "Vilokanam"
CREDENTIAL_ID_BYTES_MAX: Final = 1023
"""WebAuthn Level 3, 5.8.3 and 6.1: credential ids are at most 1,023 bytes."""


def creation_options(
    party: RelyingParty,
    challenge: bytes,
    person: str,
    name: str,
    held: Sequence[Credential] = (),
) -> dict[str, Any]:
    """Return what ``navigator.credentials.create`` is given, as JSON.

    Args:
        person: Id of who it is for; an authenticator keeps it, and shows `name`.
        held: Their passkeys: an authenticator that has one of them makes no second.
    """
    import webauthn  # noqa: PLC0415 -- 0.3 s and 10 MB, and most servers idle
    from webauthn.helpers import structs  # noqa: PLC0415

    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=RP_NAME,
        user_id=bytes.fromhex(person),
        user_name=name,
        user_display_name=name,
        challenge=challenge,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=bytes.fromhex(item.subject))
            for item in held
            if item.kind is CredentialKind.PASSKEY
        ],
    )
    made: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return made


def request_options(party: RelyingParty, challenge: bytes) -> dict[str, Any]:
    """Return what ``navigator.credentials.get`` is given, as JSON: any passkey of ours."""
    import webauthn  # noqa: PLC0415
    from webauthn.helpers import structs  # noqa: PLC0415

    options = webauthn.generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        user_verification=structs.UserVerificationRequirement.PREFERRED,
    )
    made: dict[str, Any] = json.loads(webauthn.options_to_json(options))
    return made


def created(
    party: RelyingParty, challenge: bytes, answer: Mapping[str, Any], label: str
) -> NewCredential:
    """Return the passkey that a browser made.

    Args:
        answer: The credential as ``toJSON`` gives it.

    Raises:
        InvalidValueError: It was not made for this challenge, domain and page.
    """
    import webauthn  # noqa: PLC0415
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415

    try:
        verified = webauthn.verify_registration_response(
            credential=dict(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise InvalidValueError(f"the browser's passkey cannot be taken: {error}") from error
    if len(verified.credential_id) > CREDENTIAL_ID_BYTES_MAX:
        raise InvalidValueError("the browser's passkey has too long an id")
    return NewCredential(
        CredentialKind.PASSKEY,
        verified.credential_id.hex(),
        label,
        verified.credential_public_key,
        verified.sign_count,
    )


def subject_of(answer: Mapping[str, Any]) -> str:
    """Return what a passkey that a browser shows is known by, empty when it has no id."""
    from webauthn.helpers import base64url_to_bytes  # noqa: PLC0415

    try:
        return base64url_to_bytes(str(answer["id"])).hex()
    except (KeyError, ValueError):
        return ""


def shown(
    party: RelyingParty, challenge: bytes, answer: Mapping[str, Any], known: Credential
) -> int:
    """Return the count that a passkey tells when it is shown.

    Raises:
        InvalidValueError: It did not sign this challenge for this domain and page, or counts
            backwards: then there are two of it.
    """
    import webauthn  # noqa: PLC0415
    from webauthn.helpers.exceptions import WebAuthnException  # noqa: PLC0415

    try:
        verified = webauthn.verify_authentication_response(
            credential=dict(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=party.origin,
            credential_public_key=known.public_key,
            credential_current_sign_count=known.sign_count,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError) as error:
        raise InvalidValueError(f"the passkey was not accepted: {error}") from error
    return verified.new_sign_count
