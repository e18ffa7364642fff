"""R6: what a worker that was killed still says to its publisher."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat

import pytest

from mediaserver.ingest import farewell
from mediaserver.ingest.farewell import Farewell, Farewells, SessionFarewell

HERE = "127.0.0.1"


def bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((HERE, 0))
    return made


@contextlib.contextmanager
def two_ends():
    """Our socket, and the publisher's."""
    with bound() as ours, bound() as theirs:
        yield ours, theirs


def between(ours, theirs):
    host, port = theirs.getsockname()
    return Farewell(ours[0], ours[1], host, port, "15")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


async def test_r6_farewell_of_a_dead_worker_comes_from_its_own_port(tmp_path):
    """The publisher's stack gets the record from the only address that it listens to."""
    farewells = Farewells(tmp_path, "w1")
    with bound() as theirs:
        with bound() as ours:
            route = (ours.getsockname(), theirs.getsockname())
            session = SessionFarewell(farewells, "s1")
            session.record = b"\x15close"
            session.follow(route)
            await farewells.flushed()
        farewell.leave(tmp_path, "w1")
        sent = await farewell.say(tmp_path)
        async with asyncio.timeout(2):
            data, sender = await asyncio.get_running_loop().sock_recvfrom(theirs, 1500)

    assert sent == 1
    assert data == b"\x15close"
    assert sender == route[0]
    assert names(tmp_path) == []


async def test_r6_farewells_of_living_workers_are_not_sent(tmp_path):
    """Only what was left is said, and w1 is not w11."""
    with two_ends() as (ours, theirs):
        farewells = Farewells(tmp_path, "w11")
        farewells.keep("s", between(ours.getsockname(), theirs))
        await farewells.flushed()
        farewell.leave(tmp_path, "w1")

        assert await farewell.say(tmp_path) == 0
        assert names(tmp_path) == ["w11.s.farewell"]


async def test_r6_farewell_follows_the_publisher_and_ends_with_the_session(tmp_path):
    """A phone that roams gets it at its new address; an orderly end leaves nothing to say."""
    farewells = Farewells(tmp_path, "w1")
    session = SessionFarewell(farewells, "s1")
    session.record = b"\x15"
    for port in (4000, 4000, 4001):
        session.follow(((HERE, 1), (HERE, port)))
    await farewells.flushed()
    (file,) = tmp_path.iterdir()
    kept = Farewell.decode(file.read_bytes())
    session.drop()
    await farewells.flushed()

    assert kept == Farewell(HERE, 1, HERE, 4001, "15")
    assert names(tmp_path) == []


async def test_r6_farewell_is_for_the_servers_user_alone(tmp_path):
    """It names the publisher's address, and its holder can end the session."""
    farewells = Farewells(tmp_path, "w1")
    farewells.keep("s1", Farewell(HERE, 1, HERE, 2, "15"))
    await farewells.flushed()

    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b'{"host": 1}', b"\xff", b"[" * 9999])
def test_farewell_of_other_bytes_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"."):
        Farewell.decode(data)


async def test_r6_damaged_farewell_or_taken_port_costs_that_one_alone(tmp_path):
    """The others are said all the same, and none is tried again."""
    with two_ends() as (ours, theirs):
        for name, port in (("s1", ours.getsockname()[1]), ("s2", 70_000), ("s3", 0)):
            made = between((HERE, port), theirs)
            (tmp_path / f"w1.{name}.left").write_bytes(made.encode())
        (tmp_path / "w1.s4.left").write_bytes(b"{")

        sent = await farewell.say(tmp_path)

    assert sent == 1
    assert names(tmp_path) == []
