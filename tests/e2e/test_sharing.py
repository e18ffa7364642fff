"""What cheats try gains nothing, and what honest players do is never refused."""

import contextlib
import secrets
import socket
import time

import pytest

from mediaserver import playback_token
from mediaserver.playback_token import Grant
from metering.units import SessionId, parse_account
from tests.support.audience import Ticket, open_stream
from tests.support.players import Player, Wire, find_show, list_media, ticks_of
from tests.support.servers.vilokanam import Publisher, Server, running, until

pytestmark = pytest.mark.timeout(120)

PRICE = 1_000_000
BUCKET_S = 60
"""A window of 30 s and 30 s to spare."""
REFILL = 2.2


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server with a live show, the same for every test here."""
    server = Server(tmp_path_factory.mktemp("share"))
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", str(PRICE)))
        try:
            with Wire(server.port) as wire:
                until(lambda: find_show(wire, "/cam/"), "live")
                until(lambda: len(list_media(wire, "/cam/", "360p").segments) >= 4, "a window", 60)
            yield server
        finally:
            publisher.stop()
    print(server.tail())


@pytest.fixture
def wire(live):
    with Wire(live.port) as made:
        yield made


def viewer(server: Server, credit_s: int) -> str:
    """Make a viewer who has paid for so many seconds, and return the name."""
    name = f"viewer-{secrets.token_hex(4)}"
    server.api("POST", "viewers", {"name": name})
    if credit_s:
        planck = str(credit_s * PRICE)
        server.api("POST", f"viewers/{name}/credits", {"planck": planck}, Idempotency_Key=name)
    return name


def session_of(server: Server, name: str, slug: str = "cam") -> Ticket:
    """Open one more player of a viewer."""
    made = server.api("POST", "tokens", {"viewer": name, "stream": slug})
    return Ticket(made["token"], made["session"], made["account"], slug)


def newcomer(server: Server, credit_s: int) -> Ticket:
    """Return the player of a viewer who has paid for so many seconds."""
    return session_of(server, viewer(server, credit_s))


def below(ticket: Ticket, path: str) -> str:
    """Return what is at /cam/... for everybody, as this player asks for it."""
    return ticket.path + path.removeprefix("/cam/")


def drain(wire: Wire, ticket: Ticket, path: str, at_most: int = 200) -> int:
    """Fetch one segment again and again until 429; return how often it was served."""
    for count in range(at_most):
        status = wire.status(below(ticket, path))
        if status != 200:
            assert status == 429
            return count
    raise AssertionError(f"{at_most} times, and never refused")


def pause(seconds: float) -> None:
    """Let time pass: what is tested is a rate."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() >= end, "time", seconds + 5)


# Sharing


def test_two_players_behind_one_token_play_on_and_a_third_is_refused(live, wire):
    """Beyond its reserve a token carries two players at their usual speed, and not three."""
    ticket = newcomer(live, 900)
    [*_, segment] = list_media(wire, "/cam/", "360p").segments
    drained = drain(wire, ticket, segment)
    players = [Player(live.port, ticket.path, "360p", backlog=1) for _ in range(3)]
    pause(4)
    try:
        for player in players[:2]:
            player.start()
        pause(8)
        two = [dict(player.statuses) for player in players[:2]]
        players[2].start()
        until(lambda: any(429 in player.statuses for player in players), "the third refused", 25)
    finally:
        for player in players:
            player.stopping.set()
    print(f"a 2 s segment {drained} times, then two players {two}")
    assert 25 <= drained <= 60
    for statuses in two:
        assert set(statuses) == {200}
        assert statuses[200] >= 8


def test_minting_session_after_session_gives_no_more_media(live, wire):
    """A new session takes over the buckets of the one that it ends, as they are."""
    name = viewer(live, 900)
    segment = list_media(wire, "/cam/", "audio").segments[-1]
    first, second = session_of(live, name), session_of(live, name)
    began_s = time.monotonic()
    by_two = drain(wire, first, segment) + drain(wire, second, segment)
    later = []
    for _ in range(6):
        fresh = session_of(live, name)
        later.append(drain(wire, fresh, segment))
    passed_s = time.monotonic() - began_s

    old = wire.ask(below(first, segment))

    print(f"two sessions {by_two}, then six fresh ones {later}, in {passed_s:.1f} s")
    # Audio segments are about 2 s long; memory may have two more seconds and an object under way.
    most_s = 2 * BUCKET_S + 2 * REFILL * passed_s + 6 * 4
    assert 2 * (by_two + sum(later)) <= most_s
    assert sum(later) <= by_two / 2
    assert old.status == 403
    assert b'"reason":"session"' in old.body.replace(b" ", b"")


# One second is one second


