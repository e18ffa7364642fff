"""What people and programs are answered at the address of a stream."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiohttp.test_utils import make_mocked_request

from mediaserver.api.notice_page import BAD_LINKS
from mediaserver.api.pages import Pages
from mediaserver.api.watch_page import WatchPage
from mediaserver.errors import AddressError
from mediaserver.hls import addresses
from mediaserver.hls.live_store import LiveStore
from mediaserver.hls.places import Places
from mediaserver.hls.responses import RefusedError
from mediaserver.hls.restrictions import Restrictions
from mediaserver.http.client_address import Client
from mediaserver.ipc.messages import TakenDown
from mediaserver.people.countries import Countries
from mediaserver.people.settings import WatchSettings
from mediaserver.playback_token import Grant, mint
from mediaserver.settings.records import Settings
from metering.units import (
    FREE_LIST,
    AccountId,
    Planck,
    PriceVersion,
    SessionId,
    ShowCap,
    StreamPolicy,
    ViewerPrices,
)
from tests.support.clock import FakeClock

ROOT = Path(__file__).resolve().parents[3]
NOW_S = 1_800_000_000
KEYS = ((1, b"k" * 32),)
PRICED = StreamPolicy(UUID(int=1), "cam", 'Cam <"1">', (PriceVersion(1, 0, Planck(250_000_000)),))
FREE = StreamPolicy(UUID(int=2), "free", "Free", ())
CLOSED = StreamPolicy(UUID(int=3), "shut", "Shut", (), is_enabled=False)
CAPPED = replace(PRICED, slug="talk", caps=(ShowCap(NOW_S - 9, Planck(5 * 10**11)),))
OWN = (PriceVersion(FREE_LIST, 0, Planck(0)), PriceVersion(3, NOW_S + 60, Planck(7)))
NAMED = replace(PRICED, slug="gift", named=(ViewerPrices(AccountId(b"\x07" * 32), OWN),))
STREAMS = {policy.slug: policy for policy in (PRICED, FREE, CLOSED, CAPPED, NAMED)}
ENTRY = "https://op.example.org/join?stream={stream}"
PERSON = "text/html,application/xhtml+xml,*/*;q=0.8"


def settings(entry_url: str = ENTRY, top_up_url: str = "") -> Settings:
    tree = Settings()
    price = replace(tree.price, entry_url=entry_url, top_up_url=top_up_url)
    server = replace(tree.server, public_url="https://live.example.org")
    return replace(tree, price=price, server=server)


def watch_page(tmp_path, *, tree: Settings | None = None, is_known: bool = True) -> WatchPage:
    clock = FakeClock(NOW_S * 1000)
    (tmp_path / "index.html").write_text("<head><title>Vilokanam</title><!--BOOT--></head>")
    control: Any = SimpleNamespace(token_keys=KEYS, is_top_up_open=False)
    return WatchPage(
        tree or settings(),
        pages=Pages(tmp_path),
        store=LiveStore(clock, 60, 100),
        clock=clock,
        find=STREAMS.get if is_known else (lambda _slug: None),
        control=lambda: control if is_known else None,
    )


def token(policy: StreamPolicy, expires_s: int = NOW_S + 60) -> str:
    return mint(Grant(AccountId(b"\x07" * 32), policy.stream, SessionId(5), expires_s), KEYS)


def ask(page: WatchPage, path: str, accept: str) -> Any:
    request = make_mocked_request("GET", path, headers={"Accept": accept})
    try:
        return page.answer(request, addresses.parse(path))
    except AddressError:
        return page.nothing(request)


def test_v3_priced_address_says_what_it_is_what_it_costs_and_how_to_get_in(tmp_path):
    """A newcomer read that the link does not work, beside a full balance bar and a top-up."""
    answer = ask(watch_page(tmp_path), "/cam/", PERSON)

    assert answer.status == 200
    assert answer.content_type == "text/html"
    assert answer.headers["Cache-Control"] == "no-store"
    for words in (
        "Cam &lt;&quot;1&quot;&gt;",
        "Not live",
        "0.00025 UNIT a second: 0.015 UNIT a minute, 0.9 UNIT an hour",
        'href="https://op.example.org/join?stream=cam"',
    ):
        assert words in answer.text
    assert "does not work" not in answer.text
    assert "Top up" not in answer.text


def test_v3_program_reads_the_same_as_a_problem(tmp_path):
    """Status 401, with price and entry as members."""
    answer = ask(watch_page(tmp_path), "/cam/", "application/json")
    problem = json.loads(answer.body)

    assert (answer.status, answer.content_type) == (401, "application/problem+json")
    assert problem["reason"] == "token"
    assert problem["price"] == {"planck_per_s": "250000000", "symbol": "UNIT", "decimals": 12}
    assert problem["entry_url"] == "https://op.example.org/join?stream=cam"
    assert problem["join_url"] == "/api/v1/streams/cam/join"
    assert "0.00025 UNIT a second" in problem["detail"]
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    ("top_up_url", "way"),
    [
        ("", None),
        ("https://pay.example.org/", "https://pay.example.org/"),
        # An address that wants an account names nobody without one.
        ("https://pay.example.org/?account={account}", None),
    ],
)
def test_v3_without_an_entry_the_page_says_whom_to_ask(tmp_path, top_up_url, way):
    """There is no button to a payment for nobody."""
    page = watch_page(tmp_path, tree=settings(entry_url="", top_up_url=top_up_url))
    text = ask(page, "/cam/", PERSON).text

    assert ("Ask for one where you found this address" in text) is (way is None)
    assert ('<a class="button"' in text) is (way is not None)
    assert "{account}" not in text


@pytest.mark.parametrize(
    ("path", "status", "reason", "words"),
    [
        ("/camm/", 404, "not_found", "No such stream"),
        ("/shut/", 404, "closed", "Shut is closed"),
        (f"/w/{token(CLOSED)}/shut/", 404, "closed", "The operator of this server has closed it"),
        (f"/w/{token(PRICED, NOW_S)}/cam/", 403, "expired", "This link has expired"),
        (f"/w/{token(FREE)}/cam/", 403, "stream", "This link is for another stream"),
        (f"/w/{token(PRICED)[:-1]}/cam/", 403, "malformed", "This link is damaged"),
        (f"/w/{token(PRICED)[:-4]}AAAA/cam/", 403, "signature", "This link is not from here"),
        (f"/w/{token(PRICED)}%20/cam/", 404, "malformed", "This link is damaged"),
        ("/nothing/here", 404, "not_found", "Nothing is here"),
        (f"/w/{token(PRICED)}/cam/x.m4s", 404, "not_found", "There is nothing at /cam/x.m4s"),
        (f"/w/{token(PRICED)}/", 404, "not_found", "No stream is named"),
        (f"/w/{token(PRICED)}", 404, "not_found", "No stream is named"),
        (f"/w/{token(PRICED, NOW_S)}/", 404, "expired", "This link has expired"),
        (f"/w/{token(PRICED)[:-1]}/", 404, "malformed", "This link is damaged"),
        ("/w/", 404, "malformed", "This link is damaged"),
    ],
)
def test_v4_what_cannot_be_watched_is_told_in_true_words(tmp_path, path, status, reason, words):
    """People were shown JSON on white, and "this link does not work" for everything."""
    page = watch_page(tmp_path)

    person = ask(page, path, PERSON)
    program = ask(page, path, "*/*")

    assert (person.status, person.content_type) == (status, "text/html")
    assert words in person.text
    assert (program.status, program.content_type) == (status, "application/problem+json")
    assert json.loads(program.body)["reason"] == reason
    for answer in (person, program):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Vary"] == "Accept"
    assert "balance" not in person.text
    assert "Top up" not in person.text
    assert token(PRICED) not in person.text


@pytest.mark.parametrize(
    "path", ["/cam/", "/anything/", f"/w/{token(PRICED)}/cam/", f"/w/{token(PRICED)}/"]
)
def test_v4_v12_starting_server_says_so_and_the_page_comes_back(tmp_path, path):
    """503 with Retry-After; never that there is no such stream while that is not known."""
    page = watch_page(tmp_path, is_known=False)

    person = ask(page, path, PERSON)
    program = ask(page, path, "application/json")

    assert person.status == program.status == 503
    assert "The server is starting" in person.text
    assert '<meta http-equiv="refresh"' in person.text
    assert person.headers["Retry-After"] == program.headers["Retry-After"]
    assert person.headers["Cache-Control"] == program.headers["Cache-Control"] == "no-store"
    assert json.loads(program.body)["reason"] == "starting"


def test_v4_a_link_that_expires_while_watching_is_told_in_the_words_of_a_reload():
    """The player's page said "does not work" where its reload said "has expired"."""
    words = (ROOT / "web/app/link_words.ts").read_text(encoding="utf-8")

    for title, text in BAD_LINKS.values():
        assert f'"{title}"' in words
        assert f'"{text}"' in words


