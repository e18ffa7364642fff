"""``vilokanam streams guests``: what an operator or a creator types."""

import asyncio
import getpass
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mediaserver.cli.main import main
from tests.support.control_server import Server, settings
from tests.support.people_browser import ORIGIN, Browser


@pytest.fixture
async def server(tmp_path) -> AsyncIterator[Server]:
    made = settings()
    tree = replace(made, server=replace(made.server, public_url=ORIGIN))
    async with Server(tmp_path, tree) as started:
        await started.stream(visibility="invited")
        yield started


@pytest.fixture
def guests(server, capsys):
    """Return a function that runs one command; it gives exit code, output and error text."""

    async def run(verb: str, *argv: str) -> tuple[int, str, str]:
        where = ("--data-dir", str(server.data_dir))
        words = ["streams", "guests", verb, "cam", *argv, *where]
        code = await asyncio.to_thread(main, words)
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


async def test_guests_are_put_listed_and_removed(server, guests) -> None:
    viewer = await server.viewer()
    assert (await guests("list"))[1] == "cam: by invitation, for its guests alone\npassword: none\n"
    assert (await guests("add", "ann"))[1] == f"{viewer['account']} may see cam\n"
    _, listed, _ = await guests("list")
    assert "put on the list" in listed
    assert viewer["account"] in listed
    code, _, text = await guests("add")
    assert (code, "name a viewer" in text) == (2, True)
    assert (await guests("add", "ann", "--person", "ab" * 16))[0] == 2
    assert (await guests("remove", viewer["account"]))[0] == 0
    assert (await guests("remove", viewer["account"]))[0] == 1
    assert json.loads((await guests("list", "--json"))[1])["guests"] == []


async def test_a_link_is_made_used_and_taken_back_with_its_guests(server, guests) -> None:
    _, text, _ = await guests("link", "--uses", "2", "--days", "3")
    address, uses, back = (line.partition(": ")[2] for line in text.splitlines())
    assert address.startswith(f"{ORIGIN}/cam/#guest=")
    assert uses.startswith("2 guests, until ")
    ann = Browser(server)
    await ann.sign_up("Ann")
    body = {"link": address.partition("=")[2]}
    assert (await ann.ask("POST", "streams/cam/access", body))[0] == 200
    _, listed, _ = await guests("list")
    link = back.split()[-1]
    assert f"{link}  1 of 2  open until " in listed
    assert ann.person in listed

    _, text, _ = await guests("end-link", link, "--with-guests")

    assert text == f"link {link} opens nothing any more, and 1 guest removed\n"
    _, listed, _ = await guests("list")
    assert "taken back" in listed
    assert ann.person not in listed


async def test_a_password_is_read_of_a_file_or_asked_for_twice(
    server, guests, tmp_path, monkeypatch
) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\nand more\n")
    assert (await guests("password", "--file", str(file)))[1] == (
        "cam has a password; guests stay\n"
    )
    ann = Browser(server)
    await ann.sign_up("Ann")
    assert (await ann.ask("POST", "streams/cam/access", {"password": "open sesame"}))[0] == 200
    answers = iter(["one two three", "another one"])
    monkeypatch.setattr(getpass, "getpass", lambda _: next(answers))
    code, _, text = await guests("password")
    assert (code, "two different passwords" in text) == (1, True)
    assert "password: set" in (await guests("list"))[1]
    assert (await guests("password", "--none"))[1] == "cam has no password; guests stay\n"
    assert (await guests("password", "--file", str(tmp_path / "none")))[0] == 1
