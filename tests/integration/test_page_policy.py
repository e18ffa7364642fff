"""What Chromium lets pages do: the built one under its policy, others by the list of origins."""

import re

import pytest
from playwright.async_api import Page

from mediaserver.api.pages import STATIC_DIR
from tests.support.front_harness import Front, policy
from tests.support.whip.browser import chromium_page


async def test_a_l7_the_built_page_runs_and_nothing_else_does(
    redis_folder, unused_tcp_port_factory
) -> None:
    """Our scripts and styles are all allowed; a script that got in otherwise is not."""
    if not (STATIC_DIR / "index.html").exists():
        pytest.fail("the watch page has not been built: make page")
    async with Front(redis_folder, unused_tcp_port_factory()) as front, chromium_page() as page:
        front.know(policy())
        refused: list[str] = []
        page.on(
            "console",
            lambda line: refused.append(line.text) if "Security Policy" in line.text else None,
        )
        await page.goto(f"http://127.0.0.1:{front.port}/cam/")
        await page.wait_for_selector("#notice:not([hidden])")
        begun = await page.evaluate(
            "[window.__boot.stream, document.documentElement.dataset.state]"
        )
        style = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert refused == []

        await page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
            " document.body.append(s); }"
        )

        assert begun[0] == "cam"
        assert begun[1] != "loading"
        assert style != "rgba(0, 0, 0, 0)"
        assert await page.evaluate("window.bad") is None
        assert re.search("inline script", refused[0])


READ = """url => fetch(url, {method: 'POST', headers: {'Content-Type': 'application/json'}})
  .then((answer) => answer.status, (error) => error.name)"""


async def read_elsewhere(page: Page, front: Front) -> object:
    """Return what a page of http://localhost reads of http://127.0.0.1: a status or an error."""
    await page.goto(f"http://localhost:{front.port}/healthz")
    return await page.evaluate(READ, f"http://127.0.0.1:{front.port}/w/token/cam/session")


async def test_d2_pages_of_listed_origins_read_a_viewers_own_answers(
    redis_folder, unused_tcp_port_factory
) -> None:
    """The SDK renews its token on the site that the operator lists, and on no other."""
    port = unused_tcp_port_factory()
    tables = {"cors_origins": (f"http://localhost:{port}",)}
    async with Front(redis_folder, port, server=tables) as front, chromium_page() as page:
        read = await read_elsewhere(page, front)
        data = await front.ask(
            "GET /cam/", "Accept: application/json", f"Origin: http://localhost:{port}"
        )

        assert read == 204
        assert [heard.method for heard in front.heard] == ["POST"]  # the preflight is ours
        assert data.status == 503  # no control: nothing is known of the stream
        front.know(policy())
        for origin, is_listed in ((f"http://localhost:{port}", True), ("http://other", False)):
            data = await front.ask("GET /cam/", "Accept: application/json", f"Origin: {origin}")
            assert (b"is_origin_listed" in data.body) is is_listed
            assert "Origin" in data.headers["vary"]


async def test_d2_pages_of_other_origins_read_nothing(
    redis_folder, unused_tcp_port_factory
) -> None:
    """Without a list everything stays as it was: the browser keeps the answers from the page."""
    async with Front(redis_folder, unused_tcp_port_factory()) as front, chromium_page() as page:
        assert await read_elsewhere(page, front) == "TypeError"
        assert front.heard == []


async def test_d2_errors_can_be_read_too(redis_folder, unused_tcp_port_factory) -> None:
    """A refusal without the header would be a network error to the page."""
    tables = {"cors_origins": ("https://example.org",)}
    async with Front(redis_folder, unused_tcp_port_factory(), server=tables) as front:
        front.know(policy())
        for origin, allowed in (("https://example.org", "https://example.org"), ("null", None)):
            reply = await front.ask(
                "POST /w/wrong/cam/session", f"Origin: {origin}", body=bytes(10), sends=b""
            )
            assert reply.status == 403
            assert reply.headers.get("access-control-allow-origin") == allowed
