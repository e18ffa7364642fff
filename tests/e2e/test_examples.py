"""What examples/ shows works: each example is run as its README says."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.support.audience import mint, open_stream, open_viewer, wait_live
from tests.support.servers.vilokanam import (
    ROOT,
    Publisher,
    Server,
    chromium,
    free_port,
    get,
    running,
    until,
)

pytestmark = pytest.mark.timeout(150)

PAGE = ROOT / "examples" / "page"
VITE = ROOT / "web" / "node_modules" / ".bin" / "vite"
PRICE_PLANCK = 1_000_000
TOP_UP_URL = "https://pay.example/"
TEXT = "id => document.getElementById(id).textContent"
SHOWS = "([id, what]) => new RegExp(what).test(document.getElementById(id).textContent)"
PICTURE_S = "() => document.getElementById('video').currentTime"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a priced live show."""
    server = Server(tmp_path_factory.mktemp("examples"))
    server.environment["VILOKANAM_PRICE__TOP_UP_URL"] = TOP_UP_URL
    with running(server):
        publisher = Publisher(server, "cam", open_stream(server, "cam", str(PRICE_PLANCK)))
        try:
            wait_live(server, None, "cam")
            yield server
        finally:
            publisher.stop()
    print(server.tail())


@contextmanager
def preview(server: Server, directory: Path, page: Path = PAGE) -> Iterator[str]:
    """Build a page into `directory` and serve it in front of the server; yield its URL."""
    if not VITE.exists():
        pytest.skip("no vite: make setup")
    dist = ("--outDir", str(directory))
    config = ("--config", str(PAGE / "vite.config.mjs"))
    subprocess.run([VITE, "build", *config, *dist], cwd=page, check=True, timeout=60)
    port = free_port()
    log = directory.with_suffix(".log")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [
                *(VITE, "preview", *config, *dist),
                *("--host", "127.0.0.1", "--port", str(port), "--strictPort"),
            ],
            cwd=page,
            env={**os.environ, "VILOKANAM_URL": server.url},
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}/example/"
            until(lambda: get(url)[0] == 200, "the page")
            yield url
        finally:
            process.terminate()


def planck(page, name: str) -> int:
    """Return the amount that the page shows under `name`."""
    return round(Decimal(page.evaluate(TEXT, name).split()[0]).scaleb(12))


def open_page(browser, url: str, watch: str):
    """Open the page and wait until it has played and shown two seconds."""
    page = browser.new_page()
    page.goto(f"{url}?watch={watch}")
    page.wait_for_function(SHOWS, arg=["state", "^asking "], timeout=20000)
    page.click("#toggle")
    page.wait_for_function(SHOWS, arg=["state", "^live$"], timeout=20000)
    from_s = page.evaluate(PICTURE_S)
    page.wait_for_function(f"from => ({PICTURE_S})() > from + 2", arg=from_s)
    page.wait_for_function(SHOWS, arg=["watched", "0:0[2-9]"])
    return page


def test_a_page_of_ones_own_plays_and_pays_at_the_servers_origin(live, tmp_path) -> None:
    """It shows what the seconds cost, stops with the balance, and plays on after a deposit."""
    balance = 9 * PRICE_PLANCK
    account = open_viewer(live, "ann", str(balance))
    ticket = mint(live, "ann", "cam")

    with preview(live, tmp_path / "dist") as url, chromium() as browser:
        page = open_page(browser, url, ticket.path)
        page.click("#toggle")
        page.wait_for_function(SHOWS, arg=["state", "^paused$"])
        spent, left = planck(page, "spent"), planck(page, "balance")
        page.click("#toggle")
        page.wait_for_function(SHOWS, arg=["state", r"^stopped \(purse\)$"])
        link = page.get_attribute("#top-up", "href")
        live.json("viewers", "credit", account, "--planck", str(balance), "--key", "second-ann")
        page.wait_for_function(SHOWS, arg=["state", "^live$"])

    assert spent >= 2 * PRICE_PLANCK
    assert spent + left == balance
    assert link == TOP_UP_URL


def test_a_page_of_ones_own_plays_and_counts_at_another_origin(live, tmp_path) -> None:
    """As its README says: picture and meter work there, the viewer's own routes do not."""
    open_viewer(live, "bob", "600000000")
    watch = live.url + mint(live, "bob", "cam").path

    with preview(live, tmp_path / "dist") as url, chromium() as browser:
        page = open_page(browser, url, watch)
        spent = planck(page, "spent")
        receipts = page.evaluate(
            "url => fetch(url).then(() => 'read', error => error.name)", f"{watch}receipts"
        )

    assert spent >= 2 * PRICE_PLANCK
    assert receipts == "TypeError"


def test_d1_example_of_the_sdks_readme_bills_and_says_so(live, tmp_path) -> None:
    """Copied as it is, it said "free", price 0 and nothing spent, while the balance paid."""
    open_viewer(live, "dan", "600000000")
    text = (ROOT / "web" / "sdk" / "README.md").read_text()
    (code,) = re.findall(r"^```ts\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    address = live.url + mint(live, "dan", "cam").path
    page_dir = tmp_path / "page"
    page_dir.mkdir()
    filled = code.replace("https://host/w/<token>/<stream>/", address)
    assert filled != code
    # What the example prints, a test reads.
    (page_dir / "main.ts").write_text(f"{filled}\nObject.assign(window, {{ stream }});\n")
    (page_dir / "index.html").write_text(
        '<!doctype html><video muted playsinline></video><script type="module" src="main.ts">'
        "</script>"
    )

    with preview(live, tmp_path / "dist", page_dir) as url, chromium() as browser:
        page = browser.new_page()
        page.goto(url)
        page.wait_for_function("() => window.stream?.snapshot().secondsWatched >= 2", timeout=30000)
        shown = page.evaluate("() => window.stream.snapshot()")

    assert shown["isPriced"]
    assert shown["isPriceKnown"]
    assert shown["pricePlanck"] == str(PRICE_PLANCK)
    assert shown["price"]["symbol"] == "UNIT"
    assert shown["title"] == "Cam"
    assert shown["session"]
    assert int(shown["spentPlanck"]) >= 2 * PRICE_PLANCK
    assert int(shown["balancePlanck"]) < 600000000
