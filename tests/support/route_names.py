"""An example of each name in a path of the API: a stream, a viewer and a role that there are."""

NAMES = {
    "slug": "cam",
    "viewer": "ann",
    "number": "1",
    "month": "2026-11",
    "seq": "1",
    "session": "0123456789abcdef",
    **dict.fromkeys(("person", "order", "guest", "refund", "payout"), "ab" * 16),
    "role": "moderator",
    "credential": "0123456789abcdef",
    "prefix": "0123456789ab",
    "invitation": "0123456789abcdef",
    "issuer": "example",
    "notice": "1",
    "link": "0123456789abcdef",
    "bar": "0123456789abcdef",
    "report": "0123456789abcdef",
    "player": "0123456789abcdef",
    "stream": "cam",
    "target": "ops",
}
