"""What somebody who is signed in has and does themselves."""

from __future__ import annotations

from typing import Final

from mediaserver.api.money import auto_top_up, top_ups, withdrawals
from mediaserver.api.operations import (
    money_answers,
    payment_answers,
    people_answers,
    stream_answers,
)
from mediaserver.api.operations.operation import (
    AFTER,
    FILE,
    Group,
    Nothing,
    before,
    limit,
    operation,
)
from mediaserver.api.people import closing, me
from mediaserver.api.viewers import letters, limits, player_settings, wallet_payer

GROUP: Final = Group(
    "One's own",
    "",
    (
        operation(
            "GET me",
            """
            Oneself: `{"person", "name", "account", "balance", "debt", "roles", "streams",
            "credentials", "recovery_codes", "advice"}`.
            """,
            people_answers.Me,
        ),
        operation(
            "PATCH me",
            "Changes one's name. Body: `name`. 429 after 100 changes in an hour.",
            people_answers.Me,
            body=me.Change,
        ),
        operation(
            "DELETE me/session",
            "Signs out.",
            Nothing,
        ),
        operation(
            "GET me/sessions",
            """
            The browsers that are signed in: `{"sessions": [{"id", "is_this", "created_ms",
            "seen_ms", "expires_ms", "ends_ms", "address", "agent"}]}`.
            """,
            people_answers.BrowserSessions,
        ),
        operation(
            "DELETE me/sessions",
            "Ends all others.",
            stream_answers.Ended,
        ),
        operation(
            "DELETE me/sessions/{session}",
            "Ends one. 404.",
            stream_answers.Ended,
        ),
        operation(
            "GET me/top-ups",
            """
            One's own orders, the newest first, 100 at a time: `{"top_ups": [order, …],
            "next_before", "providers": ["webhook"], "currency": "EUR", "currency_decimals": 2,
            "amount_min": 500, "amount_max": 20000, "planck_per_minor_unit": "10000"}`;
            `?before=<order>`. Each order has its `pay_url`, null where there is none.
            """,
            payment_answers.TopUps,
            query=(before(),),
            problems=(404,),
        ),
        operation(
            "POST me/top-ups",
            """
            Orders a top-up: `{"provider": "webhook", "amount": 1000, "stream": "cam"}`, with the
            header `Idempotency-Key`. 201 with the order: send the payer to its `pay_url`; they
            come back to the `stream`'s page, or to their account's. The same key with the same
            content is the same order (200), with another 409. Who has no account to pay with gets
            one. The `demo` provider takes no `amount` and is paid at once. 503: the provider does
            not answer; ask again with the same key.
            """,
            payment_answers.OwnOrder,
            status=(200, 201),
            body=top_ups.TopUp,
            is_keyed=True,
            problems=(404,),
        ),
        operation(
            "GET me/auto-top-up",
            """
            What one allows to be paid by itself when one's balance is low, and the newest 20
            payments of it:

                {"state": "off|setting-up|on", "why": "", "provider": "stripe",
                 "threshold_planck": "2000000", "amount": "1000", "day_max": "2000",
                 "month_max": "10000", "currency": "EUR", "currency_decimals": 2,
                 "day": "1000", "month": "3000", "held_by": null, "pay_url": null,
                 "offers": [{"provider": "stripe", "currency": "EUR", "currency_decimals": 2,
                  "amount": null}],
                 "charges": [{"order": "5c0f…", "amount": "1000", "currency": "EUR",
                  "currency_decimals": 2, "state": "asked|sent|paid|declined|lost", "detail": "",
                  "created_ms": 1700000000000, "done_ms": null}]}

            `day` and `month` are what was asked for this UTC day and month, without what was
            declined; `held_by` says which most keeps the next payment away. `why` says why the
            server turned it off. `offers` are the providers that take such payments, and the unit
            of their amounts: `amount` 1000 with 2 `currency_decimals` is 10.00. The `demo`
            pays in the asset, whose amounts are planck, and always its offer's `amount`. An
            amount's `currency_decimals` is null where its currency is no longer configured.
            `lost`: nobody said how it ended, it counts as if it had been paid.
            """,
            payment_answers.AutoTopUp,
        ),
        operation(
            "PUT me/auto-top-up",
            """
            Allows it, in place of what was allowed before. Asks for a way in that was shown within
            five minutes.

            Body: `provider`, `threshold_planck`, `amount` (none for the demo's), `day_max` and
            `month_max`, all but the threshold in the unit of the provider's offer. While one
            watches, a balance that falls below the threshold is worth one payment, however often it
            is looked at; the next one is worth another only once that is paid, or the balance was
            above it. Neither most is ever exceeded. Stripe's first payment is at its page,
            `pay_url`, which keeps the card: until then it is `setting-up`. Three payments declined
            one after the other, or a dispute, turn it off. Answers as `GET` does. 409 with a chain;
            422; 503 as of a top-up.
            """,
            payment_answers.AutoTopUp,
            body=auto_top_up.Allowed,
            problems=(409,),
        ),
        operation(
            "DELETE me/auto-top-up",
            """
            Ends it, and forgets what was charged. A payment that was asked for before goes on.
            Again is harmless. Answers as `GET` does.
            """,
            payment_answers.AutoTopUp,
        ),
        operation(
            "GET me/withdrawals",
            """
            What one took out.

            `{"withdrawals": [withdrawal, …], "next_before", "amount_max", "planck_max",
            "currency", "currency_decimals"}`, the newest first, 100 at a time;
            `?before=<withdrawal>`. `amount_max` is how much, in minor units, may go back to the
            payments it came from, if the balance holds it.
            """,
            payment_answers.Withdrawals,
            query=(before(),),
            problems=(404,),
        ),
        operation(
            "POST me/withdrawals",
            """
            Takes money out of one's balance, back to the payments that brought it, the newest
            first. Header `Idempotency-Key`. Body: `amount`, in the minor unit of the currency.
            Asks for a way in that was shown within five minutes. Answers 201, or 200 when the key
            was used for it before:

                {"withdrawal": "3fa9…", "amount": "600", "currency": "EUR", "planck": "6000000",
                 "created_ms": 1700000000000, "state": "done",
                 "parts": [{"order": "5c0f…", "amount": "600", "state": "asked|done|refused",
                  "reference": "re_1", "done_ms": 1700000000100}]}

            `state` is `asked` while a provider has not answered for a part: it is asked again by
            itself. A part that is `refused` is in the account again. 409 with `balance` when the
            balance is lower, 422 when not so much of it was paid; 503 while Redis is away: nothing
            was done. 409 with a chain, where the money is in one's own escrow.
            """,
            payment_answers.Withdrawal,
            status=(200, 201),
            body=withdrawals.WithdrawalBody,
            is_keyed=True,
        ),
        operation(
            "PUT me/account",
            """
            With a chain: lets a wallet's own account pay, instead of a key that the server keeps.
            Body: `credential`, the id of a wallet among one's ways in. `{"account"}`; again is
            harmless. Deposits, joins and withdrawals are then the wallet's own calls on the chain;
            a join here answers what is missing there. 409 without a chain, 404 for no wallet of
            one's own, 422 where one pays from another account already.
            """,
            people_answers.PaysFrom,
            body=wallet_payer.Payer,
            problems=(404, 409),
        ),
        operation(
            "GET me/export",
            """
            All that is held of oneself: `{"rows": [{"table", "row"}], "next_after"}`, 500 rows at
            a time; the rest with `?after=<next_after>`. A row is as the table has it, without what
            opens something (hashes of keys, seeds). Asks for a way in that was shown within five
            minutes.
            """,
            people_answers.Export,
            query=(AFTER,),
        ),
        operation(
            "POST me/close",
            """
            Closes one's account and erases it, for good: see
            [people.md](people.md#closed-accounts). Body: `forfeit_planck`, the most of the balance
            that may be lost with it (`"0"`); `forfeit_shares`, whether what was earned as a payee
            and not paid out may be (false). A payee's part is the creator's from the first second
            on that can be announced. Asks for a way in that was shown within five minutes.
            `{"person", "account", "closed_ms"}`. 409 with `balance` and `withdrawable_planck`
            while more is left; with `earnings_planck` while earnings are; while a withdrawal,
            refund or payout is not done; with `streams`, while nobody else is creator of a stream
            that is not archived; and while nobody else is an owner of the server.
            """,
            people_answers.Closed,
            body=closing.Close,
            problems=(409,),
        ),
        operation(
            "GET me/limits",
            """
            What one may spend at most: `{"session_planck", "stream_planck", "day_planck",
            "in_force": {…the same…}}`. The first three are one's own, `in_force` the lower of
            those and the operator's; `"0"` is no limit. `stream_planck` is for any one stream, in
            all; a day is a UTC day.
            """,
            people_answers.OwnLimits,
        ),
        operation(
            "PUT me/limits",
            """
            Sets what one may spend at most.

            Body: `session_planck`, `stream_planck`, `day_planck`; what is left out is no limit.
            Players that are watching are held to them from their next claim on, with what they
            spent before. Answers as `GET` does. 422; 503 while Redis is away: nothing is changed
            then.
            """,
            people_answers.OwnLimits,
            body=limits.Limits,
        ),
        operation(
            "GET me/player-settings",
            """
            When one's players stop by themselves what costs something: `{"hidden_stop_s": 60,
            "ask_after_s": 14400, "answer_s": 60}`, the defaults. Hidden without sound for longer
            than `hidden_stop_s` a page stops; untouched for longer than `ask_after_s` (hidden with
            sound at most two hours) it asks, and stops after `answer_s` without an answer. 0 is
            never.
            """,
            people_answers.PlayerSettings,
        ),
        operation(
            "PUT me/player-settings",
            """
            Sets when one's players stop by themselves.

            Body: `hidden_stop_s` (0, or 5 to 86400), `ask_after_s` (0, or 60 to 86400); what is
            left out is as by default. Answers as `GET` does. 422.
            """,
            people_answers.PlayerSettings,
            body=player_settings.Wanted,
        ),
        operation(
            "GET me/letters",
            """
            Whether one is written to when one's balance runs down: `{"low_balance_planck",
            "address", "addresses", "can_send"}`. `"0"` is no letters; `addresses` are one's ways
            in by mail; `can_send` is false where `people.mail_url` is not set.
            """,
            people_answers.Letters,
        ),
        operation(
            "PUT me/letters",
            """
            Sets when one is written to.

            Body: `low_balance_planck` (left out, or `"0"`: none) and `address`, one of one's ways
            in by mail (left out: the only one). While one watches, a balance that falls below it
            is told in one letter, one that pays for no second more in another; each again only
            after it was above. Looked at with each round of cuts (`metering.cut_period_s`); a
            letter that the mail server does not take is sent again for a day. Answers as `GET`
            does. 409 where the server sends none; 422.
            """,
            people_answers.Letters,
            body=letters.Wanted,
            problems=(409,),
        ),
        operation(
            "GET me/history",
            """
            What one watched and paid, a row for each show, the newest first: `{"shows":
            [{"stream", "title", "stream_id", "show", "from_ms", "to_ms", "seconds",
            "covered_seconds", "planck", "given_back", "receipts_url"}], "next_before"}`; `?limit=`
            (100, at most 500), the rest with `?before=`. `seconds` are all that were watched,
            `covered_seconds` those of them that a preview, a cap or a pass paid for, `planck` what
            the others cost, `given_back` what of that came back for bad seconds; all `planck`
            together and [passes](#get-apiv1mepasses) are what the account spent. Free streams are
            not counted, so they are not here. `show` is null for what was before a server kept
            which shows there were. `stream` and `title` are null where the stream is not for them
            any more. 422; 429 after 20 a minute.
            """,
            people_answers.History,
            query=(limit(500), before()),
        ),
        operation(
            "GET me/receipts/{stream}",
            """
            One's own receipts of a stream, by its id: the signed file, for browsers a page, and
            with `?file` the file. 404 before the first cut.
            """,
            money_answers.ReceiptFile,
            query=(FILE,),
            media=("text/html",),
        ),
        operation(
            "GET me/players",
            """
            The players that one's account pays for now, each in a slot of its stream: `{"players":
            [{"player", "stream", "title", "stream_id", "agent", "began_ms", "seen_ms",
            "ends_ms"}]}`. `agent` is the word of the browser that its link was last minted for,
            empty where none is known; `seen_ms` when it last claimed a second, null while Redis is
            away.
            """,
            people_answers.Players,
        ),
        operation(
            "DELETE me/players/{player}",
            """
            Ends one for good, as the owner's own word: it gets nothing from its next claim on, and
            its link mints nothing. 404, also for another's; 422; 503 while Redis is away.
            """,
            stream_answers.Ended,
        ),
        operation(
            "POST me/invitations",
            "Takes what an invitation hands over. Body: `code`.",
            people_answers.Me,
            body=me.Code,
        ),
    ),
)
