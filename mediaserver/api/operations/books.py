"""The books: ledger, batches, usage, receipts, reconciliation."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from mediaserver.api.operations import money_answers
from mediaserver.api.operations.operation import (
    AFTER,
    NUMBER,
    STREAM,
    VIEWER,
    Group,
    Parameter,
    choice,
    limit,
    operation,
)
from mediaserver.http.request_records import INTEGER_MAX

GROUP: Final = Group(
    "Books",
    "",
    (
        operation(
            "GET ledger",
            """
            Balance of every holder: `{"lines": [{"role": "outside|viewer|creator|platform",
            "account", "stream", "planck"}, …], "sum": "0", "covered_ticks", "next_after"}`, 500 at
            a time. `sum` is over all, and always `"0"`.
            """,
            money_answers.Ledger,
            query=(AFTER, limit(500, 500)),
        ),
        operation(
            "GET batches",
            """
            The newest settlement batches, newest first. Query: `limit` (1 to 500, default 100),
            `before` (a sequence number). `{"batches": [{"seq", "hash", "entries", "state",
            "sealed_ms", "finalized_ms", "finalized_at", "reason", "attempts": [{"number",
            "signed_ms", "sent_ms", "reason"}, …]}, …]}`. States: `sealed signed sent finalized`,
            and `rejected conflict`, which wait for an operator. `reason` is that of the newest
            attempt that failed, or null.
            """,
            money_answers.Batches,
            query=(
                limit(500),
                Parameter(
                    "before",
                    Annotated[int, Meta(ge=1, le=INTEGER_MAX)],
                    "A sequence number: only those before it.",
                ),
            ),
        ),
        operation(
            "POST batches/{seq}/retry",
            """
            Has a batch signed and sent again.

            Has a batch that is `rejected` or `conflict` signed and sent again, once its cause is
            removed; nothing can be settled twice by it. Answers 200: `{"was": "rejected", "batch":
            {…as in the list…}}`: the attempts so far stay, each with its reason. 404 when there is
            no such batch, 422 when it is in another state, which the detail names.
            """,
            money_answers.RetriedBatch,
        ),
        operation(
            "GET usage",
            """
            What viewers watched, a line for each viewer, stream, price version and minute:
            `{"usage": [{"stream", "stream_id", "viewer", "minute", "price_version",
            "planck_per_s", "seconds", "planck"}], "next_after", "is_end"}`. `?format=jsonl` and
            `?format=csv` answer with lines alone, and the cursor in the header `Next-After`.
            `?after=` is the cursor of the last answer: what changed since then, an hour of a
            viewer with all its minutes; a later line takes the place of an earlier one of the same
            viewer, stream, version and minute. `?stream=`, `?viewer=`, `?limit=` (100, at most
            1000: hours of viewers, which an answer passes to keep what was booked together). 404.
            """,
            money_answers.Usage,
            query=(
                Parameter("after", NUMBER, "The cursor of the last answer."),
                STREAM,
                VIEWER,
                limit(1000),
                choice("format", "json", "csv", "jsonl"),
            ),
            media=("text/csv", "application/jsonl"),
            problems=(404,),
        ),
        operation(
            "GET reconcile",
            """
            Derives the books again from the ticks, while everything goes on.

                {"is_balanced": true, "is_store_read": true, "is_chain_read": false,
                 "differences": [],
                 "payments": {"paid": 12, "planck": "120000000", "back": "3000000", "losses": []},
                 "restores": [{"found_ms", "shards", "forgiven_from", "forgiven_to",
                  "lost_ticks": "0"}, …],
                 "totals": {"metered": "100", "settled": "40", "in_flight": "21", "pending": "39",
                  "refused": "0", "planck": "…",
                            "adopted": "0", "adopted_planck": "0", "unpaid_ticks": "0",
                             "forgiven_ticks": "0", "late_ticks": "0",
                            "covered_ticks": "0"},
                 "covered": [{"stream", "account", "ticks", "causes": {"preview": "30",
                  "cap": "12", "free_list": "0"}}, …],
                 "rows": [{"stream", "account", "version", "metered", "settled", "in_flight",
                  "pending", "refused", "planck",
                           "adopted", "adopted_planck"}, …]}

            `covered` are seconds that were watched and billed to nobody, as a preview, the cap of
            a show or the free list allows; they are in no row. `losses` of `payments` are what
            went back above a payment for good, in words: it was given back, and its dispute is
            lost. `restores` names each time at which an older book was found to be put back:
            seconds from `forgiven_from` up to `forgiven_to` are not billed, and at least
            `lost_ticks` that were billed are billed to nobody. `adopted` are seconds that a chain
            settled for a book that was lost; they are in no other count, and `adopted_planck`,
            what they cost, is in the ledger. `is_store_read` is false while Redis is away: pending
            seconds are then left out. `is_chain_read` says whether the chain's own storage was
            compared too; it is false with the journal, and while the node is away.
            """,
            money_answers.Reconciliation,
        ),
        operation(
            "GET operator",
            """
            What receipts are signed with.

            `{"public_key": "0x…", "asset": {"symbol", "decimals", "quantum"}}`: what receipts are
            signed with. Needs no token: a viewer checks receipts with it.
            """,
            money_answers.Operator,
        ),
        operation(
            "GET receipts/{viewer}/{slug}",
            """
            The receipt file of a viewer and stream, made up to the last booked cut. Keep it byte
            for byte: its spelling is part of what is checked. 404 with `Retry-After` before the
            first cut.
            """,
            money_answers.ReceiptFile,
        ),
    ),
)
