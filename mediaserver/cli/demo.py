"""``vilokanam demo``: a whole server with a live picture and a paying viewer, in one command.

Everything is under one directory. Progress goes to standard error; standard output has five lines
that a script can read. Ctrl-C ends the publisher, then the server, in order.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mediaserver.cli import edge
from mediaserver.cli.client import Api, fetch
from mediaserver.cli.errors import EXIT_USAGE, CliError
from mediaserver.processes import children
from mediaserver.processes.bootstrap import EXIT_CONFIG
from mediaserver.processes.children import Child
from mediaserver.processes.machine_checks import server_pid
from mediaserver.settings.load import load

if TYPE_CHECKING:
    from mediaserver.cli.local_chain import DemoChain

START_TIMEOUT_S: Final = 30.0
"""A cold machine imports the codecs in some seconds; a minute would hide a fault."""
LIVE_TIMEOUT_S: Final = 40.0
EDGE_TIMEOUT_S: Final = 10.0
CHAIN_TIMEOUT_S: Final = 60.0
"""chopsticks takes 2 to 5 s; a machine that builds beside it needs its time."""
EDGE_PORT_STEP: Final = 10
"""With ``--port``, the edge listens this much above: 8090 beside 8080, as the defaults are."""
END_TIMEOUT_S: Final = 4.5
"""Ctrl-C ends all within five seconds."""
CHAIN_END_S: Final = 0.8
"""Of that, for chopsticks, which has nothing to write down."""
_CREDIT_PLANCK: Final = "1000000000000"
_POLL_S: Final = 0.2
_CONFIG: Final = """\
# Written by `vilokanam demo`; yours to change: it is not written again.
[server]
data_dir = "%s"
drain_timeout_s = 3

[log]
format = "console"
level = "warning"

[metering]
cut_period_s = 2

[price]
demo_top_up_planck = "100000000000"

[chain]
batch_period_s = 5
"""

T = TypeVar("T")
LOCAL_HOST: Final = "127.0.0.1"
"""Where a demo listens, unless its configuration says otherwise."""


def add(groups: Any) -> None:
    """Add the command."""
    parser: argparse.ArgumentParser = groups.add_parser(
        "demo", help="a whole server with a live test picture and a paying viewer"
    )
    parser.add_argument("--data-dir", type=Path, default=Path("demo-data"))
    parser.add_argument("--config", type=Path, help="instead of demo.toml in the data directory")
    parser.add_argument("--port", type=int, help="instead of server.port")
    parser.add_argument(
        "--edge", action="store_true", help="watch through an nginx that caches in front"
    )
    parser.add_argument(
        "--chain", action="store_true", help="settle on a development chain, begun anew each time"
    )
    parser.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    _refuse_second(arguments.data_dir)
    if arguments.port is not None:
        os.environ["VILOKANAM_SERVER__PORT"] = str(arguments.port)
    data_dir, chain_url = arguments.data_dir, ""
    if arguments.chain:
        from mediaserver.cli import local_chain  # noqa: PLC0415 -- the chain's library loads slowly

        _refuse_second(data_dir / local_chain.FOLDER)
        data_dir, chain_url = local_chain.fresh_folder(data_dir), local_chain.choose_chain()
    config = arguments.config or write_config(data_dir)
    settings = load(config, os.environ)
    direct_url = settings.public_url
    if not settings.server.public_url and settings.server.host == LOCAL_HOST:
        # By this name browsers make passkeys; for an address they do not.
        os.environ["VILOKANAM_SERVER__PUBLIC_URL"] = f"http://localhost:{settings.server.port}"
    if arguments.edge:
        _front(config, arguments.port)
    demo = _Demo(
        config, data_dir.absolute(), direct_url, has_edge=arguments.edge, chain_url=chain_url
    )
    return asyncio.run(demo.run())


def _refuse_second(data_dir: Path) -> None:
    """Refuse a directory in which a server runs: what it has would be changed, or removed, by us.

    Raises:
        CliError: One does.
    """
    holder = server_pid(data_dir)
    if holder is not None:
        raise CliError(
            f"--data-dir {data_dir} is in use by the server with process id {holder}; end that "
            "demo, or give this one another directory and another --port",
            EXIT_USAGE,
        )


def _front(config: Path, port: int | None) -> None:
    """Make the edge's address the public one, for every process of the demo."""
    edge.program()
    server = load(config, os.environ).server
    os.environ["VILOKANAM_EDGE__ORIGIN_URL"] = f"http://{server.host}:{server.port}"
    if port is not None:
        os.environ["VILOKANAM_EDGE__LISTEN"] = f"{server.host}:{port + EDGE_PORT_STEP}"
    listen = load(config, os.environ).edge.listen
    host, _, edge_port = listen.rpartition(":")
    name = "localhost" if host == LOCAL_HOST else host
    os.environ["VILOKANAM_SERVER__PUBLIC_URL"] = f"http://{name}:{edge_port}"


