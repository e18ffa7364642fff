"""Kill -9 of every process while a stream runs and a player plays: are the books still right?

    make chaos            (or: python -m tests.simulate.chaos [ROW ...])

A row for each fault, through which six viewers play who ask for each part before it exists: time
until the last of them gets new media again, ticks delivered, billed, unpaid and forgiven, and the
objects in flight at the kill, which comes as a part does. Exit 1 when a row is missing or had
nothing in flight, or where a viewer's billed minus delivered is not between 0 and the ticks in
flight. After each fault the whole window is
fetched again: nothing may be billed twice. Where an older book was put back, what is missing on the
bill must be what was counted as lost or forgiven, and no more may be counted as lost than is
missing or was in flight.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.audience import (
    Ticket,
    billed_ticks,
    mint,
    open_stream,
    open_viewer,
    settled,
    wait_live,
)
from tests.support.players import Player
from tests.support.servers.vilokanam import Publisher, Server, running, until

PLAYERS = 6
PLAY_BEFORE_S = 6
PLAY_AFTER_S = 6
RECOVER_MAX_S = 30
LOSE_S = 5
FORGIVEN_MAX = PLAYERS * (30 + 8)
"""A window of 30 s each, and what was planned ahead or on air while the server started."""


def kill(server: Server, what: str) -> None:
    """Kill -9 of the first process whose command line holds `what`."""
    pids = server.children(what)
    assert pids, f"no process {what}"
    os.kill(pids[0], signal.SIGKILL)


def kill_worker(server: Server) -> None:
    """Kill the worker that serves the stream: the oldest."""
    kill(server, "processes.worker")


def kill_http(server: Server) -> None:
    """Kill one of two HTTP processes."""
    kill(server, "processes.http")


def kill_control(server: Server) -> None:
    """Kill control: the book's only writer."""
    kill(server, "processes.control")


def kill_server(server: Server) -> None:
    """Kill the parent, which ends all, and start it again."""
    server.kill()
    until(lambda: not server.children("processes."), "orphans gone", 15)
    server.start()


def redis_pids(server: Server) -> list[int]:
    """Return the embedded Redis."""
    return server.children("redis.sock")


def kill_redis(server: Server) -> None:
    """Kill Redis; the append-only file is whole."""
    for pid in redis_pids(server):
        os.kill(pid, signal.SIGKILL)


def with_redis_dead(server: Server, act: Callable[[Path], None]) -> None:
    """Kill Redis and change its files before the parent can start it again."""
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        kill_redis(server)
        until(lambda: not alive(redis_pids(server)), "Redis dead")
        act(server.data_dir / "redis")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)


def alive(pids: list[int]) -> bool:
    """Return whether any of them runs (a zombie waits for its stopped parent)."""
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                return True
    return False


def append_only_files(directory: Path) -> list[Path]:
    """Return the files that hold increments, newest last."""
    return sorted(directory.glob("**/*.incr.aof")) or sorted(directory.glob("**/*.aof"))


def cut_last_second(server: Server) -> None:
    """Cut what Redis wrote in the last second: what a power loss may take under everysec."""
    file = append_only_files(server.data_dir / "redis")[-1]
    size_before = file.stat().st_size
    until(lambda: file.stat().st_size > size_before, "claims written", 10)
    size_then = file.stat().st_size
    deadline = time.monotonic() + 1.0
    until(lambda: time.monotonic() > deadline, "one second")
    with_redis_dead(server, lambda _: os.truncate(file, size_then))


def delete_file(server: Server) -> None:
    """Delete the append-only file: Redis comes back empty."""

    def act(directory: Path) -> None:
        for file in directory.glob("**/*"):
            if file.is_file():
                file.unlink()

    with_redis_dead(server, act)


def copy_book(server: Server) -> None:
    """Copy the book as an operator does, and wait until seconds watched since are settled."""
    with (
        contextlib.closing(sqlite3.connect(server.data_dir / "book.sqlite3")) as source,
        contextlib.closing(sqlite3.connect(server.directory / "backup.sqlite3")) as target,
    ):
        source.backup(target)

    def ticks(name: str) -> int:
        return int(server.json("reconcile")["totals"][name])

    before = ticks("metered")
    until(lambda: ticks("settled") >= before + LOSE_S, "settled since the backup", 60)


def put_back(server: Server) -> None:
    """Replace the book by the copy."""
    book = server.data_dir / "book.sqlite3"
    for end in ("-wal", "-shm"):
        Path(f"{book}{end}").unlink(missing_ok=True)
    book.write_bytes((server.directory / "backup.sqlite3").read_bytes())


def restore_book(server: Server) -> None:
    """Stop the server, put an older book in place, start it."""
    copy_book(server)
    server.stop()
    put_back(server)
    server.start()


def restore_under_control(server: Server) -> None:
    """Kill control alone and let it find an older book: windows and Redis go on."""
    copy_book(server)
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        pids = server.children("processes.control")
        kill_control(server)
        until(lambda: not alive(pids), "control dead")
        put_back(server)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)

    # HTTP processes go on without control for a while, so readiness does not say that it is back.
    def is_recovered() -> bool:
        done = server.run("reconcile", "--json", check=False)
        return done.returncode == 0 and bool(json.loads(done.stdout)["is_store_read"])

    until(is_recovered, "Redis rebuilt from the older book", RECOVER_MAX_S + 30)
    server.wait_ready()


