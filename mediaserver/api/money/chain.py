"""The chain as the operator sees and uses it: status, registration, payouts, viewers' escrows."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aiohttp import web

from mediaserver.api import context
from mediaserver.api.context import ChainPort, Context
from mediaserver.api.who import asked_of_the_chain
from mediaserver.http import request_records
from mediaserver.http.problem import ApiError
from metering.units import Planck, account_text


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Body of a withdrawal: whose earnings; without a stream the platform's."""

    stream: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """Body of a request for escrow back; "0" takes an earlier one back."""

    planck: Planck


def routes() -> list[web.RouteDef]:
    """Return the routes of the chain."""
    return [
        web.get("/api/v1/chain", _status),
        web.post("/api/v1/chain/operator", _register),
        web.post("/api/v1/streams/{slug}/chain", _register_stream),
        web.get("/api/v1/payouts", _payouts),
        web.post("/api/v1/payouts", _withdraw),
        web.get("/api/v1/viewers/{viewer}/escrow", _escrow),
        web.post("/api/v1/viewers/{viewer}/escrow/request", _ask_back),
        web.post("/api/v1/viewers/{viewer}/escrow/withdraw", _take_back),
    ]


async def _status(request: web.Request) -> web.Response:
    return web.json_response(await _onchain(context.of(request)).status())


async def _register(request: web.Request) -> web.Response:
    made = await asked_of_the_chain(
        request,
        "chain.operator.register",
        "operator",
        _onchain(context.of(request)).register_operator,
    )
    return _made(made, is_new=made["is_new"])


async def _register_stream(request: web.Request) -> web.Response:
    shared = context.of(request)
    slug = request.match_info["slug"]
    onchain = _onchain(shared)
    record = await shared.book.run(lambda book: book.streams.get(slug))
    answer = await asked_of_the_chain(
        request,
        "chain.stream.register",
        f"stream:{record.id}",
        lambda: onchain.register_stream(record),
    )
    return web.json_response({"slug": slug, **answer})


async def _payouts(request: web.Request) -> web.Response:
    return web.json_response({"payouts": await _onchain(context.of(request)).payouts()})


async def _withdraw(request: web.Request) -> web.Response:
    shared = context.of(request)
    onchain = _onchain(shared)
    slug = (await request_records.read(request, Withdrawal)).stream
    record = None
    if slug is not None:
        record = await shared.book.run(lambda book: book.streams.get(slug))
    target = "platform" if record is None else f"stream:{record.id}"
    made = await asked_of_the_chain(
        request, "chain.payout.withdraw", target, lambda: onchain.withdraw(record)
    )
    return _made(made, is_new=True)


async def _escrow(request: web.Request) -> web.Response:
    shared = context.of(request)
    name = request.match_info["viewer"]
    onchain = _onchain(shared)
    record = await shared.book.run(lambda book: book.viewers.get(name))
    return web.json_response(await onchain.escrow(record))


async def _ask_back(request: web.Request) -> web.Response:
    shared = context.of(request)
    name = request.match_info["viewer"]
    onchain = _onchain(shared)
    planck = (await request_records.read(request, Request)).planck
    record = await shared.book.run(lambda book: book.viewers.get(name))
    answer = await asked_of_the_chain(
        request,
        "chain.escrow.request",
        f"viewer:{account_text(record.account)}",
        lambda: onchain.ask_back(record, planck),
        {"planck": str(planck)},
    )
    return web.json_response(answer)


async def _take_back(request: web.Request) -> web.Response:
    shared = context.of(request)
    name = request.match_info["viewer"]
    onchain = _onchain(shared)
    record = await shared.book.run(lambda book: book.viewers.get(name))
    answer = await asked_of_the_chain(
        request,
        "chain.escrow.withdraw",
        f"viewer:{account_text(record.account)}",
        lambda: onchain.take_back(record),
    )
    return web.json_response(answer)


def _onchain(shared: Context) -> ChainPort:
    if shared.chain is None:
        raise ApiError(
            409,
            "No chain",
            'this server settles in its journal: chain.backend is "journal"; set it to '
            '"substrate" and chain.url to a node',
        )
    return shared.chain


def _made(answer: dict[str, Any], *, is_new: bool) -> web.Response:
    return web.json_response(answer, status=HTTPStatus.CREATED if is_new else HTTPStatus.OK)
