"""``/api/v1/me/player-settings``: when one's own players stop by themselves."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.people.me import person_of
from mediaserver.api.viewers.own_account import account_of, known_account
from mediaserver.api.who import audited
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from mediaserver.people import player_settings
from mediaserver.people.player_settings import ANSWER_S, PlayerSettings
from mediaserver.people.service import Connection
from metering.book.book import Book
from metering.units import account_text

_DEFAULT = PlayerSettings()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Body of settings; what is left out is as by default."""

    hidden_stop_s: int = _DEFAULT.hidden_stop_s
    ask_after_s: int = _DEFAULT.ask_after_s


def routes() -> list[web.RouteDef]:
    """Return the routes of settings."""
    return [
        web.get("/api/v1/me/player-settings", _show),
        web.put("/api/v1/me/player-settings", _put),
    ]


def settings_json(settings: PlayerSettings) -> dict[str, int]:
    """Return settings as a page reads them."""
    return {
        "hidden_stop_s": settings.hidden_stop_s,
        "ask_after_s": settings.ask_after_s,
        "answer_s": ANSWER_S,
    }


async def _show(request: web.Request) -> web.Response:
    shared, account = context.of(request), await known_account(request, person_of(request))
    if account is None:
        return web.json_response(settings_json(_DEFAULT))
    kept = await shared.people.read(lambda connection: player_settings.of(connection, account))
    return web.json_response(settings_json(kept))


async def _put(request: web.Request) -> web.Response:
    shared, body = context.of(request), await request_records.read(request, Wanted)
    wanted = PlayerSettings(body.hidden_stop_s, body.ask_after_s)
    if faults := player_settings.faults(wanted):
        raise ApiError(422, "Invalid body", "; ".join(faults), faults=faults)
    account, now_ms = await account_of(request, person_of(request)), shared.clock.now_ms()

    def put(_: Book, connection: Connection) -> bool:
        is_new = player_settings.of(connection, account) != wanted
        player_settings.put(connection, account, wanted, now_ms)
        return is_new

    await audited(
        request,
        "viewer.player_settings",
        f"viewer:{account_text(account)}",
        put,
        before=lambda _, connection: settings_json(player_settings.of(connection, account)),
        after=lambda _: settings_json(wanted),
        is_change=bool,
    )
    return web.json_response(settings_json(wanted))