def write_config(data_dir: Path) -> Path:
    """Write the demo's configuration where there is none yet; return its path.

    Raises:
        CliError: The directory cannot be written.
    """
    path = data_dir / "demo.toml"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(_CONFIG % json.dumps(str(data_dir.absolute()))[1:-1])
    except OSError as error:
        raise CliError(f"--data-dir {data_dir} cannot be written: {error.strerror}") from error
    return path


def publisher_command(whip_url: str, key: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the publisher's arguments and environment: any user lists the arguments of all."""
    command = ("mediaserver.cli.main", "publish", "--quiet", "testsrc", whip_url)
    return command, {"VILOKANAM_STREAM_KEY": key}


class _Demo:
    """Starts the server and the publisher, says where they are, ends them."""

    def __init__(
        self, config: Path, data_dir: Path, direct_url: str, *, has_edge: bool, chain_url: str
    ) -> None:
        self._config = config
        self._data_dir = data_dir
        self._direct_url = direct_url
        self._has_edge = has_edge
        self._settings = load(config, os.environ)
        self._stop = asyncio.Event()
        self._server: Child | None = None
        self._publisher: Child | None = None
        self._edge: Child | None = None
        self._chain_url = chain_url
        self._chain: Child | None = None
        self._following: asyncio.Task[None] | None = None
        self._on_chain: DemoChain | None = None

    async def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        try:
            work = asyncio.create_task(self._start_all())
            stop = asyncio.create_task(self._stop.wait())
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if work.done():
                work.result()
                await self._watch()
            else:
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work
        finally:
            await self._end()
        return 0

    async def _start_all(self) -> None:
        # The chain comes first: the server connects to it at its start.
        if self._chain_url:
            from mediaserver.cli import local_chain  # noqa: PLC0415 -- as above

            _progress("starting a chain")
            self._chain = await local_chain.start(self._chain_url)
            self._on_chain = local_chain.DemoChain(self._chain_url, _progress)
            failure = "the chain did not start"
            await self._until_async(self._on_chain.answers, CHAIN_TIMEOUT_S, failure)

        # The server, and an edge in front of it: from then on players use the edge's address.
        _progress(f"starting the server in {self._data_dir}")
        arguments = ("--config", str(self._config), "--data-dir", str(self._data_dir))
        self._server = await children.start("server", ("mediaserver.processes.server", *arguments))
        api = await self._until(self._connect, START_TIMEOUT_S, "the server did not start")
        if self._has_edge:
            _progress("putting an edge in front")
            await self._start_edge()

        # A stream with its publisher, and a viewer with a token. On a chain they must be
        # registered and have joined first.
        _progress("making the stream and its viewer")
        key = await asyncio.to_thread(_stream_key, api)
        _progress("publishing the test picture")
        # Publishers' media goes to the server itself, and so does their offer.
        whip_url = f"{self._direct_url}/demo/whip"
        command, env = publisher_command(whip_url, key)
        self._publisher = await children.start("publisher", command, env=env)
        if self._on_chain is not None:
            await self._register(api, self._on_chain)
        has_chain = self._on_chain is not None
        token = await asyncio.to_thread(lambda: _viewer_token(api, has_chain=has_chain))
        await self._until(
            lambda: _is_live(token["hls_url"]), LIVE_TIMEOUT_S, "the stream did not go live"
        )

        # What a person, or a script that reads standard output, needs to go on.
        admin_token = (self._data_dir / "admin.token").read_text().strip()
        for name, value in (
            ("watch", token["watch_url"]),
            ("hls", token["hls_url"]),
            ("whip", whip_url),
            ("stream key", key),
            ("admin token", admin_token),
        ):
            sys.stdout.write(f"{name}: {value}\n")
        sys.stdout.flush()
        _progress("live; Ctrl-C ends it")
        if self._on_chain is not None:
            self._following = asyncio.create_task(self._on_chain.follow(api, "demo"))

    async def _register(self, api: Api, chain: DemoChain) -> None:
        """Register operator and stream; the viewer pays in and joins with their first token."""
        await chain.endow(api)
        made = await asyncio.to_thread(lambda: api.post("streams", "demo", "chain", body={}))
        if made["state"] != "registered":
            raise CliError(f"the stream is not on the chain: {made['reason']}")
        _progress("the stream is registered; its viewer pays in and joins")

    def _connect(self) -> Api | None:
        """Return the API once the server is ready."""
        try:
            token = (self._data_dir / "admin.token").read_text().strip()
        except OSError:
            return None
        api = Api("", self._data_dir / "run" / "control.sock", token)
        with contextlib.suppress(CliError):
            api.get("operator")
            if fetch(f"{self._direct_url}/readyz") is not None:
                return api
        return None

    async def _start_edge(self) -> None:
        path = edge.write_standalone(self._settings, self._data_dir, self._data_dir / "edge")
        self._edge = await edge.start(path)
        ready = f"{self._settings.public_url}/healthz"
        await self._until(lambda: fetch(ready), EDGE_TIMEOUT_S, "the edge did not start")

    async def _until(self, ask: Callable[[], T | None], timeout_s: float, failure: str) -> T:
        """Return the first answer of `ask`, asked again and again off the loop."""
        return await self._until_async(lambda: asyncio.to_thread(ask), timeout_s, failure)

    async def _until_async(
        self, ask: Callable[[], Awaitable[T | None]], timeout_s: float, failure: str
    ) -> T:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while True:
                    self._check()
                    answer = await ask()
                    if answer:
                        return answer
                    await asyncio.sleep(_POLL_S)
        raise CliError(f"{failure} within {timeout_s:.0f} s; its log above says why")

    def _check(self) -> None:
        if self._server is not None and not self._server.is_running:
            code = self._server.exit_code
            # It has written why on standard error already.
            raise CliError(
                "the server ended; correct what it named above"
                if code == EXIT_CONFIG
                else f"the server ended with code {code}",
                EXIT_USAGE if code == EXIT_CONFIG else 1,
            )
        if self._publisher is not None and not self._publisher.is_running:
            raise CliError(f"the publisher ended with code {self._publisher.exit_code}")
        if self._edge is not None and not self._edge.is_running:
            raise CliError("the edge ended; nginx wrote why above")
        if self._chain is not None and not self._chain.is_running:
            raise CliError("the chain ended; it wrote why above")

    async def _watch(self) -> None:
        """Wait for Ctrl-C; a demo without its server or picture is none, so it ends with them."""
        while not self._stop.is_set():
            self._check()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._stop.wait()

    async def _end(self) -> None:
        _progress("ending")
        last_s = END_TIMEOUT_S - 1.0
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._on_chain is not None:
            await self._on_chain.close()
        ends = (
            (self._publisher, 0.5),
            (self._edge, 0.5),
            (self._server, last_s - CHAIN_END_S if self._chain else last_s),
            # After the server, which has something to say to it until its end.
            (self._chain, CHAIN_END_S),
        )
        for child, timeout_s in ends:
            if child is not None:
                await children.end_all([child], timeout_s)


def _stream_key(api: Api) -> str:
    """Return a key of the stream ``demo``, made when it is not there."""
    known = [stream["slug"] for stream in api.pages("streams", "streams")["streams"]]
    if "demo" in known:
        made = api.post("streams", "demo", "key", body={})
    else:
        made = api.post("streams", body={"slug": "demo", "title": "Demonstration"})
    return str(made["stream_key"])


def _viewer_token(api: Api, *, has_chain: bool) -> Any:
    """Return a token of a viewer who has paid in, made when they are not there."""
    try:
        api.get("viewers", "demo-viewer")
    except CliError:
        api.post("viewers", body={"name": "demo-viewer"})
    api.post(
        "viewers",
        "demo-viewer",
        "credits",
        # Without a chain a demo of an older version may have booked it, with these words.
        body={"planck": _CREDIT_PLANCK, "memo": "" if has_chain else "demo"},
        headers={"Idempotency-Key": "demo-credit"},
    )
    return api.post("tokens", body={"viewer": "demo-viewer", "stream": "demo"})


def _is_live(hls_url: str) -> bool:
    """Return True once the media playlist of the best rendition lists media."""
    lines = (fetch(hls_url) or "").splitlines()
    media = next((line for line in lines if line and not line.startswith("#")), None)
    if media is None:
        return False
    text = fetch(f"{hls_url.rpartition('/')[0]}/{media}") or ""
    return "#EXTINF" in text or "#EXT-X-PART:" in text


def _progress(line: str) -> None:
    sys.stderr.write(f"demo: {line}\n")
    sys.stderr.flush()
