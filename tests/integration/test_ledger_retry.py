"""A settlement batch that is rejected, and the operator who has it tried again."""

import asyncio
import time
from dataclasses import replace

from mediaserver.cli.main import main as cli
from metering.book.book import Book
from metering.model.batch_state import BatchState
from tests.support.control_server import Server, settings


async def test_a_rejected_batch_is_tried_again_and_becomes_final(tmp_path, capsys) -> None:
    """An operator reads why it was rejected, removes the cause, retries, and it is settled."""
    tree = settings()
    tree = replace(
        tree,
        metering=replace(tree.metering, cut_period_s=600),
        chain=replace(tree.chain, batch_period_s=3600),
    )
    async with Server(tmp_path, tree) as server:
        stream, viewer = await server.stream(), await server.viewer()
        await server.claim(await server.mint(), viewer, stream, int(time.time()), 3)
        await server.stop_control()  # cuts what was claimed
        book = Book.open(f"sqlite:///{server.data_dir / 'book.sqlite3'}", server.tree.asset)
        token = book.outbox.submitter_token()
        seq = book.settlements.seal(1, 100)[0].seq
        book.outbox.add_attempt(seq, b"signed", 1, token)
        book.outbox.set_state(seq, BatchState.REJECTED, 2, "the operator is not registered", token)
        book.close()
        await server.start_control()
        await server.until_ready()

        assert await command(server, "ledger", "batches") == 0
        listed = capsys.readouterr().out
        assert "rejected" in listed
        assert "the operator is not registered" in listed
        retried = await server.api("POST", f"batches/{seq}/retry")

        assert (retried["was"], retried["batch"]["state"]) == ("rejected", "sealed")
        assert retried["batch"]["reason"] == "the operator is not registered"
        async with asyncio.timeout(10):
            while True:
                batch = (await server.api("GET", "batches"))["batches"][0]
                if batch["state"] == "finalized":
                    break
                await asyncio.sleep(0.05)
        reasons = [attempt["reason"] for attempt in batch["attempts"]]
        assert reasons == ["the operator is not registered", None]
        assert await command(server, "ledger", "retry", str(seq)) == 1
        assert f"batch {seq} is finalized" in capsys.readouterr().err
        await server.api("POST", "batches/99/retry", status=404)
        await server.api("POST", "batches/x/retry", status=422)


async def command(server, *argv):
    """Run one command of the operator against the server; return its exit code."""
    return await asyncio.to_thread(cli, [*argv, "--data-dir", str(server.data_dir)])
