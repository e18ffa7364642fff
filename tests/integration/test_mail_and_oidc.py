"""Coming in by a mailed link, and by the word of an issuer: what opens, what does not."""

import asyncio
import base64
import hmac
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from mediaserver.people import browser_sessions
from mediaserver.people.jwks import ANSWER_BYTES_MAX
from mediaserver.people.per_hour import LETTERS_PER_ADDRESS_MAX
from mediaserver.people.settings import OidcIssuer as IssuerSettings
from metering.book.book import Book
from tests.support.control_server import Server, settings
from tests.support.mailbox import Mailbox, open_mailbox
from tests.support.oidc_issuer import CLIENT, OidcIssuer
from tests.support.people_browser import ORIGIN, Browser


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with open_mailbox() as made:
        yield made


@pytest.fixture
async def issuer() -> AsyncIterator[OidcIssuer]:
    async with OidcIssuer() as started:
        yield started


@pytest.fixture
async def server(tmp_path, mailbox, issuer) -> AsyncIterator[Server]:
    made = settings()
    people = replace(
        made.people,
        mail_url=f"smtp://127.0.0.1:{mailbox.port}",
        mail_from="live@example.org",
        oidc=(IssuerSettings("example", issuer.url, CLIENT, ""),),
    )
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), people=people)
    async with Server(tmp_path, tree) as started:
        yield started


async def test_a_mailed_link_opens_once_by_a_press(server, mailbox) -> None:
    browser = Browser(server)
    status, _ = await browser.ask("POST", "sign-in/mail", {"address": " Ann@Example.org "})
    assert status == 202
    assert browser.jar == {}  # the link may be opened on another device
    secret = await mailbox.secret()

    other = Browser(server)
    status, made = await other.ask("POST", "sign-in/mail/confirm", {"secret": secret})
    assert (status, made["name"]) == (201, "ann")
    assert (await other.ask("GET", "me"))[0] == 200
    assert (await browser.ask("POST", "sign-in/mail/confirm", {"secret": secret}))[0] == 401

    await browser.ask("POST", "sign-in/mail", {"address": "ann@example.org"})
    status, again = await browser.ask(
        "POST", "sign-in/mail/confirm", {"secret": await mailbox.secret()}
    )
    assert (status, again["person"]) == (200, made["person"])


async def test_who_asks_for_a_letter_does_not_learn_who_has_an_account(server, mailbox) -> None:
    """Where nobody new is taken only who is known gets one; the answers are the same."""
    browser = Browser(server)
    await browser.ask("POST", "sign-in/mail", {"address": "ann@example.org"})
    secret = await mailbox.secret()
    assert (await browser.ask("POST", "sign-in/mail/confirm", {"secret": secret}))[0] == 201
    await server.stop_control()
    server.tree = replace(server.tree, people=replace(server.tree.people, sign_up=False))
    await server.start_control()
    await server.until_ready()

    stranger = Browser(server)
    answers = []
    for address in ("bob@example.org", "ann@example.org"):
        answer = await stranger.ask("POST", "sign-in/mail", {"address": address})
        answers.append((answer, stranger.jar, sorted(set(stranger.answer_headers) - {"Date"})))

    assert answers[0] == answers[1]
    assert answers[0][0][0] == 202
    receivers, _, _ = await mailbox.next()
    assert receivers == ["ann@example.org"]
    assert mailbox.letters.empty()


async def test_a_mail_address_never_joins_two_persons(server, mailbox) -> None:
    """Who is signed in adds it; who has it elsewhere is not made the same person."""
    ann, bob = Browser(server), Browser(server)
    await ann.sign_up("Ann")
    await ann.ask("POST", "me/credentials/mail", {"address": "ann@example.org"})
    secret = await mailbox.secret("add-mail")
    await bob.sign_up("Bob")
    # Another person's browser that opens the link gets nothing by it, and it is used up.
    assert (await bob.ask("POST", "me/credentials/mail/confirm", {"secret": secret}))[0] == 409
    assert (await ann.ask("POST", "me/credentials/mail/confirm", {"secret": secret}))[0] == 401

    await ann.ask("POST", "me/credentials/mail", {"address": "ann@example.org"})
    secret = await mailbox.secret("add-mail")
    assert (await ann.ask("POST", "me/credentials/mail/confirm", {"secret": secret}))[0] == 201
    await bob.ask("POST", "me/credentials/mail", {"address": "ann@example.org"})
    secret = await mailbox.secret("add-mail")
    assert (await bob.ask("POST", "me/credentials/mail/confirm", {"secret": secret}))[0] == 422


