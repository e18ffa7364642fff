"""Asks the operator's server, where one is configured, whether somebody may begin."""

from __future__ import annotations

from mediaserver.api.context import Context
from mediaserver.clock import Clock
from mediaserver.http.client_address import parse
from mediaserver.settings.records import Settings
from mediaserver.webhooks.decisions import Asked, Decisions
from mediaserver.webhooks.records import Question
from metering.book.records import StreamRecord
from metering.model.spending_limits import NO_LIMIT, lower
from metering.units import AccountId, Planck, account_text


def decisions_of(settings: Settings, clock: Clock) -> Decisions:
    """Return who asks the operator's server, by the configuration.

    Raises:
        InvalidValueError: The file with the secret cannot be used.
    """
    return Decisions(settings.hooks, settings.webhooks, clock, quantum=settings.asset.quantum)


async def may_publish(shared: Context, stream: StreamRecord, client: str) -> None:
    """Hold that a stream may be published from an address.

    Raises:
        ApiError: 403 or 503 ``hook``.
    """
    asked = Asked(Question.MAY_PUBLISH, str(stream.id), stream.slug, address=_address(client))
    await shared.decisions.hold(asked)


async def may_watch(
    shared: Context,
    account: AccountId,
    stream: StreamRecord,
    client: str,
    own_limit: Planck | None,
    *,
    known_limit: Planck = NO_LIMIT,
) -> Planck | None:
    """Hold that an account may watch a stream; return what the session may spend of it.

    Args:
        client: Address that the viewer comes from; empty where it is not they who ask.
        own_limit: What the viewer allows; None: what they did.
        known_limit: What they did.

    Returns:
        The lower of what the viewer allows and the operator's server says; None: no change.

    Raises:
        ApiError: 403 or 503 ``hook``.
    """
    if not shared.decisions.asks(Question.MAY_WATCH):
        return own_limit
    viewer = await shared.book.run(lambda book: book.viewers.get(account))
    limit = await shared.decisions.hold(
        Asked(
            Question.MAY_WATCH,
            str(stream.id),
            stream.slug,
            account_text(account),
            _address(client),
        ),
        viewer.name,
    )
    if limit is None:
        return own_limit
    return lower(limit, known_limit if own_limit is None else own_limit)


def _address(text: str) -> str:
    found = parse(text)
    return "" if found is None else str(found)
