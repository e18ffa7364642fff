"""The guide's nginx, as it is written, before a server."""

import re
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from tests.support.front_harness import ADMIN, Front, policy
from tests.support.servers import nginx

GUIDE = Path(__file__).resolve().parents[2] / "docs/operator/configure.md"
WHOLE = """daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {text}
}}
"""


def guides(folder: Path, port: int, origin: int) -> Path:
    """Write the guide's server with this test's ports and without its certificate."""
    (text,) = re.findall(r"^```nginx\n(map .*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{origin}")
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    text = re.sub(r"^ *ssl_.*\n", "", text, flags=re.MULTILINE)
    path = folder / "nginx.conf"
    path.write_text(WHOLE.format(folder=folder, text=text))
    return path


@pytest.fixture
async def front(redis_folder, unused_tcp_port_factory):
    async with Front(redis_folder, unused_tcp_port_factory()) as running:
        running.know(policy())
        yield running


async def test_o19_o27_the_guides_proxy_closes_what_is_the_operators(front, tmp_path) -> None:
    """API, metrics, readiness and the edges' questions are not for the internet; the page is."""
    port = nginx.free_port()
    answered, servers = {}, set()
    with nginx.running(guides(tmp_path, port, front.port), port):
        async with aiohttp.ClientSession() as client:
            for path in (
                "/api/v1/streams",
                "/metrics",
                "/readyz",
                "/healthz",
                "/_edge/authorise",
                "//metrics",
                "/%6detrics",
                "/x/../readyz",
                "/api/v1/operator",
                "/cam/",
            ):
                headers = {"Authorization": f"Bearer {ADMIN}", "X-Vilokanam-Via": "x"}
                url = URL(f"http://127.0.0.1:{port}{path}", encoded=True)
                async with client.get(url, headers=headers) as reply:
                    answered[path] = reply.status
                    servers.add(reply.headers["Server"])

    assert [status for path, status in answered.items()] == [404] * 8 + [204, 200]
    assert [heard.path for heard in front.heard] == ["/api/v1/operator"]
    assert front.heard[0].address == "127.0.0.1"
    assert servers == {"nginx"}


async def test_o19_who_comes_while_the_server_is_away_is_told_so(tmp_path) -> None:
    """A page that opens by itself, not a bare 502."""
    port = nginx.free_port()
    with nginx.running(guides(tmp_path, port, nginx.free_port()), port):
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"http://127.0.0.1:{port}/cam/") as reply,
        ):
            text = await reply.text()

    assert reply.status == 503
    assert reply.content_type == "text/html"
    assert "pay nothing" in text
    assert "refresh" in text
