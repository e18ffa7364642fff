"""Control in the test's loop, with a real Redis and a real book."""

import asyncio
import contextlib
import json
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import aiohttp

from mediaserver.hls.known_policy import follow
from mediaserver.ipc.messages import MessageReader, Policy, PolicyChange
from mediaserver.processes import secret_files
from mediaserver.processes.bootstrap import Start
from mediaserver.processes.control import Control
from mediaserver.settings.records import Settings
from metering.errors import StoreUnavailableError
from metering.ports import Claim, ClaimAnswer
from metering.store.claim_client import RawClaims
from metering.store.embedded import EmbeddedRedis
from metering.units import NO_COVER, Cover, PricedRun, Run, SessionId, Units, parse_account
from tests.support import declared

PRICE = 100000000


def settings() -> Settings:
    made = Settings()
    return replace(
        made,
        metering=replace(made.metering, cut_period_s=1),
        price=replace(made.price, demo_top_up_planck="500"),
        chain=replace(made.chain, batch_period_s=1, finality_ms=0),
    )


class Server:
    """Control in this loop, beside a Redis of its own, with a client and an HTTP process's link."""

    def __init__(self, data_dir: Path, tree: Settings) -> None:
        self.data_dir = data_dir
        self.tree = tree
        self.run_dir = data_dir / "run"
        self.policies: asyncio.Queue[Policy] = asyncio.Queue()
        self.recovered: Policy | None = None  # the newest that names a store

    async def __aenter__(self) -> Self:
        self.run_dir.mkdir(exist_ok=True)
        secret_files.make_missing(self.tree, self.data_dir)
        self.redis = EmbeddedRedis(
            self.data_dir / "redis", self.run_dir / "redis.sock", self.tree.metering.fsync
        )
        await self.redis.start()
        try:
            return await self._start()
        except BaseException:
            await self.redis.stop()
            raise

    async def _start(self) -> Self:
        self.link = await asyncio.start_unix_server(self._hear, str(self.run_dir / "http-0.link"))
        await self.start_control()
        token = (self.data_dir / "admin.token").read_text().strip()
        self.http = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self.run_dir / "control.sock")),
            headers={"Authorization": f"Bearer {token}"},
        )
        await self.until_ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.http.close()
            await self.stop_control()
            self.link.close()
            await self.link.wait_closed()
        finally:
            await self.redis.stop()

    async def start_control(self) -> None:
        self.stop = asyncio.Event()
        start = Start(self.tree, None, self.data_dir, Namespace())
        self.task = asyncio.create_task(Control(start).run(self.stop))

    async def stop_control(self) -> None:
        self.stop.set()
        assert await asyncio.wait_for(self.task, 10) == 0

    async def until_ready(self, status: int = 200) -> None:
        async with asyncio.timeout(15):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self.http.get("http://c/readyz") as answer:
                        if answer.status == status:
                            return
                await asyncio.sleep(0.02)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames, known = MessageReader(), None
        while data := await reader.read(65536):
            for message in frames.feed(data):
                if isinstance(message, Policy | PolicyChange):
                    known = follow(known, message)
                    policy = known.whole()
                    self.policies.put_nowait(policy)
                    self.recovered = policy if policy.store_epoch else self.recovered
        writer.close()

    async def policy(self, condition: Callable[[Policy], Any]) -> Policy:
        async with asyncio.timeout(15):
            while True:
                policy = await self.policies.get()
                if condition(policy):
                    return policy

    async def ask(
        self, method: str, path: str, body: Any = None, status: int = 200, **headers: str
    ) -> Any:
        data = json.dumps(body) if not isinstance(body, bytes | type(None)) else body
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        async with self.http.request(method, f"http://c{path}", data=data, headers=names) as answer:
            text = await answer.text()
            assert answer.status == status, text
            declared.hold(method, path, answer.status, answer.content_type, text)
            if status >= 400:
                assert answer.content_type == "application/problem+json"
                assert json.loads(text)["status"] == status
            return json.loads(text) if text else None

    async def api(
        self, method: str, path: str, body: Any = None, status: int = 200, **headers: str
    ) -> Any:
        return await self.ask(method, f"/api/v1/{path}", body, status, **headers)

    async def stream(self, **fields: Any) -> Any:
        return await self.api("POST", "streams", {"slug": "cam", **fields}, 201)

    async def viewer(self, planck: str = str(10 * PRICE), name: str = "ann") -> Any:
        made = await self.api("POST", "viewers", {"name": name}, 201)
        await self.api(
            "POST", f"viewers/{name}/credits", {"planck": planck}, 201, Idempotency_Key=f"{name} 1"
        )
        return made

    async def mint(self, **fields: Any) -> Any:
        return await self.api("POST", "tokens", {"viewer": "ann", "stream": "cam", **fields}, 201)

    async def mint_for(self, account: str) -> Any:
        return await self.mint(viewer=account)

    def now_s(self) -> int:
        return time.time_ns() // 1_000_000_000

    async def spent(self, viewer: Mapping[str, Any], planck: int) -> None:
        """Wait until the book has cuts of this cost."""
        async with asyncio.timeout(10):
            while True:
                shown = await self.api("GET", f"viewers/{viewer['account']}")
                if shown["spent"] == str(planck):
                    return
                await asyncio.sleep(0.05)

    async def lose_redis(self) -> None:
        """Let Redis die and come back empty; return once control has recovered it."""
        before = await self.policy(lambda p: p.store_epoch)
        await self.redis.stop()
        await self.until_ready(503)
        for path in (self.data_dir / "redis").rglob("*.*"):
            path.unlink()
        (self.data_dir / "redis" / "appendonlydir").rmdir()
        await self.redis.start()
        await self.policy(lambda p: p.store_epoch not in ("", before.store_epoch))

    async def balance(self, viewer: Mapping[str, Any], planck: int) -> None:
        """Wait until the store counts this balance."""
        who = parse_account(viewer["account"])
        async with RawClaims(self.redis.url) as claims, asyncio.timeout(5):
            while True:
                if self.recovered is not None:
                    epoch, run_id = self.recovered.store_epoch, self.recovered.store_run_id
                    claims.set_expected(epoch, run_id)
                with contextlib.suppress(StoreUnavailableError):
                    seen = await claims.meters([(who, bytes(16), SessionId(1))])
                    if seen[0].balance_units == planck:
                        return
                await asyncio.sleep(0.02)

    async def claim(  # noqa: PLR0917 -- who, what and when, as a claim has them
        self,
        minted: Mapping[str, Any],
        viewer: Mapping[str, Any],
        stream: Mapping[str, Any],
        first: int,
        count: int,
        units: int = PRICE,
        cover: Cover = NO_COVER,
    ) -> ClaimAnswer:
        policy = await self.policy(lambda p: p.store_epoch and p.streams)
        url = f"unix://{self.run_dir / 'redis.sock'}"
        async with RawClaims(url) as claims:
            claims.set_expected(policy.store_epoch, policy.store_run_id)
            async with asyncio.timeout(5):
                while True:
                    if claims.is_ready:
                        break
                    await asyncio.sleep(0.01)
            run = PricedRun(Run(first, count), 1, Units(units))
            return await claims.claim(
                Claim(
                    parse_account(viewer["account"]),
                    bytes.fromhex(stream["id"].replace("-", "")),
                    SessionId(int(minted["session"], 16)),
                    (run,),
                    count * 1000,
                    0,
                    cover,
                )
            )
