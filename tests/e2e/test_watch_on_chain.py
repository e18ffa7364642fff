"""Settled on the real runtime: what was watched moved on the chain; a stranger reads the same."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.audience import (
    Ticket,
    billed_ticks,
    difference,
    mint,
    open_stream,
    open_viewer,
    settled,
    wait_live,
    watch,
)
from tests.support.players import Player
from tests.support.servers import chopsticks
from tests.support.servers.vilokanam import (
    ROOT,
    Publisher,
    Server,
    chromium,
    counting_proxy,
    free_port,
    running,
    until,
)

pytestmark = pytest.mark.timeout(400)

WATCH_S = 30
PRICE = 1_000_000
PAID = 600_000_000
FEE_PPM = 100_000
FUNDS = 10**15
STOP_MAX_S = 5
TOOLS = ROOT / "chain" / "npm"


@contextmanager
def chain_up(directory: Any) -> Iterator[str]:
    """Run `vilokanam chain up` as a developer would; yield its address."""
    output = directory / "chain.out"
    with output.open("wb") as out:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mediaserver.cli.main"),
                "chain",
                "up",
                "--port",
                "0",
                "--json",
            ],
            stdout=out,
            stderr=out,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        until(lambda: b"}" in output.read_bytes(), "the chain is up", 90)
        yield json.loads(output.read_text().splitlines()[0])["url"]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=15)


def audit(url: str, *words: str) -> dict[str, Any]:
    """Return what @polkadot/api reads of the chain."""
    brought = [
        str(TOOLS / "node_modules" / f"node-linux-{kind}" / "bin") for kind in ("x64", "arm64")
    ]
    node = shutil.which("node", path=os.pathsep.join([*brought, os.environ["PATH"]]))
    assert node
    done = subprocess.run(
        [node, str(TOOLS / "witness.mjs"), url, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def chain(tmp_path):
    """The committed runtime in chopsticks."""
    chopsticks.require()
    with chain_up(tmp_path) as url:
        yield url


@pytest.fixture
def server(tmp_path, chain):
    """A server that settles on it, its operator registered; its log is shown on a failure."""
    config = f'backend = "substrate"\nurl = "{chain}"\n'
    with running(Server(tmp_path, config=config)) as live:
        operator = live.json("receipt", "operator-key")["public_key"]
        live.json("chain", "fund", operator, "--planck", str(FUNDS))
        live.json("operator", "register")
        yield live
    print(live.tail())


def watched(server: Server, ticket: Ticket, key: str) -> tuple[set[int], dict[str, Any]]:
    """Watch with Chromium what FFmpeg publishes; return the ticks billed and the settled books."""
    publisher = Publisher(server, "cam", key)
    try:
        wait_live(server, ticket, "cam")
        with counting_proxy(server) as proxy, chromium() as browser:
            page = browser.new_page()
            samples = watch(page, proxy + ticket.path, WATCH_S)
            page.close()
            books = settled(server)
            missing, invented = difference(server, proxy, ticket)
    finally:
        publisher.stop()
    assert (missing, invented) == (set(), set())
    assert samples[-1]["time"] - samples[0]["time"] > WATCH_S * 0.8
    return billed_ticks(server, ticket), books


def test_what_was_watched_moves_on_the_chain_exactly(server, chain):
    """Escrow falls, credits rise by what was billed, the fee exact; a stranger reads the same."""
    key = open_stream(server, "cam", str(PRICE))
    stream = server.json("stream", "register", "cam")
    assert stream["state"] == "registered"
    open_viewer(server, "ann", str(PAID))
    ticket = mint(server, "ann", "cam")
    operator = server.json("receipt", "operator-key")["public_key"]
    creator = server.json("streams", "show", "cam")["creator"]
    names = (operator, stream["stream_id"], ticket.account, creator)
    before = audit(chain, *names)

    billed, books = watched(server, ticket, key)

    after = audit(chain, *names)
    status = server.json("chain", "status")
    payouts = {row["role"]: row for row in server.json("payouts")["payouts"]}
    batches = {row["seq"]: row for row in server.json("ledger", "batches")["batches"]}
    amount = len(billed) * PRICE
    fee = amount * FEE_PPM // 10**6
    print(f"{len(billed)} s, {amount} planck in {len(after['batches'])} batches; fee {fee}")
    assert len(billed) >= WATCH_S
    assert (before["escrow"], before["creator"], before["platform"]) == (str(PAID), "0", "0")
    assert int(before["escrow"]) - int(after["escrow"]) == amount
    assert (int(after["creator"]), int(after["platform"])) == (amount - fee, fee)
    assert (after["total_ticks"], int(after["total_amount"])) == (len(billed), amount)
    # Every event once, with the hash that the book has for it.
    assert [row["seq"] for row in after["batches"]] == list(range(1, after["last_seq"] + 1))
    assert sum(row["ticks"] for row in after["batches"]) == len(billed)
    assert sum(int(row["amount"]) for row in after["batches"]) == amount
    assert after["refused"] == []
    for row in after["batches"]:
        mine = batches[row["seq"]]
        assert (mine["hash"], mine["state"]) == (row["hash"][2:], "finalized")
        assert (mine["entries"], mine["finalized_at"]) == (row["entries"], row["block"])
    # Our own view of the chain, and the books.
    assert status["operator"]["last_seq"] == after["last_seq"]
    for role, planck in (("creator", amount - fee), ("platform", fee)):
        payout = payouts[role]
        owed = sum(int(payout[key]) for key in ("available", "maturing", "pending"))
        assert owed == planck, role
    assert books["exit"] == 0, books["differences"]
    assert books["settled_ticks"] == len(billed)


def test_a_new_price_follows_to_the_chain_and_a_wallet_signs_for_itself(server, chain):
    """Version numbers are the book's; what only the creator can sign is shown, never forged."""
    open_stream(server, "cam", str(PRICE))
    bob = "0x8eaf04151687736326c9fea17e25fc5287613693c912909cb226aa4794f26a48"
    server.json("streams", "create", "wallet", "--creator", bob)
    priced = server.json("streams", "price", "cam", "--planck", str(3 * PRICE))

    def on_chain() -> dict[str, Any]:
        return server.json("streams", "show", "cam")["chain"]

    until(lambda: (on_chain()["state"], on_chain()["price"]) == ("registered", 2), "price 2", 60)
    stream = on_chain()["stream_id"]
    operator = server.json("receipt", "operator-key")["public_key"]
    creator = server.json("streams", "show", "cam")["creator"]
    there = audit(chain, operator, stream, bob, creator)
    wallet = server.json("stream", "register", "wallet")
    refused = server.run("withdraw", "wallet", check=False)

    assert priced["number"] == 2
    assert there["prices"] == [[1, str(PRICE)], [2, str(3 * PRICE)]]
    assert (wallet["state"], wallet["price"]) == ("unsigned", 0)
    assert wallet["call"].startswith("0x0706")
    assert refused.returncode == 1
    assert "wallet of their own" in refused.stderr


