"""Webhooks of the operator's own payment system: signed, of late, in the described form."""

import base64
import random
from datetime import UTC, datetime, timedelta

import pytest

from mediaserver.payments.provider import UnreadableNoticeError, WrongSignatureError
from mediaserver.payments.records import Notice, PaymentStatus
from mediaserver.payments.signed_webhook import SignedWebhook
from metering.errors import InvalidValueError
from metering.units import AccountId
from tests.support.payments_fixture import SECRET, an_order, signed

BODY = {"order": "o1", "payment": "p1", "status": "paid", "amount": 1000, "currency": "EUR"}
OTHER = "whsec_" + base64.b64encode(b"o" * 32).decode()


@pytest.fixture
def provider() -> SignedWebhook:
    return SignedWebhook(SECRET, "")


def test_what_is_signed_is_read(provider) -> None:
    body, headers = signed(BODY, "msg_7")

    assert provider.read(body, headers) == Notice(
        "msg_7", "paid", PaymentStatus.PAID, "o1", "p1", 1000, "EUR", is_live=True
    )
    body, headers = signed({**BODY, "status": "refunded", "is_test": True})
    assert provider.read(body, headers).status is PaymentStatus.REFUNDED
    assert not provider.read(body, headers).is_live


def test_one_secret_follows_another() -> None:
    body, headers = signed(BODY)

    assert SignedWebhook(f"{OTHER}\n{SECRET}\n", "").read(body, headers).order == "o1"
    with pytest.raises(WrongSignatureError):
        SignedWebhook(OTHER, "").read(body, headers)


@pytest.mark.parametrize("age", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_an_old_webhook_is_refused(provider, age) -> None:
    """Who recorded one cannot play it back for long; what it pays is booked once anyway."""
    body, headers = signed(BODY, at=datetime.now(UTC) - age)

    with pytest.raises(WrongSignatureError, match="within five minutes"):
        provider.read(body, headers)


def test_any_change_is_seen(provider) -> None:
    body, headers = signed(BODY)
    dice = random.Random(7)
    for _ in range(300):
        changed = bytearray(body)
        changed[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
        with pytest.raises(WrongSignatureError):
            provider.read(bytes(changed), headers)
    for name in list(headers)[:3]:
        for value in ("", "v1,", "v1", "v1,\x00", "v2,AAAA", "é", "1e400", "nan", "," * 9000):
            with pytest.raises(WrongSignatureError):
                provider.read(body, {**headers, name: value})
        with pytest.raises(WrongSignatureError):
            provider.read(body, {key: headers[key] for key in headers if key != name})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"[]", "not a JSON object"),
        (b"{", "not a JSON object"),
        ({**BODY, "amount": "10.00"}, "amount: is not a whole number"),
        ({**BODY, "amount": -1}, "amount: -1 is not in 0"),
        ({**BODY, "status": "done"}, "status: done is not known; use paid or failed"),
        ({**BODY, "currency": "eur"}, "currency: eur is not three capital letters"),
        ({**BODY, "order": ""}, "order: has 0 characters"),
        ({**BODY, "payment": "p" * 151}, "payment: has 151 characters"),
        ({**BODY, "extra": 1}, "extra: is not a field"),
    ],
)
def test_what_is_signed_and_not_as_described_is_answered_with_every_fault(
    provider, body, words
) -> None:
    with pytest.raises(UnreadableNoticeError, match=words) as caught:
        provider.read(*signed(body))
    assert caught.value.answer.status in (400, 422)


def test_all_faults_are_told_together(provider) -> None:
    with pytest.raises(UnreadableNoticeError) as caught:
        provider.read(*signed({**BODY, "order": "", "status": "x", "currency": "e"}))
    assert str(caught.value).count(";") == 4, caught.value


@pytest.mark.parametrize("text", ["", "short", "whsec_", "whsec_é", f"{SECRET}\n" * 5])
def test_what_is_no_secret_is_refused(text) -> None:
    with pytest.raises(InvalidValueError):
        SignedWebhook(text, "")


async def test_the_payer_is_sent_to_the_operators_page() -> None:
    order = an_order(AccountId(b"\x01" * 32))
    provider = SignedWebhook(SECRET, "https://pay.example.org/{order}?eur={amount}&back={back}")

    url = await provider.checkout(order, "https://live.example.org/cam/?a=1&b")

    assert url == (
        f"https://pay.example.org/{order.id}?eur=1000"
        "&back=https%3A%2F%2Flive.example.org%2Fcam%2F%3Fa%3D1%26b"
    )
