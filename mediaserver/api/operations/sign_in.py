"""Coming in, and ways in of who is signed in."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import people_answers
from mediaserver.api.operations.operation import TEXT, Group, Parameter, operation
from mediaserver.api.people import mail_sign_in, me, sign_in, wallet_sign_in

GROUP: Final = Group(
    "Signing in",
    """
    What they are and may is in [people.md](people.md). The sign-in routes are for browsers:
    each sets a cookie that holds the challenge for five minutes, and then the session. Asked
    again while signed in, they show a way in anew.
    """,
    (
        operation(
            "GET sign-in",
            """
            Which ways in there are: `{"passkey", "sign_up", "mail", "oidc": [name], "origin",
            "is_signed_in"}`.
            """,
            people_answers.WaysIn,
        ),
        operation(
            "POST sign-up/passkey/options",
            """
            Begins a sign-up by passkey.

            Body: `name`. What `navigator.credentials.create` is given, as JSON. 403 where nobody
            new is taken, 409 where browsers make no passkeys.
            """,
            people_answers.PasskeyOptions,
            body=sign_in.NewPerson,
            problems=(409,),
        ),
        operation(
            "POST sign-up/passkey",
            """
            Makes a person by a passkey, and signs them in.

            Body: `credential` (its `toJSON`), `label`. 201 `{"person", "name"}`, and the session's
            cookie.
            """,
            people_answers.SignedIn,
            status=201,
            body=sign_in.ShownPasskey,
            problems=(409,),
        ),
        operation(
            "POST sign-in/passkey/options",
            """
            Begins signing in by passkey.

            What `navigator.credentials.get` is given: any passkey of this site.
            """,
            people_answers.PasskeyOptions,
            problems=(409,),
        ),
        operation(
            "POST sign-in/passkey",
            """
            Signs in by a passkey.

            Body: `credential`. 200 `{"person", "name"}`, and a new session. 401.
            """,
            people_answers.SignedIn,
            body=sign_in.ShownPasskey,
            problems=(409,),
        ),
        operation(
            "POST sign-in/wallet/challenge",
            """
            Begins signing in by wallet.

            Body: `address`, of any network or as `0x` and 64 digits. `{"text"}`: what the wallet
            signs, wrapped in `<Bytes>`.
            """,
            people_answers.Challenge,
            body=wallet_sign_in.Asked,
        ),
        operation(
            "POST sign-in/wallet",
            """
            Signs in by a wallet.

            Body: `signature` (of sr25519, ed25519 or ecdsa), `label`. 200, or 201 for somebody
            new. 401.
            """,
            people_answers.SignedIn,
            status=(200, 201),
            body=wallet_sign_in.Signed,
            problems=(409,),
        ),
        operation(
            "POST sign-in/mail",
            """
            Sends a letter with a link to sign in by.

            Body: `address`. 202 whether anybody has it or not; the letter's link is good for ten
            minutes, once. 429 after three.
            """,
            people_answers.LetterSent,
            status=202,
            body=mail_sign_in.Asked,
            problems=(409,),
        ),
        operation(
            "POST sign-in/mail/confirm",
            """
            Signs in by the link of a letter.

            Body: `secret`, what was behind the `#` of the link. 200 or 201. 401.
            """,
            people_answers.SignedIn,
            status=(200, 201),
            body=mail_sign_in.Taken,
        ),
        operation(
            "POST sign-in/oidc/{issuer}",
            """
            Begins signing in at an issuer.

            `{"url"}`: where the browser goes. 404, 503.
            """,
            people_answers.Away,
        ),
        operation(
            "GET sign-in/oidc/{issuer}/back",
            """
            Where the issuer sends the browser back to: 303 to `/me/`, with `#refused=oidc`, or
            `late`, behind it where it opened nothing.
            """,
            status=303,
            query=(
                Parameter("state", TEXT, "What we sent there."),
                Parameter("code", TEXT, "What the issuer gave."),
                Parameter("error", TEXT, "Why it gave none."),
            ),
        ),
        operation(
            "POST sign-in/recovery",
            "Signs in by a recovery code. Body: `code`. 200. 401: each opens once.",
            people_answers.SignedIn,
            body=sign_in.RecoveryCode,
        ),
        operation(
            "POST me/credentials/passkey/options",
            "Begins to add a passkey. As for a sign-up; what the person holds already is left out.",
            people_answers.PasskeyOptions,
            problems=(409,),
        ),
        operation(
            "POST me/credentials/passkey",
            "One more passkey: 201. 422 when it signs somebody in already.",
            people_answers.Credential,
            status=201,
            body=sign_in.ShownPasskey,
            problems=(409,),
        ),
        operation(
            "POST me/credentials/wallet/challenge",
            "Begins to add a wallet. As for signing in.",
            people_answers.Challenge,
            body=wallet_sign_in.Asked,
        ),
        operation(
            "POST me/credentials/wallet",
            "One more wallet: 201.",
            people_answers.Credential,
            status=201,
            body=wallet_sign_in.Signed,
            problems=(409,),
        ),
        operation(
            "POST me/credentials/mail",
            "Sends a letter with a link that adds a mail address. Body: `address`. 202.",
            people_answers.LetterSent,
            status=202,
            body=mail_sign_in.Asked,
            problems=(409,),
        ),
        operation(
            "POST me/credentials/mail/confirm",
            """
            Adds a mail address, by the link of a letter.

            Body: `secret`. 201; 409 when somebody else is signed in. 401 `show_again` leaves the
            letter's link as it is.
            """,
            people_answers.Credential,
            status=201,
            body=mail_sign_in.Taken,
            problems=(409,),
        ),
        operation(
            "POST me/credentials/oidc/{issuer}",
            """
            Begins to add a way in at an issuer.

            `{"url"}`, as for signing in.
            """,
            people_answers.Away,
        ),
        operation(
            "DELETE me/credentials/{credential}",
            "Takes a way in away, and ends all other sessions. 422 for the last one.",
            people_answers.RemovedCredential,
        ),
        operation(
            "POST me/recovery-codes",
            """
            Makes recovery codes.

            201 `{"codes"}`: ten, shown this once; older ones open nothing any more.
            """,
            people_answers.RecoveryCodes,
            status=201,
        ),
        operation(
            "POST invitations/look",
            """
            Tells what an invitation would hand over.

            Body: `code`. `{"kind", "role", "name", "expires_ms"}`: what it would hand over. 401.
            """,
            people_answers.InvitationLook,
            body=me.Code,
        ),
    ),
)