@pytest.mark.parametrize("order", [("audio", "source"), ("source", "audio"), ("360p", "source")])
def test_a_second_is_paid_once_whatever_it_is_fetched_as(live, wire, order):
    """Sound alone costs what the picture does, and then the picture of it is free."""
    first, then = order
    listings = {name: list_media(wire, "/cam/", name) for name in order}
    mine, other = listings[first].segments[-2:]
    same = next(
        p for p in listings[then].segments if p.rpartition("/")[2] == mine.rpartition("/")[2]
    )
    ticket = newcomer(live, len(ticks_of(mine)))

    statuses = [wire.status(below(ticket, path)) for path in (mine, same, mine, other)]

    assert statuses == [200, 200, 200, 402]


def test_two_tabs_of_one_viewer_pay_once(live, wire):
    """The same seconds in two tabs are one payment."""
    mine, other = list_media(wire, "/cam/", "source").segments[-2:]
    name = viewer(live, len(ticks_of(mine)))
    left, right = session_of(live, name), session_of(live, name)

    statuses = [
        wire.status(below(tab, path)) for tab, path in ((left, mine), (right, mine), (right, other))
    ]

    assert statuses == [200, 200, 402]


def test_pieces_of_an_object_are_charged_once(live, wire):
    """Range requests get their bytes, and the seconds of the object are paid once."""
    mine, other = list_media(wire, "/cam/", "360p").segments[-2:]
    ticket = newcomer(live, len(ticks_of(mine)))
    path = below(ticket, mine)

    head = wire.ask(path, Range="bytes=0-99")
    tail = wire.ask(path, Range="bytes=100-")
    whole = wire.ask(path)

    assert (head.status, tail.status, whole.status) == (206, 206, 200)
    assert head.body + tail.body == whole.body
    assert wire.status(below(ticket, other)) == 402


# Tricks


def spellings(path: str) -> dict[str, str]:
    """Return other ways to write the path of a part, by what is done to it."""
    folder, _, name = path.rpartition("/")
    number, _, ticks = name.partition("-")
    return {
        "escaped dot": f"{folder}/{name.replace('.', '%2e', 1)}",
        "escaped letter": f"{folder}/{name.replace('.m4s', '.m4%73')}",
        "escaped slash": f"{folder}%2F{name}",
        "leading zero": f"{folder}/0{name}",
        "leading zero of the count": f"{folder}/{number}-{ticks.replace('x', 'x0')}",
        "two slashes": f"{folder}//{name}",
        "dot segment": f"{folder}/./{name}",
        "up and down again": f"{folder}/../{folder.rpartition('/')[2]}/{name}",
        "slash behind": f"{path}/",
        "upper case": f"{folder}/{name.upper()}",
        "parameter": f"{path};x=1",
        "sign": f"{folder}/+{name}",
        "no ticks": f"{folder}/{number}.m4s",
        "no count": f"{folder}/{name.partition('x')[0]}.m4s",
    }


def test_a_paid_second_in_another_address_is_not_found_and_claims_nothing(live, wire):
    """An address is compared whole: the seconds in it cannot be changed, and nothing else fits."""
    listing = list_media(wire, "/cam/", "360p")
    paid, other = next(
        (a, b)
        for a, b in zip(listing.parts, listing.parts[1:], strict=False)
        if len(ticks_of(a)) == 1 and set(ticks_of(a)) != set(ticks_of(b))
    )
    ticket = newcomer(live, 1 + len(set(ticks_of(other)) - set(ticks_of(paid))))
    assert wire.status(below(ticket, paid)) == 200
    folder, _, name = other.rpartition("/")
    swapped = f"{folder}/{name.partition('-')[0]}-{paid.rpartition('-')[2]}"
    asked = {
        "the paid tick in another part": swapped,
        "a tick of long ago": f"{folder}/{name.partition('-')[0]}-1x1.m4s",
        "more ticks": other.replace("x1.", "x4.").replace("x2.", "x4."),
        "another rendition's name": other.replace("/360p/", "/720p/"),
        **spellings(other),
    }

    statuses = {what: wire.status(below(ticket, path)) for what, path in asked.items()}

    assert set(statuses.values()) == {404}, statuses
    # The balance is as it was: it still buys the part by its own address, and nothing more.
    assert wire.status(below(ticket, other)) == 200
    newest = list_media(wire, "/cam/", "360p").parts[-1]
    assert set(ticks_of(newest)) - set(ticks_of(other)) - set(ticks_of(paid))
    assert wire.status(below(ticket, newest)) == 402


