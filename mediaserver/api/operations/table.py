"""All routes with their words and records, by subject, in the order of docs/api.md."""

from __future__ import annotations

from typing import Final

from mediaserver.api.operations import (
    books,
    chain,
    own,
    own_escrow,
    own_links,
    passes,
    payments,
    people,
    server,
    sign_in,
    splits,
    stream_guests,
    streams,
    viewers,
    watching,
)

GROUPS: Final = (
    *(streams.GROUP, stream_guests.GROUP, watching.GROUP, viewers.GROUP),
    *(books.GROUP, passes.GROUP, splits.GROUP, payments.GROUP, chain.GROUP),
    *(sign_in.GROUP, own.GROUP, own_escrow.GROUP, people.GROUP, server.GROUP, own_links.GROUP),
)
OPERATIONS: Final = tuple(row for group in GROUPS for row in group.operations)
