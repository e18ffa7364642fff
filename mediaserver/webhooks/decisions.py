"""What the operator's own server decides: who may publish, and who may watch.

A question is asked where somebody begins, never for a segment. Its answer is kept for a while; what
is no answer in time is a failure, and the configuration says what that means.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from prometheus_client import Counter

from mediaserver import log
from mediaserver.clock import Clock
from mediaserver.http.problem import ApiError
from mediaserver.http.webhook_signatures import WebhookSecrets
from mediaserver.webhooks.addresses import networks_of
from mediaserver.webhooks.records import Question
from mediaserver.webhooks.sender import NotSentError, Resolve, Sender, shown
from mediaserver.webhooks.settings import HooksSettings, WebhooksSettings
from metering.errors import InvalidValueError
from metering.log_throttle import LogThrottle
from metering.model.price import UNITS_MAX
from metering.units import Planck

ANSWER_BYTES_MAX: Final = 4096
"""Ten times the longest answer that has a meaning."""
REASON_CHARACTERS_MAX: Final = 300
KEPT_MAX: Final = 10_000
"""Answers kept at once, a few hundred bytes each: the oldest makes room."""
AT_ONCE_MAX: Final = 64
"""Questions under way: a thousand who arrive together do not open a thousand connections."""
REASON: Final = "hook"
"""What programs read of a refusal."""
_LIMIT: Final = re.compile(r"[1-9][0-9]{0,38}")
_ANSWERS: Final = Counter(
    "mediaserver_hooks_answers", "Questions to the operator's server", ("question", "outcome")
)

_log = log.get("webhooks")


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer.

    Attributes:
        limit: What the player's session may spend in all; None: the server sets none.
    """

    is_allowed: bool
    reason: str = ""
    limit: Planck | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom and what a question is about; answers are kept by all of it.

    Attributes:
        stream: Id and slug, as events have them.
        account: Who watches, as text; empty for a publisher.
        address: From where, empty where nobody knows.
    """

    question: Question
    stream: str
    slug: str
    account: str = ""
    address: str = ""


class Decisions:
    """Asks the operator's server, and keeps what it answers."""

    def __init__(
        self,
        settings: HooksSettings,
        webhooks: WebhooksSettings,
        clock: Clock,
        *,
        quantum: int,
        resolve: Resolve | None = None,
    ) -> None:
        """Take collaborators.

        Args:
            webhooks: Which networks may be used though they are not public.
            quantum: Planck in one unit of the store, which a limit is a multiple of.
            resolve: Returns the addresses of a host; None: the machine's resolver.

        Raises:
            InvalidValueError: The file with the secret cannot be used.
        """
        self._settings = settings
        self._clock = clock
        self._quantum = quantum
        self._secrets = hook_secrets(settings)
        networks = networks_of(webhooks.allowed_networks)
        self._sender = Sender(networks, settings.timeout_s, resolve)
        self._kept: OrderedDict[Asked, tuple[float, Decision]] = OrderedDict()
        self._under_way = asyncio.Semaphore(AT_ONCE_MAX)
        self._throttle = LogThrottle()

    def asks(self, question: Question) -> bool:
        """Return whether a question is asked at all."""
        return question.value in self._settings.ask

    async def hold(self, asked: Asked, viewer: str = "") -> Planck | None:
        """Hold that the operator's server allows something; return the limit that it sets.

        Args:
            viewer: What the account is called here.

        Raises:
            ApiError: 403 with its reason; 503 when it did not answer and failures are refused.
        """
        if not self.asks(asked.question):
            return None
        now_s, outcome = self._clock.monotonic(), "kept"
        decision = self._recall(asked, now_s)
        if decision is None:
            try:
                decision = await self._ask(asked, viewer)
            except NotSentError as error:
                self._failed(asked.question, str(error))
                return None
            self._keep(asked, decision, now_s)
            outcome = "allowed" if decision.is_allowed else "denied"
        _ANSWERS.labels(asked.question.value, outcome).inc()
        if not decision.is_allowed:
            detail = decision.reason or "the operator of this server does not allow it"
            raise ApiError(HTTPStatus.FORBIDDEN, "Not allowed", detail, reason=REASON)
        return decision.limit

    def _failed(self, question: Question, why: str) -> None:
        """Take a failure as the configuration says.

        Raises:
            ApiError: 503: it is refused.
        """
        is_open = self._settings.on_failure == "open"
        _ANSWERS.labels(question.value, "failed_open" if is_open else "failed_closed").inc()
        # By its first words: what a server writes into each answer anew is one failure.
        if count := self._throttle.failed(why.partition(":")[0]):
            _log.warning(
                "webhooks.decision.failed", question=question.value, reason=why, times=count
            )
        if not is_open:
            raise ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Nobody decided",
                "the operator's server, which decides this, did not answer; try again",
                {"Retry-After": "5"},
                reason=REASON,
            )

    async def _ask(self, asked: Asked, viewer: str) -> Decision:
        """Return what the server answers.

        Raises:
            NotSentError: There was no such answer.
        """
        assert self._secrets is not None, "who asks has a secret"
        now_ms = self._clock.now_ms()
        body = json.dumps(_body(asked, viewer, now_ms), separators=(",", ":"))
        headers = self._secrets.signed_headers(f"ask_{secrets.token_hex(16)}", body, now_ms)
        try:
            # Waiting for others is part of the time that somebody waits.
            async with asyncio.timeout(self._settings.timeout_s), self._under_way:
                raw = await self._sender.ask(self._settings.url, body, headers, ANSWER_BYTES_MAX)
        except TimeoutError as error:
            raise NotSentError(f"no answer within {self._settings.timeout_s} s") from error
        return decision_of(raw, asked.question, self._quantum)

    def _recall(self, asked: Asked, now_s: float) -> Decision | None:
        until_s, decision = self._kept.get(asked, (0.0, None))
        return decision if now_s < until_s else None

    def _keep(self, asked: Asked, decision: Decision, asked_s: float) -> None:
        if not self._settings.cache_s:
            return
        self._kept.pop(asked, None)
        self._kept[asked] = (asked_s + self._settings.cache_s, decision)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)


