"""The operator's and the creator's path: start, stop, crash, mistakes, prices, proof."""

import contextlib
import http.client
import json
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from metering.book.book import Book
from metering.units import Asset, Planck
from tests.support.audience import mint, open_stream, open_viewer, settled
from tests.support.players import Player, Wire, find_show, list_media
from tests.support.servers.vilokanam import (
    Publisher,
    Server,
    free_port,
    get,
    running,
    until,
    vilokanam,
)

pytestmark = pytest.mark.timeout(120)

GOLDEN = Path(__file__).parents[1] / "golden"
PRICE = 1_000_000
STOP_MAX_S = 5


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A server for the tests that leave it running."""
    server = Server(tmp_path_factory.mktemp("op"))
    with running(server):
        yield server
    print(server.tail())


def edge_of(server: Server, slug: str = "cam") -> tuple[int, int, int]:
    """Return show, first and newest media sequence number of what is listed; zeros: nothing."""
    with Wire(server.port) as wire:
        show = find_show(wire, f"/{slug}/")
        if show is None:
            return 0, 0, 0
        text = list_media(wire, f"/{slug}/", "360p").text
    first = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)
    newest = re.findall(r"^(?:.*URI=\")?(\d+)[-.]\d", text, re.MULTILINE)
    assert first
    return show.number, int(first[1]), int(newest[-1])


# Mistakes


def test_config_check_tells_all_faults_at_once_by_their_keys(tmp_path):
    """One run names each fault with its key path; exit code 2."""
    file = tmp_path / "wrong.toml"
    file.write_text(
        "[server]\nport = 99999\nhttp_proceses = 2\n[hls]\npart_target_ms = 20\n"
        'window_ms = "long"\n[price]\ndefault_planck_per_s = "-1"\n[nowhere]\nx = 1\n'
    )

    done = vilokanam("config", "check", str(file))

    assert done.returncode == 2
    for key in (
        "server.port",
        "server.http_proceses",
        "hls.part_target_ms: 20 is below 100",
        "hls.window_ms",
        "price.default_planck_per_s",
        "nowhere",
    ):
        assert key in done.stderr, (key, done.stderr)
    assert "Traceback" not in done.stderr


def test_a_busy_port_and_a_busy_directory_are_named(live, tmp_path):
    """A second server says which port, or whose directory, and what to do."""
    second = Server(tmp_path)
    second.config.write_text(second.config.read_text().replace(str(second.port), str(live.port)))

    busy_port = second.run("serve", check=False)
    busy_directory = live.run("serve", check=False)

    assert busy_port.returncode != 0
    assert f"server.port: {live.port}" in busy_port.stderr
    assert "in use" in busy_port.stderr
    assert busy_directory.returncode != 0
    assert f"process id {live.process.pid}" in busy_directory.stderr
    assert get(live.url + "/readyz")[0] == 200
    for done in (busy_port, busy_directory):
        assert "Traceback" not in done.stderr


def test_doctor_of_a_server_that_runs_asks_its_redis_and_its_port(live):
    """While it serves, the operator sees that it does, and by which Redis."""
    done = live.run("doctor", "--json", check=False)
    found = {line["check"]: line for line in json.loads(done.stdout)["findings"]}

    assert found["server"]["text"] == f"process {live.process.pid} is ready on port {live.port}"
    assert found["Redis"]["state"] == "good"
    assert found["Redis' clock"]["state"] == "good"
    assert f"process {live.process.pid}" in found["limits"]["text"]


# Publishing


def whip(
    server: Server, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Send a WHIP request to the public port; return status, headers, body."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=15)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), content


def test_whip_mistakes_get_their_status_and_a_reason(live):
    """401, 404, 415, 400, 413, 422 as problem+json; a DELETE is answered 200, and again 404."""
    key = open_stream(live, "errors")
    offer = (GOLDEN / "offer-chromium.sdp").read_bytes()
    bearer = {"Authorization": f"Bearer {key}", "Content_Type": "application/sdp"}
    path = "/errors/whip"
    strange = offer.replace(b" H264/", b" H269/").replace(b" VP8/", b" VP0/")
    strange = strange.replace(b" opus/", b" opux/")
    asked = {
        401: whip(live, "POST", path, offer, Content_Type="application/sdp"),
        404: whip(live, "POST", "/nobody/whip", offer, **bearer),
        415: whip(live, "POST", path, offer, **{**bearer, "Content_Type": "text/plain"}),
        400: whip(live, "POST", path, b"this is no offer", **bearer),
        413: whip(live, "POST", path, offer + b"a=x\r\n" * 20_000, **bearer),
        422: whip(live, "POST", path, strange, **bearer),
    }
    wrong = whip(live, "POST", path, offer, **{**bearer, "Authorization": "Bearer wrong"})

    made, headers, answer = whip(live, "POST", path, offer, **bearer)
    there = headers["Location"]
    deleted = [
        whip(live, "DELETE", there)[0],
        whip(live, "DELETE", there, b"", **bearer)[0],
        whip(live, "DELETE", there, b"", **bearer)[0],
    ]

    assert {wanted: answer[0] for wanted, answer in asked.items()} == {
        status: status for status in asked
    }
    for status, (_, sent, body) in {**asked, 0: wrong}.items():
        assert sent["Content-Type"] == "application/problem+json", status
        problem = json.loads(body)
        assert problem["status"] == (status or 401)
        assert problem["detail"]
    assert wrong[0] == 401
    assert "WWW-Authenticate" in wrong[1]
    assert (made, headers["Content-Type"]) == (201, "application/sdp")
    assert answer.startswith(b"v=0")
    assert deleted == [401, 200, 404]


def test_a_publisher_who_comes_back_takes_over_at_once(live):
    """Its old connection is not yet noticed dead: a second POST has the stream all the same."""
    key = open_stream(live, "back")
    first, second = Publisher(live, "back", key), None
    try:
        until(lambda: edge_of(live, "back")[2] >= 1, "live")
        second = Publisher(live, "back", key)
        until(
            lambda: "whip.session.opened" in live.log.read_text().partition("replaced")[2], "over"
        )
        first.stop(hard=True)  # else it would come back in its turn
        before = edge_of(live, "back")
        until(lambda: edge_of(live, "back")[2] > before[2] + 1, "the show goes on", 15)
        after = edge_of(live, "back")
    finally:
        first.stop(hard=True)
        if second is not None:
            second.stop()
    assert after[0] == before[0]


def test_o10_a_search_for_the_slug_finds_the_whole_story_of_a_stream(live):
    """Offer, session, show and end: each line of a stream has its public name."""
    publisher = Publisher(live, "story", open_stream(live, "story"))
    until(lambda: edge_of(live, "story")[2] >= 1, "live")
    shown = until(
        lambda: "picture: " in (text := live.run("streams", "show", "story").stdout) and text,
        "streams show has the picture",
    )
    publisher.stop()
    until(lambda: '"show.publisher.gone"' in live.log.read_text().partition("story")[2], "gone")

    lines = [json.loads(line) for line in live.log.read_text().splitlines() if line[:1] == "{"]
    story = {line["event"] for line in lines if line.get("slug") == "story"}
    nameless = [
        line
        for line in lines
        if re.match(r"(whip\.session|show|placement|hls\.stream)\.", line["event"])
        and "slug" not in line
    ]

    assert {
        "placement.publisher.forwarded",
        "whip.session.opened",
        "whip.session.closed",
        "show.publisher.connected",
        "show.opened",
        "show.publisher.gone",
    } <= story
    assert nameless == []
    # C9: and the operator is told what goes out, in plain words.
    assert re.search(r"^state: live since \d\d:\d\d:\d\d .*, \d+ s$", shown, re.MULTILINE), shown
    assert re.search(r"^picture: H\.264, \d{3,4} x \d{3,4} at \d+", shown, re.MULTILINE), shown


# Life and death


def test_a_restart_goes_on_with_the_show_and_kill_9_leaves_no_orphan(tmp_path):
    """SIGTERM: told, exit 0 within 5 s. Again: same show, next segment. kill -9: nothing left."""
    server = Server(tmp_path)
    with running(server):
        key = open_stream(server, "cam", str(PRICE))
        publisher = Publisher(server, "cam", key)
        try:
            until(lambda: edge_of(server)[2] >= 2, "live")
            before = edge_of(server)
            assert server.children("processes.worker")

            began_s = time.monotonic()
            code = server.stop()
            took_s = time.monotonic() - began_s

            left = server.children("")
            log = server.log.read_text()
            print(f"SIGTERM: exit {code} in {took_s:.1f} s")
            assert (code, left) == (0, [])
            assert took_s <= STOP_MAX_S
            assert '"reason": "drained"' in log
            assert "server.processes.killed" not in log
            # The publisher was told, and comes back by itself.
            server.start()
            until(lambda: edge_of(server)[2] > before[2] + 1, "the show goes on", 40)
            after = edge_of(server)
            assert after[0] == before[0]
            assert after[1] >= before[1]

            server.kill()
            until(lambda: not server.children(""), "no orphans", 5)
        finally:
            publisher.stop()
    print(f"before {before}, after {after}")


# Prices and proof


def test_a_new_price_counts_from_its_second_and_receipts_prove_it(tmp_path):
    """Each second costs what was in force then; one flipped byte of the receipts is found out."""
    server = Server(tmp_path)
    server.data_dir.mkdir(mode=0o700)
    # By the book itself, before the start: a change over the API takes a minute to come.
    book = Book.open(f"sqlite:///{server.data_dir / 'book.sqlite3'}", Asset())
    now_ms = time.time_ns() // 1_000_000
    _, key = book.streams.create("cam", "Cam", Planck(PRICE), now_ms, 100_000)
    from_tick = now_ms // 1000 + 30  # a start, two commands and a publisher come before the first
    book.streams.add_price("cam", Planck(3 * PRICE), from_tick)
    book.close()
    with running(server):
        open_viewer(server, "ann", str(900 * PRICE))
        ticket = mint(server, "ann", "cam")
        publisher = Publisher(server, "cam", key)
        player = Player(server.port, ticket.path, "360p", backlog=2)
        try:
            player.start()
            until(lambda: max(player.delivered, default=0) >= from_tick + 3, "the new price", 60)
        finally:
            player.end()
            publisher.stop()
        books = settled(server)
        file, damaged = tmp_path / "receipts.json", tmp_path / "damaged.json"
        server.run("receipt", "get", "ann", "cam", "--output", str(file))
        operator = server.json("receipt", "operator-key")["public_key"]
        spent = server.api("GET", "viewers")["viewers"][0]["spent"]
        too_soon = server.run(
            "streams", "price", "cam", "--planck", "5", "--from-tick", "9", check=False
        )

    verify = ("receipt", "verify", "--operator-key", operator, "--json")
    good = vilokanam(*verify, str(file))
    content = bytearray(file.read_bytes())
    position = content.index(b'"runs"') + 12
    content[position] ^= 1
    damaged.write_bytes(content)
    bad = vilokanam(*verify, str(damaged))

    old = {tick for tick in player.delivered if tick < from_tick}
    new = player.delivered - old
    cost = len(old) * PRICE + len(new) * 3 * PRICE
    print(f"{len(old)} s at {PRICE}, {len(new)} s at {3 * PRICE}: {spent}")
    assert old
    assert new
    assert int(spent) == cost
    assert books["exit"] == 0, books["differences"]
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["seconds"] == len(player.delivered)
    assert json.loads(good.stdout)["planck"] == str(cost)
    assert bad.returncode != 0
    assert "Traceback" not in bad.stderr
    assert too_soon.returncode == 1
    assert "change_notice_s" in too_soon.stderr


def test_o4_a_reload_takes_over_level_keys_and_top_up_and_ends_nothing(tmp_path):
    """SIGHUP: the server goes on with what is new; what only a start reads ends it in order."""
    notify = tmp_path / "notify"
    server = Server(tmp_path)
    server.environment["NOTIFY_SOCKET"] = str(notify)
    text = server.config.read_text()
    with contextlib.ExitStack() as stack:
        channel = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        channel.bind(str(notify))
        channel.settimeout(20)
        stack.enter_context(running(server))
        while b"READY=1" not in channel.recv(4096):
            pass
        token_file = server.data_dir / "admin.token"

        # A faulty file changes nothing.
        server.config.write_text(text.replace('level = "info"', 'level = "loud"'))
        hang_up(server, '"server.reload.refused"')
        # Nor does one that names a file which is not there: a start would end at it.
        target = 'name = "crm"\nurl = "https://crm.example.org/"\nsecret_file = "/none/crm"\n'
        server.config.write_text(f"{text}\n[[webhooks.targets]]\n{target}")
        hang_up(server, "webhooks.targets[0].secret_file: /none/crm cannot be read")
        # Level, top-up address and admin token are taken over.
        server.config.write_text(
            text.replace('level = "info"', 'level = "warning"').replace(
                "[price]", '[price]\ntop_up_url = "https://pay.example.org/new"'
            )
        )
        token_file.write_text("another-admin-token-of-mine\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: server.run("streams", "list", check=False).returncode == 0, "new token")
        key = open_stream(server, "cam", "1000000")
        page = until(lambda: get(server.url + "/cam/")[1], "the page")
        assert server.process.poll() is None
        assert key

        # A port is read by a start alone: an orderly end, and exit code 0 for the manager.
        server.config.write_text(text.replace(f"port = {server.port}", f"port = {free_port()}"))
        hang_up(server, '"server.reload.restarts"')
        assert server.process.wait(20) == 0

    log = server.log.read_text()
    assert "https://pay.example.org/new" in page.decode()
    # Control began anew with the new token, and said no more than warnings.
    assert log.count('"control.process.started"') == 1
    assert log.count('"server.reload.refused"') == 2


def hang_up(server, event):
    """Send SIGHUP and wait for one more of an event in the log."""
    before = server.log.read_text().count(event)
    server.process.send_signal(signal.SIGHUP)
    until(lambda: server.log.read_text().count(event) > before, event)
