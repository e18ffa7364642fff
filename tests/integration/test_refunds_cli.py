"""Money that goes back, from the command line: what finance types, and what it reads."""

import asyncio
import json
from typing import Any

import pytest

from mediaserver.cli.main import main
from tests.integration.test_payments_api import hook, paid
from tests.integration.test_refunds_api import bought, browser, fake, server
from tests.support.control_server import PRICE, Server
from tests.support.payments_fixture import PLANCK

__all__ = ("browser", "fake", "server")  # fixtures


async def run(server: Server, *words: str) -> int:
    return await asyncio.to_thread(main, [*words, "--data-dir", str(server.data_dir)])


async def answer(server: Server, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert await run(server, *words, "--json") == 0
    return json.loads(capsys.readouterr().out)


async def test_finance_gives_back_and_says_when_it_is_done(server, browser, capsys) -> None:
    """The payment system of their own looks for what is asked, by the same words."""
    order = await bought(server, browser)
    words = ("payments", "refund", order["order"], "300", "--key", "t1", "--why", "asked for it")
    made = await answer(server, capsys, *words)
    assert (made["state"], made["planck"]) == ("asked", str(300 * PLANCK))

    waiting = await answer(server, capsys, "payments", "refunds", "--state", "asked")
    assert [item["refund"] for item in waiting["refunds"]] == [made["refund"]]
    done = ("payments", "refund-done", made["refund"], "--reference", "bank 7")
    assert await run(server, *done) == 0
    assert "bank 7" in capsys.readouterr().out
    assert await run(server, "payments", "show", order["order"]) == 0
    shown = capsys.readouterr().out
    assert "given back: 3 EUR (300 minor units)" in shown
    assert made["refund"] in shown
    by_hand = ("payments", "refund", order["order"], "700", "--key", "t2", "--why", "by hand")
    made = await answer(server, capsys, *by_hand, "--reference", "bank 8")
    assert (made["state"], made["reference"]) == ("done", "bank 8")
    assert await run(server, "payments", "refund", order["order"], "1", "--key", "t3", "--why", "x")
    assert "is not in 1 to 0" in capsys.readouterr().err
    assert await run(server, "reconcile") == 0
    assert "went back of that" in capsys.readouterr().out


async def test_a_credit_is_taken_back_and_what_is_owed_is_listed(server, browser, capsys) -> None:
    await server.viewer()
    words = ("viewers", "refund", "ann", "--planck", str(4 * PRICE), "--deposit", "ann 1")
    assert await run(server, *words, "--key", "t1", "--why", "twice") == 0
    assert "ann: taken back" in capsys.readouterr().out
    assert await run(server, *words, "--key", "t1", "--why", "twice") == 0
    assert "ann: was taken back before" in capsys.readouterr().out

    order = await bought(server, browser)
    await hook(server, paid(order, status="disputed", reversal="dp_1"), "msg_2")
    assert await run(server, "viewers", "list") == 0
    assert "DEBT" in capsys.readouterr().out
