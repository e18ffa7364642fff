"""A book that cannot be written is told before anybody watches (O8)."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from mediaserver.accounting.book_health import BookHealth
from metering.book.async_book import AsyncBook
from metering.errors import BookError
from tests.support.book_fixture import make_book


@asynccontextmanager
async def watched(tmp_path):
    """A book under watch, and each of its faults as it changes."""
    book = AsyncBook(make_book(f"sqlite:///{tmp_path}/book.sqlite3").book)
    told: asyncio.Queue[str] = asyncio.Queue()
    health = BookHealth(
        book, tmp_path, lambda: told.put_nowait(health.fault), probe_s=0.01, again_s=0.01
    )
    task = asyncio.create_task(health.run())
    try:
        yield book, told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await book.close()


async def test_o8_a_full_disk_is_told_while_nobody_watches(tmp_path):
    """The log, the metric and `/readyz` say so, and that it is over."""
    with capture_logs() as logs:
        async with watched(tmp_path) as (_, told), asyncio.timeout(10):
            (tmp_path / "book.probe").symlink_to("/dev/full")
            fault = await told.get()
            assert REGISTRY.get_sample_value("metering_book_writable") == 0
            end = await told.get()  # the probe took the link away: there is room again

    assert "No space left on device" in fault
    assert end == ""
    assert REGISTRY.get_sample_value("metering_book_writable") == 1
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("money.book.unwritable", "error"),
        ("money.book.writable", "info"),
    ]


async def test_o8_a_failed_write_is_told_at_once(tmp_path):
    """Whatever the probe sees: a write that was refused is a fault."""

    def fail(_book):
        raise BookError("the book does not answer: disk I/O error")

    async with watched(tmp_path) as (book, told), asyncio.timeout(10):
        with pytest.raises(BookError) as failed:
            await book.run(fail)
        assert await told.get() == str(failed.value)
        assert await told.get() == ""


async def test_o8_a_healthy_book_is_left_as_it_is(tmp_path):
    """Looking writes nothing into the book and leaves no file."""
    async with watched(tmp_path) as (book, told):
        before = book.changes
        for _ in range(20):
            await book.run(lambda book: book.recoveries.newest())
            await asyncio.sleep(0)

        assert book.changes == before
        assert told.empty()
    assert not (tmp_path / "book.probe").exists()