def hook_secrets(settings: HooksSettings) -> WebhookSecrets | None:
    """Return what questions are signed with; None: none is asked.

    Raises:
        InvalidValueError: The file cannot be used.
    """
    if not settings.ask:
        return None
    name, file = "hooks.secret_file", settings.secret_file
    try:
        return WebhookSecrets(Path(file).read_text().strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{name}: {file} cannot be read: {error}") from error
    except InvalidValueError as error:
        raise InvalidValueError(f"{name}: {file} {error}") from error


def decision_of(raw: bytes, question: Question, quantum: int) -> Decision:
    """Return the decision of an answer's body.

    Raises:
        NotSentError: It is none.
    """
    try:
        answer = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise NotSentError("answered what is not JSON") from error
    if not isinstance(answer, Mapping) or not isinstance(answer.get("allow"), bool):
        raise NotSentError('answered no object with "allow": true or false')
    reason, limit = answer.get("reason"), answer.get("limit_planck")
    if reason is not None and not isinstance(reason, str):
        raise NotSentError('answered a "reason" that is no text')
    if limit is not None and (
        question is not Question.MAY_WATCH
        or not isinstance(limit, str)
        or not _LIMIT.fullmatch(limit)
        or int(limit) % quantum
        or int(limit) // quantum > UNITS_MAX
    ):
        raise NotSentError(
            'answered a "limit_planck" that is no text of planck above 0, in multiples of '
            f"{quantum}"
        )
    words = shown((reason or "")[:REASON_CHARACTERS_MAX])
    return Decision(answer["allow"], words, None if limit is None else Planck(int(limit)))


def _body(asked: Asked, viewer: str, now_ms: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": asked.question.value,
        "timestamp": datetime.fromtimestamp(now_ms // 1000, UTC).isoformat(),
        "stream": {"id": asked.stream, "slug": asked.slug},
        "address": asked.address or None,
    }
    if asked.question is Question.MAY_WATCH:
        body |= {"account": asked.account, "viewer": viewer}
    return body