async def test_letters_to_one_address_are_few(server) -> None:
    browser = Browser(server)
    seen = [
        (await browser.ask("POST", "sign-in/mail", {"address": "ann@example.org"}))[0]
        for _ in range(4)
    ]
    assert seen == [202, 202, 202, 429]


@pytest.mark.parametrize("address", ["", "ann", "a b@example.org", "a@b", "<a@b.org>", "a" * 99])
async def test_what_is_no_mail_address_is_named(server, address) -> None:
    status, answered = await Browser(server).ask("POST", "sign-in/mail", {"address": address})
    assert status == 422
    assert "such as ann@example.org" in answered["detail"]


async def away(browser: Browser, issuer: OidcIssuer, path: str = "sign-in/oidc/example") -> str:
    status, answered = await browser.ask("POST", path, {})
    assert status == 200, answered
    return issuer.visit(answered["url"])


async def back(browser: Browser, query: str) -> str:
    """Come back from the issuer; return where the browser is sent."""
    status, _ = await browser.ask("GET", f"sign-in/oidc/example/back?{query}", None, {})
    assert status == 303
    return browser.answer_headers["Location"]


async def test_somebody_comes_in_by_an_issuers_word(server, issuer) -> None:
    browser = Browser(server)
    query = await away(browser, issuer)
    assert issuer.asked["redirect_uri"] == f"{ORIGIN}/api/v1/sign-in/oidc/example/back"
    assert issuer.asked["code_challenge_method"] == "S256"
    assert await back(browser, query) == "/me/"
    _, me = await browser.ask("GET", "me")
    assert me["name"] == "Ann Example"

    other = Browser(server)
    assert await back(other, await away(other, issuer)) == "/me/"
    assert (await other.ask("GET", "me"))[1]["person"] == me["person"]


REFUSED = "/me/#refused=oidc"
WRONG_WORDS = {
    "another issuer": {"iss": "https://evil.example"},
    "another audience": {"aud": "somebody"},
    "several audiences without us asking": {"aud": [CLIENT, "somebody"]},
    "asked by somebody else": {"azp": "somebody"},
    "old": {"exp": 1_700_000_000},
    "without an end": {"exp": None},
    "from the future": {"iat": 4_000_000_000},
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "nobody": {"sub": ""},
    "a number": {"sub": 5},
}


@pytest.mark.parametrize("claims", WRONG_WORDS.values(), ids=WRONG_WORDS)
async def test_a_word_that_does_not_hold_opens_nothing(server, issuer, claims) -> None:
    issuer.claims = claims
    browser = Browser(server)
    assert await back(browser, await away(browser, issuer)) == REFUSED
    assert (await browser.ask("GET", "me"))[0] == 401


async def test_a_word_signed_by_another_key_or_by_none_opens_nothing(server, issuer) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": "first"})
    issuer.signs_with = stranger
    browser = Browser(server)
    assert await back(browser, await away(browser, issuer)) == REFUSED

    # The published key taken for a secret, and no signature at all.
    issuer.signs_with = None
    public = issuer.key.as_pem(private=False)
    claims = {"iss": issuer.url, "sub": "1", "aud": CLIENT, "exp": 4_000_000_000, "iat": 1}
    query = await away(browser, issuer)
    claims["nonce"] = issuer.asked["nonce"]
    issuer.token = forged_token({"alg": "HS256", "kid": "first"}, claims, public)
    assert await back(browser, query) == REFUSED
    query = await away(browser, issuer)
    claims["nonce"] = issuer.asked["nonce"]
    issuer.token = forged_token({"alg": "none"}, claims, None)
    assert await back(browser, query) == REFUSED


def forged_token(header: dict[str, Any], claims: dict[str, Any], secret: bytes | None) -> str:
    """Return a token that is signed with a shared secret, or not at all."""
    head, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims)
    )
    digest = b"" if secret is None else hmac.digest(secret, head + b"." + payload, "sha256")
    return b".".join((head, payload, base64.urlsafe_b64encode(digest).rstrip(b"="))).decode()


async def test_a_new_key_of_the_issuer_is_found_and_an_invented_one_asks_once(
    server, issuer
) -> None:
    browser = Browser(server)
    assert await back(browser, await away(browser, issuer)) == "/me/"
    asked = issuer.key_requests
    issuer.header = {"kid": "invented"}
    for _ in range(3):
        assert await back(browser, await away(browser, issuer)) == REFUSED
    assert issuer.key_requests <= asked + 1