def test_v4_texts_of_others_run_nothing(tmp_path):
    """Titles and paths are text, and the page's policy allows its own script and style only."""
    page = watch_page(tmp_path)
    hostile = "/<script>alert(1)</script>/"
    answer: Any = page.nothing(make_mocked_request("GET", hostile, headers={"Accept": PERSON}))

    assert "<script>alert" not in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]


def test_v14_link_of_another_stream_counts_for_nothing_on_a_free_one(tmp_path):
    """The page plays without a session, so it opens no meter, and can say why."""
    answer = ask(watch_page(tmp_path), f"/w/{token(PRICED)}/free/", "application/json")
    boot = json.loads(answer.body)

    assert answer.status == 200
    assert (boot["session"], boot["link"]) == (None, "stream")


def test_v9_shared_address_is_previewed_with_title_and_price(tmp_path):
    """A link in a chat said "Vilokanam"; what is previewed never holds a token."""
    page = watch_page(tmp_path)
    secret = token(PRICED)

    entry = ask(page, "/cam/", PERSON).text
    watched = ask(page, f"/w/{secret}/cam/", PERSON).text

    for text in (entry, watched):
        assert "<title>Cam &lt;&quot;1&quot;&gt;</title>" in text
        assert 'property="og:title" content="Cam &lt;&quot;1&quot;&gt;"' in text
        assert "0.00025 UNIT a second" in text
        assert 'property="og:url" content="https://live.example.org/cam/"' in text
        assert secret not in text
    assert "<title>Vilokanam" not in watched


