"""What providers bring, what goes back, and what creators are paid."""

from __future__ import annotations

from typing import Final

from mediaserver.api.money import bad_seconds, payouts, refunds
from mediaserver.api.operations import payment_answers
from mediaserver.api.operations.operation import (
    BEFORE_NUMBER,
    TEXT,
    Group,
    Parameter,
    before,
    choice,
    limit,
    operation,
)

GROUP: Final = Group(
    "Payments and payouts",
    "",
    (
        operation(
            "GET payments",
            """
            Orders of all payers.

            `{"payments": [order, …], "next_before"}`, the newest first; `?state=open|paid`,
            `?limit=` (100; 200 at most), `?before=<order>`. An order:

                {"order": "5c0f…", "account": "0x…", "person": "ab12…", "provider": "webhook",
                 "amount": "1000", "currency": "EUR", "currency_decimals": 2,
                 "planck": "10000000", "state": "open|paid", "payment": "pay_4711",
                 "created_ms": 1700000000000, "paid_ms": 1700000060000}

            `amount` is in the currency's minor unit, of which 10 to the power of
            `currency_decimals` are one; null where that currency is no longer configured. The
            demo's button pays in the asset: its `amount` is planck. What each part means:
            [operator/payments.md](operator/payments.md).
            """,
            payment_answers.Orders,
            query=(choice("state", "open", "paid", "closed"), limit(200), before()),
            problems=(404,),
        ),
        operation(
            "GET payments/notices",
            """
            What providers told: `{"notices": [notice, …], "next_before"}`, the newest first;
            `?outcome=`, `?limit=`, `?before=<number>`. A notice:

                {"number": 7, "provider": "webhook", "event": "msg_1",
                 "received_ms": 1700000060000, "kind": "paid", "status": "paid",
                 "order": "5c0f…", "payment": "pay_4711", "reversal": null, "amount": "1000",
                  "currency": "EUR", "currency_decimals": 2, "is_live": true,
                 "outcome": "booked", "detail": ""}

            `reversal` is the id of the refund or dispute that it speaks of.
            """,
            payment_answers.Notices,
            query=(
                Parameter("outcome", TEXT, "Only those that came to this."),
                limit(200),
                BEFORE_NUMBER,
            ),
        ),
        operation(
            "GET payments/notices/{notice}",
            "Its body as it came: it may hold what a provider knows of a payer.",
            media=("application/octet-stream",),
        ),
        operation(
            "GET payments/{order}",
            """
            The order, with the `notices` that name it, in the order in which they came;
            `given_back` of its `amount`, and `given_back_planck`; the `reversals` (refunds and
            disputes) that are known of its payment, and the `refunds` that were asked here:

                {"given_back": "300", "given_back_planck": "3000000",
                 "reversals": [{"kind": "refund|dispute", "id": "re_1", "amount": "300",
                  "currency": "EUR", "is_total": false, "is_undone": false}],
                 "refunds": [refund, …], "notices": [notice, …]}
            """,
            payment_answers.OrderInFull,
        ),
        operation(
            "POST payments/{order}/refunds",
            """
            Gives back a part of what an order brought: it is in the book with the answer, then
            asked of the provider. Header `Idempotency-Key`. Body: `amount` in minor units, `why`,
            and `reference` when it was given back by hand already: the provider's id of that.
            Answers 201, or 200 when the key was used for it before, with a refund:

                {"refund": "7b1e…", "order": "5c0f…", "account": "0x…", "amount": "300",
                 "planck": "3000000", "why": "asked for it",
                 "state": "asked|done|refused", "reference": "re_1", "detail": "",
                  "made_by": "admin", "created_ms": 1700000000000, "done_ms": null}

            `refused`: the provider does not do it, `detail` says why, and the money is in the
            account again. 422: the order is not paid, or not so much of it is left.
            """,
            payment_answers.Refund,
            status=(200, 201),
            body=refunds.OrderRefund,
            is_keyed=True,
        ),
        operation(
            "GET payments/refunds",
            """
            Refunds of orders.

            `{"refunds": [refund, …], "next_before"}`, the newest first;
            `?state=asked|done|refused`, `?limit=`, `?before=<refund>`.
            """,
            payment_answers.Refunds,
            query=(choice("state", "asked", "done", "refused"), limit(200), before()),
            problems=(404,),
        ),
        operation(
            "POST payments/refunds/{refund}/done",
            """
            Notes that somebody gave back by hand what was asked. Body: `reference`, the payment
            system's id of it. Answers the refund; 409 when it was refused before.
            """,
            payment_answers.Refund,
            body=refunds.Done,
            problems=(409,),
        ),
        operation(
            "POST streams/{slug}/refunds",
            """
            Gives bad seconds of a show back to everyone who paid for them.

            See [metering.md](metering.md), "Bad seconds". Header `Idempotency-Key`: your own name
            of this refund. Body: `from_tick` and `to_tick` (the first and the last second, Unix
            time of the media, at most 86400 of them), `why`, `show` (its number; left out: the one
            that has them). 201, or 200 when the key was used for it before; `seconds`, `planck` and
            `viewers` grow when more of it settles:

                {"number": 7, "from_tick": 1700000100, "to_tick": 1700000129, "seconds": 1500,
                 "planck": "150000000000", "show": 1700000000,
                 "viewers": 50, "why": "black picture", "made_by": "admin",
                  "created_ms": 1700000200000}

            422, all faults at once: no range, one that is still to come or of two shows; a creator
            who gives back what was paid out to them already. 409: the key was used for another
            range, or there is a chain.
            """,
            payment_answers.BadSeconds,
            status=(200, 201),
            body=bad_seconds.SecondsBody,
            is_keyed=True,
        ),
        operation(
            "GET streams/{slug}/refunds",
            """
            Bad seconds of its shows that were given back.

            `{"refunds": [refund, …], "next_before"}`, the newest first; `?limit=` (1 to 200),
            `?before=<number>`.
            """,
            payment_answers.BadSecondsPage,
            query=(limit(200), BEFORE_NUMBER),
        ),
        operation(
            "GET streams/{slug}/earnings",
            """
            What the creator earned with the stream, in planck.

            By state ([metering.md](metering.md), "Earnings"):

                {"stream": "cam", "title": "Camera", "account": "0x…", "pending": "0",
                 "maturing": "4500000", "available": "9000000", "debt": "0",
                 "asked": "0", "paid_out": "0", "payees": [], "maturing_days": 7}

            `payees` has the same, from `account` to `paid_out`, of each who is or was a payee of
            its [split table](#put-apiv1streamsslugsplit). 409 with a chain: there earnings are the
            creator's credit on it.
            """,
            payment_answers.Earnings,
            problems=(409,),
        ),
        operation(
            "GET streams/{slug}/statements/{month}",
            """
            A month of the stream's earnings.

            What the stream earned in a month (`2026-11`, UTC) as a signed file, which `vilokanam
            earnings verify` checks; `?form=csv` is a table in the asset.

                {"format": "vilokanam-statement-1", "operator": "0x…", "asset": {"symbol": "UNIT",
                 "decimals": 12}, "stream": "…", "slug": "cam",
                 "title": "Camera", "creator": "0x…", "month": "2026-11",
                  "made_ms": 1700000000000, "is_closed": true, "opening": "0",
                 "lines": [{"day": "2026-11-01", "what": "earned", "reference": "", "note": "",
                  "gross": "10000000", "fee": "1000000",
                            "planck": "9000000"},
                           {"day": "2026-11-09", "what": "payout", "reference": "3fa9…",
                            "note": "bank-7", "gross": "-9000000", "fee": "0",
                            "planck": "-9000000"}],
                 "closing": "0", "signature": "…"}

            `opening` and `closing` are what was earned and not paid out; a month that is not over
            is stated so far (`is_closed` false). Where the stream is shared, `format` is
            `vilokanam-statement-2`, each line has `others`, what payees had of `gross`, and
            `payee` is whose it is. `?account=` states it for a payee, to staff alone. 422: no
            month, or one that has not begun. 409 with a chain.
            """,
            payment_answers.Statement,
            query=(
                choice("form", "json", "csv"),
                Parameter("account", TEXT, "A payee's; for staff and machines."),
            ),
            media=("text/csv",),
            problems=(409,),
        ),
        operation(
            "POST streams/{slug}/payouts",
            """
            Asks to be paid. Header `Idempotency-Key`: your own name of this request. Body: `payee`
            (the name on the bank account), `bank_account` (an IBAN, whose check digits are held,
            or the bank's code and the number), `planck` (left out: all that is available, to whole
            minor units of `payments.currency`). 201, or 200 when the key was used for it before:

                {"payout": "3fa9…", "stream": "cam", "account": null,
                 "state": "requested|approved|paid|refused",
                 "planck": "9000000", "amount": "900", "currency": "EUR",
                 "currency_decimals": 2, "payee": "Ann Creator",
                  "bank_account": "DE89 3704 0044 0532 0130 00", "reference": null, "why": "",
                 "created_ms": 1700000000000, "decided_ms": null, "paid_ms": null}

            `amount` is what the bank pays, by the rate when it was asked for. Finance and machines
            may name the `account` of a payee, whose earnings they are then; null is the creator.
            409: another one of theirs and the stream is under way, or there is a chain. 422: so
            much is not available.
            """,
            payment_answers.PayoutRequest,
            status=(200, 201),
            body=payouts.PayoutBody,
            is_keyed=True,
        ),
        operation(
            "GET streams/{slug}/payouts",
            """
            What its creator asked to be paid; to staff and machines also what payees asked.

            `{"payouts": [payout, …], "next_before"}`, the newest first;
            `?state=requested|approved|paid|refused`, `?limit=` (1 to 200), `?before=<payout>`.
            """,
            payment_answers.PayoutRequests,
            query=(
                choice("state", "requested", "approved", "paid", "refused"),
                limit(200),
                before(),
            ),
        ),
        operation(
            "GET payout-requests",
            "Those of all streams: as of one.",
            payment_answers.PayoutRequests,
            query=(
                choice("state", "requested", "approved", "paid", "refused"),
                limit(200),
                before(),
            ),
            problems=(404,),
        ),
        operation(
            "GET payout-requests/bank-file",
            """
            What is approved and not said to be paid, the oldest first, as CSV for a bank:

                payout,payee,bank_account,amount,currency,remittance,approved_ms
                3fa9…,Ann Creator,DE89 3704 0044 0532 0130 00,9.00,EUR,cam 3fa9…,1700000000000
            """,
            media=("text/csv",),
        ),
        operation(
            "POST payout-requests/{payout}/approve",
            """
            Approves a payout.

            Body: `{}`. Answers the payout. 409: it is paid or refused, or money of the stream went
            back since, so that less is available.
            """,
            payment_answers.PayoutRequest,
            problems=(409,),
        ),
        operation(
            "POST payout-requests/{payout}/refuse",
            """
            Refuses a payout.

            Body: `why`, which the creator reads. Answers the payout; its earnings are available
            again. 409: it is paid.
            """,
            payment_answers.PayoutRequest,
            body=payouts.Refusal,
            problems=(409,),
        ),
        operation(
            "POST payout-requests/{payout}/paid",
            """
            Says that the bank has paid. Body: `reference`, the bank's name of its transfer. It is
            posted with the answer. 409: it is not approved, or was paid by another reference.
            """,
            payment_answers.PayoutRequest,
            body=payouts.Paid,
            problems=(409,),
        ),
        operation(
            "POST /hooks/payments/{provider}",
            """
            Takes a notice of a provider.

            For providers: no key and no cookie, a signature over the body (64 KiB at most).
            `{"outcome", "detail"}`:
            [operator/payments.md](operator/payments.md), "Your own payment system".
            """,
            payment_answers.Heard,
            problems=(401, 409),
        ),
    ),
)