ROWS: dict[str, Callable[[Server], None]] = {
    "worker": kill_worker,
    "http process": kill_http,
    "control": kill_control,
    "server": kill_server,
    "redis": kill_redis,
    "redis, last second cut": cut_last_second,
    "redis, file deleted": delete_file,
    "older book restored": restore_book,
    "older book, all else on": restore_under_control,
}


@dataclass
class Row:
    """What became of one fault."""

    name: str
    recover_s: float
    delivered: int
    billed: int
    unpaid: int
    forgiven: int
    objects_in_flight: int
    ticks_in_flight: int
    missing: int
    beyond: int
    unexplained: int
    lost: int
    books: int

    @property
    def is_right(self) -> bool:
        """Return whether nothing was lost, and no more than the flight was billed beyond it."""
        is_whole = self.missing == 0
        if "older book" in self.name:
            is_whole = self.lost > 0 and 0 < self.missing <= self.lost + self.forgiven
            is_whole = is_whole and self.lost <= self.missing + self.ticks_in_flight
        # Forgiven is only what an older book cannot know: what windows and memories still had while
        # all else went on, and at most a second on air when a stopped server came back.
        is_counted = self.forgiven == 0
        if "older book" in self.name:
            is_counted = self.forgiven > 0 or self.name != "older book, all else on"
        is_whole = is_whole and is_counted and self.forgiven <= FORGIVEN_MAX
        return is_whole and self.unexplained == 0 and self.objects_in_flight > 0 and self.books == 0


def play_row(server: Server, name: str, fault: Callable[[Server], None], number: int) -> Row:
    """Let a new viewer play through one fault and ask for the bill."""
    tickets: list[Ticket] = []
    for index in range(PLAYERS):
        viewer = f"viewer-{number}-{index}"
        open_viewer(server, viewer, "900000000")
        tickets.append(mint(server, viewer, "cam"))
    wait_live(server, tickets[0], "cam")
    players = [Player(server.port, ticket.path, has_hints=True) for ticket in tickets]
    for player in players:
        player.start()

    def least() -> int:
        return min(len(player.delivered) for player in players)

    until(lambda: least() >= PLAY_BEFORE_S, f"{name}: the players play", 40)
    players[0].news.clear()
    assert players[0].news.wait(10), f"{name}: no new part"
    until(lambda: any(player.in_doubt for player in players), f"{name}: a fetch under way")
    flights = [dict(player.in_doubt) for player in players]
    began_ms = int(time.time() * 1000)
    fault(server)
    killed_s = time.monotonic()
    for player, flight in zip(players, flights, strict=True):
        flight.update(player.in_doubt)
    counts = [len(player.delivered) for player in players]

    def have(more: int) -> bool:
        return all(
            len(player.delivered) >= count + more and player.last_new_s > killed_s
            for player, count in zip(players, counts, strict=True)
        )

    until(
        lambda: have(2),
        f"{name}: new media after the fault\n{server.tail()}",
        RECOVER_MAX_S + 30,
    )
    recover_s = max(player.last_new_s for player in players) - killed_s
    until(lambda: have(PLAY_AFTER_S), f"{name}: plays on", 40)
    for player in players:
        player.end()
        player.again()
    books = settled(server)
    row = Row(
        name,
        recover_s,
        delivered=0,
        billed=0,
        unpaid=books["unpaid_ticks"],
        forgiven=books["forgiven_ticks"],
        objects_in_flight=sum(map(len, flights)),
        ticks_in_flight=0,
        missing=0,
        beyond=0,
        unexplained=0,
        lost=sum(
            int(restore["lost_ticks"])
            for restore in books["restores"]
            if int(restore["found_ms"]) >= began_ms
        ),
        books=books["exit"],
    )
    for player, ticket, flight in zip(players, tickets, flights, strict=True):
        billed = billed_ticks(server, ticket)
        in_flight = {tick for run in [*flight.values(), *player.in_doubt.values()] for tick in run}
        row.delivered += len(player.delivered)
        row.billed += len(billed)
        row.ticks_in_flight += len(in_flight)
        row.missing += len(player.delivered - billed)
        row.beyond += len(billed - player.delivered)
        row.unexplained += len(billed - player.delivered - in_flight)
    return row


def main(names: list[str]) -> int:
    """Run the rows and print the table."""
    wanted = {name: ROWS[name] for name in names} if names else ROWS
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as directory:
        server = Server(Path(directory), http_processes=2)
        with running(server):
            key = open_stream(server, "cam")
            publisher = Publisher(server, "cam", key)
            try:
                for number, (name, fault) in enumerate(wanted.items()):
                    try:
                        rows.append(play_row(server, name, fault, number))
                    except AssertionError as error:
                        print(f"{name}: {error}", file=sys.stderr)
            finally:
                publisher.stop()
    head = ("fault", "recover s", "delivered", "billed", "missing", "beyond", "unpaid")
    more = ("forgiven", "lost", "in flight", "verdict")
    print(f"{head[0]:24}" + "".join(f"{word:>10}" for word in (*head[1:], *more)))
    for row in rows:
        print(
            f"{row.name:24}{row.recover_s:10.2f}{row.delivered:10}{row.billed:10}{row.missing:10}"
            f"{row.beyond:10}{row.unpaid:10}{row.forgiven:10}{row.lost:10}"
            f"{f'{row.objects_in_flight}/{row.ticks_in_flight}':>10}"
            f"{'right' if row.is_right else 'WRONG':>10}"
        )
    absent = [name for name in wanted if name not in {row.name for row in rows}]
    for name in absent:
        print(f"{name:24} MISSING")
    return int(bool(absent) or not all(row.is_right for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