def test_a_newcomer_reads_what_a_show_costs_at_most(tmp_path):
    """Beside the price, and in the data that the page starts with."""
    page = watch_page(tmp_path)

    entry = ask(page, "/talk/", PERSON).text
    boot = json.loads(ask(page, f"/w/{token(CAPPED)}/talk/", "application/json").body)

    assert "0.9 UNIT an hour, and never more than 0.5 UNIT for a show" in entry
    assert boot["price"]["show_cap"] == "500000000000"


def test_a_named_viewer_reads_what_they_pay_themselves(tmp_path):
    """Their link says it; the stream's own address says what everybody pays."""
    page = watch_page(tmp_path)

    boot = json.loads(ask(page, f"/w/{token(NAMED)}/gift/", "application/json").body)
    entry = ask(page, "/gift/", PERSON).text

    assert boot["price"]["planck_per_s"] == "0"
    assert boot["price"]["next"]["planck_per_s"] == "7"
    assert boot["session"] == f"{5:016x}"
    assert "0.00025 UNIT a second" in entry


def test_d1_program_asks_for_what_the_page_starts_with(tmp_path):
    """The SDK in a page of one's own reads price and session here, from any origin."""
    answer = ask(watch_page(tmp_path), f"/w/{token(PRICED)}/cam/", "application/json")
    boot = json.loads(answer.body)

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Cache-Control"] == "no-store"
    assert boot["price"]["planck_per_s"] == "250000000"
    assert boot["session"] == f"{5:016x}"
    assert boot["expires_ms"] == (NOW_S + 60) * 1000


HIDDEN = StreamPolicy(UUID(int=4), "premiere", "Premiere", (PriceVersion(1, 0, Planck(7)),))


