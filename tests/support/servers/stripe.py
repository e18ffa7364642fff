"""A fake Stripe: what we use of its API, as its documents say, and webhooks signed as its are.

It takes the requests that `tests/contract/test_stripe_requests.py` holds against Stripe's own
schema; a session is paid by the test, as by a person at its page.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any, Self

import aiohttp
import stripe
from aiohttp import web

KEY = "sk_test_51fake"
SECRET = "whsec_stripefake"
_NAMES = re.compile(r"[^\[\]]+")


class FakeStripe:
    """Its API on a port of this machine.

    Attributes:
        sessions: Checkout sessions that were made, by id.
        refunds: What was given back, by id.
        intents: Payments by a saved card, by id.
        declines: Its words when a saved card does not pay; empty: it does.
        loses: It makes the payment, and its answer does not arrive.
        requests: How often one was asked for.
        is_away: It answers 500 to everything.
        refuses: Its words when it gives nothing back; empty: it does.
        refund_status: Of the refunds that it makes.
        odd: What it answers instead to who asks for a refund; None: a refund.
        hook_url: Where it sends its webhooks when somebody pays at its page; empty: nowhere.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.intents: dict[str, dict[str, Any]] = {}
        self.declines = ""
        self.loses = False
        self.requests = 0
        self.refuses = ""
        self.refund_status = "succeeded"
        self.odd: Any = None
        self.is_away = False
        self.url = self.hook_url = ""
        self._keys: dict[str, tuple[dict[str, Any], str]] = {}
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/checkout/sessions", self._create)
        app.router.add_post("/v1/refunds", self._give_back)
        app.router.add_get("/v1/refunds", self._refunds)
        app.router.add_post("/v1/payment_intents", self._charge)
        app.router.add_get("/v1/payment_intents", self._intents)
        app.router.add_post("/v1/payment_intents/{intent}/cancel", self._cancel)
        app.router.add_get("/pay/{session}", _pay_page)
        app.router.add_post("/pay/{session}", self._pay)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _create(self, request: web.Request) -> web.Response:
        self.requests += 1
        if self.is_away:
            return _error(500, "api_error", "away")
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error(401, "invalid_request_error", "Invalid API Key provided")
        form = _nested(await request.text())
        key = request.headers.get("Idempotency-Key", "")
        if key in self._keys:
            wanted, session_id = self._keys[key]
            if wanted != form:
                return _error(400, "idempotency_error", "Keys are for the same parameters")
            return web.json_response(self.sessions[session_id])
        if fault := _fault(form):
            return _error(400, "invalid_request_error", fault)
        session = self._session(form)
        self.sessions[session["id"]] = session
        if key:
            self._keys[key] = (form, session["id"])
        return web.json_response(session)

    async def _give_back(self, request: web.Request) -> web.Response:
        if self.is_away:
            return _error(500, "api_error", "away")
        if self.odd is not None:
            return web.json_response(self.odd)
        form, key = _nested(await request.text()), request.headers.get("Idempotency-Key", "")
        if key in self._keys:
            wanted, refund_id = self._keys[key]
            if wanted != form:
                return _error(400, "idempotency_error", "Keys are for the same parameters")
            return web.json_response(self.refunds[refund_id])
        if self.refuses or not form.get("payment_intent"):
            return _error(400, "invalid_request_error", self.refuses or "Missing required param")
        refund = {
            "id": f"re_test_{next(self._numbers)}",
            "object": "refund",
            "amount": int(form["amount"]),
            "currency": "eur",
            "metadata": form.get("metadata", {}),
            "payment_intent": form["payment_intent"],
            "status": self.refund_status,
        }
        self.refunds[refund["id"]] = refund
        self._keys[key] = (form, refund["id"])
        return web.json_response(refund)

    async def _refunds(self, request: web.Request) -> web.Response:
        if self.is_away:
            return _error(500, "api_error", "away")
        wanted = request.query["payment_intent"]
        found = [item for item in self.refunds.values() if item["payment_intent"] == wanted]
        return web.json_response(
            {"object": "list", "url": "/v1/refunds", "has_more": False, "data": found}
        )

    async def _charge(self, request: web.Request) -> web.Response:
        if self.is_away:
            return _error(500, "api_error", "away")
        form, key = _nested(await request.text()), request.headers.get("Idempotency-Key", "")
        if key in self._keys:
            wanted, intent_id = self._keys[key]
            if wanted != form:
                return _error(400, "idempotency_error", "Keys are for the same parameters")
        else:
            if form.get("off_session") != "true" or form.get("confirm") != "true":
                return _error(400, "invalid_request_error", "Missing required param")
            intent_id = f"pi_auto_{next(self._numbers)}"
            self.intents[intent_id] = {
                "id": intent_id,
                "object": "payment_intent",
                "amount": int(form["amount"]),
                "amount_received": 0 if self.declines else int(form["amount"]),
                "currency": form["currency"],
                "customer": form["customer"],
                "payment_method": form["payment_method"],
                "metadata": form["metadata"],
                "livemode": False,
                "status": "requires_payment_method" if self.declines else "succeeded",
            }
            self._keys[key] = (form, intent_id)
        if self.loses:
            return _error(500, "api_error", "the answer is lost")
        if self.intents[intent_id]["status"] != "succeeded":
            fault = {"type": "card_error", "code": "card_declined", "message": self.declines}
            return web.json_response({"error": fault}, status=402)
        return web.json_response(self.intents[intent_id])

    async def _intents(self, request: web.Request) -> web.Response:
        if self.is_away:
            return _error(500, "api_error", "away")
        wanted = request.query["customer"]
        found = [item for item in self.intents.values() if item["customer"] == wanted]
        return web.json_response(
            {"object": "list", "url": "/v1/payment_intents", "has_more": False, "data": found}
        )

    async def _cancel(self, request: web.Request) -> web.Response:
        intent = self.intents[request.match_info["intent"]]
        if self.is_away:
            return _error(500, "api_error", "away")
        if intent["status"] in ("succeeded", "canceled"):
            return _error(400, "invalid_request_error", "You cannot cancel this PaymentIntent")
        intent["status"] = "canceled"
        return web.json_response(intent)

    async def _pay(self, request: web.Request) -> web.Response:
        """Take the money, tell the server, and send the payer back."""
        session = request.match_info["session"]
        async with aiohttp.ClientSession() as http:
            for told in self.events_of_payment(session, f"pi_{session}"):
                raw, headers = signed(told)
                async with http.post(self.hook_url, data=raw, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
        raise web.HTTPSeeOther(self.sessions[session]["success_url"])

    def forget_keys(self) -> None:
        """Forget all idempotency keys, as it does after a day."""
        self._keys.clear()

    def _session(self, form: dict[str, Any]) -> dict[str, Any]:
        item = form["line_items"]["0"]
        amount = int(item["quantity"]) * int(item["price_data"]["unit_amount"])
        session_id = f"cs_test_{next(self._numbers)}"
        return {
            "id": session_id,
            "object": "checkout.session",
            "amount_total": amount,
            "client_reference_id": form.get("client_reference_id"),
            "currency": item["price_data"]["currency"],
            "livemode": False,
            "metadata": form.get("metadata", {}),
            "mode": form["mode"],
            "payment_intent": None,
            "payment_status": "unpaid",
            "status": "open",
            "success_url": form["success_url"],
            "url": f"{self.url}/pay/{session_id}",
            "intent_metadata": form.get("payment_intent_data", {}).get("metadata", {}),
            "usage": form.get("payment_intent_data", {}).get("setup_future_usage"),
        }

    def events_of_payment(
        self, session_id: str, intent: str = "pi_1", *, is_slow: bool = False
    ) -> list[dict[str, Any]]:
        """Return the events that follow when somebody pays at a session's page.

        Args:
            is_slow: By a bank's debit: it is completed first, and paid days later.
        """
        session = {**self.sessions[session_id], "payment_intent": intent, "status": "complete"}
        metadata, usage = session.pop("intent_metadata"), session.pop("usage")
        money = {"currency": session["currency"], "metadata": metadata, "livemode": False}
        paid_intent = {
            "id": intent,
            "object": "payment_intent",
            "amount": session["amount_total"],
            "amount_received": session["amount_total"],
            "status": "succeeded",
            "setup_future_usage": usage,
            "customer": f"cus_{session_id}" if usage else None,
            "payment_method": f"pm_{session_id}",
            **money,
        }
        session["payment_status"] = "unpaid" if is_slow else "paid"
        events = [event("checkout.session.completed", session)]
        events.append(event("payment_intent.succeeded", paid_intent))
        if is_slow:
            late = {**session, "payment_status": "paid"}
            events.append(event("checkout.session.async_payment_succeeded", late))
        return events

    def event_of_charge(self, intent: str) -> dict[str, Any]:
        """Return what follows when a saved card paid, or did not."""
        is_paid = self.intents[intent]["status"] == "succeeded"
        kind = "payment_intent.succeeded" if is_paid else "payment_intent.payment_failed"
        return event(kind, dict(self.intents[intent]))


_EVENTS: Iterator[int] = itertools.count(1)


def event(kind: str, told: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """Return an event of Stripe's about an object."""
    return {
        "id": f"evt_{next(_EVENTS)}",
        "object": "event",
        "api_version": "2026-09-30.example",
        "created": int(time.time()),
        "data": {"object": told},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        **changed,
    }


def signed(body: dict[str, Any] | bytes, secret: str = SECRET, age_s: int = 0) -> Any:
    """Return the bytes and headers of a webhook as Stripe sends it."""
    raw = body if isinstance(body, bytes) else json.dumps(body, indent=2).encode()
    header = stripe.WebhookSignature.generate_signature_header(
        raw.decode("utf-8", "replace"), secret, int(time.time()) - age_s
    )
    return raw, {"Stripe-Signature": header, "Content-Type": "application/json; charset=utf-8"}


async def _pay_page(_: web.Request) -> web.Response:
    page = "<!doctype html><title>Checkout</title><form method=post><button>Pay</button></form>"
    return web.Response(text=page, content_type="text/html")


@contextlib.contextmanager
def on_its_own() -> Iterator[FakeStripe]:
    """Run a fake in a thread of its own, for tests that have no loop."""
    made, ready, end = FakeStripe(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def run() -> None:
        async with made:
            ready.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield made
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()


def _nested(text: str) -> dict[str, Any]:
    """Return a form whose names are ``a[b][0]`` as nested tables."""
    from urllib.parse import parse_qsl

    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        *path, last = _NAMES.findall(name)
        at = tree
        for part in path:
            at = at.setdefault(part, {})
        at[last] = value
    return tree


def _fault(form: dict[str, Any]) -> str:
    if form.get("mode") != "payment":
        return "You must provide a mode"
    if not form.get("success_url", "").startswith(("http://", "https://")):
        return "Not a valid URL"
    item = form.get("line_items", {}).get("0", {})
    price = item.get("price_data", {})
    if not re.fullmatch(r"[a-z]{3}", price.get("currency", "")):
        return "Invalid currency"
    if not re.fullmatch(r"[1-9][0-9]{1,7}", price.get("unit_amount", "")):
        return "Invalid positive integer"
    if not price.get("product_data", {}).get("name") or not item.get("quantity"):
        return "Missing required param"
    return ""


def _error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "message": message}}, status=status)