async def test_only_the_browser_that_went_comes_back_and_once(server, issuer) -> None:
    browser, stranger = Browser(server), Browser(server)
    query = await away(browser, issuer)
    assert await back(stranger, query) == REFUSED
    forged = re.sub("state=[^&]*", "state=oidc.x", query)
    assert await back(browser, forged) == REFUSED
    query = await away(browser, issuer)
    assert await back(browser, query) == "/me/"
    fresh = Browser(server)
    fresh.jar = dict(browser.jar)
    assert await back(fresh, query) == REFUSED


async def test_an_issuer_that_is_away_is_told_of(server, issuer) -> None:
    await issuer.__aexit__()
    status, answered = await Browser(server).ask("POST", "sign-in/oidc/example", {})
    assert status == 503
    assert "does not answer" in answered["detail"]
    assert (await Browser(server).ask("POST", "sign-in/oidc/other", {}))[0] == 404


async def test_an_issuer_may_tell_much_of_itself_and_not_too_much(server, issuer) -> None:
    issuer.padding = ANSWER_BYTES_MAX
    status, _ = await Browser(server).ask("POST", "sign-in/oidc/example", {})
    assert status == 503
    issuer.padding = 200_000  # comes in several pieces
    await away(Browser(server), issuer)


async def test_a_stranger_learns_no_file_of_this_machine(tmp_path) -> None:
    made = settings()
    lost = tmp_path / "mail.password"
    people = replace(made.people, mail_url="smtp://mail.invalid", mail_password_file=str(lost))
    tree = replace(made, server=replace(made.server, public_url=ORIGIN), people=people)
    async with Server(tmp_path, tree) as server:
        asked = {"address": "ann@example.org"}
        status, answered = await Browser(server).ask("POST", "sign-in/mail", asked)
    assert status == 503
    assert lost.name not in json.dumps(answered)


async def test_one_address_fills_no_mailboxes(server) -> None:
    for number in range(LETTERS_PER_ADDRESS_MAX + 1):
        asked = {"address": f"a{number}@example.org"}
        status, _ = await Browser(server).ask("POST", "sign-in/mail", asked)
    assert status == 429
    assert (await Browser(server).ask("POST", "sign-in/passkey/options", {}))[0] == 200


async def test_an_issuers_word_is_added_by_who_is_signed_in(server, issuer) -> None:
    ann = Browser(server)
    await ann.sign_up("Ann")
    query = await away(ann, issuer, "me/credentials/oidc/example")
    stranger = Browser(server)
    await stranger.sign_up("Eve")
    session = stranger.jar["vilokanam"]
    stranger.jar = dict(ann.jar) | {"vilokanam": session}  # Ann's challenge in Eve's browser
    assert await back(stranger, query) == REFUSED

    query = await away(ann, issuer, "me/credentials/oidc/example")
    assert await back(ann, query) == "/me/"
    _, me = await ann.ask("GET", "me")
    assert [item["kind"] for item in me["credentials"]] == ["passkey", "oidc"]


async def forget(server: Server, browser: Browser) -> None:
    """Let the way in that a browser showed be five minutes old."""

    def run() -> None:
        url = f"sqlite:///{server.data_dir / 'book.sqlite3'}"
        with Book.open(url, server.tree.asset) as book, book.together() as connection:
            [session] = browser_sessions.of_person(connection, browser.person, 0)
            old_ms = session.created_ms - browser_sessions.FRESH_MS
            browser_sessions.shown(connection, session.id, old_ms)

    await asyncio.to_thread(run)


async def test_what_was_begun_fresh_and_is_finished_late_adds_nothing(
    server, mailbox, issuer
) -> None:
    ann = Browser(server)
    device = await ann.sign_up("Ann")
    await ann.ask("POST", "me/credentials/mail", {"address": "ann@example.org"})
    secret = {"secret": await mailbox.secret("add-mail")}
    query = await away(ann, issuer, "me/credentials/oidc/example")
    await forget(server, ann)

    status, answered = await ann.ask("POST", "me/credentials/mail/confirm", secret)
    assert (status, answered["reason"]) == (401, "show_again")
    assert await back(ann, query) == "/me/#refused=late"
    assert len((await ann.ask("GET", "me"))[1]["credentials"]) == 1
    # The letter is good still, once a way in was shown again.
    assert (await ann.sign_in(device))[0] == 200
    assert (await ann.ask("POST", "me/credentials/mail/confirm", secret))[0] == 201