def test_only_the_right_token_opens_a_stream_and_says_what_is_wrong(live, wire):
    """401 without a token; 403 with one of another stream, an expired, forged or damaged one."""
    with contextlib.suppress(OSError):
        open_stream(live, "other", str(PRICE))
    name = viewer(live, 30)
    good, strange = session_of(live, name), session_of(live, name, "other")
    segment = list_media(wire, "/cam/", "360p").segments[-1]
    number, secret = (live.data_dir / "token.keys").read_text().split()[:2]
    stream = next(s for s in live.api("GET", "streams")["streams"] if s["slug"] == "cam")["id"]

    def forged(key: bytes, expires_s: int) -> Ticket:
        import uuid

        grant = Grant(
            parse_account(good.account),
            uuid.UUID(stream),
            SessionId(int(good.session, 16)),
            expires_s,
        )
        return Ticket(
            playback_token.mint(grant, [(int(number), key)]), good.session, good.account, "cam"
        )

    now_s = int(time.time())
    cases = {
        "none": segment,
        "of another stream": below(Ticket(strange.token, "", "", "cam"), segment),
        "expired": below(forged(bytes.fromhex(secret), now_s - 1), segment),
        "signed by another": below(forged(b"k" * 32, now_s + 60), segment),
        "damaged": below(Ticket(good.token[:-4] + "AAAA", "", "", "cam"), segment),
        "too short": below(Ticket(good.token[:50], "", "", "cam"), segment),
        "good": below(good, segment),
    }

    answers = {what: wire.ask(path) for what, path in cases.items()}

    assert {what: answer.status for what, answer in answers.items()} == {
        "none": 401,
        "of another stream": 403,
        "expired": 403,
        "signed by another": 403,
        "damaged": 403,
        "too short": 403,
        "good": 200,
    }
    for what, answer in answers.items():
        if what != "good":
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.headers["Cache-Control"] == "no-store"


def test_looking_is_free(live, wire):
    """HEAD, 304, playlists and init cost nothing; with an empty balance only media is refused."""
    ticket = newcomer(live, 0)
    show = find_show(wire, ticket.path)
    listing = list_media(wire, ticket.path, "360p")
    segment, base = listing.segments[-1], show.renditions["360p"]
    init = base + listing.text.partition('MAP:URI="')[2].partition('"')[0]
    head = wire.ask(segment, "HEAD")

    free = {
        "head": head.status,
        "not modified": wire.status(segment, If_None_Match=head.headers["ETag"]),
        "multivariant": wire.status(ticket.path + "index.m3u8"),
        "playlist": wire.status(base + "media.m3u8"),
        "blocking reload": wire.status(base + "media.m3u8" + listing.reload),
        "init": wire.status(init),
        "page": wire.status(ticket.path),
    }

    assert free == {
        "head": 200,
        "not modified": 304,
        "multivariant": 200,
        "playlist": 200,
        "blocking reload": 200,
        "init": 200,
        "page": 200,
    }
    assert head.body == b""
    assert wire.status(segment) == 402
    assert wire.status(segment, Range="bytes=0-0") == 402
    assert wire.status(segment, If_None_Match='"another"') == 402


def test_who_leaves_while_waiting_pays_nothing(live, wire):
    """A part that is not made yet is asked for, and the player goes: its second is not billed."""
    ticket = newcomer(live, 1)
    old = next(p for p in list_media(wire, "/cam/", "360p").parts if len(ticks_of(p)) == 1)

    def hint_of_one_tick() -> str | None:
        hint = list_media(wire, "/cam/", "360p").hint
        return (
            hint if hint and len(ticks_of(hint)) == 1 and ticks_of(hint) != ticks_of(old) else None
        )

    hinted = until(hint_of_one_tick, "a hint of one second")
    with socket.create_connection(("127.0.0.1", live.port)) as leaver:
        leaver.sendall(f"GET {below(ticket, hinted)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert wire.status(below(ticket, hinted), "HEAD") == 200  # comes when the part is made

    assert wire.status(below(ticket, old)) == 200
    assert wire.status(below(ticket, hinted)) == 402


# Honest


def test_an_honest_player_is_never_refused(live, wire):
    """Parts and then their segment, quality switches, a reload, the window at double speed."""
    ticket = newcomer(live, 600)
    player = Player(live.port, ticket.path, "source", has_segments=True)
    player.start()
    try:
        pause(2)
        for rendition in ("360p", "audio", "source"):
            player.rendition = rendition
            pause(1.5)
        # A reload: another player of the same token begins anew.
        reloaded = Player(live.port, ticket.path, "source", has_segments=True)
        player.end()
        reloaded.start()
        pause(2)
        reloaded.end()
        # Back to the oldest picture, at double speed.
        statuses = set()
        for path in list_media(wire, ticket.path, "source").segments:
            statuses.add(wire.status(path))
            pause(0.2)
    finally:
        player.stopping.set()
    assert statuses == {200}
    assert set(player.statuses) == {200}
    assert set(reloaded.statuses) == {200}
    assert len(player.delivered) >= 8