def test_the_demo_tells_each_final_batch_and_what_the_creator_earned(tmp_path):
    """Behind an edge, on a chain: watched, reported line by line, all ended within 5 s."""
    chopsticks.require()
    output, errors = tmp_path / "out", tmp_path / "err"
    options = ("--chain", "--edge", "--port", str(free_port()), "--data-dir", str(tmp_path / "d"))
    with output.open("wb") as out, errors.open("wb") as err:
        demo = subprocess.Popen(
            [*(sys.executable, "-m", "mediaserver.cli.main", "demo"), *options],
            stdout=out,
            stderr=err,
            cwd=ROOT,
            start_new_session=True,
        )
    try:
        address = until(
            lambda: re.search(r"^hls: (\S+)$", output.read_text(), re.MULTILINE), "live", 120
        )
        hls = urlsplit(address[1])
        player = Player(hls.port, hls.path.rpartition("/")[0] + "/", "360p", backlog=2)
        player.start()
        try:
            until(lambda: "batch 2 is final" in errors.read_text(), "two batches", 60)
        finally:
            player.end()
    finally:
        began_s = time.monotonic()
        demo.send_signal(signal.SIGINT)
        code = demo.wait(timeout=15)
        took_s = time.monotonic() - began_s
        print(errors.read_text())
    lines = re.findall(
        r"^demo: batch (\d+) is final in block (\d+): 1 entry, (\d+) seconds, (\S+) UNIT; so far "
        r"the creator has earned (\S+) UNIT, the platform (\S+) UNIT$",
        errors.read_text(),
        re.MULTILINE,
    )
    paid, creator, platform = 0, 0, 0
    for number, line in enumerate(lines, 1):
        amount, creator, platform = (round(Decimal(unit) * 10**12) for unit in line[3:])
        paid += amount
        assert int(line[0]) == number
        assert amount == int(line[2]) * 100_000_000
    assert len(lines) >= 2
    assert creator + platform == paid
    assert platform == paid // 10
    assert "chain: ws://" in output.read_text()
    assert code == 0
    assert took_s <= STOP_MAX_S
