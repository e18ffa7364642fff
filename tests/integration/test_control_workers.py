"""Publishers, workers and metrics behind the control API."""

import asyncio
import json
import time
from uuid import UUID

import pytest
from aiohttp import web

from mediaserver.metrics import own_text
from mediaserver.processes import metrics_endpoint
from metering.book.book import Book
from metering.units import Asset, Run
from tests.support.control_server import Server, settings
from tests.support.worker_report import report


@pytest.fixture
async def server(tmp_path):
    async with Server(tmp_path, settings()) as running:
        yield running


class FakeWorker:
    """A worker's unix socket; remembers what it was asked."""

    def __init__(self, server, name="w1"):
        self.server, self.name, self.asked = server, name, []
        self.status = 201

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/{slug}/whip", self.whip)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        path = self.server.run_dir / f"worker-{self.name}.sock"
        await web.UnixSite(self.runner, str(path)).start()
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()

    async def whip(self, request):
        self.asked.append((dict(request.headers), await request.text()))
        return web.Response(
            status=self.status,
            text="answer",
            content_type="application/sdp",
            headers={"Location": f"/cam/whip/{self.name}.secret", "ETag": '"1"'},
        )


async def offer(server, key, slug="cam"):
    async with server.http.post(
        f"http://c/{slug}/whip",
        data="offer",
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/sdp"},
    ) as answer:
        return answer.status, answer.headers.copy(), await answer.text()


async def test_a_publisher_with_the_key_reaches_a_spare_and_gets_its_answer(server) -> None:
    """The offer arrives with the stream it is for; the answer is unchanged."""
    made = await server.stream()
    async with FakeWorker(server) as worker:
        await server.ask("POST", "/internal/workers", report(), 204)
        status, headers, text = await offer(server, made["stream_key"])

    assert (status, text) == (201, "answer")
    assert headers["Location"] == "/cam/whip/w1.secret"
    assert headers["ETag"] == '"1"'
    ((sent, body),) = worker.asked
    assert body == "offer"
    assert sent["Content-Type"] == "application/sdp"
    assert sent["Authorization"] == f"Bearer {made['stream_key']}", "the worker checks it again"
    assert json.loads(sent["X-Vilokanam-Stream"])["stream"] == made["id"].replace("-", "")


async def test_r1_the_book_keeps_what_a_part_holds_that_was_cut_short(server) -> None:
    """Who counts by addresses, such as an old log, finds the truth for the watched hours."""
    made = await server.stream()
    now = int(time.time())
    parts = [[5, 41, 3, now, 2, 1], [5, 60, 0, now + 9, 2, 1]]
    old = [[5, 1, 0, now - 90_000, 2, 1]]
    await server.ask("POST", "/internal/workers", report(made, cut_short=old), 204)
    await server.ask("POST", "/internal/workers", report(made, cut_short=parts), 204)
    await server.ask("POST", "/internal/workers", report(made, cut_short=parts), 204)
    await server.ask("POST", "/internal/workers", report(made, cut_short=[[5]]), 422)

    with Book.open(f"sqlite:///{server.data_dir}/book.sqlite3", Asset()) as book:
        kept = book.true_runs.of_show(UUID(made["id"]), 5)
    assert [(run.msn, run.part, run.planned, run.held_count) for run in kept] == [
        (41, 3, Run(now, 2), 1),
        (60, 0, Run(now + 9, 2), 1),
    ]


async def test_a_publisher_without_the_key_reaches_nobody(server) -> None:
    """Only who has the stream's present key may publish."""
    made = await server.stream()
    async with FakeWorker(server) as worker:
        await server.ask("POST", "/internal/workers", report(), 204)
        assert (await offer(server, "wrong"))[0] == 401
        assert (await offer(server, made["stream_key"], "none"))[0] == 404
        rotated = await server.api("POST", "streams/cam/key", {})
        assert (await offer(server, made["stream_key"]))[0] == 401
        assert worker.asked == []
        assert (await offer(server, rotated["stream_key"]))[0] == 201


async def test_a_publisher_who_comes_back_reaches_the_worker_that_has_the_stream(server) -> None:
    """A reconnect continues the show, whichever spares are free."""
    made = await server.stream()
    async with FakeWorker(server, "w1") as first, FakeWorker(server, "w2") as second:
        await server.ask("POST", "/internal/workers", report(name="w1"), 204)
        await server.ask("POST", "/internal/workers", report(made, "w2"), 204)
        await offer(server, made["stream_key"])

    assert (len(first.asked), len(second.asked)) == (0, 1)