@pytest.mark.parametrize("path", ["/premiere/", f"/w/{token(FREE)}/premiere/"])
def test_the_way_in_for_guests_tells_nobody_whether_there_is_a_stream(tmp_path, path, monkeypatch):
    """A password or a link can be given at any address that has no public stream, in one page."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "join-abc.js").write_text("1")
    page = watch_page(tmp_path)
    page.restrictions = Restrictions(invited=frozenset({HIDDEN.stream}))
    monkeypatch.setitem(STREAMS, "premiere", HIDDEN)
    hidden = ask(page, path, PERSON)
    monkeypatch.delitem(STREAMS, "premiere")
    absent = ask(page, path, PERSON)

    assert (hidden.status, hidden.text, hidden.headers) == (404, absent.text, absent.headers)
    assert '<div id="join" data-stream="premiere" data-is-hidden="1">' in absent.text
    assert "by invitation: then you need a link, or its password" in absent.text
    # A tab that has a link of its own goes back to it, and not from there once more.
    assert ("location.replace" in absent.text) is (path == "/premiere/")


def test_a_newcomer_is_given_the_script_that_lets_them_in(tmp_path):
    """It may run and ask the API; what is not built is not named."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "join-abc.js").write_text("1")
    page = watch_page(tmp_path)
    answer = page.answer(
        make_mocked_request("GET", "/cam/", {"Accept": PERSON}), addresses.parse("/cam/")
    )
    assert answer.text is not None
    assert '<script type="module" src="/assets/join-abc.js"></script>' in answer.text
    assert '<div id="join" data-stream="cam" data-price="250000000"' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "'self'; connect-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("slug", ["cam", "free"])
def test_who_is_not_shown_a_stream_reads_so_before_anything_else(tmp_path, slug) -> None:
    """In words to people, as a problem to programs; a link of their own makes no difference."""

    class Elsewhere(Places):
        def check(self, stream: UUID, request: Any) -> None:  # noqa: ARG002
            raise RefusedError(403, "place", detail="Not in your country.")

    page = watch_page(tmp_path)
    page._places = Elsewhere(Countries(WatchSettings()), lambda _request: Client(None))
    page.restrictions = Restrictions(unlisted=frozenset({PRICED.stream}))

    for path in (f"/{slug}/", f"/w/{token(STREAMS[slug])}/{slug}/"):
        shown = ask(page, path, PERSON)
        answered = ask(page, path, "application/json")
        assert (shown.status, answered.status) == (403, 403)
        assert "is not shown here" in shown.text
        assert "Not in your country." in shown.text
        assert json.loads(answered.text)["reason"] == "place"


def test_who_opens_a_stream_that_was_taken_down_reads_why(tmp_path) -> None:
    """With a link of their own too; to who may not know of it, it is not there."""
    page = watch_page(tmp_path)
    taken = {PRICED.stream: TakenDown(PRICED.stream, 451, "Taken down as the law demands: <x>")}
    page.restrictions = Restrictions(taken_down=taken)

    for path in ("/cam/", f"/w/{token(PRICED)}/cam/"):
        shown = ask(page, path, PERSON)
        answered = ask(page, path, "application/json")
        assert (shown.status, answered.status) == (451, 451)
        assert "as the law demands: &lt;x&gt;" in shown.text
        assert json.loads(answered.text)["reason"] == "taken_down"
    page.restrictions = Restrictions(invited=frozenset({PRICED.stream}), taken_down=taken)
    assert ask(page, "/cam/", PERSON).status == 404


@pytest.mark.parametrize("field", ["webhook_secret_file", "stripe_secret_key_file"])
def test_the_page_knows_that_one_pays_in_by_oneself(tmp_path, field):
    """Without it who ran dry saw no way to pay, though the server takes payments."""
    tree = settings()
    named: dict[str, Any] = {field: "secret"}
    tree = replace(tree, payments=replace(tree.payments, **named))
    path = f"/w/{token(PRICED)}/cam/"
    with_provider = ask(watch_page(tmp_path, tree=tree), path, "application/json")
    without = ask(watch_page(tmp_path), path, "application/json")

    assert json.loads(with_provider.body)["top_up"]["pay_in"] is True
    assert json.loads(without.body)["top_up"]["pay_in"] is False
