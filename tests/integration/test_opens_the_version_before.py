"""A book, a Redis and a running journal that the version before wrote go on in this one."""

import json
import tarfile
from pathlib import Path

import pytest

from tests.support.audience import settled
from tests.support.servers.vilokanam import Server, running, vilokanam

pytestmark = pytest.mark.timeout(120)

BEFORE = Path(__file__).resolve().parents[1] / "golden" / "before"
EXPECTED = json.loads((BEFORE / "expected.json").read_text())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """This version, on what the version before left when it was killed."""
    server = Server(tmp_path_factory.mktemp("before"))
    with tarfile.open(BEFORE / "data.tar.gz") as archive:
        archive.extractall(server.data_dir, filter="data")
    server.data_dir.chmod(0o700)
    key = server.data_dir / "operator.key"
    key.write_text(f"0x{(b'o' * 32).hex()}\n")
    key.chmod(0o600)
    with running(server):
        yield server
    print(server.tail())


@pytest.fixture(scope="module")
def report(server):
    """The reconciliation, once all that was pending and in flight is settled."""
    return settled(server)


def test_what_was_pending_and_in_flight_is_settled(server, report):
    """Ticks in Redis are cut, the signed batch becomes final, and nothing differs."""
    books = server.api("GET", "reconcile")

    assert report["exit"] == 0
    assert report["differences"] == []
    assert books["totals"] == EXPECTED["totals"] | {"covered_ticks": "0"}
    assert sorted(books["rows"], key=str) == sorted(EXPECTED["rows"], key=str)


def test_settled_batches_keep_their_number_and_bytes(server, report):
    """The chain of the journal is the one that was there; new batches follow it."""
    batches = {batch["seq"]: batch for batch in server.api("GET", "batches")["batches"]}

    for seq, batch_hash, entries in EXPECTED["batches"]:
        assert (batches[seq]["hash"], batches[seq]["entries"]) == (batch_hash, entries)
    assert {batch["state"] for batch in batches.values()} == {"finalized"}


def test_streams_and_balances_are_as_they_were(server, report):
    """To the planck."""
    stream = server.api("GET", "streams/cam")

    assert {name: stream[name] for name in EXPECTED["stream"]} == EXPECTED["stream"]
    viewers = [{**viewer, "debt": "0", "given_back": "0"} for viewer in EXPECTED["viewers"]]
    assert server.api("GET", "viewers")["viewers"] == viewers
    assert server.api("GET", "ledger") == EXPECTED["ledger"] | {
        "covered_ticks": "0",
        "next_after": None,
    }


@pytest.mark.parametrize("viewer", ["ann", "bob"])
def test_receipts_given_out_before_are_the_first_of_the_chain(server, report, viewer, tmp_path):
    """A viewer's old file and the new one agree, and the new one verifies without a server."""
    path = tmp_path / "receipts.json"
    server.run("receipt", "get", viewer, "cam", "--output", str(path))
    key = server.json("receipt", "operator-key")
    verified = vilokanam("receipt", "verify", str(path), "--operator-key", key["public_key"])

    given = json.loads(path.read_text())["receipts"]
    early = EXPECTED["early"][viewer]
    assert given[: len(early)] == early
    assert verified.returncode == 0
    assert key == EXPECTED["operator"]
