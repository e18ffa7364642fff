"""A reverse proxy that counts what reaches players, knowing nothing of the product.

A process of its own: `python counting_proxy.py PORT UPSTREAM_PORT`. It reads the seconds out of
each media URL with its own few lines and remembers, per token, those whose answer began with 200 or
206. `GET /__seen` tells; it also lists the media sequence numbers of every playlist it carried, so
that a test can see whether they ever went back.
"""

import asyncio
import json
import re
import sys
from collections import defaultdict

import aiohttp
from aiohttp import web

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse

MEDIA = re.compile(r"^/w/([^/]+)/[^/]+/\d+/[^/]+/(\d+)(?:\.\d+)?-(\d+)x(\d+)\.m4s$")
PLAYLIST = re.compile(r"^(?:/w/[^/]+)?/[^/]+/(\d+)/([^/]+)/media\.m3u8$")
HOP = {"connection", "transfer-encoding", "keep-alive", "upgrade", "host", "content-length"}


class Proxy:
    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.ticks: dict[str, set[int]] = defaultdict(set)
        self.statuses: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.went_back: list[str] = []
        self.newest: dict[str, tuple[int, int]] = {}
        self.fetches = 0
        self.client: aiohttp.ClientSession | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/__seen":
            seen = {token: sorted(ticks) for token, ticks in self.ticks.items()}
            return web.json_response(
                {
                    "ticks": seen,
                    "statuses": self.statuses,
                    "went_back": self.went_back,
                    "fetches": self.fetches,
                }
            )
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.websocket(request)
        assert self.client is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP}
        async with self.client.request(
            request.method,
            self.upstream + request.raw_path,
            headers=headers,
            data=await request.read(),
            allow_redirects=False,
        ) as answer:
            self.count(request, answer.status, answer.headers.get("X-Vilokanam-Ticks", ""))
            body = await answer.read()
            if playlist := PLAYLIST.match(request.path):
                self.watch(playlist, answer, body)
            response = web.Response(status=answer.status, body=body)
            for name, value in answer.headers.items():
                if name.lower() == "set-cookie":
                    response.headers.add(name, value)
                elif name.lower() not in HOP:
                    response.headers[name] = value
            return response

    def count(self, request: web.Request, status: int, held: str) -> None:
        found = MEDIA.match(request.path)
        if not found or request.method != "GET":
            return
        token, _, first, count = found.groups()
        self.fetches += 1
        self.statuses[token][str(status)] += 1
        if "x" in held:
            # A part that ended early holds less than its address says (docs/metering.md).
            first, _, count = held.partition("x")
        if status in (200, 206):
            self.ticks[token].update(range(int(first), int(first) + int(count)))

    def watch(self, found: re.Match[str], answer: aiohttp.ClientResponse, body: bytes) -> None:
        if answer.status != 200:
            return
        import gzip

        text = gzip.decompress(body) if answer.headers.get("Content-Encoding") == "gzip" else body
        number = re.search(rb"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)
        show, rendition = int(found[1]), found[2]
        if number is None:
            return
        position = (show, int(number[1]))
        if position < self.newest.get(rendition, (0, 0)):
            self.went_back.append(f"{rendition}: {self.newest[rendition]} then {position}")
        self.newest[rendition] = position

    async def websocket(self, request: web.Request) -> web.WebSocketResponse:
        assert self.client is not None
        down = web.WebSocketResponse()
        await down.prepare(request)
        url = self.upstream.replace("http", "ws", 1) + request.raw_path
        async with self.client.ws_connect(url) as up:

            async def pump(source: Socket, sink: Socket) -> None:
                async for message in source:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await sink.send_str(message.data)
                await sink.close()

            await asyncio.gather(pump(up, down), pump(down, up), return_exceptions=True)
        return down


async def main(port: int, upstream_port: int) -> None:
    proxy = Proxy(f"http://127.0.0.1:{upstream_port}")
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{tail:.*}", proxy.handle)
    async with aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=60),
    ) as proxy.client:
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        print(json.dumps({"ready": port}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
