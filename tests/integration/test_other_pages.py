"""What a foreign page, and a cookie that a stranger chose, do: nothing."""

from mediaserver.people.permissions import TABLE, TOKEN_PATH
from tests.integration.test_people_api import address, browser, server
from tests.support.people_browser import Browser

__all__ = ("browser", "server")  # fixtures


async def test_no_route_is_changed_or_read_by_another_page(server, browser) -> None:
    """Each row of the table: a foreign page's request is refused, and no answer is for its eyes."""
    evil = {"Origin": "https://evil.example", "Content-Type": "application/json"}
    wrong = []
    for row in TABLE:
        status, _ = await browser.ask(row.method, address(row), {}, evil)
        head = {name.lower() for name in browser.answer_headers}
        # An operator's own token alone opens that one, and no cookie.
        if row.method != "GET" and row.path != TOKEN_PATH and status != 403:
            wrong.append((row.method, row.path, status))
        if any(name.startswith("access-control-") for name in head):
            wrong.append((row.method, row.path, "CORS"))
    assert wrong == []
    assert (await browser.ask("GET", "me"))[0] == 200


async def test_a_session_that_a_stranger_chose_is_nobodys_after_signing_in(server) -> None:
    """Fixation: the victim's browser was given a cookie that the thief knows, known or invented."""
    thief, victim = Browser(server), Browser(server)
    await thief.sign_up("Thief")
    device = await Browser(server).sign_up("Victim")
    for planted in (thief.jar["vilokanam"], "A" * 43):
        victim.jar = {"vilokanam": planted}
        status, made = await victim.sign_in(device)
        assert (status, made["name"]) == (200, "Victim")
        assert victim.jar["vilokanam"] != planted

        other = Browser(server)
        other.jar = {"vilokanam": planted}
        status, me = await other.ask("GET", "me")
        assert (status, me.get("name")) != (200, "Victim")