async def test_two_publishers_never_share_a_worker(server) -> None:
    """A spare that was given away is not given again, even if its last report says idle."""
    made = await server.stream()
    other = await server.api("POST", "streams", {"slug": "two"}, 201)
    async with FakeWorker(server, "w1") as first, FakeWorker(server, "w2") as second:
        await server.ask("POST", "/internal/workers", report(name="w1"), 204)
        await server.ask("POST", "/internal/workers", report(name="w2"), 204)
        await offer(server, made["stream_key"])
        await server.ask("POST", "/internal/workers", report(name="w1"), 204)
        await offer(server, other["stream_key"], "two")

    assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_a_worker_that_is_gone_is_passed_over(server) -> None:
    """A worker that refuses the connection does not cost the publisher the attempt."""
    made = await server.stream()
    async with FakeWorker(server, "w2") as worker:
        await server.ask("POST", "/internal/workers", report(made, "w1"), 204)
        await server.ask("POST", "/internal/workers", report(name="w2"), 204)
        assert (await offer(server, made["stream_key"]))[0] == 201

    assert len(worker.asked) == 1


async def test_a_worker_that_is_busy_after_all_is_passed_over(server) -> None:
    """A worker whose report is still on the way does not cost the publisher the attempt."""
    made = await server.stream()
    async with FakeWorker(server, "w1") as busy, FakeWorker(server, "w2") as free:
        busy.status = 409
        await server.ask("POST", "/internal/workers", report(name="w1"), 204)
        await server.ask("POST", "/internal/workers", report(name="w2"), 204)
        assert (await offer(server, made["stream_key"]))[0] == 201

    assert (len(busy.asked), len(free.asked)) == (1, 1)


async def test_a_publisher_waits_for_a_spare_that_is_being_started(server) -> None:
    """The second publisher in a second is served too, as soon as its worker is up."""
    made = await server.stream()
    async with FakeWorker(server):
        waiting = asyncio.create_task(offer(server, made["stream_key"]))
        await asyncio.sleep(0.05)
        await server.ask("POST", "/internal/workers", report(), 204)
        assert (await waiting)[0] == 201


async def test_the_creator_sees_the_health_of_the_stream(server) -> None:
    """What the worker measures and advises is shown with the stream."""
    made = await server.stream()
    await server.ask("POST", "/internal/workers", report(made), 204)

    health = (await server.api("GET", "streams/cam"))["health"]

    assert health["state"] == "live"
    assert health["facts"] == {"video_kbps": 900.5}
    assert health["advice"] == ["send a key frame every 2 s"]
    assert (await server.api("GET", "workers"))["workers"][0]["stream"] == "cam"


@pytest.mark.parametrize("body", [b"{", {}, {"name": 1}, report(pid="x"), report(facts=[1])])
async def test_a_faulty_report_is_refused(server, body) -> None:
    """A confused worker cannot confuse control."""
    await server.ask("POST", "/internal/workers", body, 400 if body == b"{" else 422)


async def test_nothing_from_outside_can_speak_as_a_worker(server) -> None:
    """Who finds a way to forward a request to /internal/ is told that nothing is there."""
    await server.ask(
        "POST", "/internal/workers", report(name="evil"), 404, X_Forwarded_For="203.0.113.9"
    )

    assert (await server.api("GET", "workers"))["workers"] == []


async def test_metrics_of_control_carry_its_name(server) -> None:
    """An operator tells the processes apart."""
    async with server.http.get("http://c/internal/metrics") as answer:
        assert 'process="control"' in await answer.text()


async def test_one_scrape_gathers_the_metrics_of_all_processes(server) -> None:
    """Whichever HTTP process is asked answers for all; one that is gone is left out."""
    (server.run_dir / "http-9.sock").touch()

    text = await metrics_endpoint.gather(server.run_dir, "http-0.sock", own_text("http-0"))

    assert 'metering_store_ready{process="control"} 1.0' in text
    assert 'process="http-0"' in text
    assert text.count("# TYPE metering_store_ready ") == 1


async def test_the_book_outlives_control(server) -> None:
    """A restart of control forgets nothing."""
    made = await server.stream()
    await server.stop_control()
    await server.start_control()
    await server.until_ready()

    assert (await server.api("GET", "streams"))["streams"][0]["id"] == made["id"]
